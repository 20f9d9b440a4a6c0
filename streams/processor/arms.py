"""Which configurations a scope runs at the same time, and how many of its units each: the one place that decides it."""

from collections.abc import Sequence
from typing import NamedTuple

from ...schemas.configs import Arm, ArmKind
from ...schemas.spec import Explore, TunerSpec
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import holds

BASELINE = "baseline"
"""Name of the arm that runs the incumbent."""

CANDIDATE = "candidate"
"""Name of the arm that a roll-out's configuration has."""

FEWEST_BESIDE = 4
"""So many instances are needed to compare some with others; fewer run one configuration after the other."""


class Shape(NamedTuple):
    """How many units each arm gets.

    Attributes:
        candidate: Of the roll-out's configuration.
        explore: Of each arm that the learner asks for.
    """

    candidate: int
    explore: tuple[int, ...]


def beside(spec: TunerSpec, units: int) -> bool:
    """Whether arms run side by side, where so many units are here.

    A reward that is a function of all that was measured cannot be told unit by unit: nothing could be promoted.
    """
    return spec.explore.share < 1 and units >= FEWEST_BESIDE and spec.objective.function is None


def explore_arm(number: int) -> str:
    """Name of an exploring arm, from 0."""
    return f"e{number + 1}"


def shape(explore: Explore, units: int, candidate: int, *, exploring: bool) -> Shape:
    """How many units each arm gets of those that are here; the baseline has the rest, which is one at least.

    Args:
        explore: How much of them may try something.
        units: How many are here.
        candidate: So many are the roll-out's.
        exploring: Whether anything is asked of the learner now.
    """
    most = units - candidate - 1
    wanted = int(explore.share * units + 1e-9)
    arms = min(explore.arms, max(wanted, 1), most) if exploring else 0
    if arms <= 0:
        return Shape(candidate, ())
    return Shape(candidate, (max(min(wanted, most) // arms, 1),) * arms)


def published_arms(tuner: TunerState, scope: ScopeState) -> list[Arm]:
    """The arms of a scope's config record; none where the tuner stands still: the fleet runs the incumbent then."""
    if not holds.measures(tuner) or tuner.suspended is not None or not scope.arms:
        return []
    if scope.schedule == "turns":
        return [_arm(request, 1.0 / len(scope.arms)) for request in scope.arms]
    requests = {request.arm: request for request in scope.arms}
    return [
        _arm(requests[piece.arm], piece.share) if piece.arm in requests else _withdrawn(scope, piece.arm, piece.share)
        for piece in scope.pieces
    ]


def _arm(request: OpenRequest, share: float) -> Arm:
    return Arm(
        arm=request.arm,
        request_id=request.id,
        round=request.round,
        kind=request.kind,
        values=request.values,
        hash=request.hash,
        share=share,
    )


def _withdrawn(scope: ScopeState, arm: str, share: float) -> Arm:
    """An arm that is no more: its piece stays, or the pieces behind it would move."""
    kind: ArmKind = "withdrawn"
    return Arm(
        arm=arm,
        request_id=f"{scope.round}/{arm}",
        round=scope.round,
        kind=kind,
        values=scope.incumbent.values,
        hash=scope.incumbent.hash,
        share=share,
    )


def of_kind(scope: ScopeState, kind: ArmKind) -> OpenRequest | None:
    """The scope's open request of a kind that it has one of at most."""
    return next((request for request in scope.arms if request.kind == kind), None)


def exploring(scope: ScopeState) -> Sequence[OpenRequest]:
    """The scope's open requests that its learner asked for, in the order of their names."""
    return sorted((request for request in scope.arms if request.kind == "explore"), key=lambda request: request.arm)
