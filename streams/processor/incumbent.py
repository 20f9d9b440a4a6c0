"""When is a recommendation played against the incumbent, and which of them wins?"""

from collections.abc import Callable, Mapping
from statistics import fmean

from ...schemas.configs import ArmKind
from ...schemas.keys import values_hash
from ...schemas.spec import TunerSpec
from ...schemas.state import Block, Incumbent, ScopeState

Values = Mapping[str, str | int | float]


def next_kind(spec: TunerSpec, scope: ScopeState, recommend: Callable[[], Values]) -> ArmKind:
    """What the scope's next round plays; begins a confirmation where one is due."""
    if scope.achieved or (scope.last_reward is None and scope.outcomes):
        return "baseline"  # what was tried first came to nothing: what runs anyway tells what a reward is
    if scope.block is None and _due(spec, scope):
        scope.block = _block(spec, scope, recommend())
        scope.explored = scope.promising = 0
    return scope.block.left[0] if scope.block is not None else "explore"


def _due(spec: TunerSpec, scope: ScopeState) -> bool:
    if not spec.confirmation.enabled:
        return False
    exploring = max(spec.confirmation.every - spec.confirmation.rounds, 1)
    return scope.explored >= exploring or (spec.target is not None and scope.promising >= spec.target.rounds)


def _block(spec: TunerSpec, scope: ScopeState, candidate: Values) -> Block | None:
    if values_hash(candidate) != scope.incumbent.hash:
        return Block(candidate=dict(candidate), left=["confirm", "baseline"] * spec.confirmation.rounds)
    # Nothing to judge: the learner recommends what is the incumbent already. It is played only to be measured.
    return Block(candidate=dict(candidate), left=["baseline"] * spec.confirmation.rounds)


def record(spec: TunerSpec, scope: ScopeState, kind: ArmKind, reward: float | None, *, failed: bool) -> bool:
    """Take in the end of a round; says whether it made the recommendation the incumbent.

    Args:
        spec: The tuner's spec.
        scope: The scope, whose incumbent, block and streaks change.
        kind: What the round played.
        reward: Its reward, ``None`` where there was none.
        failed: The configuration ran and then fell silent: ``reward`` is then the worst one seen. A recommendation that
            does so is rejected; of the incumbent it says nothing, for the broker may have been silent.
    """
    if kind == "explore":
        scope.explored += 1
        _promise(spec, scope, reward)
        return False
    block = scope.block
    if block is None or not block.left or block.left[0] != kind:
        if kind == "baseline":
            judge_target(spec, scope, [reward])
        return False
    block.left.pop(0)
    if kind == "confirm":
        if reward is not None:
            block.candidate_rewards.append(reward)
        block.rejected |= failed
    else:
        if reward is not None and not failed:
            block.incumbent_rewards.append(reward)
        judge_target(spec, scope, [reward])
    if block.left and not block.rejected:
        return False
    scope.block = None
    return _judge(spec, scope, block)


def _judge(spec: TunerSpec, scope: ScopeState, block: Block) -> bool:
    incumbent = fmean(block.incumbent_rewards) if block.incumbent_rewards else scope.incumbent.reward
    scope.incumbent.reward = incumbent
    if block.rejected or not block.candidate_rewards or incumbent is None:
        return False
    candidate = fmean(block.candidate_rewards)
    if candidate <= incumbent:
        return False
    scope.incumbent = Incumbent(
        values=block.candidate,
        hash=values_hash(block.candidate),
        reward=candidate,
        since_round=scope.round,
        confirmed=True,
    )
    scope.streak = 0
    judge_target(spec, scope, list(block.candidate_rewards))
    return True


def judge_target(spec: TunerSpec, scope: ScopeState, rewards: list[float | None]) -> None:
    """Whether the target counts as achieved: it changes once enough incumbent rounds in a row say otherwise."""
    target = spec.target
    if target is None:
        return
    for reward in rewards:
        reached = reward is not None and reward >= target.reward
        scope.streak = scope.streak + 1 if reached != scope.achieved else 0
        if scope.streak >= target.rounds and (target.resume or not scope.achieved):
            scope.achieved = not scope.achieved
            scope.streak = 0
            scope.block = None
            scope.explored = scope.promising = 0


def _promise(spec: TunerSpec, scope: ScopeState, reward: float | None) -> None:
    if spec.target is not None:
        scope.promising = scope.promising + 1 if reward is not None and reward >= spec.target.reward else 0
