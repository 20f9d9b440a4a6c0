"""Rounds of a scope, one after the other: its arms are opened together, and closed together."""

from ...schemas.base import ms
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import arms, beside, closing, holds, lease, presence, rollout, turns
from .changes import Changes
from .closing import End
from .learners import Learners
from .request import judged_ms, refusals, ripe_ms, samples


def open_next(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Open the scope's next round, or park it where nobody is present."""
    presence.forget_absent(scope, changes.now_ms)
    if not holds.measures(tuner) or not scope.presence:
        _leave_side_by_side(tuner, scope, learners, changes, "nobody is here any more")
        scope.unmeasured_since_ms = None
        changes.publish(scope)
        return
    if scope.unmeasured_since_ms is None:
        scope.unmeasured_since_ms = changes.now_ms
    here = presence.present(scope, changes.now_ms)
    if arms.beside(tuner.spec, len(here)):
        beside.open_round(tuner, scope, here, learners, changes)
    else:
        _leave_side_by_side(tuner, scope, learners, changes, "fewer instances are here than can be compared")
        turns.open_round(tuner, scope, learners, changes)
    changes.publish(scope)


def _leave_side_by_side(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes, why: str) -> None:
    """A roll-out that was under way beside the incumbent cannot go on as it was."""
    if scope.schedule == "beside":
        stop(tuner, scope, learners, changes, End("skipped", why))


def due_ms(spec: TunerSpec, scope: ScopeState) -> int | None:
    """When time alone next changes the scope; ``None`` where it never does."""
    due = []
    last_ms = max(scope.published_ms, scope.looked_ms)
    if scope.fresh:
        due.append(scope.looked_ms + beside.LOOK_EVERY_MS)
    for request in scope.arms:
        due += [lease.renewal_due_ms(spec, scope), judged_ms(spec, scope, request)]
        ripe = ripe_ms(spec, scope, request)
        if ripe is not None and samples(spec, request) >= spec.measurement.min_samples and ripe > last_ms:
            due.append(ripe)
    return min(due, default=None)


def pass_time(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Close what was measured enough or has reached its deadline; else renew the lease."""
    spec, now_ms = tuner.spec, changes.now_ms
    due = due_ms(spec, scope)
    if due is None or due > now_ms:
        return
    schedule = beside if scope.schedule == "beside" else turns
    if schedule.pass_time(tuner, scope, learners, changes):
        open_next(tuner, scope, learners, changes)
    if now_ms >= lease.renewal_due_ms(spec, scope):
        changes.renew(scope)


def measured(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """After a measurement: close what was measured enough, and open the next round."""
    schedule = beside if scope.schedule == "beside" else turns
    if schedule.measured(tuner, scope, learners, changes):
        open_next(tuner, scope, learners, changes)


def refuse(tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes) -> None:
    """Close a request that all who should run it refuse, and open the next round: at once, or after a while.

    Each in a row waits a heartbeat longer, up to its deadline: an app that refuses all there is must not be asked a
    hundred times a second.
    """
    lacked = closing.lacked(tuner, scope, request, changes.now_ms)
    after_ms = request.opened_ms + (0 if lacked else scope.refused * ms(tuner.spec.heartbeat_s))
    request.activate_by_ms = min(request.activate_by_ms, after_ms)
    if changes.now_ms < after_ms:
        return
    end = End("skipped", refusals(request), refused=not lacked)
    schedule = beside if scope.schedule == "beside" else turns
    if schedule.refuse(tuner, scope, request, learners, changes, end):
        open_next(tuner, scope, learners, changes)


def stop(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes, end: End) -> None:
    """Close all that is open; a roll-out is dropped with it."""
    for request in list(scope.arms):
        closing.close(tuner, scope, request, learners, changes, end)
    rollout.drop(scope)
    scope.pieces, scope.units = [], {}
