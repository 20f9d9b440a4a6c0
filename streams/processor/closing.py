"""The end of a request: what became of it, what its learner is told, its record."""

import math
from typing import NamedTuple

from ...core.types import Context
from ...schemas.records import Outcome, Relative, RoundRecord
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import lease, relative, reward, shared_parameters
from .changes import Changes
from .learner_time import timed
from .learners import Learners
from .request import (
    can_be_measured,
    enough_instances,
    expected,
    never_recorded,
    refusals,
    results,
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
        told: What the learner is told instead of the reward, where that is another number.
        difference: How much better it was than the baseline beside it, as a reward, where it was compared.
        untold: The learner is told nothing of it.
    """

    outcome: Outcome
    why: str = ""
    reward: float | None = None
    refused: bool = False
    told: float | None = None
    difference: relative.Relative | None = None
    untold: bool = False


def close(
    tuner: TunerState,
    scope: ScopeState,
    request: OpenRequest,
    learners: Learners,
    changes: Changes,
    end: End,
    *,
    promoted: bool = False,
) -> None:
    """Close a request: tell the learner, count it, write its record.

    Args:
        tuner: The tuner's own record.
        scope: The request's scope.
        request: One of its open ones.
        learners: The tuner's.
        changes: What this changes.
        end: What became of it.
        promoted: With its end there is a new incumbent.
    """
    learned_reward = _learn(tuner.spec, scope, request, learners, changes, end)
    told = end.told if end.told is not None else end.reward
    if told is not None and not end.untold:
        scope.worst_reward = told if scope.worst_reward is None else min(scope.worst_reward, told)
        scope.last_reward = told
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
            incumbent=promoted,
            schedule=scope.schedule,
            stage=scope.rollout.stage + 1 if request.kind == "candidate" and scope.rollout is not None else None,
            units=sum(1 for unit in scope.units.values() if unit.arm == request.arm) if scope.units else None,
            relative=Relative(theta=end.difference.theta, se=end.difference.se) if end.difference is not None else None,
            evidence=request.evidence or None,
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
    value = None if end.untold else end.told if end.told is not None else end.reward
    if request.kind == "explore" and end.outcome != "superseded":
        learner = learners.of(scope.scope)
        changes.learned.add(scope.scope)
        how = {"scaled": spec.objective.range is not None}
        if end.refused:
            return timed(algorithm, learner.refuse, request.id, scope.worst_reward, how)
        if value is None:
            timed(algorithm, learner.abandon, request.id)
            return None
        timed(algorithm, learner.tell, request.id, value, how)
        return value
    if value is not None:
        learner = learners.of(scope.scope)
        if learner.capabilities.learns_from_others:
            timed(algorithm, learner.observe, request.values, value, context_of(scope))
            changes.learned.add(scope.scope)
    return None


def context_of(scope: ScopeState) -> Context:
    """The context that names a scope."""
    return Context(scope.context, id=scope.scope)


def measured(spec: TunerSpec, request: OpenRequest) -> End:
    """The end of a request that was measured."""
    value = reward.reward_of(spec.objective, request.metrics, math.fsum(request.intervals_s))
    if value is None:
        return End("skipped", "its metrics give no finite reward")
    return End("measured", reward=value)


def at_deadline(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> End:
    """What came back in time decides: from enough instances, it is a measurement, however little it is.

    Else whoever fell silent decides: alive with nothing to measure says nothing of a configuration.
    """
    spec = tuner.spec
    if samples(spec, request) and enough_instances(spec, scope, request, now_ms):
        return measured(spec, request)
    if lease.ran_out(spec, scope, now_ms):
        return End("skipped", "its lease ran out: no worker renewed it")
    if request.measure_by_ms is None:
        return _not_run(tuner, scope, request, now_ms)
    if not can_be_measured(spec, scope, request, now_ms):
        gone = f"{len(silent(scope, request, now_ms))} of the {len(request.ran)} instances that ran it fell silent"
        return _silent(spec, scope, gone, fail=spec.deadlines.on_silence == "fail")
    return End("skipped", _inconclusive(spec, request))


def lacked(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether a request changes what an instance lacks that is here now: then it is no news that it was not run."""
    held = shared_parameters.held(tuner, scope, now_ms)
    return not held.items() <= request.values.items()


def _not_run(tuner: TunerState, scope: ScopeState, request: OpenRequest, now_ms: int) -> End:
    """Nobody ran it: where instances are here all the same, they refuse it, or cannot take it."""
    spec = tuner.spec
    here = len(expected(scope, request, now_ms))
    why = f"refused: {here} instances are here, and none ran it in time" if here else "no instance ran it in time"
    if request.refused:
        why = refusals(request)
    if lacked(tuner, scope, request, now_ms):
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


def worst(spec: TunerSpec, scope: ScopeState) -> float | None:
    """What a learner is told of a configuration that cost its instances: the worst reward that was seen."""
    if scope.worst_reward is None and spec.objective.range is not None:
        return 0.0  # the low end of a known range, on its scale
    return scope.worst_reward


def _silent(spec: TunerSpec, scope: ScopeState, why: str, *, fail: bool) -> End:
    if not fail:
        return End("skipped", why)
    return End("failed", why, worst(spec, scope))
