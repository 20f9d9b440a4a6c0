"""Exponential weights with one EXP3 learner per parameter."""

from collections.abc import Iterable, Mapping

import numpy as np

from ..core.types import Context
from ..core.values import Categorical
from ._exp3 import Exp3
from .base import Algorithm, _PredictResponse, _TuningRequest


class ExponentialWeightsSlates(Algorithm):
    """One EXP3 learner per parameter, all told the same reward: many parameters are cheap, interactions are not seen.

    Args:
        parameters: Categorical parameters.
        random_seed: Seed of the draws; all learners share one generator, drawn from in the order of declaration.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical,)

    def __init__(
        self, parameters: Iterable[Categorical | Mapping[str, object]], random_seed: int | None = None
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self.weights = [Exp3(p.n_categories) for p in self._choices]
        self._rng = np.random.default_rng(self._random_seed)

    @property
    def _choices(self) -> list[Categorical]:
        return [p for p in self.params if isinstance(p, Categorical)]

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        draws = [weights.draw(self._rng) for weights in self.weights]
        prediction = {p.name: p.category(arm) for p, (arm, _) in zip(self._choices, draws, strict=True)}
        arms, probabilities = [arm for arm, _ in draws], [probability for _, probability in draws]
        return _PredictResponse(prediction, {"arms": arms, "probabilities": probabilities})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        played = tuning_request.metadata or {}
        for weights, arm, probability in zip(self.weights, played["arms"], played["probabilities"], strict=True):
            weights.learn(arm, probability, tuning_request.answer)

    def _recommend(self, context: Context) -> dict[str, str]:  # noqa: ARG002
        pairs = zip(self._choices, self.weights, strict=True)
        return {p.name: p.category(weights.best(p.encoded_value())) for p, weights in pairs}
