"""When is enough reached? A target ends tuning, and its loss may begin it again."""

from collections.abc import Iterable

from ...schemas.spec import TunerSpec
from ...schemas.state import ScopeState


def judge(spec: TunerSpec, scope: ScopeState, rewards: Iterable[float | None]) -> None:
    """Whether the target counts as achieved: it changes once enough rounds of the incumbent in a row say otherwise."""
    target = spec.target
    if target is None:
        return
    for reward in rewards:
        reached = reward is not None and reward >= target.reward
        scope.streak = scope.streak + 1 if reached != scope.achieved else 0
        if scope.streak >= target.rounds and (target.resume or not scope.achieved):
            scope.achieved = not scope.achieved
            scope.streak = 0
            scope.observing = 0
            if scope.rollout is not None and scope.rollout.proposed_ms is None:
                scope.rollout = None
            scope.explored = scope.promising = 0


def promise(spec: TunerSpec, scope: ScopeState, reward: float | None) -> None:
    """Count exploring rounds in a row that reached the target."""
    if spec.target is not None:
        scope.promising = scope.promising + 1 if reward is not None and reward >= spec.target.reward else 0


def is_promising(spec: TunerSpec, scope: ScopeState) -> bool:
    """Whether exploring has reached the target so often that the recommendation should be judged before its turn."""
    return spec.target is not None and scope.promising >= spec.target.rounds
