"""Measurements, gathered per request and metric, and made into one event per request and interval."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import SupportsFloat

from ...core.summary import Summary
from ...schemas.base import MAX_EVENT_BYTES
from ...schemas.events import ContextEvent, MeasuredSummary, MetricEvent
from .following import ContextData
from .snapshot import Run

MAX_WAITING = 131_072
"""Measurements that wait to be summarised, twenty times a second (some 13 MB): what comes faster is lost."""

MAX_METRICS = 64
"""Metrics of one request: as many as one event, and one round, may hold."""

MAX_BINS = 4_096
"""Bins of a summary that an event may hold."""

MAX_MAGNITUDE = 1e80
"""A larger measurement is an error, and its sums would leave the range of what events may hold."""

LATE_EVERY_S = 1.0
"""How often measurements of requests that have ended are reported."""

MAX_SECONDS = 31 * 86_400.0
"""Longest time that an event may tell."""

_ENVELOPE_BYTES = 2_048
_BYTES_PER_BIN = 16


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it goes to Kafka, and how many measurements it holds."""

    topic: str
    value: bytes
    measurements: int = 0


class Author:
    """Who writes events: one boot of one instance. Numbers them.

    Args:
        tuner: The tuner's name.
        instance: The instance's.
        boot: Of this process's life; never used twice.
    """

    def __init__(self, tuner: str, instance: str, boot: str) -> None:
        self.tuner = tuner
        self.instance = instance
        self.boot = boot
        self._next = {"contexts": 0, "metrics": 0}

    def presence(self, context: ContextData | None, request_id: str | None, *, leaving: bool = False) -> Event:
        """The instance is here, runs a request, or leaves."""
        event = ContextEvent(
            **self._numbered("contexts"),
            context=None if context is None else dict(context),
            request_id=request_id,
            leaving=leaving,
        )
        return Event("contexts", event.to_bytes())

    def measured(self, run: Run, summaries: dict[str, Summary], interval_s: float, active_for_s: float) -> Event:
        """What was measured of a request in an interval."""
        event = MetricEvent(
            **self._numbered("metrics"),
            scope=run.scope,
            round=run.arm.round,
            arm=run.arm.arm,
            request_id=run.arm.request_id,
            values_hash=run.values_hash,
            interval_s=min(interval_s, MAX_SECONDS),
            active_for_s=min(active_for_s, MAX_SECONDS),
            metrics={name: _measured(summary) for name, summary in summaries.items()},
        )
        return Event("metrics", event.to_bytes(), sum(summary.count for summary in summaries.values()))

    def _numbered(self, topic: str) -> dict[str, object]:
        seq = self._next[topic]
        self._next[topic] = seq + 1
        id_ = f"{self.boot}-{topic[0]}{seq}"
        return {"v": 1, "id": id_, "tuner": self.tuner, "instance": self.instance, "boot": self.boot, "seq": seq}


class Recorder:
    """Takes measurements from any thread; one thread summarises and reports them.

    Attributes:
        lost: Measurements that came faster than they could be summarised.
        refused: Why measurements were refused, by metric; of the first few metrics.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.refused: dict[str, str] = {}
        self._waiting: deque[tuple[Run, str, float]] = deque()
        self._gathered: dict[Run, dict[str, Summary]] = {}

    # -- any thread

    def put(self, run: Run, metric: str, value: float) -> None:
        """Take one measurement."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((run, metric, value))
        else:
            self.lost += 1

    # -- one thread

    def gather(self) -> None:
        """Summarise what has come."""
        waiting, gathered = self._waiting, self._gathered
        for _ in range(len(waiting)):
            run, metric, value = waiting.popleft()
            summary: Summary | None
            try:
                summary = gathered[run][metric]
            except (KeyError, TypeError):  # new, or not even a name
                summary = self._begin(run, metric)
            if summary is None:
                continue
            number = _number(value)
            if number is not None:
                summary.add(number)
            else:
                self._refuse(metric, f"{value!r:.100} is not a finite number")

    def _begin(self, run: Run, metric: object) -> Summary | None:
        summaries = self._gathered.setdefault(run, {})
        if not isinstance(metric, str) or not 1 <= len(metric) <= 100 or not metric.isprintable():
            self._refuse(f"{metric!r:.100}", "a metric's name has 1 to 100 printable characters")
        elif len(summaries) >= MAX_METRICS:
            self._refuse(metric, f"more than {MAX_METRICS} metrics at a time")
        else:
            return summaries.setdefault(metric, Summary())
        return None

    def _refuse(self, metric: str, why: str) -> None:
        if len(self.refused) < 10:
            self.refused.setdefault(metric, f"measurement of {metric} refused: {why}")

    def due(self) -> list[Run]:
        """Requests whose interval is over."""
        now = monotonic()
        return [run for run in self._gathered if now >= run.reported + _interval(run)]

    def report(self, author: Author, run: Run) -> Iterator[Event]:
        """Everything gathered of a request, as one event, or as few as hold it; then nothing of it is left."""
        now = monotonic()
        summaries = {name: s for name, s in self._gathered.pop(run, {}).items() if s.count}
        end = now if run.ended is None else min(now, run.ended)
        active_s = max(end - run.activated, 0.0) if run.activated is not None else 0.0
        interval_s = max(end - run.reported, 1e-6)  # work that outlives its request takes no time of it
        for name in [n for n, s in summaries.items() if max(len(s.bins), len(s.negative)) > MAX_BINS]:
            self.lost += summaries.pop(name).count
            self._refuse(name, f"its values need more than {MAX_BINS} bins")
        for part in _parts(summaries):
            yield author.measured(run, part, interval_s, active_s)
        if summaries:
            run.reported = now

    def report_all(self, author: Author) -> Iterator[Event]:
        """Everything gathered."""
        for run in list(self._gathered):
            yield from self.report(author, run)


def _number(value: object) -> float | None:
    """A measurement as a float; ``None`` where it is not a finite number."""
    if not isinstance(value, float | int):  # numpy's numbers, decimals: not strings
        if not isinstance(value, SupportsFloat):
            return None
        try:
            value = float(value)
        except (TypeError, ValueError, ArithmeticError):
            return None
    return float(value) if -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE else None


def _interval(run: Run) -> float:
    return run.interval_s if run.ended is None else min(LATE_EVERY_S, run.interval_s)


def _parts(summaries: dict[str, Summary]) -> Iterator[dict[str, Summary]]:
    """Summaries in groups that fit one event each; nearly always there is one group."""
    part: dict[str, Summary] = {}
    size = _ENVELOPE_BYTES
    for name, summary in summaries.items():
        bytes_ = 1_000 + _BYTES_PER_BIN * (len(summary.bins) + len(summary.negative))
        if part and size + bytes_ > MAX_EVENT_BYTES:
            yield part
            part, size = {}, _ENVELOPE_BYTES
        part[name] = summary
        size += bytes_
    if part:
        yield part


def _measured(summary: Summary) -> MeasuredSummary:
    if summary.low is None or summary.high is None:
        raise ValueError("an empty summary measures nothing")
    return MeasuredSummary(
        count=summary.count,
        sum=summary.sum,
        sum_sq=math.fsum(summary.squares),
        min=summary.low,
        max=summary.high,
        bins=summary.bins,
        negative=summary.negative,
        zeros=summary.zeros,
    )
