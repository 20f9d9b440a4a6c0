"""Auto: the recommended learner, with nothing to choose."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.types import Context, PredictionType
from ..core.values import Categorical, Integer, Real, ValueType
from .base import Algorithm, _PredictResponse, _TuningRequest
from .hybrid_solver import RECOMMENDED, HybridSolver
from .surrogate import Surrogate

_MOST_PARAMETERS = 60
"""Up to this number a model of all parameters together learns faster than one of each, and takes milliseconds."""


class Auto(Algorithm):
    """Chooses learner and options from the parameters, the context's features and the number of units.

    Up to 60 parameters that are not constant: ``surrogate``, with the features and units given. More: ``hybrid_solver``
    with its recommended options, whose cost grows with their number only; features make no difference then. The
    declared configuration is the first that is played. docs/benchmarks has the evidence.

    Args:
        parameters: Parameters of any kind.
        features: Names of the context's fields that make a difference; see ``Surrogate``.
        units: How many configurations are tried at the same time; see ``Surrogate``.
        random_seed: Seed of the draws.

    Attributes:
        chosen: The learner.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        learns_from_others = True

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        features: Iterable[str | Mapping[str, object]] = (),
        units: int = 1,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        # Transformed once more they stay the same, so the learner works in the units of self.params.
        given = self.params or self.parameters
        self.chosen: Algorithm
        if len(self.params) <= _MOST_PARAMETERS:
            self.chosen = Surrogate(given, features=features, units=units, random_seed=self._random_seed)
        else:
            self.chosen = HybridSolver(given, **RECOMMENDED, random_seed=self._random_seed)
        its = self.chosen.capabilities
        self.capabilities = replace(
            self.capabilities, supports_context=its.supports_context, learns_from_others=its.learns_from_others
        )

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        return self.chosen.propose(tuning_request)

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        self.chosen.learn(self._passed_on(tuning_request))

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        self.chosen.withdraw(self._passed_on(tuning_request))

    def _refuse(self, tuning_request: _TuningRequest) -> bool:
        return self.chosen.turn_down(self._passed_on(tuning_request))

    def _recommend(self, context: Context) -> Mapping[str, Any] | None:
        return self.chosen.recommend(context) if self.params else None

    def _observations(self, context: Context) -> Iterable[tuple[Mapping[str, Any], float]] | None:
        return [(seen.prediction, seen.reward) for seen in self.chosen.observations(context)] if self.params else []

    def _observe(self, prediction: PredictionType, context: Context, reward: float) -> None:
        if self.params:
            self.chosen.observe(self._transformed(prediction), reward, context)

    def _passed_on(self, request: _TuningRequest) -> _TuningRequest:
        return replace(request, prediction=self._transformed(request.prediction or {}))
