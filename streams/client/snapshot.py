"""What a unit of work ran under: a configuration, and the request that its measurements are credited to."""

from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, Self

from .active_request import ActiveRequest
from .parameters import Values


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

    __slots__ = ("_request", "values")

    def __init__(self, values: Values, request: ActiveRequest | None = None) -> None:
        self.values: Values = MappingProxyType(dict(values))
        self._request = request

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of the parameter's own type, which the app knows
        return self.values[name]

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

    def measure(self, metric: str) -> "Timer":
        """Time a block of code; see :meth:`oppertune.streams.client.TunerClient.measure`."""
        return Timer(self, metric)


_PER_SECOND: Mapping[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Timer:
    """Times a block, whether it raises or not, in the unit that the metric's name ends in, else in milliseconds."""

    __slots__ = ("_began", "_metric", "_snapshot")

    def __init__(self, snapshot: Snapshot, metric: str) -> None:
        self._snapshot = snapshot
        self._metric = metric
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took_s = perf_counter() - self._began
        self._snapshot.record(self._metric, took_s * _PER_SECOND.get(self._metric.rpartition("_")[2], 1e3))
