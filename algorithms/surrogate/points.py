"""Points as the model's kernel sees them."""

from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..shared.arrays import Array

Floats: TypeAlias = NDArray[np.float32]
"""Of points and of pairs of them; in single precision thousands of exponentials are ten times as fast."""


class Axes(NamedTuple):
    """What the D coordinates of points are: C of them categories, the others numbers.

    Attributes:
        categorical: Which coordinates are categories, shape (D,).
        numeric: Indices of those that are numbers, shape (D - C,).
        of_indicators: The coordinate that each of all K categories belongs to, shape (K,).
        category: Its index among that coordinate's, shape (K,).
    """

    categorical: NDArray[np.bool_]
    numeric: NDArray[np.int_]
    of_indicators: NDArray[np.int_]
    category: NDArray[np.int_]

    @classmethod
    def of(cls, categorical: NDArray[np.bool_], levels: Array) -> Self:
        """Coordinates by their kind.

        Args:
            categorical: Shape (D,).
            levels: How many categories each of the categories has, shape (D,). An index beyond is like no other.
        """
        columns = np.flatnonzero(categorical)
        counts = levels[columns].astype(np.int_)
        first = np.cumsum(counts) - counts
        category = np.arange(counts.sum()) - np.repeat(first, counts)
        return cls(categorical, np.flatnonzero(~categorical), np.repeat(columns, counts), category)


class Points(NamedTuple):
    """n points, in single precision: enough to learn from, and several times as fast.

    Attributes:
        axes: What their coordinates are.
        numbers: The coordinates that are numbers, shape (n, D - C).
        indicators: 1 for the category that a point has, of each coordinate that is one; shape (n, K).
    """

    axes: Axes
    numbers: Floats
    indicators: Floats

    @classmethod
    def of(cls, axes: Axes, coordinates: Array) -> Self:
        """Points from their coordinates: numbers as they are, categories by their index; shape (n, D)."""
        numbers = coordinates[:, axes.numeric].astype(np.float32)
        indicators = (coordinates[:, axes.of_indicators] == axes.category).astype(np.float32)
        return cls(axes, numbers, indicators)

    def apart(self) -> Floats:
        """|x - y| of each number of each pair of points, shape (D - C, n n)."""
        x = np.ascontiguousarray(self.numbers.T)
        apart: Floats = x[:, :, None] - x[:, None, :]
        np.abs(apart, out=apart)
        return apart.reshape(len(x), len(self.numbers) ** 2)
