"""A round whose arms run side by side: what is tried by a few instances, beside what the others run.

Its arms are asked for together, compared while they run, and judged together: each by how much better or worse it was
than the baseline at the same time. An arm that is surely worse is withdrawn at once.
"""

import math
from collections.abc import Mapping, Sequence

from ...core import assignment
from ...core.values import ParameterValue
from ...schemas.base import ms
from ...schemas.configs import ArmKind
from ...schemas.keys import request_id, values_hash
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, Piece, Rollout, ScopeState, TunerState
from . import arms, closing, guardrails, holds, lease, quantities, relative, request, rollout, shared_parameters, target
from .arms import BASELINE, CANDIDATE
from .changes import Changes
from .closing import End, close, context_of
from .learner_time import timed
from .learners import Learners
from .relative import Relative

LOOK_EVERY_MS = 1000
"""Between two comparisons of a scope's arms: each costs a pass over all its units."""

OBSERVE_AT_FIRST = 2
"""Rounds of the incumbent alone before anything runs beside it: each instance gets a history to compare it with."""

OBSERVE_AFTER = 1
"""Rounds of the incumbent alone after it has changed."""

SILENT_INTERVALS = 3
"""An instance that reports nothing for so many, while others do, is lost."""

COMMON_CAUSE = "common cause: the baseline is over the limit, too"

MOST_REPORTING = 0.8
"""While so many of the baseline's instances report, the silence of others is their own."""


# -- the beginning


def open_round(tuner: TunerState, scope: ScopeState, here: Sequence[str], learners: Learners, changes: Changes) -> None:
    """Open the scope's next round.

    Args:
        tuner: The tuner's own record.
        scope: The scope; of the round before, no request is open but a candidate's.
        here: The instances that are present: enough to compare.
        learners: The tuner's.
        changes: What this changes.
    """
    spec, now_ms = tuner.spec, changes.now_ms
    held = shared_parameters.held(tuner, scope, now_ms) | holds.pinned(tuner, scope)
    if scope.schedule == "turns":  # instances have no history yet, and rewards were told as they are
        rollout.drop(scope)
        scope.observing, scope.reference, scope.gain = OBSERVE_AT_FIRST, None, 0.0
    _consider_rollout(tuner, scope, held, learners, changes)
    rolling = scope.rollout
    goes_on = arms.of_kind(scope, "candidate") is not None  # else a stage begins, and nothing was measured in it
    scope.round += 1
    requests = []
    shape = _shape(tuner, scope, here)
    if rolling is not None:
        requests.append(_candidate(tuner, scope, rolling, changes))
    requests += [
        _asked(tuner, scope, arms.explore_arm(number), held, learners, changes) for number in range(len(shape.explore))
    ]
    requests.append(_request(tuner, scope, BASELINE, "baseline", scope.incumbent.values, changes))
    scope.schedule, scope.looked_ms = "beside", now_ms
    scope.arms = requests
    scope.pieces = _cut(scope, here, shape)
    where = {name: assignment.position(scope.salt, name) for name in here}
    pieces = [(piece.share, piece.arm) for piece in scope.pieces]
    quantities.begin(
        spec,
        scope,
        {name: assignment.choose(pieces, at) or "" for name, at in where.items()},
        incumbent_arms={BASELINE},
        stage_arms={BASELINE, CANDIDATE} if goes_on else (),
        now_ms=now_ms,
        keep_history=rolling is not None,
    )


def _explores(tuner: TunerState, scope: ScopeState) -> bool:
    return holds.explores(tuner) and not scope.achieved and not scope.observing


def _consider_rollout(
    tuner: TunerState,
    scope: ScopeState,
    held: Mapping[str, ParameterValue],
    learners: Learners,
    changes: Changes,
) -> None:
    """Drop a roll-out that an instance cannot run; begin one where the learner recommends another configuration."""
    rolling = scope.rollout
    over = scope.achieved and rolling is not None and rolling.proposed_ms is None
    if rolling is not None and (over or not held.items() <= rolling.values.items()):
        _drop(tuner, scope, learners, changes, "an instance has come that cannot run it")
        rolling = None
    free = rolling is None and holds.explores(tuner) and not scope.observing
    if free and rollout.begin_proposed(scope, held, changes.now_ms):
        quantities.begin_stage(scope)
        return
    if rolling is None and _explores(tuner, scope) and scope.explored >= rollout.FIRST_AFTER:
        algorithm, learner = tuner.spec.algorithm.name, learners.of(scope.scope)
        values = {**timed(algorithm, learner.recommend, context_of(scope)), **held}
        if rollout.wanted(tuner.spec, scope, values):
            rollout.begin(scope, values, changes.now_ms)
            quantities.begin_stage(scope)


def _asked(
    tuner: TunerState,
    scope: ScopeState,
    arm: str,
    held: Mapping[str, ParameterValue],
    learners: Learners,
    changes: Changes,
) -> OpenRequest:
    identity = request_id(tuner.tuner, tuner.incarnation, scope.scope, scope.round, arm)
    learner = learners.of(scope.scope)
    asked = timed(tuner.spec.algorithm.name, learner.ask, context_of(scope), request_id=identity, held=dict(held))
    changes.learned.add(scope.scope)
    return _request(tuner, scope, arm, "explore", {**asked.prediction, **held}, changes)


def _candidate(tuner: TunerState, scope: ScopeState, rolling: Rollout, changes: Changes) -> OpenRequest:
    """The request of a roll-out's stage, which stays from round to round: its deadlines move on."""
    open_one = arms.of_kind(scope, "candidate")
    if open_one is None:
        return _request(tuner, scope, CANDIDATE, "candidate", rolling.values, changes)
    fresh_ms = max(changes.now_ms, changes.seen_ms)
    if open_one.measure_by_ms is None:
        open_one.activate_by_ms = fresh_ms + ms(tuner.spec.activation_s)
    else:
        open_one.measure_by_ms = fresh_ms + ms(tuner.spec.measurement_s)
    return open_one


def _request(
    tuner: TunerState,
    scope: ScopeState,
    arm: str,
    kind: ArmKind,
    values: Mapping[str, ParameterValue],
    changes: Changes,
) -> OpenRequest:
    return OpenRequest(
        id=request_id(tuner.tuner, tuner.incarnation, scope.scope, scope.round, arm),
        round=scope.round,
        arm=arm,
        kind=kind,
        values=dict(values),
        hash=values_hash(values),
        opened_ms=changes.now_ms,
        activate_by_ms=max(changes.now_ms, changes.seen_ms) + ms(tuner.spec.activation_s),
    )


def _shape(tuner: TunerState, scope: ScopeState, here: Sequence[str]) -> arms.Shape:
    """How many of those that are here each arm gets; salts the round, and moves a roll-out's border on."""
    spec, rolling = tuner.spec, scope.rollout
    place = f"{tuner.incarnation}/{scope.scope}"
    if rolling is None:
        scope.salt = f"{place}/{scope.round}"
        return arms.shape(spec.explore, len(here), 0, exploring=_explores(tuner, scope))
    scope.salt = f"{place}/r{rolling.number}"
    wanted = rollout.units_of(spec.rollout.stages[rolling.stage], len(here))
    rolling.upto = assignment.grow(scope.salt, here, wanted, rolling.upto)
    candidate = sum(1 for name in here if assignment.position(scope.salt, name) < rolling.upto)
    last = rollout.is_last(spec.rollout, rolling.stage, len(here))
    return arms.shape(spec.explore, len(here), candidate, exploring=_explores(tuner, scope) and not last)


def _cut(scope: ScopeState, here: Sequence[str], shape: arms.Shape) -> list[Piece]:
    """Pieces of [0, 1) in which so many of those that are here stand as are wanted."""
    named = [arms.explore_arm(number) for number in range(len(shape.explore))]
    if scope.rollout is None:
        widths = assignment.cut(scope.salt, here, shape.explore)
        pieces = [Piece(share=width, arm=name) for width, name in zip(widths, named, strict=True)]
        return [*pieces, Piece(share=max(1.0 - sum(widths), 0.0), arm=BASELINE)]
    upto = scope.rollout.upto
    rest = assignment.cut_rest(scope.salt, here, upto, shape.explore, start_rank=_rank(scope))
    pieces = [Piece(share=width, arm=named[i] if i >= 0 else BASELINE) for width, i in rest]
    return [Piece(share=upto, arm=CANDIDATE), *pieces]


def _rank(scope: ScopeState) -> int:
    """Where among the rest the exploring units begin: another place each round."""
    return int(assignment.position(scope.salt, f"rank/{scope.round}") * 2**32)


# -- while it runs


def measured(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """After an event: compare the arms, where that was not done just now; whether the round is over."""
    scope.fresh = True
    if changes.now_ms - scope.looked_ms < LOOK_EVERY_MS:
        return False
    return pass_time(tuner, scope, learners, changes)


def pass_time(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """Compare the arms, withdraw what is worse, and close the round where it is over; whether it is."""
    spec, now_ms = tuner.spec, changes.now_ms
    scope.looked_ms, scope.fresh = now_ms, False
    changes.scopes.add(scope.scope)
    if not lease.ran_out(spec, scope, now_ms):
        _count_lost(spec, scope, now_ms)
        if _look(tuner, scope, learners, changes):
            for one in list(scope.arms):
                close(tuner, scope, one, learners, changes, End("skipped", COMMON_CAUSE))
            rollout.drop(scope)
            scope.observing = OBSERVE_AFTER
            return True
    return over(tuner, scope, changes) and _finish(tuner, scope, learners, changes)


def _look(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """Compare each arm with the baseline; whether all suffer from the same."""
    spec, now_ms = tuner.spec, changes.now_ms
    known: guardrails.Known = {}
    for tried in [one for one in scope.arms if one.kind in {"explore", "candidate"}]:
        found = guardrails.look(spec, scope, tried.arm, now_ms, stage=tried.kind == "candidate", known=known)
        for name, evidence in found.items():
            if math.isfinite(evidence.level):
                tried.evidence[name] = max(evidence.level, tried.evidence.get(name, evidence.level))
        limit = guardrails.over_limit(spec, scope, tried.arm, now_ms)
        if limit is not None and limit.common_cause:
            return True
        why = limit.why if limit is not None else guardrails.breach(spec, found)
        if why:
            lost = limit is None and guardrails.units_lost(found)
            close(tuner, scope, tried, learners, changes, _broken(spec, scope, tried, why, lost=lost))
            for piece in scope.pieces:
                if piece.arm == tried.arm:
                    piece.why = why[:1000]
            if tried.kind == "candidate" and scope.rollout is not None:
                rollout.reject(scope, scope.rollout)
            changes.publish(scope)
    quantities.advance(spec, scope, now_ms)
    return False


def _broken(spec: TunerSpec, scope: ScopeState, tried: OpenRequest, why: str, *, lost: bool) -> End:
    """The end of an arm that is withdrawn: its learner is told what was measured; where units were lost, the worst."""
    if lost:
        return End("broken", why, closing.worst(spec, scope))
    end = closing.measured(spec, tried)
    difference = relative.relative(spec, scope, tried.arm, stage=tried.kind == "candidate")
    baseline = arms.of_kind(scope, "baseline")
    return End("broken", why, end.reward, told=_told(spec, scope, end, baseline, difference), difference=difference)


def _told(
    spec: TunerSpec, scope: ScopeState, end: End, baseline: OpenRequest | None, difference: Relative | None
) -> float | None:
    """What a learner is told of an arm: on the scale of when tuning began, whatever the incumbent has gained since."""
    if difference is None and end.reward is not None and baseline is not None:
        beside = closing.measured(spec, baseline).reward
        difference = Relative(end.reward - beside, 0.0, 0) if beside is not None else None
    if difference is None or scope.reference is None:
        return closing.worst(spec, scope) if end.outcome == "broken" else None
    return scope.reference + scope.gain + difference.theta


def _count_lost(spec: TunerSpec, scope: ScopeState, now_ms: int) -> None:
    """Count the units that vanished, or that fell silent while the baseline's report."""
    since_ms = now_ms - ms(SILENT_INTERVALS * spec.measurement.interval_s)
    baseline = [unit for unit in scope.units.values() if unit.arm == BASELINE]
    reporting = sum(1 for unit in baseline if unit.last_ms >= since_ms)
    since = {one.arm: one.opened_ms for one in scope.arms if one.kind != "baseline"}
    known = bool(baseline) and reporting >= MOST_REPORTING * len(baseline)
    for name, unit in scope.units.items():
        here = scope.presence.get(name)
        vanished = here is None or here.expires_ms < now_ms
        silent = known and since.get(unit.arm, now_ms) < since_ms and unit.last_ms < since_ms
        if not unit.lost and (vanished or silent):
            unit.lost = True
            guardrails.lose(scope, name)


def arrived(scope: ScopeState, instance: str, *, restarted: bool) -> None:
    """A unit gave a sign of life; ``restarted``: of a new boot, and the one before it did not say goodbye."""
    unit = scope.units.get(instance)
    if unit is not None and restarted and not unit.lost:
        guardrails.lose(scope, instance)
        scope.fresh = True


def over(tuner: TunerState, scope: ScopeState, changes: Changes) -> bool:
    """Whether the round is over: the baseline and all that is tried were measured enough, or are behind deadlines."""
    spec, now_ms = tuner.spec, changes.now_ms
    baseline = arms.of_kind(scope, "baseline")
    if baseline is None or request.over(spec, scope, baseline, now_ms):
        return True
    waiting = (
        one
        for one in arms.exploring(scope)
        if not request.measured_enough(spec, scope, one, now_ms) and not request.over(spec, scope, one, now_ms)
    )
    return request.measured_enough(spec, scope, baseline, now_ms) and next(waiting, None) is None


def refuse(
    tuner: TunerState, scope: ScopeState, tried: OpenRequest, learners: Learners, changes: Changes, end: End
) -> bool:
    """Close an arm that its instances refuse; whether the round is over with it."""
    close(tuner, scope, tried, learners, changes, end)
    if tried.kind == "candidate" and scope.rollout is not None:
        rollout.reject(scope, scope.rollout)
    changes.publish(scope)
    return over(tuner, scope, changes) and _finish(tuner, scope, learners, changes)


# -- the end


def _finish(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> bool:
    """Close the round; the roll-out's candidate goes on, unless its stage is decided. Always true."""
    spec, now_ms = tuner.spec, changes.now_ms
    baseline = arms.of_kind(scope, "baseline")
    beside = closing.at_deadline(tuner, scope, baseline, now_ms) if baseline is not None else End("skipped")
    held_up = beside.outcome != "measured"
    tried = arms.exploring(scope)
    for one in tried:
        close(tuner, scope, one, learners, changes, _explored(tuner, scope, one, beside, now_ms))
    _roll_on(tuner, scope, learners, changes, held_up=held_up)
    if baseline is None:
        return True
    told = None
    if not held_up:
        scope.explored += bool(tried)
        told = _observe(spec, scope, beside, now_ms)
    close(tuner, scope, baseline, learners, changes, beside._replace(told=told, untold=told is None))
    return True


def _observe(spec: TunerSpec, scope: ScopeState, beside: End, now_ms: int) -> float | None:
    """Take in a measured round of the incumbent; what its learner is told of it, where that is news."""
    target.judge(spec, scope, [beside.reward])
    scope.incumbent.reward = beside.reward
    if not scope.observing or guardrails.over_limit(spec, scope, BASELINE, now_ms) is not None:
        return None
    scope.observing -= 1
    if scope.reference is not None or scope.observing or beside.reward is None:
        return None
    scope.reference = beside.reward - scope.gain
    return beside.reward


def _explored(tuner: TunerState, scope: ScopeState, tried: OpenRequest, beside: End, now_ms: int) -> End:
    end = closing.at_deadline(tuner, scope, tried, now_ms)
    if end.outcome != "measured":
        return end
    if beside.outcome != "measured":
        return End("skipped", "the baseline beside it was not measured")
    difference = relative.relative(tuner.spec, scope, tried.arm, stage=False)
    told = _told(tuner.spec, scope, end, arms.of_kind(scope, "baseline"), difference)
    if told is None:
        return End("skipped", "too few of its instances, or of the baseline's, can be compared")
    return end._replace(told=told, difference=difference)


def _roll_on(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes, *, held_up: bool) -> None:
    """Decide on a roll-out's stage at the end of a round."""
    spec, now_ms = tuner.spec, changes.now_ms
    candidate, rolling = arms.of_kind(scope, "candidate"), scope.rollout
    if candidate is None or rolling is None:
        return
    if lease.ran_out(spec, scope, now_ms) or request.over(spec, scope, candidate, now_ms):
        _begin_again(tuner, scope, rolling, candidate, learners, changes)
        return
    if held_up:
        return
    verdict = rollout.judge(spec, scope, rolling, candidate, now_ms)
    if verdict.step == "stay":
        return
    end = closing.measured(spec, candidate)
    difference = relative.relative(spec, scope, CANDIDATE, stage=True)
    told = _told(spec, scope, end, arms.of_kind(scope, "baseline"), difference)
    end = end._replace(told=told, difference=difference, why=verdict.why, untold=told is None)
    close(tuner, scope, candidate, learners, changes, end, promoted=verdict.step == "promote")
    if difference is not None:
        rollout.note_gain(rolling, difference)
    if verdict.step == "reject":
        rollout.reject(scope, rolling)
    elif verdict.step == "next":
        rollout.advance(spec.rollout, rolling, len(scope.units), now_ms)
        quantities.begin_stage(scope)
    else:
        _promote(scope, rolling, end, now_ms)


def _begin_again(
    tuner: TunerState,
    scope: ScopeState,
    rolling: Rollout,
    candidate: OpenRequest,
    learners: Learners,
    changes: Changes,
) -> None:
    """A stage that was not kept up, or that nobody ran, begins again; what fell silent in it is rejected."""
    end = closing.at_deadline(tuner, scope, candidate, changes.now_ms)
    if end.outcome == "measured":
        end = End("skipped", "its lease ran out: no worker renewed it")
    close(tuner, scope, candidate, learners, changes, end)
    if end.outcome == "failed" or end.refused or rolling.reopened >= rollout.MOST_REOPENED:
        rollout.reject(scope, rolling)
        return
    rolling.reopened += 1
    rolling.since_ms = changes.now_ms
    quantities.begin_stage(scope)


def _promote(scope: ScopeState, rolling: Rollout, end: End, now_ms: int) -> None:
    rollout.promote(scope, rolling, end.reward, rolling.gain, now_ms)
    scope.gain += rolling.gain or 0.0
    scope.observing = OBSERVE_AFTER
    quantities.promoted(scope, CANDIDATE)


def _drop(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes, why: str) -> None:
    candidate = arms.of_kind(scope, "candidate")
    if candidate is not None:
        close(tuner, scope, candidate, learners, changes, End("superseded", why))
    rollout.drop(scope)
