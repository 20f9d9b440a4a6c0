"""Why a tuner does not go on right now, in a sentence: from its state, its partition's lag and the time."""

import math
from dataclasses import dataclass, field

from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, PartitionOffsets, ScopeState, TunerState
from ..processor import request as requests

STALLED_S = 15.0
"""Events that wait for so long, while nothing is applied, are waiting for a worker."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a partition was applied.

    Attributes:
        lag: Records of all sources that are not applied; transaction markers count.
        time_ms: Partition time when its state was last written; 0 where it never was.
        by_source: The lag of each source.
        applied: Records of all sources that were ever applied.
        moving: More of them than a moment before.
    """

    lag: int = 0
    time_ms: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    applied: int = 0
    moving: bool = False

    def behind(self, now_ms: int) -> bool:
        """Whether events wait, and the newest that was applied is old."""
        return self.lag > 0 and 0 < self.time_ms < now_ms - STALLED_S * 1000

    def heard_ms(self, now_ms: int) -> int:
        """Up to when signs of life would have been heard: where no worker listens, silence says nothing."""
        return self.time_ms if self.behind(now_ms) else now_ms

    def stalled(self, now_ms: int) -> bool:
        """Whether events wait that no worker applies."""
        return self.behind(now_ms) and not self.moving


def standing(offsets: PartitionOffsets | None, ends: dict[str, int]) -> Standing:
    """How far a partition was applied, from its own record and where its sources end."""
    if offsets is None:
        return Standing(sum(ends.values()), 0, ends)
    lag = {topic: max(end - offsets.sources[topic].next, 0) for topic, end in ends.items() if topic in offsets.sources}
    applied = sum(source.next for source in offsets.sources.values())
    return Standing(sum(lag.values()), offsets.time_ms, lag, applied)


def ago(then_ms: int, now_ms: int) -> str:
    """How long ago, for people.

    >>> ago(0, 90_000), ago(0, 7_300_000)
    ('90 s', '2 h')
    """
    seconds = max((now_ms - then_ms) / 1000, 0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def waiting_for(tuner: TunerState, scope: ScopeState, where: Standing, now_ms: int) -> str:
    """What a context's tuning is waiting for at a wall time."""
    if standstill := _standstill(tuner, where, now_ms):
        return standstill
    heard = [presence.expires_ms for presence in scope.presence.values()]
    if not heard:
        return "nobody is present: no instance sends context events"
    if max(heard) < now_ms:
        return f"no instance is heard any more, the last sign of life ran out {ago(max(heard), now_ms)} ago"
    if not scope.arms:
        return "the next sign of life of an instance"
    said = _measuring(tuner.spec, scope, scope.arms[0], now_ms)
    return f"target achieved, the incumbent is watched: {said}" if scope.achieved else said


def _standstill(tuner: TunerState, where: Standing, now_ms: int) -> str:
    """Why the whole tuner stands still; empty where it does not."""
    if tuner.suspended is not None:
        return f"suspended; mend the cause, then: oppertune tuner resume {tuner.tuner}"
    if tuner.paused:
        return f"paused; go on with: oppertune tuner resume {tuner.tuner}"
    if where.stalled(now_ms):
        return f"no worker: {where.lag} events wait, and none was applied for {ago(where.time_ms, now_ms)}"
    if where.behind(now_ms):
        return f"a worker that catches up: {where.lag} events wait, it is {ago(where.time_ms, now_ms)} behind"
    return ""


def _measuring(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> str:
    left = (requests.deadline_ms(request) - now_ms) / 1000
    deadline = f"deadline in {left:.0f} s" if left >= 0 else f"its deadline has passed {-left:.0f} s ago"
    if request.activated_ms is None:
        restart = f"; {', '.join(spec.restart())} may need a restart of the app" if spec.restart() else ""
        return f"an instance to run round {request.round}, {deadline}{restart}"
    samples, needed = requests.samples(spec, request), spec.measurement.min_samples
    reported = sum(1 for reports in request.ran.values() if reports)
    present = len({n for n, p in scope.presence.items() if p.expires_ms >= now_ms} | request.ran.keys())
    enough = max(math.ceil(spec.measurement.min_instance_share * present), 1)
    return (
        f"measuring round {request.round}: {samples} of {needed} samples, {reported} of {enough} instances reported,"
        f" {deadline}"
    )
