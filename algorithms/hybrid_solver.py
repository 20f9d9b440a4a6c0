"""Hybrid solver: categories by one algorithm, numbers by another, both learning from the same reward."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..core.types import Context, PredictionType
from ..core.values import Categorical, Integer, Real, ValueType
from .base import Algorithm, Metadata, _PredictResponse, _TuningRequest
from .bluefin import BlueFin
from .exponential_weights import ExponentialWeights
from .exponential_weights_slates import ExponentialWeightsSlates
from .shared.arguments import checked_flag
from .shared.optimizers import Vector

RECOMMENDED: Mapping[str, Any] = {
    "categorical_algorithm": "exponential_weights_slates",
    "categorical_algorithm_args": {"scale": "spread", "explore": 0.25, "share": 0.001},
    "numerical_algorithm_args": {"feedback": 2, "min_levels": 0.5},
}
"""The arguments to take where nothing must be as in OPPerTune 0.2.0: about half the regret of 1,000 rounds of
``exponential_weights_slates`` and two-point feedback without the options (``benchmarks/options.py``)."""

_LEARN_FROM_METADATA = (BlueFin, ExponentialWeights, ExponentialWeightsSlates)
"""They do not look at what was predicted: transforming it for them was a fifth of a round's time."""


class HybridSolver(Algorithm):
    """Two learners side by side: one for the categorical parameters, one for the integers and reals.

    Each sees only its own parameters; what they played for a request is kept in that request. The numbers are learned
    over all categories alike. As it is defined, the two halves of a two-point pair are played with categories drawn for
    each, so their difference is the categories' as well as the direction's.

    Args:
        parameters: Parameters of any kind.
        categorical_algorithm: Name of the algorithm for the categorical ones.
        numerical_algorithm: Name of the algorithm for the integers and reals.
        categorical_algorithm_args: Its arguments.
        numerical_algorithm_args: Its arguments.
        random_seed: Seeds the two where their arguments have no ``random_seed``, each with a stream of its own.
        hold_categories: Play both halves of a two-point pair (``bluefin`` with ``feedback=2``) with the categories
            drawn for the first; the categorical learner learns both rewards for that one draw. With joint
            ``exponential_weights`` on problem (b) a tenth less regret; on problems drawn anew no less, and with the
            recommended arguments slightly more. Without such pairs, nothing changes.

    Raises:
        UnknownAlgorithm: An algorithm of this name is not registered.
        InvalidArgument: An algorithm does not take its arguments.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        configuration = ("hold_categories", "_parts", "_pairs")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        categorical_algorithm: str = "exponential_weights",
        numerical_algorithm: str = "bluefin",
        categorical_algorithm_args: Mapping[str, Any] | None = None,
        numerical_algorithm_args: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
        *,
        hold_categories: bool = False,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self.hold_categories = checked_flag("hold_categories", hold_categories)
        # Transformed parameters: transforming them once more changes nothing, so both work in the units of self.params.
        self.categorical_tuning_instance = self._part(
            0, [p for p in self.params if isinstance(p, Categorical)], categorical_algorithm, categorical_algorithm_args
        )
        self.numerical_tuning_instance = self._part(
            1, [p for p in self.params if not isinstance(p, Categorical)], numerical_algorithm, numerical_algorithm_args
        )
        # The numbers first: which half of a pair they are decides whether categories are drawn.
        parts = {"numerical": self.numerical_tuning_instance, "categorical": self.categorical_tuning_instance}
        self._parts = {name: part for name, part in parts.items() if part is not None}
        numbers = self.numerical_tuning_instance
        self._pairs = numbers if hold_categories and isinstance(numbers, BlueFin) and numbers.feedback == 2 else None

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

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        request = _TuningRequest(tuning_request.id, tuning_request.context, tuning_request.predict_data)
        prediction: dict[str, Any] = {}
        metadata: dict[str, Any] = {}
        for name, part in self._parts.items():
            response = self._held(metadata) or part.propose(request)
            prediction |= response.prediction or {p.name: p.val for p in part.params}
            metadata[name] = response.metadata
        self._hold(prediction, metadata)
        return _PredictResponse(prediction, metadata)

    def _held(self, metadata: Metadata) -> _PredictResponse | None:
        """The categories of the first half of a pair, once the numbers are proposed; None if this is no second half."""
        note = self._pairs.note(metadata["numerical"]) if self._pairs is not None and metadata else None
        return None if note is None else _PredictResponse(note["prediction"], note["metadata"])

    def _hold(self, prediction: Mapping[str, Any], metadata: Metadata) -> None:
        """Keep the categories with the pair of numbers, for its second half."""
        if self._pairs is not None and "categorical" in metadata:
            categories = {p.name: prediction[p.name] for p in self._parts["categorical"].params}
            self._pairs.keep_note(
                metadata["numerical"], {"prediction": categories, "metadata": metadata["categorical"]}
            )

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        self.update(tuning_request)

    def update(self, request: _TuningRequest) -> Vector | None:
        """Learn from a request, and return the numbers' gradient where there is one: see ``BlueFin.update``."""
        gradient = None
        for name, part in self._parts.items():
            own = self._request_of(part, request, name)
            if isinstance(part, BlueFin):
                gradient = part.update(own)
            else:
                part.learn(own)
        return gradient

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        for name, part in self._parts.items():
            part.withdraw(self._request_of(part, tuning_request, name))

    def _recommend(self, context: Context) -> dict[str, Any]:
        recommended: dict[str, Any] = {}
        for part in self._parts.values():
            recommended |= part.recommend(context)
        return recommended

    def _request_of(self, part: Algorithm, request: _TuningRequest, name: str) -> _TuningRequest:
        """One part's share of a request."""
        prediction: PredictionType | None = None
        if type(part) not in _LEARN_FROM_METADATA:
            prediction = self._transformed({p.name: (request.prediction or {})[p.name] for p in part.params})
        return _TuningRequest(
            id=request.id,
            context=request.context,
            predict_data=request.predict_data,
            prediction=prediction,
            metadata=(request.metadata or {})[name],
            reward=request.reward,
            reward_data=request.reward_data,
        )
