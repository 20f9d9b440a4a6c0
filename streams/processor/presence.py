"""Who is here: instances that gave a sign of life not too long ago, in partition time.

A sign of life belongs to its boot, and so does a goodbye: where an instance was started again under its name, or a new
copy runs beside the old one, what the old one says is of the old one alone. An instance is here while one of its boots
is. What was counted of a boot is remembered beyond its end, so that no copy of an event brings it back.
"""

from collections.abc import Iterable

from ...schemas.base import ms
from ...schemas.events import ContextEvent, MetricEvent
from ...schemas.state import OpenRequest, Presence, Producer, ScopeState
from .deduplication import ALL_COUNTED
from .disposition import Disposed

COPIES_S = 3600.0
"""For so long after a boot's last sign of life its events are known: well beyond the time for which producers try to
send (librdkafka 5 minutes, Java 2), and few enough deployments for a scope's record."""

BOOTS = 4
"""So many times as many boots as instances are remembered per scope; beyond, those longest gone are forgotten."""


def present(scope: ScopeState, now_ms: int) -> list[str]:
    """The instances that are present in a scope."""
    return [name for name, presence in scope.presence.items() if presence.expires_ms >= now_ms]


def last_heard_ms(scope: ScopeState) -> int | None:
    """When the last sign of life of any instance runs out, or ran out; ``None`` where nobody ever gave one."""
    return max((presence.expires_ms for presence in scope.presence.values()), default=None)


def known(scopes: Iterable[ScopeState], event: ContextEvent | MetricEvent) -> tuple[ScopeState, Producer] | None:
    """Where an event's boot was heard of last, and what is known of it."""
    boot = event.boot or ""
    for scope in scopes:
        if (event.instance in scope.producers or event.instance in scope.presence) and (
            producer := boots_of(scope, event.instance).get(boot)
        ) is not None:
            return scope, producer
    return None


def boots_of(scope: ScopeState, instance: str) -> dict[str, Producer]:
    """What is known of an instance's boots in a scope, by their names, ``""`` where events are not numbered."""
    boots = scope.producers.get(instance)
    if boots is None:
        boots = scope.producers[instance] = {}
        before = scope.presence.get(instance)
        if before is not None:  # written by 0.1.0: one boot, of which all up to its newest number was counted
            boots[before.boot or ""] = Producer(
                high=-1 if before.seq is None else before.seq,
                mask=ALL_COUNTED if before.seq is not None and before.seq >= 0 else 0,
                expires_ms=before.expires_ms,
                heard_ms=before.heard_ms or 0,
            )
    return boots


def check_room(scope: ScopeState, event: ContextEvent | MetricEvent, limit: int, now_ms: int) -> None:
    """Whether an event's instance can be noted in a scope.

    Args:
        scope: The scope.
        event: What the instance sent.
        limit: The scope has room for so many instances.
        now_ms: The event's time.

    Raises:
        Disposed: The scope has as many instances as its spec allows, or as many boots as are remembered.
    """
    if event.instance not in scope.presence:
        if len(scope.presence) >= limit:
            forget_absent(scope, now_ms)
        if len(scope.presence) >= limit:
            raise Disposed("refused", "too_many_instances", f"more than {limit} instances in one context")
    if (event.boot or "") not in scope.producers.get(event.instance, {}):
        over = sum(map(len, scope.producers.values())) + 1 - BOOTS * limit
        if over > 0 and _forget_oldest(scope, over, now_ms) < over:
            raise Disposed("refused", "too_many_producers", f"more than {BOOTS * limit} boots in one context")


def died(scope: ScopeState, event: ContextEvent) -> bool:
    """Whether a boot that has just begun takes the place of one that was here and did not say goodbye."""
    boots = scope.producers.get(event.instance, {})
    return any(name != (event.boot or "") and boot.expires_ms and not boot.left for name, boot in boots.items())


def see(scope: ScopeState, event: ContextEvent | MetricEvent, producer: Producer, ttl_s: float, now_ms: int) -> None:
    """Note a sign of life of a boot. There is room: see :func:`check_room`.

    Args:
        scope: Its scope.
        event: What it sent.
        producer: The boot, which is in the scope from now on.
        ttl_s: It counts as present for so long.
        now_ms: The event's time.
    """
    boots_of(scope, event.instance)[event.boot or ""] = producer
    producer.left = None
    producer.expires_ms = max(producer.expires_ms, now_ms + ms(ttl_s))
    producer.heard_ms = max(producer.heard_ms, now_ms)
    presence = scope.presence.get(event.instance)
    if presence is None:
        presence = scope.presence[event.instance] = Presence(expires_ms=0)
    presence.expires_ms = max(presence.expires_ms, producer.expires_ms)
    presence.heard_ms = max(presence.heard_ms or 0, now_ms)


def sign_off(scope: ScopeState, event: ContextEvent, now_ms: int) -> None:
    """A boot said goodbye; without a boot, it is all of the instance that did."""
    for name, boot in boots_of(scope, event.instance).items():
        if event.boot is None or name == event.boot:
            boot.left, boot.expires_ms, boot.heard_ms = True, 0, max(boot.heard_ms, now_ms)
    _settle(scope, event.instance)


def move_out(scope: ScopeState, event: ContextEvent, *, starts: bool) -> None:
    """An instance that says where it is is nowhere else any more.

    Args:
        scope: Where it is no more.
        event: What it said elsewhere.
        starts: The boot was never heard of before: those before it have ended.
    """
    for name, boot in boots_of(scope, event.instance).items():
        if starts or event.boot is None or name == event.boot:
            boot.expires_ms = 0
    _settle(scope, event.instance)


def hand_over(scope: ScopeState, event: ContextEvent) -> None:
    """What was counted of an event's boot is remembered in another scope from now on."""
    if scope.producers.get(event.instance, {}).pop(event.boot or "", None) is not None:
        _settle(scope, event.instance)


def _settle(scope: ScopeState, instance: str) -> None:
    """An instance is here as long as one of its boots is."""
    boots = scope.producers[instance]
    if not boots:
        del scope.producers[instance]
    here = max(boots.values(), key=lambda boot: boot.expires_ms, default=None)
    if here is None or not here.expires_ms:
        scope.presence.pop(instance, None)
    elif (presence := scope.presence.get(instance)) is not None:
        presence.expires_ms, presence.heard_ms = here.expires_ms, here.heard_ms


def remember(scope: ScopeState, ended: ScopeState) -> None:
    """Remember what was counted of a scope's boots, of which none is present any more, in another scope."""
    for instance in sorted(ended.producers.keys() | ended.presence.keys()):
        for name, boot in boots_of(ended, instance).items():
            gone = boot.model_copy(update={"expires_ms": 0})
            scope.producers.setdefault(instance, {}).setdefault(name, gone)


def waited_for(scope: ScopeState, request: OpenRequest) -> dict[str, list[Presence | Producer]]:
    """Who ran a request and reported nothing: what is known of its boots that did, but those that said goodbye."""
    found: dict[str, list[Presence | Producer]] = {}
    ran_by = request.boots or {}
    for instance, reports in request.ran.items():
        if reports:
            continue
        signs: list[Presence | Producer] = []
        if instance in ran_by:
            boots = scope.producers.get(instance, {})
            signs += [b for name in ran_by[instance] if (b := boots.get(name)) is not None and not b.left]
        elif instance in scope.presence:
            signs.append(scope.presence[instance])
        if signs:
            found[instance] = signs
    return found


def forget_absent(scope: ScopeState, now_ms: int) -> None:
    """Drop the instances whose time is up, but those whose silence an open round is still to be judged by.

    Their boots are remembered for longer, for copies of their events.
    """
    keep = {name for request in scope.arms for name in waited_for(scope, request)}
    scope.presence = {n: p for n, p in scope.presence.items() if p.expires_ms >= now_ms or n in keep}
    oldest_ms = now_ms - ms(COPIES_S)
    remembered = (
        (n, boots if n in keep else {b: p for b, p in boots.items() if max(p.expires_ms, p.heard_ms) >= oldest_ms})
        for n, boots in scope.producers.items()
    )
    scope.producers = {n: boots for n, boots in remembered if boots}


def _forget_oldest(scope: ScopeState, many: int, now_ms: int) -> int:
    """Forget boots that are gone, the longest first; returns how many there were to forget."""
    gone = sorted(
        (boot.heard_ms, instance, name)
        for instance, boots in scope.producers.items()
        for name, boot in boots.items()
        if boot.expires_ms < now_ms
    )
    for _, instance, name in gone[:many]:
        del scope.producers[instance][name]
        if not scope.producers[instance]:
            del scope.producers[instance]
    return min(many, len(gone))
