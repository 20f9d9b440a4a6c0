"""What a unit of work ran under: a configuration, and the request that its measurements are credited to."""

import functools
import inspect
from collections.abc import Callable
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, NoReturn, Protocol, Self, TypeVar, cast

from ...core.errors import InvalidArgumentType
from ...core.values import ParameterValue
from .active_request import ActiveRequest, Inbox
from .parameters import Values
from .units import per_second

T = TypeVar("T", str, int, float, bool)
F = TypeVar("F", bound=Callable[..., Any])


class _Named(dict[str, ParameterValue]):
    """Values whose error names them all."""

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(f"no parameter {name!r}; there are {', '.join(sorted(self))}")


class Snapshot:
    """A configuration at a moment. Take one per unit of work: what is measured is credited to what it ran under.

    Example::

        snapshot = client.snapshot()
        with snapshot.measure("latency_ms"):
            rows = fetch(limit=snapshot["batch"])
        snapshot.record("rows", len(rows))

    Attributes:
        values: Every parameter's value by name; read-only, never changes.
    """

    __slots__ = ("_inbox", "_request", "values")

    def __init__(self, values: Values, request: ActiveRequest | None = None, inbox: Inbox | None = None) -> None:
        self.values: Values = MappingProxyType(_Named(values))
        self._request = request
        self._inbox = inbox

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of the parameter's own type, which the app knows
        return self.values[name]

    def value(self, name: str, kind: type[T]) -> T:
        """A value as its type, for type checkers: ``snapshot.value("pool_size", int)``.

        Raises:
            KeyError: The app declared no such parameter.
            InvalidArgumentType: It is of another type. (A whole number may be asked for as a ``float``.)
        """
        return typed(self.values, name, kind)

    def __repr__(self) -> str:
        request = "" if self._request is None else f", arm={self.arm!r}, round={self.round}"
        return f"{type(self).__name__}({dict(self.values)}{request})"

    def other(self, values: Values) -> "Snapshot":
        """Other values, under no request; for the client's own use."""
        return Snapshot(values, inbox=self._inbox)

    @property
    def request_id(self) -> str | None:
        """The request that measurements are credited to; ``None`` while nothing is being tried."""
        return self._request.terms.arm.request_id if self._request is not None else None

    @property
    def arm(self) -> str | None:
        """Name of the arm; ``None`` for the incumbent outside of a round."""
        return self._request.terms.arm.arm if self._request is not None else None

    @property
    def round(self) -> int | None:
        """Number of the round in its scope."""
        return self._request.terms.arm.round if self._request is not None else None

    @property
    def active_request(self) -> ActiveRequest | None:
        """The request as it is run; for the client's own use."""
        return self._request

    def record(self, metric: str, value: float) -> None:
        """Record one measurement of a metric. Cheap, never blocks, never raises; credited to this snapshot's request.

        Args:
            metric: Its name, as the tuner's objective names it.
            value: A finite number; anything else is dropped and shows in the client's ``problems``.
        """
        if self._request is not None:
            self._request.record(metric, value)
        elif self._inbox is not None:
            self._inbox.pass_by(metric, value)

    def measure(self, metric: str) -> "Timer":
        """Time a block or a function; see :meth:`oppertune.streams.client.TunerClient.measure`."""
        return Timer(self, metric)


def typed(values: Values, name: str, kind: type[T]) -> T:
    """A value as its type; see :meth:`Snapshot.value`."""
    value = values[name]
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    raise InvalidArgumentType(f"{name} is of type {type(value).__name__}, not {kind.__name__}: {value!r:.100}")


class _Current(Protocol):
    """Either client."""

    def snapshot(self) -> Snapshot: ...


class Timer:
    """Times a block, or each call of a function that it decorates, whether it raises or not.

    It is in the unit that the metric's name says, else in milliseconds.
    """

    __slots__ = ("_began", "_client", "_metric", "_snapshot")

    def __init__(self, snapshot: Snapshot, metric: str, client: _Current | None = None) -> None:
        self._snapshot = snapshot
        self._metric = metric
        self._client = client
        self._began = 0.0

    def __call__(self, function: F) -> F:
        """Decorate a function, or one with ``async def``: each call is timed, under the configuration at its beginning.

        Raises:
            InvalidArgumentType: It is a generator, whose call does nothing yet.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidArgumentType(f"{function!r} is a generator: measure a block inside of it")
        if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):

            @functools.wraps(function)
            async def timed_async(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - the function's own
                with self._anew():
                    return await function(*args, **named)

            return cast("F", timed_async)

        @functools.wraps(function)
        def timed(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - the function's own
            with self._anew():
                return function(*args, **named)

        return cast("F", timed)

    def _anew(self) -> "Timer":
        return Timer(self._snapshot if self._client is None else self._client.snapshot(), self._metric)

    def __enter__(self) -> Self:
        self._began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took_s = perf_counter() - self._began
        self._snapshot.record(self._metric, took_s * per_second(self._metric))
