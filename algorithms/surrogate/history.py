"""What a surrogate learner keeps of the rewards it learned: few numbers for each configuration, and not for ever."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from ..shared.arrays import Array
from ..shared.running_statistics import LARGEST, cut

_SMALLEST = 1e-150
"""Rewards that differ by less, themselves or beside the largest difference, are equal: its square would be 0."""

_TRUST = 30.0
"""Most rewards that the mean of a configuration is worth: a further one moves it by a 30th at least."""

_FADE = 1 - 1 / 1000
"""Worth that an old reward keeps at each new one: half of it after 700. A world that drifts slowly is followed; one
that stands still loses nothing, because the configurations that matter are played again."""

_LEAST_WORTH = 0.05
"""What no old reward fades below."""


_BELIEVED, _LEAST_BELIEF = 3.0, 0.05
"""Standard deviations from what is expected up to which a reward is believed, and the least it counts as beyond."""


def worth_of(z: float) -> float:
    """How many rewards a reward counts as that is z standard deviations from what was expected, at most 1.

    A reward far off is a pause or a neighbour, or news. It counts as (3/z)², as if it had been measured with so much
    noise that it is no more than three of its deviations off; whatever is news is seen again. (The weights of a
    Student-t likelihood fall as fast: Lange, Little, Taylor 1989.)
    """
    return max(_LEAST_BELIEF, (_BELIEVED / max(abs(z), _BELIEVED)) ** 2)


class Scaled(NamedTuple):
    """Rewards made fit for a model.

    Attributes:
        z: Mean of each configuration, about 0 with variance 1, shape (N,).
        squares: Sum of the squares about the means, of the same scale.
        levels: Median reward of each context.
        unit: A reward r was put at x = (r - level) / unit, and at -log(1 - x) where that is below 0.
        mean, deviation: Then it was standardised by these. No deviation where all are equal.
    """

    z: Array
    squares: float
    levels: Mapping[tuple[str | float, ...], float]
    unit: float
    mean: float
    deviation: float

    def of(self, reward: float, context: Sequence[str | float]) -> float:
        """Where another reward would stand among these; where all of them are equal, any other is beyond measure.

        Raises:
            KeyError: Nothing of the context was rewarded.
        """
        above = reward - self.levels[tuple(context)]
        if not self.deviation:
            return 0.0 if above == 0 else math.copysign(math.inf, above)
        x = above / self.unit
        return ((-math.log1p(-x) if x < 0 else x) - self.mean) / self.deviation


class History:
    """Means of the rewards of up to ``limit`` different points.

    Attributes:
        points: Shape (N, D).
        contexts: Of each point, the values of the context's features.
        mean: Mean reward, shape (N,).
        n: How many rewards that is worth, shape (N,).
    """

    __slots__ = ("_limit", "_scaled", "_squares", "contexts", "mean", "n", "points")

    def __init__(self, dimension: int, limit: int) -> None:
        self._limit = limit
        self.points: Array = np.zeros((0, dimension))
        self.contexts: list[list[str | float]] = []
        self.mean: Array = np.zeros(0)
        self.n: Array = np.zeros(0)
        self._squares: Array = np.zeros(0)
        self._scaled: Scaled | None = None  # follows from the others, and is made where it is needed

    def __len__(self) -> int:
        return len(self.mean)

    def find(self, point: Array, context: Sequence[str | float]) -> int | None:
        """Index of a point in a context, None where it was not rewarded yet."""
        for i in np.flatnonzero((self.points == point).all(axis=1)).tolist():
            if self.contexts[i] == list(context):
                return int(i)
        return None

    def of(self, context: Sequence[str | float]) -> NDArray[np.bool_]:
        """Which points are a context's, shape (N,)."""
        return np.array([other == list(context) for other in self.contexts], dtype=bool)

    def add(self, point: Array, context: Sequence[str | float], reward: float, worth: float = 1.0) -> None:
        """Count one reward of a point in a context.

        Args:
            point: Shape (D,).
            context: Values of the context's features.
            reward: The reward.
            worth: How many rewards it counts as, above 0 and at most 1: less for one that is hard to believe.
        """
        reward = cut(reward)
        self._scaled = None
        self.n = np.maximum(self.n * _FADE, _LEAST_WORTH)
        i = self.find(point, context)
        if i is None:
            self._append(point, context, reward, worth)
            return
        if self.n[i] >= _TRUST:
            self._squares[i] *= 1 - 1 / self.n[i]
            self.n[i] -= 1
        # Welford's update, of a weighted mean (West 1979, *Updating mean and variance estimates*).
        off = reward - self.mean[i]
        self.n[i] += worth
        self.mean[i] += off * (worth / self.n[i])
        self._squares[i] += worth * off * (reward - self.mean[i])

    @property
    def repeats(self) -> float:
        """How many rewards came on top of the first of each point."""
        return float(np.maximum(self.n - 1, 0).sum())

    def scaled(self) -> Scaled:
        """Rewards for the model, see :meth:`_standardised`."""
        if self._scaled is None:
            self._scaled = self._standardised()
        return self._scaled

    def _standardised(self) -> Scaled:
        """Rewards for the model: bad ones on a logarithmic scale, all of them standardised.

        A cliff (a time-out, a full disk) may be hundreds of times further from the usual than the best is, and would
        leave no difference between good and best. So what is below the median by x, in units of how far the better half
        is above it, counts as log(1 + x) (in the spirit of the half-rank warping of Vizier, Song et al. 2024,
        arXiv:2408.11527, which orders them only). Better rewards stay as they are.

        The median is that of the own context: what is cheap in one and dear in another would else hide what the
        configurations do.
        """
        levels, above = self._levels()
        largest = float(np.abs(above).max())
        if largest <= _SMALLEST:
            return Scaled(np.zeros_like(self.mean), 0.0, levels, 0.0, 0.0, 0.0)
        above = above / largest
        better = above[above > _SMALLEST]
        top = float(better.max(initial=0.0))
        unit = top * math.sqrt(float(((better / top) ** 2).mean())) if top else float(above.std())
        x = above / unit
        bad = np.maximum(-x, 0.0)
        warped = np.where(x < 0, -np.log1p(bad), x)
        deviation = float(warped.std())
        slope = 1 / ((1 + bad) * unit * deviation * largest)
        squares = float(((np.sqrt(np.minimum(self._squares, LARGEST**2)) * slope) ** 2).sum())
        mean = float(warped.mean())
        return Scaled((warped - mean) / deviation, squares, levels, unit * largest, mean, deviation)

    def _levels(self) -> tuple[dict[tuple[str | float, ...], float], Array]:
        """Median reward of each context, and how far above that of its own each configuration is, shape (N,)."""
        levels, above = {}, np.empty_like(self.mean)
        for context in dict.fromkeys(map(tuple, self.contexts)):
            of = self.of(context)
            levels[context] = float(np.median(self.mean[of]))
            above[of] = self.mean[of] - levels[context]
        return levels, above

    def get_state(self) -> JsonDict:
        """All of it; points in one list."""
        return {
            "points": encode(self.points),
            "contexts": encode(self.contexts),
            "mean": encode(self.mean),
            "n": encode(self.n),
            "squares": encode(self._squares),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: Its points had another dimension, or its parts do not fit together.
        """
        points, contexts = decode(state["points"]), decode(state["contexts"])
        rows = [decode(state[name]) for name in ("mean", "n", "squares")]
        if points.shape[1:] != self.points.shape[1:] or {len(points)} != {len(row) for row in (contexts, *rows)}:
            raise StateMismatch("rewards of points of another dimension")
        self.points, self.contexts = points, contexts
        self.mean, self.n, self._squares = rows
        self._scaled = None

    def _append(self, point: Array, context: Sequence[str | float], reward: float, worth: float) -> None:
        self.points = np.vstack([self.points, point])
        self.contexts.append(list(context))
        self.mean = np.append(self.mean, reward)
        self.n = np.append(self.n, worth)
        self._squares = np.append(self._squares, 0.0)

    @property
    def is_over_full(self) -> bool:
        """Whether there is a point too many: see :meth:`make_room`."""
        return len(self.mean) > self._limit

    def make_room(self, correlation: NDArray[np.floating], alike: NDArray[np.bool_]) -> None:
        """Give up one point: the two most correlated of those that are alike become one, with what both are worth.

        Little is lost, where forgetting one would cost the model a wall of the valley that it is in. Where no two are
        alike, the point of the lowest mean goes, of the older half: what is good or new stays.

        Args:
            correlation: Of each pair of points, by the model, shape (N, N).
            alike: Whether their categories and contexts are equal, so that points lie between them; shape (N, N).
        """
        close = np.where(np.triu(alike, 1), correlation, -np.inf)
        i, j = (int(k) for k in np.unravel_index(int(close.argmax()), close.shape))
        if math.isinf(close[i, j]):
            self._keep(np.arange(len(self.mean)) != self.mean[: max(len(self.mean) // 2, 1)].argmin())
            return
        share = float(self.n[j] / (self.n[i] + self.n[j]))
        self.points[i] += share * (self.points[j] - self.points[i])
        self.mean[i] += share * (self.mean[j] - self.mean[i])
        self.n[i] = min(self.n[i] + self.n[j], _TRUST)
        self._squares[i] += self._squares[j]
        self._keep(np.arange(len(self.mean)) != j)

    def forget(self, context: Sequence[str | float]) -> None:
        """Give up all points of a context."""
        self._keep(~self.of(context))

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        self.contexts = [context for context, kept in zip(self.contexts, keep.tolist(), strict=True) if kept]
        self.points, self.mean, self.n = self.points[keep], self.mean[keep], self.n[keep]
        self._squares = self._squares[keep]
        self._scaled = None
