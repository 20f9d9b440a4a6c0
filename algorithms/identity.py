"""The declared configuration, always: what runs without tuning."""

from collections.abc import Sequence

from ..core.types import Context, PredictionType
from ..core.values import Categorical, Integer, Real
from .base import Algorithm, _PredictResponse, _TuningRequest


class Identity(Algorithm):
    """Predicts the declared value of every parameter, and learns nothing.

    Args:
        parameters: Parameters of any kind.
        random_seed: Taken like everywhere; there is nothing to draw.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        supports_sequence_of_rewards = True
        learns_from_others = True
        needs_rewards = False

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        return _PredictResponse(None)

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        """Nothing to learn."""

    def _set_reward_for_sequence(self, tuning_requests: Sequence[_TuningRequest]) -> None:
        """Nothing to learn."""

    def _recommend(self, context: Context) -> PredictionType:  # noqa: ARG002
        return {p.name: p.val for p in self.params}
