"""Does tuning go on where instances are here, and if not, why? Whatever the cause, it is said."""

from ...schemas.base import ms
from ...schemas.spec import TunerSpec
from ...schemas.state import ScopeState
from .presence import present
from .request import never_recorded, samples


def standstill(spec: TunerSpec, scope: ScopeState, now_ms: int) -> str:
    """Why no round of a scope was measured for long, though instances are here; empty where all is well.

    Args:
        spec: The tuner's.
        scope: The scope, of a tuner that measures, and is not suspended.
        now_ms: Partition time.
    """
    since_ms = scope.unmeasured_since_ms
    if since_ms is None or now_ms - since_ms <= ms(spec.standstill_s) or not present(scope, now_ms):
        return ""
    return f"no round was measured for {(now_ms - since_ms) / 1000:.0f} s: {_why(spec, scope)}"


def _why(spec: TunerSpec, scope: ScopeState) -> str:
    """The most that is known: what ended the last round, else how far this one is."""
    if scope.unmeasured_why:
        return scope.unmeasured_why
    for request in scope.arms:
        if request.activated_ms is None:
            return f"no instance runs round {request.round}"
        counted = f"{samples(spec, request)} of {spec.measurement.min_samples} samples"
        return never_recorded(spec, request) or f"round {request.round} has {counted}"
    return "no round is open"
