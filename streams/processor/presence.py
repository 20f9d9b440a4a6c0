"""Who is here: instances that gave a sign of life not too long ago, in partition time."""

from collections.abc import Iterable

from ...schemas.base import ms
from ...schemas.events import ContextEvent, MetricEvent
from ...schemas.state import Presence, ScopeState
from .disposition import Disposed


def present(scope: ScopeState, now_ms: int) -> list[str]:
    """The instances that are present in a scope."""
    return [name for name, presence in scope.presence.items() if presence.expires_ms >= now_ms]


def last_heard_ms(scope: ScopeState) -> int | None:
    """When the last sign of life of any instance runs out, or ran out; ``None`` where nobody ever gave one."""
    return max((presence.expires_ms for presence in scope.presence.values()), default=None)


def see(scope: ScopeState, event: ContextEvent | MetricEvent, ttl_s: float, limit: int, now_ms: int) -> None:
    """Note a sign of life of an instance.

    Args:
        scope: Its scope.
        event: What it sent.
        ttl_s: It counts as present for so long.
        limit: The scope has room for so many instances.
        now_ms: The event's time.

    Raises:
        Disposed: The scope has as many instances as its spec allows.
    """
    presence = scope.presence.get(event.instance)
    if presence is None:
        if len(scope.presence) >= limit:
            forget_absent(scope, now_ms)
        if len(scope.presence) >= limit:
            raise Disposed("refused", "too_many_instances", f"more than {limit} instances in one context")
        presence = scope.presence[event.instance] = Presence(expires_ms=0)
    presence.expires_ms = max(presence.expires_ms, now_ms + ms(ttl_s))
    presence.heard_ms = max(presence.heard_ms or 0, now_ms)
    if isinstance(event, ContextEvent) and event.seq is not None:
        presence.boot, presence.seq = event.boot, event.seq


def forget_absent(scope: ScopeState, now_ms: int) -> None:
    """Drop the instances whose time is up, but those whose silence an open round is still to be judged by."""
    waited_for = {name for request in scope.arms for name, reports in request.ran.items() if not reports}
    scope.presence = {n: p for n, p in scope.presence.items() if p.expires_ms >= now_ms or n in waited_for}


def leave(scopes: Iterable[ScopeState], event: ContextEvent, *, but: str) -> list[str]:
    """An instance that says where it is is nowhere else any more; after a goodbye it is nowhere.

    Args:
        scopes: All scopes of the tuner.
        event: What it said.
        but: The scope that it is in.

    Returns:
        The scopes that it left.

    Raises:
        Disposed: It is a duplicate, or older than what is known: it must not undo what came after it.
    """
    known = [scope for scope in scopes if event.instance in scope.presence]
    for scope in known:
        before = scope.presence[event.instance]
        if event.seq is not None and before.boot == event.boot and event.seq <= before.seq:
            raise Disposed("duplicate", "seen", letter=False)
    left = [scope for scope in known if event.leaving or scope.scope != but]
    for scope in left:
        del scope.presence[event.instance]
    return [scope.scope for scope in left]
