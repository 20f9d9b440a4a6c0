"""Configurations as points: numbers scaled to [0, 1], categories by their index. Their neighbours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.values import Categorical, Integer, ValueType
from .arrays import Array

Held: TypeAlias = Callable[[Array], Array]
"""Gives points, shape (m, D), the coordinates that are held."""

_REACHES = np.array([0.05, 0.15, 0.4])
"""Standard deviations of a changed number, of its range: near, further and almost anywhere, with equal chance."""

_CHANGES = (0.45, 0.9)
"""A neighbour differs in one parameter with the first probability, in two up to the second, else in three."""


class MixedSpace:
    """Parameters in transformed units (``Algorithm.params``), as a box of points with D coordinates.

    Attributes:
        categorical: Which coordinates are categories, shape (D,).
        levels: Categories of a category, steps N of an integer, 0 of a real; shape (D,).
    """

    def __init__(self, params: Sequence[ValueType]) -> None:
        self._params = tuple(params)
        self.categorical = np.array([isinstance(p, Categorical) for p in params], dtype=bool)
        self.levels = np.array([_levels(p) for p in params], dtype=np.float64)
        self._integer = ~self.categorical & (self.levels > 0)
        self.declared = self.encode({p.name: p.val for p in params})

    def encode(self, prediction: Mapping[str, Any]) -> Array:
        """The point of a configuration in transformed units, shape (D,)."""
        return np.array([_coordinate(p, prediction[p.name]) for p in self._params], dtype=np.float64)

    def decode(self, point: Array) -> dict[str, Any]:
        """The configuration of a point, in transformed units."""
        prediction: dict[str, Any] = {}
        for p, x in zip(self._params, point.tolist(), strict=True):
            if isinstance(p, Categorical):
                prediction[p.name] = p.category(int(x))
            else:
                prediction[p.name] = round(x * p.max) if isinstance(p, Integer) else x
        return prediction

    def hold(self, values: Mapping[str, Any]) -> Held:
        """What gives points some values in transformed units, and leaves their other coordinates (not in place)."""
        if not values:
            return lambda points: points
        columns = [i for i, p in enumerate(self._params) if p.name in values]
        kept = np.array([_coordinate(p, values[p.name]) for p in self._params if p.name in values])

        def held(points: Array) -> Array:
            points = points.copy()
            points[:, columns] = kept
            return points

        return held

    def random(self, rng: np.random.Generator, m: int) -> Array:
        """Points drawn uniformly, shape (m, D)."""
        points = rng.random((m, len(self.levels)))
        points[:, self.categorical] = np.floor(points[:, self.categorical] * self.levels[self.categorical])
        return self.on_levels(points)

    def neighbours(self, rng: np.random.Generator, points: Array, m: int) -> Array:
        """For each of k points, m that differ from it in one to three parameters; shape (k m, D).

        A category becomes another one. A number moves by a normal draw, an integer by at least one step; where that
        leaves the range, half of the draws stop at the edge, so that optima on an edge are tried exactly.
        """
        changed = np.repeat(points, m, axis=0)
        n, dim = changed.shape
        wanted = 1 + np.searchsorted(_CHANGES, rng.random(n)).reshape(n, 1)
        which = _distinct(rng, n, dim)
        row, nth = np.nonzero(np.arange(which.shape[1]) < wanted)
        column = which[row, nth]
        base, categorical, integer = changed[row, column], self.categorical[column], self._integer[column]
        levels = np.maximum(self.levels[column], 1)
        by = rng.standard_normal(len(row)) * _REACHES[rng.integers(len(_REACHES), size=len(row))]
        by = np.where(integer, np.copysign(np.maximum(np.abs(by), 1 / levels), by), by)
        moved = base + by
        edge = np.minimum(np.maximum(moved, 0.0), 1.0)
        stops, drawn = rng.random((2, len(row)))
        moved = np.where((moved == edge) | (stops < 0.5), edge, np.abs(moved) % 1.0)
        other = (base + 1 + np.floor(drawn * (levels - 1))) % levels
        changed[row, column] = np.where(categorical, other, moved)
        return self.on_levels(changed)

    def on_levels(self, points: Array) -> Array:
        """The same points, their integers moved to the nearest level (in place)."""
        n = self.levels[self._integer]
        points[:, self._integer] = np.round(points[:, self._integer] * n) / n
        return points


def _distinct(rng: np.random.Generator, n: int, dim: int) -> NDArray[np.int_]:
    """For each of n points up to three different coordinates, in any order; shape (n, min(dim, 3))."""
    drawn = (rng.random((n, min(dim, 3))) * (dim - np.arange(min(dim, 3)))).astype(np.int_)
    for k in range(1, drawn.shape[1]):  # skip those that were drawn before, the lowest first
        for before in np.sort(drawn[:, :k], axis=1).T:
            drawn[:, k] += drawn[:, k] >= before
    return drawn


def _levels(p: ValueType) -> int:
    if isinstance(p, Categorical):
        return p.n_categories
    return p.max if isinstance(p, Integer) else 0


def _coordinate(p: ValueType, x: Any) -> float:  # noqa: ANN401 - a value of the parameter's own type
    return float(p.encoded_value(x)) if isinstance(p, Categorical) else float(x) / float(p.max)
