"""Exponential weights over all combinations of categories: EXP3 with one arm per combination."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from ...core.errors import InvalidArgument
from ...core.types import Context
from ...core.values import Categorical
from ..base import Algorithm, _PredictResponse, _TuningRequest
from .exp3 import Exp3, Options

MAX_ARMS = 65_536
"""Nothing grows with it, but uniform exploration alone lasts ``explore``² as many rounds as there are arms."""


class ExponentialWeights(Algorithm):
    """Joint EXP3: learns every combination of categories as one arm, so interactions between parameters are seen.

    Combinations are numbered in mixed radix, the last parameter fastest. As it is defined, the first rewards move the
    weights strongly (exponent sqrt(K ln K) r on the first), so rewards are best scaled to about [0, 1] or [-1, 0]; with
    ``scale="spread"`` neither matters. ``docs/benchmarks/options.md`` has the measurements behind the options.

    Args:
        parameters: Categorical parameters; the product of their category counts is at most 65,536.
        random_seed: Seed of the draws.
        scale: ``min`` divides rewards by the size of the smallest one; ``spread`` learns how far a reward is above the
            mean of the last ones, in units of their spread: the same course for any unit and level of the rewards.
        explore: Factor of the share of uniform exploration, in [0, 1]: with 64 arms and ``scale="spread"``, 0.25 takes
            a third from the regret of 1,000 rounds.
        share: Part of all weight handed out evenly after each reward, in [0, 1): with ``scale="spread"``, 0.001
            follows an optimum that moves (a thousand rounds later the regret is 0.09, and 0.22 without).

    Raises:
        InvalidArgument: Too many combinations, or an argument is outside its range.
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
        n_arms = math.prod(p.n_categories for p in self._choices)
        if n_arms > MAX_ARMS:
            raise InvalidArgument(
                f"{n_arms} combinations of categories are more than {MAX_ARMS}: use exponential_weights_slates, "
                "which learns one parameter at a time"
            )
        self.weights = Exp3(n_arms, Options(scale, explore, share))
        self._rng = np.random.default_rng(self._random_seed)

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:  # noqa: ARG002
        arm, probability = self.weights.draw(self._rng)
        return _PredictResponse(self._combination(arm), {"arm": arm, "probability": probability})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        played = tuning_request.metadata or {}
        self.weights.learn(played["arm"], played["probability"], tuning_request.learned_reward)

    def _recommend(self, context: Context) -> dict[str, str]:  # noqa: ARG002
        declared = 0
        for p in self._choices:
            declared = declared * p.n_categories + p.encoded_value()
        return self._combination(self.weights.best(declared))

    def _combination(self, arm: int) -> dict[str, str]:
        """The categories of an arm."""
        categories = {}
        for p in reversed(self._choices):
            arm, i = divmod(arm, len(p.categories))
            categories[p.name] = p.categories[i]
        return categories
