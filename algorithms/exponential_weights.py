"""Exponential weights over all combinations of categories: EXP3 with one arm per combination."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ..core.errors import InvalidArgument
from ..core.types import Context
from ..core.values import Categorical
from ._exp3 import Exp3
from .base import Algorithm, _PredictResponse, _TuningRequest

MAX_ARMS = 4096
"""Memory, state and the time to find the best arm all grow with the product of the category counts."""


class ExponentialWeights(Algorithm):
    """Joint EXP3: learns every combination of categories as one arm, so interactions between parameters are seen.

    Combinations are numbered in mixed radix, the last parameter fastest. The first rewards move the weights strongly
    (exponent sqrt(K ln K) r on the first), so rewards are best scaled to about [0, 1] or [-1, 0].

    Args:
        parameters: Categorical parameters; the product of their category counts is at most 4096.
        random_seed: Seed of the draws.

    Raises:
        InvalidArgument: Too many combinations.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical,)

    def __init__(
        self, parameters: Iterable[Categorical | Mapping[str, object]], random_seed: int | None = None
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        n_arms = math.prod(p.n_categories for p in self._choices)
        if n_arms > MAX_ARMS:
            raise InvalidArgument(
                f"{n_arms} combinations of categories are more than {MAX_ARMS}: use exponential_weights_slates, "
                "which learns one parameter at a time"
            )
        self.weights = Exp3(n_arms)
        self._rng = np.random.default_rng(self._random_seed)

    @property
    def _choices(self) -> list[Categorical]:
        return [p for p in self.params if isinstance(p, Categorical)]

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        arm, probability = self.weights.draw(self._rng)
        return _PredictResponse(self._combination(arm), {"arm": arm, "probability": probability})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        played = tuning_request.metadata or {}
        self.weights.learn(played["arm"], played["probability"], tuning_request.answer)

    def _recommend(self, context: Context) -> dict[str, str]:  # noqa: ARG002
        declared = 0
        for p in self._choices:
            declared = declared * p.n_categories + p.encoded_value()
        return self._combination(self.weights.best(declared))

    def _combination(self, arm: int) -> dict[str, str]:
        """The categories of an arm."""
        categories = {}
        for p in reversed(self._choices):
            arm, i = divmod(arm, p.n_categories)
            categories[p.name] = p.category(i)
        return categories
