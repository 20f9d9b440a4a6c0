"""Parameters as numbers: what the replay buffer keeps of a state or an action, and what the networks see of it."""

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from ...core.types import PredictionType
from ...core.values import Categorical, ParameterValue, Real, ValueType
from .replay import Matrix

Row: TypeAlias = list[float]
"""State, or action, as it is kept: one number for each parameter."""


class Coding:
    """Values of several parameters, in transformed units, as rows and as vectors.

    A row has one number for each: the index of a category, or a position in [0, 1]. A real is its position; the
    integers 0..N share the range out equally, k at (k + ½) / (N + 1), so that a uniform draw is uniform over them. In a
    vector a category is one-hot, or one score for each.

    Attributes:
        sizes: Numbers in a vector by parameter: its categories, or 1.
        width: Length of a vector.
    """

    def __init__(self, values: Iterable[ValueType]) -> None:
        self._values = tuple(values)
        self.sizes = tuple(v.n_categories if isinstance(v, Categorical) else 1 for v in self._values)
        self.width = sum(self.sizes)

    def row(self, given: PredictionType) -> Row:
        """The row of values by name."""
        return [_position(v, given[v.name]) for v in self._values]

    def values(self, row: Row) -> PredictionType:
        """The values by name that a row stands for."""
        return {v.name: _value(v, x) for v, x in zip(self._values, row, strict=True)}

    def drawn(self, rng: np.random.Generator) -> Row:
        """A row, uniformly."""
        return [float(rng.integers(size)) if size > 1 else rng.random() for size in self.sizes]

    def nearest(self, vector: Matrix) -> Row:
        """The row of a vector: the category of the highest score, the nearest position in the range."""
        parts = np.split(vector, np.cumsum(self.sizes)[:-1])
        return [float(part.argmax() if len(part) > 1 else min(max(part[0], 0.0), 1.0)) for part in parts]

    def vectors(self, rows: Matrix) -> Matrix:
        """The vectors of rows: shape (n, parameters) to (n, width)."""
        columns = [
            rows[:, [i]] if size == 1 else (rows[:, [i]] == np.arange(size)).astype(np.float64)
            for i, size in enumerate(self.sizes)
        ]
        return np.hstack([np.empty((len(rows), 0)), *columns])


def _position(parameter: ValueType, x: ParameterValue) -> float:
    if isinstance(parameter, Categorical):
        return float(parameter.categories.index(str(x)))
    return float(x) if isinstance(parameter, Real) else (float(x) + 0.5) / (parameter.max + 1)


def _value(parameter: ValueType, position: float) -> ParameterValue:
    if isinstance(parameter, Categorical):
        return parameter.categories[int(position)]
    if isinstance(parameter, Real):
        return position
    return min(math.floor(position * (parameter.max + 1)), parameter.max)
