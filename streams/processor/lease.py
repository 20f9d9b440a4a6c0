"""The lease of what a scope tries: the fleet trusts it only as long as a worker renews its config record."""

from ...schemas.base import ms
from ...schemas.spec import TunerSpec
from ...schemas.state import ScopeState


def renewal_due_ms(spec: TunerSpec, scope: ScopeState) -> int:
    """When to renew it: at a third of its length, so that two renewals may fail."""
    return scope.published_ms + ms(spec.lease_length_s / 3)


def ran_out(spec: TunerSpec, scope: ScopeState, now_ms: int) -> bool:
    """Whether no worker renewed it in time: the fleet went back to the incumbent, and its silence says nothing."""
    return now_ms - scope.published_ms > ms(spec.lease_length_s)
