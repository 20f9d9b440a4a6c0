"""Measurements, gathered per request and metric, and made into one event per request and interval."""

import math
from collections import deque
from collections.abc import Iterator
from time import monotonic

from ...core.summary import Summary
from ...schemas.base import MAX_EVENT_BYTES, MAX_METRICS, MAX_SUMMARY_BINS
from .active_request import ActiveRequest
from .event_builder import Event, EventBuilder
from .measurement import MAX_MAGNITUDE, fault, number
from .refusals import Refusals

MAX_WAITING = 131_072
"""Measurements that wait to be summarised; more are lost. A turn of the client lasts up to 1.5 s while a broker is slow
to answer (three look-ups of 0.5 s), so 87,000 a second are kept; some 13 MB at worst."""

_ENVELOPE_BYTES = 2_048
"""An event without its metrics: names, ids and numbers of some 1.5 kB at their longest, with room."""

_BYTES_PER_METRIC = 1_000
"""A metric without its bins: its name (100 characters, of at most 4 bytes each) and a few numbers."""

_BYTES_PER_BIN = 16
"""A bin in JSON, such as ``"-1234":56789,``: an index of at most 6 characters, and a count."""


class Recorder:
    """Takes measurements from any thread; one thread summarises and reports them.

    Attributes:
        lost: Measurements that came faster than they could be summarised.
        refusals: Those that were none.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.refusals = Refusals()
        self._waiting: deque[tuple[ActiveRequest, str, float]] = deque()
        self._gathered: dict[ActiveRequest, dict[str, Summary]] = {}
        self._since = -math.inf
        self._named: set[str] = set()  # names that were looked at, and are right
        self._passed_by = False  # since the last look
        self._to_skip = 0

    def start_anew(self) -> None:
        """In the child of a fork: what is here was measured by the parent, which reports it."""
        self.lost = 0
        self.refusals = Refusals()
        self._waiting = deque()
        self._gathered = {}
        self._since = monotonic()
        self._passed_by = False

    def fork(self) -> bool:
        """In the parent of a fork: what waits was recorded before it; returns whether something did."""
        waited = self._passed_by or bool(self._waiting)
        self._passed_by = False
        self._to_skip = len(self._waiting)
        return waited

    # -- any thread

    def put(self, request: ActiveRequest, metric: str, value: float) -> None:
        """Take one measurement."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((request, metric, value))
        else:
            self.lost += 1

    def pass_by(self, metric: str, value: float) -> None:
        """See a measurement that no request is credited with: what is wrong with it is told all the same."""
        self._passed_by = True
        if type(value) is float and type(metric) is str and metric in self._named and abs(value) <= MAX_MAGNITUDE:
            return  # nearly all, and at once: a tuner that is parked or done leaves its apps here for days
        if (why := fault(metric, value)) is not None:
            self.refusals.add(metric, why)
        elif type(metric) is str and len(self._named) < MAX_METRICS:
            self._named.add(metric)

    # -- one thread

    def gather(self) -> bool:
        """Summarise what has come; returns whether the app recorded anything since the last time."""
        waiting, gathered = self._waiting, self._gathered
        count = len(waiting)
        new = self._passed_by or count > self._to_skip
        self._passed_by, self._to_skip = False, 0
        for _ in range(count):
            request, metric, value = waiting.popleft()
            summary: Summary | None
            try:
                summary = gathered[request][metric]
            except (KeyError, TypeError):  # new, or not even a name
                summary = self._begin(request, metric)
            if summary is None:
                continue
            measured = number(value)
            if measured is not None:
                summary.add(measured)
            else:
                self.refusals.add(metric, fault(metric, value) or "it changed since")
        return new

    def _begin(self, request: ActiveRequest, metric: str) -> Summary | None:
        summaries = self._gathered.setdefault(request, {})
        if (why := fault(metric, 0.0)) is not None:
            self.refusals.add(metric, why)
        elif len(summaries) >= MAX_METRICS:
            self.refusals.add(metric, f"more than {MAX_METRICS} metrics at a time")
        else:
            return summaries.setdefault(metric, Summary())
        return None

    def due(self) -> list[ActiveRequest]:
        """Requests whose interval is over."""
        now = monotonic()
        return [request for request in self._gathered if request.due(now)]

    def report(self, events: EventBuilder, request: ActiveRequest) -> Iterator[Event]:
        """Everything gathered of a request, as one event, or as few as hold it; then nothing of it is left."""
        summaries = {name: s for name, s in self._gathered.pop(request, {}).items() if s.count}
        for name in [n for n, s in summaries.items() if max(len(s.bins), len(s.negative)) > MAX_SUMMARY_BINS]:
            count = summaries.pop(name).count
            self.lost += count
            self.refusals.add(name, f"its values need more than {MAX_SUMMARY_BINS} bins", count)
        if not summaries:
            return
        interval_s, active_s = request.close_interval(monotonic(), self._since)
        for part in _parts(summaries):
            yield events.measured(request.terms, part, interval_s, active_s)

    def report_all(self, events: EventBuilder) -> Iterator[Event]:
        """Everything gathered."""
        for request in list(self._gathered):
            yield from self.report(events, request)


def _parts(summaries: dict[str, Summary]) -> Iterator[dict[str, Summary]]:
    """Summaries in groups that fit one event each; nearly always there is one group."""
    part: dict[str, Summary] = {}
    size = _ENVELOPE_BYTES
    for name, summary in summaries.items():
        bytes_ = _BYTES_PER_METRIC + _BYTES_PER_BIN * (len(summary.bins) + len(summary.negative))
        if part and size + bytes_ > MAX_EVENT_BYTES:
            yield part
            part, size = {}, _ENVELOPE_BYTES
        part[name] = summary
        size += bytes_
    if part:
        yield part
