"""The open requests of a tuning instance: found by id or by context in constant time, and never more than a bound."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from .errors import InvalidArgument, TooManyRequests, UnknownRequest
from .types import Context, ContextIdType, RequestIdType

DEFAULT_LIMIT = 10_000
"""Open requests that an instance keeps: far above any fleet's, far below what would hurt its host."""


class Request(Protocol):
    """What the manager must know of a request."""

    @property
    def id(self) -> RequestIdType:
        """Name of the request, unique among the open ones."""

    @property
    def context(self) -> Context:
        """The situation that it was asked for."""


R = TypeVar("R", bound=Request)


class RequestManager(Generic[R]):
    """Requests from their opening to their closing, in order of opening.

    Attributes:
        limit: Largest number of requests that may be open at once.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise InvalidArgument(f"the limit on open requests must be at least 1, not {limit}")
        self.limit = limit
        self._by_id: dict[RequestIdType, R] = {}
        self._by_context: dict[ContextIdType, dict[RequestIdType, R]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._by_id

    def __iter__(self) -> Iterator[R]:
        """All open requests, oldest first."""
        return iter(self._by_id.values())

    def check_room(self, request_id: RequestIdType) -> None:
        """See that a request of this id could be opened.

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

    def open(self, request: R) -> None:
        """Add a request, as the newest of its context.

        Raises:
            InvalidArgument: The id is empty, or a request of this id is open.
            TooManyRequests: The bound is reached.
        """
        self.check_room(request.id)
        self.admit(request)

    def admit(self, request: R) -> None:
        """Add a request for which :meth:`check_room` found room, as the newest of its context."""
        self._by_id[request.id] = request
        self._by_context.setdefault(request.context.id, {})[request.id] = request

    def get(self, request_id: RequestIdType) -> R:
        """The open request of this id.

        Raises:
            UnknownRequest: There is none.
        """
        request = self._by_id.get(request_id)
        if request is None:
            raise UnknownRequest(f"no open request has the id {request_id!r}")
        return request

    def newest(self, context_id: ContextIdType) -> R | None:
        """The request opened last for this context, None where none is open."""
        mine = self._by_context.get(context_id)
        return next(reversed(mine.values())) if mine else None

    def oldest(self) -> R | None:
        """The request that has been open for longest, None where none is open."""
        return next(iter(self._by_id.values()), None)

    def of_context(self, context_id: ContextIdType) -> list[R]:
        """The open requests of this context, oldest first."""
        return list(self._by_context.get(context_id, {}).values())

    def close(self, request_id: RequestIdType) -> R:
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
