"""One configuration after the other, each by all of a scope's instances: where they are too few to compare."""

from ...schemas.base import ms
from ...schemas.keys import request_id, values_hash
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import closing, incumbent, shared_parameters
from .arms import BASELINE, CANDIDATE, explore_arm
from .changes import Changes
from .closing import End, context_of
from .learner_time import timed
from .learners import Learners
from .request import measured_enough, over

_NAMES = {"explore": explore_arm(0), "confirm": CANDIDATE, "baseline": BASELINE}


def open_round(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Open the scope's next round, of one request."""
    context = context_of(scope)
    learner = learners.of(scope.scope)
    algorithm = tuner.spec.algorithm.name
    held = shared_parameters.held(tuner, scope, changes.now_ms)
    if scope.block is not None and not held.items() <= scope.block.candidate.items():
        scope.block = None  # an instance has come that cannot run it
    kind = incumbent.next_kind(tuner.spec, scope, lambda: timed(algorithm, learner.recommend, context) | held)
    scope.round += 1
    name = _NAMES[kind]
    identity = request_id(tuner.tuner, tuner.incarnation, scope.scope, scope.round, name)
    if kind == "explore":
        values = dict(timed(algorithm, learner.ask, context, request_id=identity, held=held).prediction) | held
        changes.learned.add(scope.scope)
    elif kind == "confirm" and scope.block is not None:
        values = dict(scope.block.candidate)
    else:
        values = dict(scope.incumbent.values)
    request = OpenRequest(
        id=identity,
        round=scope.round,
        arm=name,
        kind=kind,
        values=values,
        hash=values_hash(values),
        opened_ms=changes.now_ms,
        # From when it can be seen: in a backlog, events are far behind the time at which they are folded.
        activate_by_ms=max(changes.now_ms, changes.seen_ms) + ms(tuner.spec.activation_s),
    )
    scope.schedule, scope.salt, scope.pieces = "turns", "", []
    scope.arms = [request]


def measured(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """After an event: close the request if it was measured enough; whether the round is over."""
    for request in list(scope.arms):
        if measured_enough(tuner.spec, scope, request, changes.now_ms):
            close(tuner, scope, request, learners, changes, closing.measured(tuner.spec, request))
    return not scope.arms


def pass_time(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """Close what was measured enough or has reached its deadline; whether the round is over."""
    if measured(tuner, scope, learners, changes):
        return True
    for request in list(scope.arms):
        if over(tuner.spec, scope, request, changes.now_ms):
            end = closing.at_deadline(tuner, scope, request, changes.now_ms)
            close(tuner, scope, request, learners, changes, end)
    return not scope.arms


def refuse(
    tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes, end: End
) -> bool:
    """Close a request that its instances refuse; whether the round is over with it."""
    close(tuner, scope, request, learners, changes, end)
    return not scope.arms


def close(
    tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes, end: End
) -> None:
    """Close a request, and judge the incumbent by it."""
    promoted = False
    if end.outcome in {"measured", "failed"} or end.refused:
        failed = end.outcome == "failed" or end.refused
        promoted = incumbent.record(tuner.spec, scope, request.kind, end.reward, failed=failed)
    closing.close(tuner, scope, request, learners, changes, end, promoted=promoted)
