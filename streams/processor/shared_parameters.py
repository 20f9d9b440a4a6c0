"""Which parameters do an app and the spec share? While an instance is here that lacks one, it is not tuned.

An app is written before its spec, or after it, and a fleet is deployed one instance at a time: for a while, some have a
parameter and others do not. What an instance lacks it cannot change; so it stays as in the incumbent for the whole
scope, and all arms are alike there. What an instance has besides is not asked for: it runs as the app declares it, in
all arms alike. What is known of a boot is kept as two sets of bits, for there may be thousands of them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ...schemas.events import ContextEvent
from ...schemas.spec import TunerSpec
from ...schemas.state import Producer, ScopeState, TunerState

MOST_BESIDES = 20
"""Parameters that are not the spec's are told to people: so many are enough."""

_MOST_SAID = 10
"""Sentences of each kind."""

_MOST_NAMED = 3
"""Instances that are named in a sentence; of more, their number is said."""


class Difference(NamedTuple):
    """What one boot and the spec do not share.

    Attributes:
        lacks: Parameters of the spec that it has not.
        besides: Parameters that it has and the spec lacks, as far as they are kept.
    """

    lacks: list[str]
    besides: list[str]


def note(tuner: TunerState, boot: Producer, event: ContextEvent) -> bool:
    """Take in which parameters a boot says that it has; whether the tuner's own record changed with it."""
    return event.parameters is not None and _set(tuner, boot, set(event.parameters))


def rebase(old: TunerState, new: TunerState, boots: Iterable[Producer]) -> None:
    """What is known of boots, now against an edited spec."""
    for boot in boots:
        known = of_boot(old, boot)
        if known is not None:
            _set(new, boot, (_names(old.spec).keys() - set(known.lacks)) | set(known.besides))


def _set(tuner: TunerState, boot: Producer, has: Collection[str]) -> bool:
    asked = _names(tuner.spec)
    kept = tuner.besides or []
    room = MOST_BESIDES - len(kept)
    new = [name for name in sorted(has) if name not in asked and name not in kept][:room]
    if new:
        tuner.besides = [*kept, *new]
    boot.lacks = _bits(name not in has for name in asked)
    boot.besides = _bits(name in has for name in tuner.besides or ()) or None
    return bool(new)


def _names(spec: TunerSpec) -> dict[str, None]:
    return dict.fromkeys(p.name for p in spec.parameters)


def _bits(true: Iterable[bool]) -> int:
    return sum(1 << i for i, one in enumerate(true) if one)


def _of_bits(names: Sequence[str], bits: int | None) -> list[str]:
    return [name for i, name in enumerate(names) if (bits or 0) >> i & 1]


def of_boot(tuner: TunerState, boot: Producer) -> Difference | None:
    """What a boot and the spec do not share; ``None`` where it did not say what it has."""
    if boot.lacks is None:
        return None
    if not (boot.lacks or boot.besides):
        return Difference([], [])
    return Difference(_of_bits(list(_names(tuner.spec)), boot.lacks), _of_bits(tuner.besides or (), boot.besides))


def in_words(difference: Difference | None) -> str:
    """What one boot and the spec do not share; empty where that is nothing, or not known."""
    if difference is None:
        return ""
    parts = (("lacks", difference.lacks), ("has besides the spec's", difference.besides))
    return "; ".join(f"its app {verb} {', '.join(names)}" for verb, names in parts if names)


def held(tuner: TunerState, scope: ScopeState, now_ms: int) -> dict[str, str | int | float]:
    """What is not tuned in a scope now, because an instance is here that lacks it: the incumbent's values, by name."""
    lacking = 0
    for _, boot in _here(scope, now_ms):
        lacking |= boot.lacks or 0
    names = _of_bits(list(_names(tuner.spec)), lacking) if lacking else ()
    return {name: scope.incumbent.values[name] for name in names}


def not_shared(tuner: TunerState, scope: ScopeState, now_ms: int) -> list[str]:
    """What the instances that are here and the spec do not share, and what becomes of it: sentences for people."""
    lacking, besides = dict[str, list[str]](), dict[str, list[str]]()
    for instance, boot in _here(scope, now_ms):
        differs = of_boot(tuner, boot)
        if differs is None:
            continue
        for name in differs.lacks:
            lacking.setdefault(name, []).append(instance)
        for name in differs.besides:
            besides.setdefault(name, []).append(instance)
    found = [
        f"{name} is not tuned, it stays {scope.incumbent.values[name]!s:.100}: the app lacks it in {_named(instances)}"
        for name, instances in sorted(lacking.items())[:_MOST_SAID]
    ]
    return found + [
        f"{name} is not in the spec, it runs as the app declares it: in {_named(instances)}"
        for name, instances in sorted(besides.items())[:_MOST_SAID]
    ]


def _here(scope: ScopeState, now_ms: int) -> Iterator[tuple[str, Producer]]:
    """The boots that are present, by instance."""
    for instance, boots in scope.producers.items():
        for boot in boots.values():
            if boot.expires_ms >= now_ms:
                yield instance, boot


def _named(instances: Iterable[str]) -> str:
    names = sorted(set(instances))
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]} and {len(names) - 1} more"
