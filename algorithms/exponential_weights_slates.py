"""Exponential weights with one EXP3 learner per parameter."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from ..core.types import Context
from ..core.values import Categorical
from .base import Algorithm, _PredictResponse, _TuningRequest
from .exponential_weights.exp3 import Options
from .exponential_weights.exp3_rows import Exp3Rows


class ExponentialWeightsSlates(Algorithm):
    """One EXP3 learner per parameter, all of the same reward: many parameters are cheap, interactions are not seen.

    Args:
        parameters: Categorical parameters.
        random_seed: Seed of the draws; all learners share one generator, drawn from in the order of declaration.
        scale: As in ``exponential_weights``.
        explore: As in ``exponential_weights``.
        share: As in ``exponential_weights``.

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical,)
        needs_unit_rewards = True  # with ``scale="min"``
        configuration = ("_choices",)

    def __init__(
        self,
        parameters: Iterable[Categorical | Mapping[str, object]],
        random_seed: int | None = None,
        *,
        scale: Literal["min", "spread"] = "min",
        explore: float = 1.0,
        share: float = 0.0,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self.capabilities = replace(self.capabilities, needs_unit_rewards=scale == "min")
        self._choices = [p for p in self.params if isinstance(p, Categorical)]
        self.weights = Exp3Rows([p.n_categories for p in self._choices], Options(scale, explore, share))
        self._rng = np.random.default_rng(self._random_seed)

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        arms, probabilities = self.weights.draw(self._rng)
        prediction = {p.name: p.categories[arm] for p, arm in zip(self._choices, arms, strict=True)}
        return _PredictResponse(prediction, {"arms": arms, "probabilities": probabilities})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        played = tuning_request.metadata or {}
        self.weights.learn(played["arms"], played["probabilities"], tuning_request.learned_reward)

    def _recommend(self, context: Context) -> dict[str, str]:  # noqa: ARG002
        pairs = zip(self._choices, self.weights, strict=True)
        return {p.name: p.category(weights.best(p.encoded_value())) for p, weights in pairs}
