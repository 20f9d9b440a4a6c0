"""Points as the model's kernel sees them, and how far they are apart in each coordinate."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..shared.arrays import Array


class Points(NamedTuple):
    """Points with D coordinates, of which C are categories and the others numbers.

    Attributes:
        coordinates: Numbers as they are, categories by their index; shape (n, D).
        categorical: Which coordinates are categories, shape (D,).
        numbers: The coordinates that are numbers, shape (n, D - C), in single precision.
        indicators: 1 for the category that a point has, of each coordinate that is one; shape (n, K), likewise.
        of_indicators: The coordinate that each indicator belongs to, shape (K,).
    """

    coordinates: Array
    categorical: NDArray[np.bool_]
    numbers: NDArray[np.float32]
    indicators: NDArray[np.float32]
    of_indicators: NDArray[np.int_]

    @classmethod
    def of(cls, coordinates: Array, categorical: NDArray[np.bool_], levels: Array) -> Self:
        """Points from their coordinates.

        Args:
            coordinates: Shape (n, D).
            categorical: Shape (D,).
            levels: How many categories each of the categories has, shape (D,). An index beyond is like no other.
        """
        columns = np.flatnonzero(categorical)
        counts = levels[columns].astype(np.int_)
        first = np.cumsum(counts) - counts
        index = coordinates[:, columns].astype(np.int_)
        indicators = np.zeros((len(coordinates), int(counts.sum())), dtype=np.float32)
        row, column = np.nonzero(index < counts)
        indicators[row, (index + first)[row, column]] = 1.0
        numbers = coordinates[:, ~categorical].astype(np.float32)
        return cls(coordinates, categorical, numbers, indicators, np.repeat(columns, counts))


class Distances(NamedTuple):
    """How far N points are apart from each other.

    Attributes:
        size: N.
        apart: |a - b| of numbers, 0 or 1 of categories; shape (D, N N).
        squared: Their squares.
    """

    size: int
    apart: NDArray[np.floating]
    squared: NDArray[np.floating]

    @classmethod
    def of(cls, points: Points, dtype: DTypeLike = np.float32) -> Self:
        """Of each pair of points; in single precision, which is enough to learn from and several times as fast."""
        columns = points.coordinates.T.astype(dtype)
        apart: NDArray[np.floating] = columns[:, :, None] - columns[:, None, :]
        np.abs(apart, out=apart)
        for d in np.flatnonzero(points.categorical).tolist():
            np.minimum(apart[d], 1, out=apart[d])
        size = len(points.coordinates)
        apart = apart.reshape(len(columns), size * size)
        return cls(size, apart, apart * apart)
