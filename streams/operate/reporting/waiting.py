"""Why a tuner does not go on right now, in a sentence: from its state, its partition's progress and the time."""

from ....schemas.spec import TunerSpec
from ....schemas.state import OpenRequest, ScopeState, TunerState
from ...processor.config_record import status_of
from ...processor.holds import measures
from ...processor.presence import last_heard_ms, present
from ...processor.request import measured_enough, never_recorded, progress, refusals
from ...processor.standstill import standstill
from ..reading.partition_progress import PartitionProgress


def ago(then_ms: int, now_ms: int) -> str:
    """How long ago, for people.

    >>> ago(0, 90_000), ago(0, 7_300_000)
    ('90 s', '2 h')
    """
    seconds = max((now_ms - then_ms) / 1000, 0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def waiting_for(tuner: TunerState, scope: ScopeState, partition: PartitionProgress, now_ms: int) -> str:
    """What a context's tuning is waiting for at a wall time."""
    status = status_of(tuner, scope)
    if status == "suspended":
        return f"suspended; mend the cause, then: oppertune tuner resume {tuner.tuner}"
    if not measures(tuner):
        return f"{status}; go on with: oppertune tuner resume {tuner.tuner}"
    if partition.behind(now_ms):
        return _worker(partition, now_ms)
    if not present(scope, now_ms):
        return _instance(scope, now_ms)
    if not scope.arms:
        return "the next sign of life of an instance"
    measuring = _measuring(tuner.spec, scope, _last(tuner.spec, scope, now_ms), now_ms)
    still = standstill(tuner.spec, scope, now_ms)
    before = {
        "achieved": "target achieved, the incumbent is watched: ",
        "frozen": f"frozen; go on with: oppertune tuner resume {tuner.tuner}. Until then, the incumbent is watched: ",
        "observing": "it only observes, the incumbent is watched: ",
    }.get(status, "")
    return f"{before}{measuring}{f'. It stands still: {still}' if still else ''}"


def _last(spec: TunerSpec, scope: ScopeState, now_ms: int) -> OpenRequest:
    """The arm that the round waits for: a roll-out's candidate outlasts it."""
    in_round = [arm for arm in scope.arms if arm.kind != "candidate"] or scope.arms
    return next((arm for arm in in_round if not measured_enough(spec, scope, arm, now_ms)), in_round[-1])


def _worker(partition: PartitionProgress, now_ms: int) -> str:
    since = ago(partition.time_ms, now_ms)
    if partition.stalled(now_ms):
        return f"no worker: {partition.lag} events wait, and none was applied for {since}"
    return f"a worker that catches up: {partition.lag} events wait, it is {since} behind"


def _instance(scope: ScopeState, now_ms: int) -> str:
    heard_ms = last_heard_ms(scope)
    if heard_ms is None:
        return "nobody is present: no instance sends context events"
    return f"no instance is heard any more, the last sign of life ran out {ago(heard_ms, now_ms)} ago"


def _measuring(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> str:
    so_far = progress(spec, scope, request, now_ms)
    left_s = (so_far.deadline_ms - now_ms) / 1000
    deadline = f"deadline in {left_s:.0f} s" if left_s >= 0 else f"its deadline has passed {-left_s:.0f} s ago"
    if request.activated_ms is None:
        restart = f"; {', '.join(spec.restart())} may need a restart of the app" if spec.restart() else ""
        refused = f"; {refusals(request)}" if request.refused else ""
        return f"an instance to run round {request.round}, {deadline}{restart}{refused}"
    if left_s < 0:
        deadline += ", and whether its instances live is not known yet"
    samples = never_recorded(spec, request) or f"{so_far.samples} of {so_far.samples_needed} samples"
    return (
        f"measuring round {request.round}: {samples},"
        f" {so_far.reported} of {so_far.reports_needed} instances reported, {deadline}"
    )
