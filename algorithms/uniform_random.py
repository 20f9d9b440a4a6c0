"""Uniformly random configurations: the baseline that every learner has to beat."""

import random
from collections.abc import Iterable, Mapping, Sequence

from ..core.transform import ValueTransformer
from ..core.types import Context, PredictionType
from ..core.values import Categorical, Integer, ParameterValue, Real, ValueType
from .base import Algorithm, _PredictResponse, _TuningRequest


class UniformRandom(Algorithm):
    """Every legal configuration is as likely as any other, on each parameter's own scale.

    Learns nothing, but remembers what did best.

    Args:
        parameters: Parameters of any kind.
        random_seed: Seed of the draws.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        requires_untransformed_parameters = True
        supports_context = True
        supports_sequence_of_rewards = True
        learns_from_others = True
        needs_rewards = False

    def __init__(self, parameters: Iterable[ValueType | Mapping[str, object]], random_seed: int | None = None) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self._rng = random.Random(self._random_seed)  # noqa: S311 - draws must be reproducible, not secret

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        # Constants are drawn as well, and dropped: the draws of the others stay those of the original.
        return _PredictResponse({p.name: self._draw(p) for p in self.parameters})

    def _draw(self, p: ValueType) -> ParameterValue:
        if isinstance(p, Categorical):
            return self._rng.choice(p.categories)
        if p.log:
            return ValueTransformer(p).inverse_transform(self._rng.random())
        if isinstance(p, Real) and p.step is None:
            return self._rng.uniform(p.min, p.max)
        return p.at(self._rng.randint(0, p.n_steps))

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        """Nothing to learn: the base class remembers what was played."""

    def _set_reward_for_sequence(self, tuning_requests: Sequence[_TuningRequest]) -> None:
        """Nothing to learn: the base class remembers what was played."""

    def _observe(self, prediction: PredictionType, context: Context, reward: float) -> None:
        """Nothing to learn: the base class remembers what was played."""
