"""Hybrid solver: categories by one algorithm, numbers by another, both told the same reward."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..core.types import Context
from ..core.values import Categorical, Integer, Real, ValueType
from .base import Algorithm, _PredictResponse, _TuningRequest


class HybridSolver(Algorithm):
    """Two learners side by side: one for the categorical parameters, one for the integers and reals.

    Each sees only its own parameters; what they played for a request is kept in that request. The numbers are learned
    over all categories alike.

    Args:
        parameters: Parameters of any kind.
        categorical_algorithm: Name of the algorithm for the categorical ones.
        numerical_algorithm: Name of the algorithm for the integers and reals.
        categorical_algorithm_args: Its arguments.
        numerical_algorithm_args: Its arguments.
        random_seed: Seeds the two where their arguments have no ``random_seed``, each with a stream of its own.

    Raises:
        UnknownAlgorithm: An algorithm of this name is not registered.
        InvalidArgument: An algorithm does not take its arguments.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        categorical_algorithm: str = "exponential_weights",
        numerical_algorithm: str = "bluefin",
        categorical_algorithm_args: Mapping[str, Any] | None = None,
        numerical_algorithm_args: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        # Transformed parameters: transforming them once more changes nothing, so both work in the units of self.params.
        self.categorical_tuning_instance = self._part(
            0, [p for p in self.params if isinstance(p, Categorical)], categorical_algorithm, categorical_algorithm_args
        )
        self.numerical_tuning_instance = self._part(
            1, [p for p in self.params if not isinstance(p, Categorical)], numerical_algorithm, numerical_algorithm_args
        )

    def _part(
        self, index: int, parameters: list[ValueType], algorithm: str, args: Mapping[str, Any] | None
    ) -> Algorithm | None:
        from .all import create_tuning_instance  # noqa: PLC0415 - the registry knows this class, so not at import

        if not parameters:
            return None
        arguments = dict(args or {})
        if self._random_seed is not None:
            seeds = np.random.SeedSequence(self._random_seed).generate_state(2, np.uint64)
            arguments.setdefault("random_seed", int(seeds[index]))
        return create_tuning_instance(parameters, algorithm, arguments)

    @property
    def _parts(self) -> dict[str, Algorithm]:
        parts = {"categorical": self.categorical_tuning_instance, "numerical": self.numerical_tuning_instance}
        return {name: part for name, part in parts.items() if part is not None}

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        prediction: dict[str, Any] = {}
        metadata: dict[str, Any] = {}
        for name, part in self._parts.items():
            response = part.propose(self._request_of(part, tuning_request, None))
            prediction |= response.prediction or {p.name: p.val for p in part.params}
            metadata[name] = response.metadata
        return _PredictResponse(prediction, metadata)

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        for name, part in self._parts.items():
            part.learn(self._request_of(part, tuning_request, name))

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        for name, part in self._parts.items():
            part.withdraw(self._request_of(part, tuning_request, name))

    def _recommend(self, context: Context) -> dict[str, Any]:
        recommended: dict[str, Any] = {}
        for part in self._parts.values():
            recommended |= part.recommend(context)
        return recommended

    def _request_of(self, part: Algorithm, request: _TuningRequest, name: str | None) -> _TuningRequest:
        """One part's share of a request; before it was predicted if ``name`` is None."""
        if name is None:
            return _TuningRequest(request.id, request.context, request.predict_data)
        own = {p.name: (request.prediction or {})[p.name] for p in part.params}
        return _TuningRequest(
            id=request.id,
            context=request.context,
            predict_data=request.predict_data,
            prediction=self._transformed(own),
            metadata=(request.metadata or {})[name],
            reward=request.reward,
            reward_data=request.reward_data,
        )
