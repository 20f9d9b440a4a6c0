"""Surrogate: a model of all configurations from the few that were played, for numbers and categories together.

Bayesian optimization of a live system: every round is paid for, so it plays what is good, or may well be better, near
what it knows. A Gaussian process (``gaussian_process``) predicts mean and uncertainty of every configuration; the one
with the highest upper confidence bound, mean + b sd, is played (GP-UCB: Srinivas et al. 2010, arXiv:0912.3995).
Candidates are neighbours of the best known configurations, as in local and trust-region methods for mixed spaces
(Eriksson et al. 2019, arXiv:1910.01739; Wan et al. 2021, arXiv:2102.07188), and some from anywhere. Requests that are
still open count as if they had brought what the model expects, so that several asks differ (GP-BUCB: Desautels, Krause,
Burdick 2014, JMLR 15). When rewards fall short of what it expects, again and again, the world has changed, and it
begins anew (``change_detection``).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...core.errors import InvalidArgumentType, StateMismatch
from ...core.types import Context, PredictionType
from ...core.values import Categorical, Integer, Real, ValueType
from ..base import Algorithm, _PredictResponse, _TuningRequest
from ..shared.arguments import checked_count, checked_number
from ..shared.arrays import Array
from ..shared.mixed_space import Held, MixedSpace
from .change_detection import ChangeDetector, Reward
from .gaussian_process import Data, Hyperparameters, Posterior, Solution
from .history import History, worth_of
from .optimism import failure, optimism, repeats
from .points import Axes, Floats, Points

Feature: TypeAlias = str | float
"""The value of a context's field."""

_DESIGN = 3
"""First requests: the declared configuration, then neighbours of it. Those that are asked before as many rewards are
known are drawn from anywhere: near the declared one, many at once would teach little, and all be as bad as it is."""

_BEST, _NEIGHBOURS, _ANYWHERE = 8, 30, 20
"""Candidates: the best known configurations, neighbours of each, and points from anywhere. An ask's time grows with
their number; more from anywhere (60, 100) were no better (docs/decisions/0013-surrogate-and-auto.md)."""

_ROUNDING = 1e-5
"""Expectations that differ by less are equal: distances have single precision."""

_FIT_STEPS, _FIT_BUDGET, _FIT_REPEAT = 5, 200, 0.25
"""Steps towards the best hyperparameters at each new configuration: 5, and fewer when there are more than 40, because
each costs their number squared. A repeat says little of them, and gets a quarter."""

_MODELLED = 10
"""Different configurations of a context before the model's expectations are worth a doubt in the world."""

_LEAST_SPREAD = 0.3
"""Standard deviation of the expectations themselves, of rewards scaled to 1: where there is no noise, the model is now
and then too sure of itself. With less, systems that stood still were sometimes forgotten."""

_FOUNDED = 2.0
"""Rewards of its own that an expectation must rest on, after fading. With one or two it is what all others make it:
what looks best after one reward each owes that to luck, and where the next one differs, either may be the outlier."""

_MOST_OPEN = 100
"""Open requests that the model takes into account, the newest: its time grows with the cube of all points together."""


class Surrogate(Algorithm):
    """Upper confidence bounds of a Gaussian process over numbers and categories.

    The declared configuration is the first that is played. Learning and asking cost a few milliseconds each. Everything
    kept is bounded: of configurations that are alike, two become one. What was learned in a context is forgotten when
    rewards there fall short of what the model expects, again and again (``change_detection``).

    Args:
        parameters: Parameters of any kind.
        exploration: b, standard deviations of optimism, at least 0. 0 exploits only.
        units: How many configurations are tried at the same time, at least 1. More open requests than that are late
            answers, and the learner explores less until they come.
        features: Names of the context's fields that make a difference (or mappings with a ``name``, as ``AutoScope``
            takes them). What one context teaches is used in the others, as far as they turn out to be alike. None:
            contexts make no difference.
        history: Different configurations that are remembered, at least 10.
        random_seed: Seed of the candidates.

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        learns_from_others = True
        configuration = ("exploration", "units", "features", "_space", "_axes", "_kernel", "_posterior")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        exploration: float = 1.0,
        units: int = 1,
        features: Iterable[str | Mapping[str, object]] = (),
        history: int = 100,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self.exploration = checked_number("exploration", exploration, at_least=0)
        self.units = checked_count("units", units, 1)
        self.features = _names(features)
        self._space = MixedSpace(self.params)
        self._history = History(len(self.params), checked_count("history", history, 10))
        self._changes = ChangeDetector()
        self._hyper = Hyperparameters(len(self.params) + len(self.features))
        self._rng = np.random.default_rng(self._random_seed)
        self._open: dict[int, tuple[Array, list[Feature]]] = {}
        self._asked = 0
        self._repeated = 0.0  # asks for what is known already: see optimism.repeats
        self._in_vain = 0.0  # looks since the last that was worth it: see optimism.failure
        self._steps_due = 0.0  # of fitting: a part of a step, below 1
        # These follow from what is learned, and are made where they are needed.
        self._axes: Axes | None = None
        self._kernel: Floats | None = None
        self._posterior: Posterior | None = None

    @property
    def alarms(self) -> int:
        """How often it took the world to have changed, and began anew in a context."""
        return self._changes.alarms

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        if not self.params:
            return _PredictResponse({})
        context = self._values(tuning_request.context)
        point = self._next(context, self._space.hold(tuning_request.held or {}))
        known = self._history.find(point, context) is not None
        self._repeated = repeats(self._repeated, known=known)
        number, self._asked = self._asked, self._asked + 1
        self._open[number] = point, context
        return _PredictResponse(self._space.decode(point), {"ask": number})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is None or not self.params:
            return
        point, context = self._open.pop(tuning_request.metadata["ask"])
        self._learn(point, context, tuning_request.learned_reward)

    def _observe(self, prediction: PredictionType, context: Context, reward: float) -> None:
        if self.params:
            self._learn(self._space.encode(self._transformed(prediction)), self._values(context), reward)

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is not None:
            self._open.pop(tuning_request.metadata["ask"], None)

    def _recommend(self, context: Context) -> dict[str, Any] | None:
        if not len(self._history):
            return None
        return self._space.decode(self._best(self._known(), self._values(context), 1)[0])

    def _observations(self, context: Context) -> Iterable[tuple[Mapping[str, Any], float]]:
        history = self._history
        here = np.flatnonzero(history.of(self._values(context)))
        return [(self._space.decode(history.points[i]), float(history.mean[i])) for i in here]

    def _learn(self, point: Array, context: list[Feature], reward: float) -> None:
        history = self._history
        i = history.find(point, context)
        is_new = i is None
        z = self._surprise(i, point, context, reward)
        since = self._changes.add(context, Reward(point, reward), z)
        if since:
            history.forget(context)
            self._kernel, self._in_vain = None, 0.0
            for seen in since:
                history.add(seen.point, context, seen.reward)
        else:
            history.add(point, context, reward, worth_of(z))
        if is_new or since:
            self._axes = None
            while history.is_over_full:
                self._make_room()
            self._kernel = None
        self._posterior = None
        self._fit(1.0 if is_new else _FIT_REPEAT)
        if is_new and not since:
            self._judge(point, context)

    def _fit(self, share: float) -> None:
        """Improve the hyperparameters by what a reward is worth; parts of a step wait for the next ones."""
        history = self._history
        self._steps_due += share * min(_FIT_STEPS, _FIT_BUDGET / len(history))
        steps = int(self._steps_due)
        if steps:
            points, scaled = self._points(history.points, history.contexts), history.scaled()
            solution = self._hyper.fit(Data(points, scaled.z, history.n, history.repeats, scaled.squares), steps)
            self._steps_due -= steps
            self._kernel = solution.kernel
            self._posterior = Posterior(self._hyper, points, solution, scaled.z, history.n)

    def _judge(self, point: Array, context: list[Feature]) -> None:
        """Count what was tried for the first time: in vain, or is it expected to be the best of its context now?"""
        known, i = self._known(), self._history.find(point, context)
        merged = i is None  # with one that is alike: see History.make_room
        expected = float(known.mean(self._points(point[None], [context]))[0]) if merged else known.fitted[i]
        if expected >= known.fitted[self._history.of(context)].max() - _ROUNDING:
            self._in_vain = 0.0
        else:
            self._in_vain += failure(self._hyper.noise)

    def _make_room(self) -> None:
        history = self._history
        points = self._points(history.points, history.contexts)
        alike = points.indicators @ points.indicators.T == np.count_nonzero(points.axes.categorical)
        for column, axis in zip(points.numbers.T, points.axes.numeric.tolist(), strict=True):
            if axis >= len(self.params):  # contexts by numbers
                alike &= np.equal.outer(column, column)
        history.make_room(self._covariance(points), alike)
        history.points = self._space.on_levels(history.points)
        self._axes = None

    def _covariance(self, points: Points) -> Floats:
        """Prior covariance of all that was rewarded; of all but the newest, it is known already.

        Where it is not, because a state was just restored or had more than there is room for, it is made from what was
        there before the newest, as it was.
        """
        history = self._history
        known = self._kernel
        if known is None or len(known) != len(history) - 1:
            known = self._hyper.covariance(self._points_before())
        newest = self._points(history.points[-1:], history.contexts[-1:])
        row = self._hyper.kernel(newest, points)
        covariance: Floats = np.block([[known, row[:, :-1].T], [row]])
        return covariance

    def _points_before(self) -> Points:
        """All that was rewarded but the newest, as the model saw it before that came."""
        points, contexts = self._history.points[:-1], self._history.contexts[:-1]
        return Points.of(*self._coordinates(points, contexts, contexts))

    def _surprise(self, i: int | None, point: Array, context: list[Feature], reward: float) -> float:
        """How many standard deviations a reward is above what the model expects; 0 where it knows too little.

        Args:
            i: Index of the point in the history, None where it is new.
            point: Shape (D,).
            context: Values of the context's features.
            reward: The reward.
        """
        history = self._history
        if np.count_nonzero(history.of(context)) < _MODELLED:
            return 0.0
        if i is not None:
            known = self._known()
            mean, deviation = known.without(i) if history.n[i] < _FOUNDED else known.at(i)
        else:
            means, deviations = self._known().mean_and_deviation(self._points(point[None], [context]))
            mean, deviation = float(means[0]), float(deviations[0])
        spread = math.sqrt(deviation**2 + self._hyper.noise + _LEAST_SPREAD**2)
        return (history.scaled().of(reward, context) - mean) / spread

    def _next(self, context: list[Feature], held: Held) -> Array:
        """The point to play next, among those with the values that are held."""
        rewarded, asked = len(self._history), len(self._history) + len(self._open)
        if not self._history.of(context).any() and not self._open_in(context):
            declared: Array = held(self._space.declared[None])[0]
            return declared
        if rewarded < _DESIGN <= asked:
            anywhere: Array = held(self._space.random(self._rng, 1))[0]
            return anywhere
        if asked < _DESIGN:
            near: Array = held(self._space.neighbours(self._rng, self._space.declared[None], 1))[0]
            return near
        known = self._known()
        best = self._best(known, context, _BEST)
        around = self._space.neighbours(self._rng, best, _NEIGHBOURS)
        anywhere = self._space.random(self._rng, _ANYWHERE)
        bound = self._upper_bound(known, context)
        i, height = _highest(bound, candidates := held(np.vstack([best, around, anywhere])))
        first: Array = candidates[i]
        if i < len(best):
            return first  # its neighbours were among them
        j, higher = _highest(bound, further := held(self._space.neighbours(self._rng, first[None], _NEIGHBOURS)))
        return further[j] if higher > height else first

    def _open_in(self, context: list[Feature]) -> int:
        """How many requests are open in a context."""
        return sum(other == context for _, other in self._open.values())

    def _upper_bound(self, known: Posterior, context: list[Feature]) -> Callable[[Array], Array]:
        """What gives mean + b sd of points in a context, open requests answered as ``known`` expects."""
        history, posterior = self._history, known
        if self._open:
            newest = list(self._open.values())[-_MOST_OPEN:]
            waiting, their_contexts = np.array([point for point, _ in newest]), [values for _, values in newest]
            expected = known.mean(self._points(waiting, their_contexts))
            points = self._points(np.vstack([history.points, waiting]), [*history.contexts, *their_contexts])
            z, n = np.append(history.scaled().z, expected), np.append(history.n, np.ones(len(newest)))
            solution = Solution.of(self._hyper.kernel(points, points), self._hyper.noise / n, z)
            posterior = Posterior(self._hyper, points, solution, z, n)
        late = max(0, self._open_in(context) - self.units + 1)
        here = history.n[history.of(context)]
        b = self.exploration * optimism(
            self._hyper.noise, float(here.sum()), max(len(here), 1), self._in_vain, self._repeated, late
        )

        def bound(candidates: Array) -> Array:
            mean, deviation = posterior.mean_and_deviation(self._points(candidates, [context]))
            upper: Array = mean + b * deviation
            return upper

        return bound

    def _known(self) -> Posterior:
        """What the rewards say."""
        history = self._history
        if self._posterior is None:
            points = self._points(history.points, history.contexts)
            if self._kernel is None:
                self._kernel = self._hyper.covariance(points)
            z = history.scaled().z
            solution = Solution.of(self._kernel, self._hyper.noise / history.n, z)
            self._posterior = Posterior(self._hyper, points, solution, z, history.n)
        return self._posterior

    def _best(self, known: Posterior, context: list[Feature], k: int) -> Array:
        """Of the points that were rewarded, in any context, the k with the best expected reward in this one."""
        points, mean = self._history.points, known.fitted
        if self.features:
            points = np.unique(points, axis=0)
            mean = known.mean(self._points(points, [context]))
        best: Array = points[np.argsort(-mean, kind="stable")[:k]]
        return best

    def _values(self, context: Context) -> list[Feature]:
        """The values of the features in a context: numbers as they are, all else as text."""
        data = context.data or {}
        return [_feature(data.get(name)) for name in self.features]

    def _points(self, points: Array, contexts: Sequence[Sequence[Feature]]) -> Points:
        """Points, each in its context or all in one, as the model sees them."""
        axes, coordinates = self._coordinates(points, contexts, self._history.contexts, self._axes)
        self._axes = axes
        return Points.of(axes, coordinates)

    def _coordinates(
        self,
        points: Array,
        contexts: Sequence[Sequence[Feature]],
        seen: Sequence[Sequence[Feature]],
        axes: Axes | None = None,
    ) -> tuple[Axes, Array]:
        """Points with their contexts' features behind, which are relative to the contexts seen; and what they are."""
        columns = [points]
        counts: list[int] = []
        for i in range(len(self.features)):
            column, categories = _coordinates([c[i] for c in contexts], [c[i] for c in seen])
            columns.append(np.broadcast_to(column[:, None], (len(points), 1)))
            counts.append(categories)
        if axes is None:
            categorical = np.append(self._space.categorical, np.array(counts) > 0)
            axes = Axes.of(categorical, np.append(self._space.levels, counts))
        return axes, np.hstack(columns) if counts else points

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore({**state, "learner": {"_in_vain": 0.0, "_steps_due": 0.0, **state["learner"]}})
        self._axes = self._kernel = self._posterior = None
        if any(len(context) != len(self.features) for context in self._history.contexts):
            raise StateMismatch("the state was learned with other features")


def _names(features: Iterable[str | Mapping[str, object]]) -> tuple[str, ...]:
    names = [f.get("name") if isinstance(f, Mapping) else f for f in ([] if isinstance(features, str) else features)]
    if isinstance(features, str) or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentType(f"features must be names of context fields, not {features!r}")
    return tuple(map(str, names))


def _highest(bound: Callable[[Array], Array], candidates: Array) -> tuple[int, float]:
    bounds = bound(candidates)
    i = int(bounds.argmax())
    return i, float(bounds[i])


def _feature(x: object) -> Feature:
    return float(x) if isinstance(x, int | float) and not isinstance(x, bool) else repr(x)


def _coordinates(values: Sequence[Feature], seen: Sequence[Feature]) -> tuple[Array, int]:
    """One feature's values as coordinates: numbers relative to the range seen so far, anything else by what it is.

    Returns:
        The coordinates, and the number of categories, 0 for numbers. What was not rewarded yet is one category.
    """
    numbers = [x for x in seen if isinstance(x, float)]
    low = min(numbers, default=0.0)
    width = max(numbers, default=0.0) - low
    if width and len(numbers) == len(seen):
        near = [min(max((x - low) / width, -1.0), 2.0) if isinstance(x, float) else -1.0 for x in values]
        return np.array(near), 0
    index = {x: i for i, x in enumerate(dict.fromkeys(seen))}
    return np.array([index.get(x, len(index)) for x in values], dtype=np.float64), len(index) + 1
