"""A round of a scope: opened, measured, closed; then the learner is told, the incumbent judged, the record written."""

import math
from typing import NamedTuple

from ...core.types import Context
from ...schemas.base import ms
from ...schemas.keys import request_id, values_hash
from ...schemas.records import Outcome, RoundRecord
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import incumbent, lease, presence, reward, shared_parameters
from .arms import ONE_ARM
from .changes import Changes
from .learner_time import timed
from .learners import Learners
from .request import (
    can_be_measured,
    deadline_ms,
    enough_instances,
    judged_ms,
    measured_enough,
    never_recorded,
    refusals,
    results,
    ripe_ms,
    samples,
    silent,
)


class End(NamedTuple):
    """How a request ended.

    Attributes:
        outcome: In a word.
        why: In a sentence; empty where it was measured as it should be.
        reward: ``None`` where there is none.
        refused: Instances that were there did not run it.
    """

    outcome: Outcome
    why: str = ""
    reward: float | None = None
    refused: bool = False


def open_next(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Open the scope's next round, or park it where nobody is present."""
    presence.forget_absent(scope, changes.now_ms)
    if tuner.paused or not scope.presence:
        scope.unmeasured_since_ms = None
        changes.publish(scope)
        return
    if scope.unmeasured_since_ms is None:
        scope.unmeasured_since_ms = changes.now_ms
    context = context_of(scope)
    learner = learners.of(scope.scope)
    algorithm = tuner.spec.algorithm.name
    held = shared_parameters.held(tuner, scope, changes.now_ms)
    if scope.block is not None and not held.items() <= scope.block.candidate.items():
        scope.block = None  # an instance has come that cannot run it
    kind = incumbent.next_kind(tuner.spec, scope, lambda: timed(algorithm, learner.recommend, context) | held)
    scope.round += 1
    identity = request_id(tuner.tuner, tuner.incarnation, scope.scope, scope.round, ONE_ARM)
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
        arm=ONE_ARM,
        kind=kind,
        values=values,
        hash=values_hash(values),
        opened_ms=changes.now_ms,
        # From when it can be seen: in a backlog, events are far behind the time at which they are folded.
        activate_by_ms=max(changes.now_ms, changes.seen_ms) + ms(tuner.spec.activation_s),
    )
    scope.arms = [request]
    changes.publish(scope)


def due_ms(spec: TunerSpec, scope: ScopeState) -> int | None:
    """When time alone next changes the scope; ``None`` where it never does."""
    due = []
    for request in scope.arms:
        due += [lease.renewal_due_ms(spec, scope), judged_ms(spec, scope, request)]
        ripe = ripe_ms(spec, request)
        if ripe is not None and samples(spec, request) >= spec.measurement.min_samples and ripe > scope.published_ms:
            due.append(ripe)
    return min(due, default=None)


def pass_time(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Close what was measured enough or has reached its deadline; else renew the lease."""
    spec, now_ms = tuner.spec, changes.now_ms
    due = due_ms(spec, scope)
    if due is None or due > now_ms:
        return
    for request in list(scope.arms):
        if measured_enough(spec, scope, request, now_ms):
            close_measured(tuner, scope, request, learners, changes)
        elif _over(spec, scope, request, now_ms):
            close(tuner, scope, request, learners, changes, _at_deadline(tuner, scope, request, now_ms))
            open_next(tuner, scope, learners, changes)
    if now_ms >= lease.renewal_due_ms(spec, scope):
        changes.renew(scope)


def _over(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether a request that was not measured enough is behind its deadline, and can be judged."""
    known = lease.ran_out(spec, scope, now_ms) or now_ms >= judged_ms(spec, scope, request)
    return known and now_ms > deadline_ms(request)


def _at_deadline(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> End:
    """What came back in time decides: from enough instances, it is a measurement, however little it is.

    Else whoever fell silent decides: alive with nothing to measure says nothing of a configuration.
    """
    spec = tuner.spec
    if samples(spec, request) and enough_instances(spec, scope, request, now_ms):
        return _measured(spec, request)
    if lease.ran_out(spec, scope, now_ms):
        return End("skipped", "its lease ran out: no worker renewed it")
    if request.measure_by_ms is None:
        return _not_run(tuner, scope, request, now_ms)
    if not can_be_measured(spec, scope, request, now_ms):
        gone = f"{len(silent(scope, request, now_ms))} of the {len(request.ran)} instances that ran it fell silent"
        return _silent(spec, scope, gone, fail=spec.deadlines.on_silence == "fail")
    return End("skipped", _inconclusive(spec, request))


def refuse(tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes) -> None:
    """Close a request that all who are here refuse, and open the next round: at once, or after a while.

    Each in a row waits a heartbeat longer, up to its deadline: an app that refuses all there is must not be asked a
    hundred times a second.
    """
    lacked = _lacked(tuner, scope, request, changes.now_ms)
    after_ms = request.opened_ms + (0 if lacked else scope.refused * ms(tuner.spec.heartbeat_s))
    request.activate_by_ms = min(request.activate_by_ms, after_ms)
    if changes.now_ms >= after_ms:
        close(tuner, scope, request, learners, changes, End("skipped", refusals(request), refused=not lacked))
        open_next(tuner, scope, learners, changes)


def _lacked(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether a request changes what an instance lacks that is here now: then it is no news that it was not run."""
    held = shared_parameters.held(tuner, scope, now_ms)
    return not held.items() <= request.values.items()


def _not_run(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> End:
    """Nobody ran it: where instances are here all the same, they refuse it, or cannot take it."""
    spec = tuner.spec
    here = len(presence.present(scope, now_ms))
    why = f"refused: {here} instances are here, and none ran it in time" if here else "no instance ran it in time"
    if request.refused:
        why = refusals(request)
    if _lacked(tuner, scope, request, now_ms):
        return End("skipped", why)
    if spec.deadlines.on_inactive == "fail":
        return _silent(spec, scope, why, fail=True)
    return End("skipped", why, refused=here > 0)


def _inconclusive(spec: TunerSpec, request: OpenRequest) -> str:
    """Why a request says nothing whose instances live, or said goodbye."""
    reported = sum(1 for reports in request.ran.values() if reports)
    if unrecorded := never_recorded(spec, request):
        return unrecorded
    if not reported:
        return "inconclusive: instances ran it, did not fall silent, and had nothing to measure"
    return f"inconclusive: {reported} of {len(request.ran)} instances reported, and the others did not fall silent"


def _silent(spec: TunerSpec, scope: ScopeState, why: str, *, fail: bool) -> End:
    if not fail:
        return End("skipped", why)
    worst = scope.worst_reward
    if worst is None and spec.objective.range is not None:
        worst = 0.0  # the low end of a known range, on its scale
    return End("failed", why, worst)


def close_measured(
    tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes
) -> None:
    """Close a request that was measured enough, and open the next round."""
    close(tuner, scope, request, learners, changes, _measured(tuner.spec, request))
    open_next(tuner, scope, learners, changes)


def _measured(spec: TunerSpec, request: OpenRequest) -> End:
    value = reward.reward_of(spec.objective, request.metrics, math.fsum(request.intervals_s))
    if value is None:
        return End("skipped", "its metrics give no finite reward")
    return End("measured", reward=value)


def close(
    tuner: TunerState, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes, end: End
) -> None:
    """Close a request: tell the learner, judge the incumbent, write the round's record."""
    learned_reward = _learn(tuner.spec, scope, request, learners, changes, end)
    won = False
    if end.outcome in {"measured", "failed"} or end.refused:
        failed = end.outcome == "failed" or end.refused
        won = incumbent.record(tuner.spec, scope, request.kind, end.reward, failed=failed)
    if end.reward is not None:
        scope.worst_reward = end.reward if scope.worst_reward is None else min(scope.worst_reward, end.reward)
        scope.last_reward = end.reward
    scope.refused = scope.refused + 1 if end.refused else 0
    if end.outcome == "measured":
        scope.unmeasured_since_ms, scope.unmeasured_why = changes.now_ms, ""
    elif end.outcome != "superseded":
        scope.unmeasured_why = end.why
    scope.outcomes[end.outcome] = scope.outcomes.get(end.outcome, 0) + 1
    scope.arms = [other for other in scope.arms if other is not request]
    changes.scopes.add(scope.scope)
    changes.rounds.append(
        RoundRecord(
            v=1,
            tuner=tuner.tuner,
            scope=scope.scope,
            context=scope.context,
            incarnation=tuner.incarnation,
            round=request.round,
            arm=request.arm,
            kind=request.kind,
            request_id=request.id,
            outcome=end.outcome,
            why=end.why,
            values=request.values,
            opened_ms=request.opened_ms,
            activated_ms=request.activated_ms,
            closed_ms=changes.now_ms,
            events=request.events,
            instances=sum(1 for reports in request.ran.values() if reports),
            metrics=results(request),
            reward=end.reward,
            told=learned_reward,
            incumbent=won,
            not_shared=shared_parameters.not_shared(tuner, scope, changes.now_ms) or None,
        )
    )


def _learn(
    spec: TunerSpec, scope: ScopeState, request: OpenRequest, learners: Learners, changes: Changes, end: End
) -> float | None:
    """Tell the learner what its request came to; returns the reward that it learned from as the one who asked.

    A superseded round's learner is thrown away with it, and may be the very reason why.
    """
    algorithm = spec.algorithm.name
    if request.kind == "explore" and end.outcome != "superseded":
        learner = learners.of(scope.scope)
        changes.learned.add(scope.scope)
        how = {"scaled": spec.objective.range is not None}
        if end.refused:
            return timed(algorithm, learner.refuse, request.id, scope.worst_reward, how)
        if end.reward is None:
            timed(algorithm, learner.abandon, request.id)
            return None
        timed(algorithm, learner.tell, request.id, end.reward, how)
        return end.reward
    if end.reward is not None:
        learner = learners.of(scope.scope)
        if learner.capabilities.learns_from_others:
            timed(algorithm, learner.observe, request.values, end.reward, context_of(scope))
            changes.learned.add(scope.scope)
    return None


def context_of(scope: ScopeState) -> Context:
    """The context that names a scope."""
    return Context(scope.context, id=scope.scope)
