"""The open requests of a tuning instance: as a learner sees one, all of them by id and by context, and as JSON.

They are found in constant time, and are never more than a bound.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import InvalidArgument, TooManyRequests, UnknownRequest
from .state import JsonDict, JsonValue, decode, encode
from .types import Context, ContextIdType, PredictionType, RequestIdType, RewardType

DEFAULT_LIMIT = 10_000
"""Open requests that an instance keeps: far above any fleet's. With ten numbers each, they take 15 MB of memory."""

NO_CONTEXT = Context()
"""The context of a request that was asked for without one."""

Metadata: TypeAlias = dict[str, Any]
"""What a learner must know of a request to learn from it: anything that ``oppertune.core.state`` can encode."""


@dataclass(slots=True)
class _TuningRequest:
    """A request as its learner sees it.

    Attributes:
        id: Name of the request.
        context: The situation it was asked for.
        predict_data: What the app passed to ``predict``; no shipped algorithm uses it.
        prediction: Value of every parameter that is not constant, in its own units.
        metadata: What the learner returned with the prediction.
        reward: The reward, None before there is one.
        reward_data: What the app passed with the reward.
        origin: Id under which the configuration was first predicted: repeated ``predict`` gives it further names.
        held: Values, in the units of ``params``, that the prediction must have. Only while it is predicted.
        off_policy: The configuration is not the one that the learner chose: it learns as from another's.
    """

    id: RequestIdType
    context: Context = NO_CONTEXT
    predict_data: Mapping[str, Any] | None = None
    prediction: PredictionType | None = None
    metadata: Metadata | None = None
    reward: RewardType | None = None
    reward_data: Mapping[str, Any] | None = None
    origin: RequestIdType = ""
    held: Mapping[str, Any] | None = None
    off_policy: bool = False

    def rewarded(self, reward: RewardType, reward_data: Mapping[str, Any] | None = None) -> "_TuningRequest":
        """A copy with a reward (``dataclasses.replace`` takes three times as long, and this is done every round)."""
        return _TuningRequest(
            self.id,
            self.context,
            self.predict_data,
            self.prediction,
            self.metadata,
            reward,
            reward_data,
            self.origin,
            off_policy=self.off_policy,
        )

    @property
    def learned_reward(self) -> RewardType:
        """The reward that the learner is to learn from.

        Raises:
            UnknownRequest: There is none.
        """
        if self.reward is None:
            raise UnknownRequest(f"request {self.id!r} has no reward")
        return self.reward


class RequestManager:
    """Requests from their opening to their closing, in order of opening.

    Attributes:
        limit: Largest number of requests that may be open at once.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise InvalidArgument(f"the limit on open requests must be at least 1, not {limit}")
        self.limit = limit
        self._by_id: dict[RequestIdType, _TuningRequest] = {}
        self._by_context: dict[ContextIdType, dict[RequestIdType, _TuningRequest]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._by_id

    def __iter__(self) -> Iterator[_TuningRequest]:
        """All open requests, oldest first."""
        return iter(self._by_id.values())

    def check_room(self, request_id: RequestIdType) -> None:
        """Check that a request of this id can be opened.

        Raises:
            InvalidArgument: The id is empty, or a request of this id is open.
            TooManyRequests: The bound is reached.
        """
        if not request_id:
            raise InvalidArgument("a request id must not be empty")
        if request_id in self._by_id:
            raise InvalidArgument(f"request {request_id!r} is open already")
        if len(self._by_id) >= self.limit:
            raise TooManyRequests(f"{self.limit} requests are open: answer or abandon some first")

    def open(self, request: _TuningRequest) -> None:
        """Add a request, as the newest of its context.

        Raises:
            InvalidArgument: The id is empty, or a request of this id is open.
            TooManyRequests: The bound is reached.
        """
        self.check_room(request.id)
        self.admit(request)

    def admit(self, request: _TuningRequest) -> None:
        """Add a request for which :meth:`check_room` found room, as the newest of its context."""
        self._by_id[request.id] = request
        self._by_context.setdefault(request.context.id, {})[request.id] = request

    def get(self, request_id: RequestIdType) -> _TuningRequest:
        """The open request of this id.

        Raises:
            UnknownRequest: There is none.
        """
        request = self._by_id.get(request_id)
        if request is None:
            raise UnknownRequest(f"no open request has the id {request_id!r}")
        return request

    def newest(self, context_id: ContextIdType) -> _TuningRequest | None:
        """The request opened last for this context, None where none is open."""
        mine = self._by_context.get(context_id)
        return next(reversed(mine.values())) if mine else None

    def oldest(self) -> _TuningRequest | None:
        """The request that has been open for longest, None where none is open."""
        return next(iter(self._by_id.values()), None)

    def of_context(self, context_id: ContextIdType) -> list[_TuningRequest]:
        """The open requests of this context, oldest first."""
        return list(self._by_context.get(context_id, {}).values())

    def twins(self, request: _TuningRequest) -> list[_TuningRequest]:
        """The other open requests that ``predict`` made of the same configuration."""
        same_context = self.of_context(request.context.id)
        return [other for other in same_context if other.origin == request.origin and other is not request]

    def close(self, request_id: RequestIdType) -> _TuningRequest:
        """Remove a request, answered or abandoned, and return it.

        Raises:
            UnknownRequest: No open request has this id.
        """
        request = self.get(request_id)
        del self._by_id[request_id]
        mine = self._by_context[request.context.id]
        del mine[request_id]
        if not mine:
            del self._by_context[request.context.id]
        return request

    def clear(self) -> None:
        """Remove all requests."""
        self._by_id.clear()
        self._by_context.clear()

    def get_state(self) -> list[JsonValue]:
        """The open requests as JSON-safe data, oldest first.

        Raises:
            NotStreamable: The metadata or the data of one can't be written.
        """
        return [_encoded(request) for request in self]

    def set_state(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Replace the open requests by those that the writer of ``state`` had."""
        requests = [_decoded(encoded) for encoded in state]
        self.clear()
        for request in requests:
            self.open(request)


def _encoded(request: _TuningRequest) -> JsonValue:
    encoded: JsonDict = {
        "id": request.id,
        "prediction": encode(request.prediction),
        "metadata": encode(request.metadata),
    }
    if request.context != NO_CONTEXT:
        encoded["context"] = {"id": request.context.id, "data": encode(request.context.data)}
    if request.origin != request.id:
        encoded["origin"] = request.origin
    if request.off_policy:
        encoded["off_policy"] = True
    if request.reward is not None:
        encoded["reward"] = request.reward
    for name in ("predict_data", "reward_data"):
        if (data := getattr(request, name)) is not None:
            encoded[name] = encode(data)
    return encoded


def _decoded(encoded: Mapping[str, Any]) -> _TuningRequest:
    context = encoded.get("context")
    return _TuningRequest(
        id=encoded["id"],
        context=NO_CONTEXT if context is None else Context(decode(context["data"]), context["id"]),
        predict_data=decode(encoded.get("predict_data")),
        prediction=decode(encoded["prediction"]),
        metadata=decode(encoded["metadata"]),
        reward=encoded.get("reward"),
        reward_data=decode(encoded.get("reward_data")),
        origin=encoded.get("origin", encoded["id"]),
        off_policy=encoded.get("off_policy", False),
    )
