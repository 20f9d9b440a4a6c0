"""How what the learner recommends becomes the incumbent: stage by stage, each beside the incumbent, or not at all.

Functions of a scope, its spec and the time; a stage is passed by measurements alone, never by time.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from ...core.values import ParameterValue
from ...schemas.base import ms
from ...schemas.keys import values_hash
from ...schemas.spec import RolloutSpec, TunerSpec
from ...schemas.state import OpenRequest, Proposal, Rollout, ScopeState
from . import versions
from .evidence import p_value, variance
from .relative import BETTER_ALPHA, Relative, better, better_at_end, is_better
from .request import measured_enough
from .versions import LEARNER

Values = Mapping[str, ParameterValue]

FIRST_AFTER = 8
"""Exploring rounds before the first roll-out: before that a recommendation is a guess."""

REJECTED_FOR = 20
"""Rounds in which what was rejected is not tried again."""

MOST_REJECTED = 64
"""Rejected configurations that are remembered."""

MOST_REOPENED = 3
"""So often a stage begins again that nobody ran, or that no worker kept up; then it is given up."""


LOOKS = 3
"""So often a roll-out that is judged by turns is looked at, at most."""


_NO_SPREAD = 1e-12
"""Of what rounding leaves."""


class Verdict(NamedTuple):
    """What is to become of a roll-out at the end of a round.

    Attributes:
        step: In a word.
        why: In a sentence, for people.
    """

    step: Literal["stay", "next", "promote", "reject"]
    why: str = ""


def wanted(spec: TunerSpec, scope: ScopeState, values: Values) -> bool:
    """Whether a recommendation is to be rolled out: it is another configuration, and was not rejected lately."""
    name = values_hash(values)
    rejected = scope.rejected.get(name)
    lately = rejected is not None and scope.round - rejected < REJECTED_FOR
    return spec.rollout.enabled and name != scope.incumbent.hash and not lately


def begin(scope: ScopeState, values: Values, now_ms: int) -> None:
    """Begin a roll-out of what the learner recommends, in its first stage."""
    scope.rollout = _begun(scope, values, LEARNER, "", now_ms)


def begin_proposed(scope: ScopeState, held: Values, now_ms: int) -> bool:
    """Begin the roll-out of what an operator proposed; whether there is one. What is the incumbent already needs none.

    Args:
        scope: Without a roll-out under way.
        held: Values that every candidate has.
        now_ms: Partition time.
    """
    proposal, scope.proposal = scope.proposal, None
    if proposal is None:
        return False
    values = {**proposal.values, **held}
    if values_hash(values) == scope.incumbent.hash:
        return False
    scope.rollout = _begun(scope, values, proposal.by, proposal.reason, now_ms)
    scope.rollout.proposed_ms = proposal.since_ms
    return True


def _begun(scope: ScopeState, values: Values, by: str, reason: str, now_ms: int) -> Rollout:
    scope.rollouts += 1
    return Rollout(
        number=scope.rollouts,
        values=dict(values),
        hash=values_hash(values),
        since_ms=now_ms,
        by=by,
        reason=reason,
    )


def as_proposal(rolling: Rollout) -> Proposal | None:
    """What an operator proposed, of a roll-out under way; ``None`` where it is the learner's."""
    if rolling.proposed_ms is None:
        return None
    return Proposal(
        values=rolling.values, hash=rolling.hash, by=rolling.by, reason=rolling.reason, since_ms=rolling.proposed_ms
    )


def drop(scope: ScopeState) -> None:
    """A roll-out cannot go on as it was. What an operator proposed begins anew; a learner recommends again."""
    if scope.rollout is not None:
        scope.proposal = scope.proposal or as_proposal(scope.rollout)
    scope.rollout = None


def promote(scope: ScopeState, rolling: Rollout, reward: float | None, gain: float | None, now_ms: int) -> None:
    """A roll-out is through: its configuration is the incumbent from now on."""
    reason = rolling.reason or f"rolled out by round {scope.round}"
    versions.promote(scope, rolling.values, by=rolling.by, reason=reason, now_ms=now_ms, gain=gain, reward=reward)
    scope.rollout = None


def units_of(share: float, units: int) -> int:
    """How many units a stage has, of those that are here: one at least, and one less than all."""
    return min(max(round(share * units), 1), max(units - 1, 1))


def following(spec: RolloutSpec, stage: int, units: int) -> int | None:
    """The next stage that has more units than this one; ``None`` where there is none."""
    now = units_of(spec.stages[stage], units)
    later = range(stage + 1, len(spec.stages))
    return next((i for i in later if units_of(spec.stages[i], units) > now), None)


def decides(spec: RolloutSpec, stage: int, units: int) -> bool:
    """Whether by the end of a stage it must be better: in the last but one, or where there is only one."""
    after = following(spec, stage, units)
    if after is None:
        return all(units_of(share, units) >= units_of(spec.stages[stage], units) for share in spec.stages[:stage])
    return following(spec, after, units) is None


def is_last(spec: RolloutSpec, stage: int, units: int) -> bool:
    """Whether nearly all units run it: nothing else is tried beside it then."""
    return stage > 0 and following(spec, stage, units) is None


def judge(spec: TunerSpec, scope: ScopeState, rollout: Rollout, candidate: OpenRequest, now_ms: int) -> Verdict:
    """What is to become of a roll-out at the end of a round whose baseline was measured."""
    units, stages = len(scope.units), spec.rollout
    age_ms = now_ms - rollout.since_ms
    if not measured_enough(spec, scope, candidate, now_ms) or age_ms < ms(stages.min_s):
        return Verdict("stay")
    undecided = decides(stages, rollout.stage, units) and not is_better(
        better(spec, scope, candidate.arm, stages.min_change)
    )
    if undecided and age_ms < ms(stages.max_s):
        return Verdict("stay")
    if undecided:
        chance = better_at_end(spec, scope, candidate.arm, stages.min_change)
        if chance is None or chance >= BETTER_ALPHA:
            return Verdict("reject", f"not surely better by {stages.min_change:.0%} within {stages.max_s:g} s")
    return Verdict("promote" if following(stages, rollout.stage, units) is None else "next")


def judge_turns(spec: RolloutSpec, rolling: Rollout) -> Verdict:
    """What is to become of a roll-out that is judged by turns, after a turn.

    It is looked at when each was played ``turns`` times, twice, and three times as often; each look has a third of the
    chance to err. With one turn each, nothing is known of the noise: then the better one wins.
    """
    pairs = [ours - theirs for ours, theirs in zip(rolling.candidate_rewards, rolling.incumbent_rewards, strict=False)]
    complete = len(rolling.candidate_rewards) == len(rolling.incumbent_rewards)
    if not complete or not pairs or len(pairs) % spec.turns:
        return Verdict("stay")
    least = spec.min_change * abs(fmean(rolling.incumbent_rewards))
    gain = fmean(pairs) - least
    if gain <= 0:
        return Verdict("reject", f"not better by {spec.min_change:.0%}")
    if spec.turns == 1 or _chance(pairs, gain) <= BETTER_ALPHA / LOOKS:
        return Verdict("promote")
    if len(pairs) >= LOOKS * spec.turns:
        return Verdict("reject", f"not surely better after {len(pairs)} turns each")
    return Verdict("stay")


def _chance(pairs: Sequence[float], gain: float) -> float:
    """Of so much gain, or more, where there is none; pairs that are all alike leave no doubt."""
    se = math.sqrt(variance(pairs) / len(pairs))
    return p_value(gain, se, len(pairs) - 1) if se > _NO_SPREAD * abs(gain) else 0.0


def advance(spec: RolloutSpec, rollout: Rollout, units: int, now_ms: int) -> None:
    """Go on to the next stage that has more units."""
    rollout.stage = following(spec, rollout.stage, units) or rollout.stage
    rollout.since_ms, rollout.reopened = now_ms, 0


def note_gain(rolling: Rollout, found: Relative) -> None:
    """Take in how much better a stage was; the surer counts for more, for the last has hardly a baseline left."""
    if rolling.gain is None or not (found.se and rolling.gain_se):
        rolling.gain, rolling.gain_se = found.theta, found.se
        return
    before, now = rolling.gain_se**-2, found.se**-2
    rolling.gain = (before * rolling.gain + now * found.theta) / (before + now)
    rolling.gain_se = (before + now) ** -0.5


def reject(scope: ScopeState, rollout: Rollout) -> None:
    """Give a roll-out up, and remember what it was."""
    rejected = {**scope.rejected, rollout.hash: scope.round}
    scope.rejected = dict(sorted(rejected.items(), key=lambda one: one[1])[-MOST_REJECTED:])
    scope.rollout = None
