"""Asking a sampler of Optuna what to play next, without keeping anything of Optuna's.

The configurations played so far are shown to a new sampler as trials of a new study in memory. So a learner's state is
its own, small, and independent of Optuna's version, and an answer depends on nothing but that state.

Optuna: Akiba et al. 2019, *Optuna: a next-generation hyperparameter optimization framework*.
"""

import logging
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

from ...core.values import Categorical, Integer, ValueType

Configuration: TypeAlias = Mapping[str, Any]
"""Values of the parameters that are not constant, in transformed units."""

Trial: TypeAlias = tuple[Configuration, float | None]
"""A configuration and its reward, None where it is not known yet."""

_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)
"""Optuna wants to know when a trial was run. No sampler in use does."""

_asking: ContextVar[bool] = ContextVar("oppertune_asks_optuna", default=False)


class _NotWhileAsking(logging.Filter):
    """Drops what Optuna logs while we ask it: a line for each study, and one for each ask once it has converged.

    What the host's own studies log passes, in other threads even at the same time; its log levels are not ours to set.
    """

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        return not _asking.get()


for _name in ("optuna.storages._in_memory", "optuna._gp.optim_mixed", "optuna._gp.gp"):
    logging.getLogger(_name).addFilter(_NotWhileAsking())


class _Unconstrained(FrozenTrial):
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


def suggestion(sampler: BaseSampler, space: dict[str, BaseDistribution], trials: Iterable[Trial]) -> Configuration:
    """The configuration that a sampler suggests.

    Args:
        sampler: A new one, seeded, used for nothing else.
        space: Every parameter's distribution.
        trials: Rewarded configurations, oldest first, then those that are open.
    """
    known = [_frozen(number, c, reward, space) for number, (c, reward) in enumerate(trials, 1)]
    before = _asking.set(True)
    try:
        with np.errstate(all="ignore"):  # a Gaussian process that has converged divides 0 by 0, and handles the NaN
            study = create_study(storage=_Known(known), sampler=sampler, direction="maximize")
            return study.ask(space).params
    finally:
        _asking.reset(before)


def _frozen(number: int, c: Configuration, reward: float | None, space: dict[str, BaseDistribution]) -> FrozenTrial:
    return _Unconstrained(
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
