"""What a unit of work ran under: a configuration, and the request that its measurements are credited to."""

import math
from collections.abc import Mapping
from time import monotonic, perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from ...schemas.configs import Arm
from .parameters import Values


class Inbox(Protocol):
    """Where measurements go: appends only, cheap, from any thread."""

    def put(self, run: "Run", metric: str, value: float) -> None:
        """Take one measurement."""


class Run:
    """One request, as this process runs it: from its activation to the next configuration.

    Args:
        arm: The arm of the config record.
        scope: The record's scope.
        values_hash: Hash of the values that are really in effect.
        interval_s: How often to report.
        settle_s: Measurements of the first seconds do not count.
        inbox: Where measurements go.
    """

    __slots__ = (
        "_inbox",
        "activated",
        "arm",
        "counts_from",
        "ended",
        "interval_s",
        "reported",
        "scope",
        "settle_s",
        "values_hash",
    )

    def __init__(
        self, arm: Arm, scope: str, *, values_hash: str, interval_s: float, settle_s: float, inbox: Inbox
    ) -> None:
        self.arm = arm
        self.scope = scope
        self.values_hash = values_hash
        self.interval_s = interval_s
        self.settle_s = settle_s
        self.activated: float | None = None
        self.ended: float | None = None
        self.counts_from = math.inf  # not before the values are in effect
        self.reported = math.inf  # up to then (monotonic) its measurements were reported
        self._inbox = inbox

    @property
    def credited(self) -> bool:
        """Whether the values in effect are those asked for."""
        return self.values_hash == self.arm.hash

    def activate(self) -> None:
        """The values are in effect from now on."""
        if self.activated is None and self.ended is None:
            self.activated = monotonic()
            self.reported = self.counts_from = self.activated + self.settle_s

    def end(self) -> None:
        """Another configuration is in effect from now on. Work that began before may still be measured."""
        if self.ended is None:
            self.ended = monotonic()
            if self.ended < self.counts_from:
                self.counts_from = math.inf  # it never settled

    def record(self, metric: str, value: float) -> None:
        """Take a measurement, unless the values had not settled yet."""
        if monotonic() >= self.counts_from:
            self._inbox.put(self, metric, value)


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

    __slots__ = ("_run", "values")

    def __init__(self, values: Values, run: Run | None = None) -> None:
        self.values: Values = MappingProxyType(dict(values))
        self._run = run

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of the parameter's own type, which the app knows
        return self.values[name]

    @property
    def request_id(self) -> str | None:
        """The request that measurements are credited to; ``None`` while nothing is being tried."""
        return self._run.arm.request_id if self._run is not None else None

    @property
    def arm(self) -> str | None:
        """Name of the arm; ``None`` for the incumbent outside of a round."""
        return self._run.arm.arm if self._run is not None else None

    @property
    def round(self) -> int | None:
        """Number of the round in its scope."""
        return self._run.arm.round if self._run is not None else None

    @property
    def run(self) -> Run | None:
        """The running request; for the client's own use."""
        return self._run

    def record(self, metric: str, value: float) -> None:
        """Record one measurement of a metric. Cheap, never blocks, never raises; credited to this snapshot's request.

        Args:
            metric: Its name, as the tuner's objective names it.
            value: A finite number; anything else is dropped and shows in the client's ``problems``.
        """
        if self._run is not None:
            self._run.record(metric, value)

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
