"""A tuning request as this process runs it: from its activation to the next configuration."""

import math
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from ...schemas.configs import Arm

LATE_EVERY_S = 1.0
"""How often measurements of a request that has ended are reported, at least: its round may close any moment."""


@dataclass(frozen=True, slots=True)
class RequestTerms:
    """What a config record says of a request.

    Attributes:
        arm: The arm of the config record.
        scope: The record's scope.
        interval_s: How often to report, in seconds.
        settle_s: Measurements of so many seconds after the values took effect do not count.
        first_report_s: Besides, report so many seconds after measurements began to count.
    """

    arm: Arm
    scope: str
    interval_s: float
    settle_s: float
    first_report_s: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Equal for as long as the request and its values are the same."""
        return self.arm.request_id, self.arm.hash


class Inbox(Protocol):
    """Where measurements go: appends only, cheap, from any thread."""

    def put(self, request: "ActiveRequest", metric: str, value: float) -> None:
        """Take one measurement."""

    def pass_by(self, metric: str, value: float) -> None:
        """See one that no request is credited with."""


class ActiveRequest:
    """One request, as this process runs it.

    It is activated and ended by the client's own thread, which also closes its intervals; measurements may come from
    any thread.

    Args:
        terms: What is run, and how it is measured.
        inbox: Where measurements go.

    Attributes:
        activated: When its values took effect, by the monotonic clock, be it under an earlier request; ``None`` before.
        ended: When another configuration took effect; ``None`` before.
    """

    __slots__ = ("_counts_from", "_inbox", "_reported_to", "activated", "ended", "terms")

    def __init__(self, terms: RequestTerms, inbox: Inbox) -> None:
        self.terms = terms
        self.activated: float | None = None
        self.ended: float | None = None
        self._counts_from = math.inf  # not before the values are in effect
        self._reported_to = math.inf  # what was measured up to then is reported
        self._inbox = inbox

    def activate(self, since: float | None = None) -> None:
        """The request is run from now on.

        Args:
            since: When its values took effect, by the monotonic clock, if that was under an earlier request: what has
                settled once need not settle again. Default: now.
        """
        if self.activated is None and self.ended is None:
            now = monotonic()
            self.activated = now if since is None else since
            counts_from = self.activated + self.terms.settle_s
            self._reported_to = max(now, counts_from)
            self._counts_from = counts_from

    def end(self) -> None:
        """Another configuration is in effect from now on. Work that began before may still be measured."""
        if self.ended is None:
            self.ended = monotonic()
            if self.ended < self._counts_from:
                self._counts_from = math.inf  # it never settled

    def record(self, metric: str, value: float) -> None:
        """Take a measurement; one from before the values had settled is only seen."""
        if monotonic() >= self._counts_from:
            self._inbox.put(self, metric, value)
        else:
            self._inbox.pass_by(metric, value)

    def due(self, now: float) -> bool:
        """Whether the interval that is under way is over."""
        every_s = self.terms.interval_s if self.ended is None else min(LATE_EVERY_S, self.terms.interval_s)
        first = (self._counts_from + seconds for seconds in self.terms.first_report_s)
        soon = min((moment for moment in first if moment > self._reported_to), default=math.inf)
        return now >= min(self._reported_to + every_s, soon)

    def close_interval(self, now: float, since: float = -math.inf) -> tuple[float, float]:
        """Report what was measured up to now; the next interval begins here.

        Args:
            now: The monotonic clock.
            since: This process has measured since then; before, its parent did.

        Returns:
            The interval's length, and for how long the request had been active when it ended, in seconds. Work that
            outlives its request takes no time of it.
        """
        end = now if self.ended is None else min(now, self.ended)
        active_s = max(end - self.activated, 0.0) if self.activated is not None else 0.0
        interval_s = max(end - max(self._reported_to, since), 1e-6)
        self._reported_to = now
        return interval_s, active_s
