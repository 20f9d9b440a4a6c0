"""Which configurations a scope runs at the same time, and with which shares of its units.

Today one at a time: the whole scope is its share.
"""

from ...schemas.configs import Arm
from ...schemas.state import ScopeState, TunerState

ONE_ARM = "candidate"
"""Name of the only arm, whatever it plays. It is part of every request's id, so it stays."""


def published_arms(tuner: TunerState, scope: ScopeState) -> list[Arm]:
    """The arms of a scope's config record; none where the tuner stands still: the fleet runs the incumbent then."""
    if tuner.paused or tuner.suspended is not None:
        return []
    return [
        Arm(
            arm=request.arm,
            request_id=request.id,
            round=request.round,
            kind=request.kind,
            values=request.values,
            hash=request.hash,
            share=1.0 / len(scope.arms),
        )
        for request in scope.arms
    ]
