"""One configuration after the other, each by all of a scope's instances: where they are too few to compare.

A roll-out is judged here by turns, too: what is to be the incumbent and what is are played in pairs, A B B A, so that a
drift of the load meets both alike.
"""

from statistics import fmean

from ...schemas.base import ms
from ...schemas.configs import ArmKind
from ...schemas.keys import request_id, values_hash
from ...schemas.state import OpenRequest, Rollout, ScopeState, TunerState
from . import closing, holds, rollout, shared_parameters, target
from .arms import BASELINE, CANDIDATE, explore_arm
from .changes import Changes
from .closing import End, context_of
from .learner_time import timed
from .learners import Learners
from .request import measured_enough, over

_NAMES = {"explore": explore_arm(0), "candidate": CANDIDATE, "baseline": BASELINE}

_ABBA: tuple[ArmKind, ...] = ("candidate", "baseline", "baseline", "candidate")


def open_round(tuner: TunerState, scope: ScopeState, learners: Learners, changes: Changes) -> None:
    """Open the scope's next round, of one request."""
    learner = learners.of(scope.scope)
    algorithm = tuner.spec.algorithm.name
    held = shared_parameters.held(tuner, scope, changes.now_ms) | holds.pinned(tuner, scope)
    if scope.schedule == "beside":
        scope.observing = 0
    if scope.rollout is not None and not held.items() <= scope.rollout.values.items():
        rollout.drop(scope)  # an instance has come that cannot run it
    _consider_rollout(tuner, scope, held, learners, changes)
    kind = _kind(scope) if holds.explores(tuner) else "baseline"
    scope.round += 1
    name = _NAMES[kind]
    identity = request_id(tuner.tuner, tuner.incarnation, scope.scope, scope.round, name)
    if kind == "explore":
        asked = timed(algorithm, learner.ask, context_of(scope), request_id=identity, held=held)
        values = {**asked.prediction, **held}
        changes.learned.add(scope.scope)
    elif kind == "candidate" and scope.rollout is not None:
        values = dict(scope.rollout.values)
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
    scope.schedule, scope.salt, scope.pieces, scope.units = "turns", "", [], {}
    scope.arms = [request]


def _kind(scope: ScopeState) -> ArmKind:
    """What the next round plays."""
    rolling = scope.rollout
    proposed = rolling is not None and rolling.proposed_ms is not None
    if not proposed and (scope.achieved or (scope.last_reward is None and scope.outcomes)):
        return "baseline"  # what was tried first came to nothing: what runs anyway tells what a reward is
    if rolling is not None:
        played = len(rolling.candidate_rewards) + len(rolling.incumbent_rewards)
        return _ABBA[played % len(_ABBA)]
    return "baseline" if scope.observing else "explore"


def _consider_rollout(
    tuner: TunerState,
    scope: ScopeState,
    held: dict[str, str | int | float],
    learners: Learners,
    changes: Changes,
) -> None:
    """Begin a roll-out where one is due; where the incumbent is recommended already, it is measured all the same."""
    spec = tuner.spec
    if not holds.explores(tuner) or scope.rollout is not None:
        return
    if rollout.begin_proposed(scope, held, changes.now_ms):
        return
    idle = not scope.achieved and not scope.observing and scope.last_reward is not None
    due = scope.explored >= max(spec.rollout.every - spec.rollout.turns, 1) or target.is_promising(spec, scope)
    if not (spec.rollout.enabled and idle and due):
        return
    scope.explored = scope.promising = 0
    learner = learners.of(scope.scope)
    values = {**timed(spec.algorithm.name, learner.recommend, context_of(scope)), **held}
    if rollout.wanted(spec, scope, values):
        rollout.begin(scope, values, changes.now_ms)
    else:
        scope.observing = spec.rollout.turns


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
    """Close a request, and judge by it what is to be judged: the roll-out, the target."""
    promoted = False
    if end.outcome in {"measured", "failed"} or end.refused:
        promoted = _judge(tuner, scope, request, end, changes.now_ms)
    closing.close(tuner, scope, request, learners, changes, end, promoted=promoted)


def _judge(tuner: TunerState, scope: ScopeState, request: OpenRequest, end: End, now_ms: int) -> bool:
    """Take in the end of a round; whether the roll-out's configuration is the incumbent from now on.

    A configuration that ran and fell silent, or that was refused, is rejected, whatever reward stands in for it. Of the
    incumbent that says nothing, for the broker may have been silent.
    """
    spec, rolling = tuner.spec, scope.rollout
    failed = end.outcome == "failed" or end.refused
    if request.kind == "explore":
        scope.explored += 1
        target.promise(spec, scope, end.reward)
        return False
    if request.kind == "baseline":
        if end.reward is not None and not failed:
            scope.observing = max(scope.observing - 1, 0)
            scope.incumbent.reward = end.reward if rolling is None else scope.incumbent.reward
            if rolling is not None:
                rolling.incumbent_rewards.append(end.reward)
        target.judge(spec, scope, [end.reward])
    elif rolling is not None and failed:
        rollout.reject(scope, rolling)
    elif rolling is not None and end.reward is not None:
        rolling.candidate_rewards.append(end.reward)
    return scope.rollout is not None and _decide(tuner, scope, scope.rollout, now_ms)


def _decide(tuner: TunerState, scope: ScopeState, rolling: Rollout, now_ms: int) -> bool:
    verdict = rollout.judge_turns(tuner.spec.rollout, rolling)
    if verdict.step == "stay":
        return False
    scope.incumbent.reward = fmean(rolling.incumbent_rewards)
    if verdict.step == "reject":
        rollout.reject(scope, rolling)
        return False
    gain = fmean(rolling.candidate_rewards) - fmean(rolling.incumbent_rewards)
    rollout.promote(scope, rolling, fmean(rolling.candidate_rewards), gain, now_ms)
    scope.streak = 0
    target.judge(tuner.spec, scope, list(rolling.candidate_rewards))
    return True
