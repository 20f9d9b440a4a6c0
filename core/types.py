"""Contexts, requests and answers: what passes between an app and a tuning instance."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias

from .errors import InvalidContext, InvalidInput
from .values import ParameterValue

ContextIdType: TypeAlias = str
RequestIdType: TypeAlias = str
RewardType: TypeAlias = float
ContextDataType: TypeAlias = Mapping[str, object]
"""Features of a situation, by name: anything that JSON can hold."""
PredictionType: TypeAlias = dict[str, ParameterValue]
"""A configuration: each parameter's value by name."""

NullContextId: ContextIdType = ""
NullRequestId: RequestIdType = ""


def generate_request_id() -> RequestIdType:
    """A new random request id (uuid4)."""
    number = int.from_bytes(os.urandom(16)) & 0xFFFFFFFF_FFFF_0FFF_3FFF_FFFFFFFFFFFF | 0x4000_8000_000000000000
    digits = f"{number:032x}"  # as uuid.uuid4 does it, in half the time
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def generate_context_id(data: ContextDataType | None) -> ContextIdType:
    """The id of a context: sha256 of its data as JSON with sorted keys, in hexadecimal; "" for None.

    1 and 1.0 differ, as do ``{}`` and None.

    Raises:
        InvalidContext: The data is not JSON.
    """
    if data is None:
        return NullContextId
    try:
        text = json.dumps(data, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContext(f"a context's data must be JSON: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Context:
    """A situation that may want a configuration of its own. Contexts are matched by id alone, and hash by it.

    Attributes:
        data: Features of the situation, JSON; None where there are none.
        id: Name of the situation; made from the data where left empty.

    Raises:
        InvalidContext: The data is not JSON.
    """

    data: ContextDataType | None = field(default=None, hash=False)
    id: ContextIdType = NullContextId

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise InvalidContext(f"a context's id must be a string, not {type(self.id).__name__}")
        generated = generate_context_id(self.data)  # also where an id is given: data that is not JSON can't be kept
        if not self.id:
            object.__setattr__(self, "id", generated)

    def to_dict(self) -> dict[str, object]:
        """Data and id."""
        return {"data": None if self.data is None else dict(self.data), "id": self.id}


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """One configuration that is being measured, as an app sees it.

    Attributes:
        id: Name of the request: what a reward is told for.
        context: The situation that it was asked for.
        prediction: The full configuration, in the order of declaration, constants included.
        reward: The reward stored so far, None before.
    """

    id: RequestIdType
    context: Context = Context()
    prediction: PredictionType = field(default_factory=dict)
    reward: RewardType | None = None

    def to_dict(self) -> dict[str, object]:
        """All fields, JSON-safe."""
        return {
            "id": self.id,
            "context": self.context.to_dict(),
            "prediction": dict(self.prediction),
            "reward": self.reward,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, object]) -> Self:
        """The request that :meth:`to_dict` describes. All but the id may be missing.

        Raises:
            InvalidInput: The dictionary is not that of a request.
        """
        request_id, context, prediction, reward = d.get("id"), d.get("context"), d.get("prediction"), d.get("reward")
        if not isinstance(request_id, str):
            raise InvalidInput("a request needs an id, which is a string")
        if not isinstance(context, Mapping | None) or not isinstance(prediction, Mapping | None):
            raise InvalidInput("a request's context and prediction are dictionaries")
        if reward is not None and (isinstance(reward, bool) or not isinstance(reward, int | float)):
            raise InvalidInput("a request's reward is a number")
        given = Context() if context is None else Context(context.get("data"), context.get("id") or NullContextId)
        return cls(request_id, given, dict(prediction or {}), None if reward is None else float(reward))


class PredictResponse(NamedTuple):
    """A configuration to run, and the id of the request under which to report on it.

    Attributes:
        prediction: The full configuration, in the order of declaration, constants included.
        request_id: The request's id.
    """

    prediction: PredictionType
    request_id: RequestIdType

    def to_dict(self) -> dict[str, object]:
        """Both fields, JSON-safe."""
        return {"prediction": dict(self.prediction), "request_id": self.request_id}
