"""What the learners on Optuna have in common: they keep rewarded configurations as plain numbers, and the open ones."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler

from ...core.errors import StateMismatch
from ...core.types import Context, PredictionType
from ...core.values import Categorical, Integer, Real, ValueType
from ..base import Algorithm, _PredictResponse, _TuningRequest
from .arrays import Array
from .mixed_space import MixedSpace
from .optuna_sampler import Trial, distributions, suggestion

_MOST_OPEN = 20
"""Open requests that a sampler is shown, the newest: with all of them it would learn more of them than of rewards."""


class OptunaLearner(Algorithm):
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

    def _rewarded(self, rewards: Array) -> list[Trial]:
        """What was rewarded, oldest first.

        Args:
            rewards: Of the points, made fit for the sampler, shape (N,).
        """
        return list(zip(map(self._space.decode, self._points), rewards.tolist(), strict=True))

    def _waiting(self, reward: float | None) -> list[Trial]:
        """What is open, with the reward that it is taken to bring; None to leave that to the sampler."""
        return [(self._space.decode(point), reward) for point in list(self._open.values())[-_MOST_OPEN:]]

    def _suggested(self, sampler: BaseSampler, trials: Iterable[Trial]) -> Array:
        """The point that a sampler suggests, integers rounded."""
        point = self._space.encode(suggestion(sampler, self._distributions, trials))
        on_levels: Array = self._space.on_levels(point[None])[0]
        return on_levels

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002 - as the contract says
        if not self.params:
            return _PredictResponse({})
        point = self._next()
        number, self._asked = self._asked, self._asked + 1
        self._open[number] = point
        return _PredictResponse(self._space.decode(point), {"ask": number})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        self._abandon(tuning_request)
        self._learn(tuning_request.prediction or {}, tuning_request.learned_reward)

    def _observations(self, context: Context) -> Iterable[tuple[Mapping[str, Any], float]]:  # noqa: ARG002 - takes any
        return zip(map(self._space.decode, self._points), self._rewards.tolist(), strict=True)

    def _observe(self, prediction: PredictionType, context: Context, reward: float) -> None:  # noqa: ARG002 - takes any
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
