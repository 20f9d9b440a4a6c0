"""Asking Optuna what to play next, without keeping anything of Optuna's.

A learner keeps the rewarded configurations as plain numbers. To ask, they are put before a new sampler as trials of a
new study in memory. So a learner's state is its own, small, and independent of Optuna's version, and an answer depends
on nothing but that state.

Optuna: Akiba et al. 2019, *Optuna: a next-generation hyperparameter optimization framework*.
"""

import logging
from abc import abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
from optuna import create_study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from ...core.errors import StateMismatch
from ...core.types import Context, PredictionType
from ...core.values import Categorical, Integer, Real, ValueType
from ..base import Algorithm, _PredictResponse, _TuningRequest
from .mixed_space import Array, MixedSpace

Configuration: TypeAlias = Mapping[str, Any]
"""Values of the parameters that are not constant, in transformed units."""

Told: TypeAlias = tuple[Configuration, float | None]
"""A configuration and its reward, None where it is not known yet."""

_MOST_OPEN = 20
"""Open requests that a sampler is told of, the newest: with all of them it would learn more of them than of rewards."""

_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)
"""Optuna wants to know when a trial was run. No sampler in use does."""

_asking: ContextVar[bool] = ContextVar("oppertune_asks_optuna", default=False)


class _NotWhileAsking(logging.Filter):
    """Drops what Optuna logs while we ask it: a line for each study, and one for each ask once it has converged.

    What the host's own studies log passes, in other threads even at the same time; its log levels are not ours to set.
    """

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not _asking.get()


for _name in ("optuna.storages._in_memory", "optuna._gp.optim_mixed", "optuna._gp.gp"):
    logging.getLogger(_name).addFilter(_NotWhileAsking())


class _Trial(FrozenTrial):
    """A trial without constraints, quick to say so: samplers ask each trial once per parameter."""

    @property
    def constraints(self) -> dict[str, float]:
        """None."""
        return {}


class _Known(InMemoryStorage):
    """A study that has trials from the start, neither checked nor copied: that would take most of the time.

    Args:
        trials: Trials, numbered from 1. The one that is asked for has number 0.
    """

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self._known = trials

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        known = [trial for trial in self._known if states is None or trial.state in states]
        return known + super().get_all_trials(study_id, deepcopy, states)


def distributions(params: Sequence[ValueType]) -> dict[str, BaseDistribution]:
    """Parameters in transformed units, as Optuna describes them.

    An integer is a real, to be rounded: the Gaussian process would list all of its levels, and search them one by one,
    which took three quarters of the time, and the estimator was no better with them.
    """
    return {p.name: _distribution(p) for p in params}


def _distribution(p: ValueType) -> BaseDistribution:
    if isinstance(p, Categorical):
        return CategoricalDistribution(p.categories)
    return FloatDistribution(-0.5, p.max + 0.5) if isinstance(p, Integer) else FloatDistribution(0.0, 1.0)


def suggestion(sampler: BaseSampler, space: dict[str, BaseDistribution], told: Iterable[Told]) -> Configuration:
    """The configuration that a sampler suggests.

    Args:
        sampler: A new one, seeded, used for nothing else.
        space: Every parameter's distribution.
        told: Rewarded configurations, oldest first, then those that are open.
    """
    trials = [_trial(number, c, reward, space) for number, (c, reward) in enumerate(told, 1)]
    before = _asking.set(True)
    try:
        with np.errstate(all="ignore"):  # a Gaussian process that has converged divides 0 by 0, and makes do with it
            study = create_study(storage=_Known(trials), sampler=sampler, direction="maximize")
            return study.ask(space).params
    finally:
        _asking.reset(before)


def _trial(number: int, c: Configuration, reward: float | None, space: dict[str, BaseDistribution]) -> FrozenTrial:
    return _Trial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if reward is None else TrialState.COMPLETE,
        value=reward,
        datetime_start=_LONG_AGO,
        datetime_complete=None if reward is None else _LONG_AGO,
        params=dict(c),
        distributions=space,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


class AskTell(Algorithm):
    """A learner that decides by the rewards it remembers, the newest, and by what is still open.

    The oldest rewards are forgotten first. To keep the best ones instead was no better with the estimator, and worse
    with the Gaussian process: the best of many noisy rewards are the luckiest ones, and the world may have changed.

    Args:
        parameters: Parameters of any kind.
        history: Rewards that are remembered.
        random_seed: Seed of all draws.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        learns_from_others = True
        configuration: tuple[str, ...] = ("_history", "_space", "_distributions")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        history: int,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self._history = history
        self._space = MixedSpace(self.params)
        self._distributions = distributions(self.params)
        self._rng = np.random.default_rng(self._random_seed)
        self._points: Array = np.zeros((0, len(self.params)))
        self._rewards: Array = np.zeros(0)
        self._open: dict[int, Array] = {}
        self._asked = 0

    @abstractmethod
    def _next(self) -> Array:
        """The point to play next, shape (D,)."""

    def _point(self, prediction: PredictionType) -> Array:
        """The point of a configuration in own units, shape (D,)."""
        return self._space.encode(self._transformed(prediction))

    def _anywhere(self) -> Array:
        """A point drawn uniformly, shape (D,)."""
        point: Array = self._space.random(self._rng, 1)[0]
        return point

    def _seed(self) -> int:
        """The seed of a sampler, which is asked once."""
        return int(self._rng.integers(2**32))

    def _rewarded(self, rewards: Array) -> list[Told]:
        """What was rewarded, oldest first.

        Args:
            rewards: Of the points, made fit for the sampler, shape (N,).
        """
        return list(zip(map(self._space.decode, self._points), rewards.tolist(), strict=True))

    def _waiting(self, reward: float | None) -> list[Told]:
        """What is open, with the reward that it is taken to bring; None to leave that to the sampler."""
        return [(self._space.decode(point), reward) for point in list(self._open.values())[-_MOST_OPEN:]]

    def _suggested(self, sampler: BaseSampler, told: Iterable[Told]) -> Array:
        """The point that a sampler suggests, integers rounded."""
        point = self._space.encode(suggestion(sampler, self._distributions, told))
        on_levels: Array = self._space.on_levels(point[None])[0]
        return on_levels

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        if not self.params:
            return _PredictResponse({})
        point = self._next()
        number, self._asked = self._asked, self._asked + 1
        self._open[number] = point
        return _PredictResponse(self._space.decode(point), {"ask": number})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        self._abandon(tuning_request)
        self._learn(tuning_request.prediction or {}, tuning_request.learned_reward)

    def _observe(self, prediction: PredictionType, context: Context, reward: float) -> None:  # noqa: ARG002
        self._learn(prediction, reward)

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is not None:
            self._open.pop(tuning_request.metadata["ask"], None)  # gone if a caller learns two rewards for one ask

    def _learn(self, prediction: PredictionType, reward: float) -> None:
        if self.params:
            self._points = np.vstack([self._points, self._point(prediction)])[-self._history :]
            self._rewards = np.append(self._rewards, reward)[-self._history :]

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        width = len(self.params)
        if self._points.shape != (len(self._rewards), width) or any(p.shape != (width,) for p in self._open.values()):
            raise StateMismatch("the state was learned with another number of parameters")
