"""Which parameters do an app and the spec share? While an instance is here that lacks one, it is not tuned.

An app is written before its spec, or after it, and a fleet is deployed one instance at a time: for a while, some have a
parameter and others do not. What an instance lacks it cannot change; so it stays as in the incumbent for the whole
scope, and all arms are alike there. What an instance has besides is not asked for: it runs as the app declares it, in
all arms alike. What is known of a boot is kept as the difference from the spec, which is empty nearly always.
"""

from collections.abc import Iterable, Iterator

from ...schemas.events import ContextEvent
from ...schemas.spec import TunerSpec
from ...schemas.state import Producer, ScopeState

_MOST_BESIDES = 20
"""Parameters that are not the spec's are told to people: so many are enough."""

_MOST_SAID = 10
"""Sentences of each kind."""

_MOST_NAMED = 3
"""Instances that are named in a sentence; of more, their number is said."""


def note(spec: TunerSpec, boot: Producer, event: ContextEvent) -> None:
    """Take in which parameters a boot says that it has."""
    if event.parameters is not None:
        _set(boot, spec, set(event.parameters))


def rebase(boots: Iterable[Producer], old: TunerSpec, new: TunerSpec) -> None:
    """What is known of boots, now against an edited spec."""
    for boot in boots:
        if boot.lacks is not None:
            _set(boot, new, (_names(old) - set(boot.lacks)) | set(boot.besides or ()))


def _set(boot: Producer, spec: TunerSpec, has: set[str]) -> None:
    asked = _names(spec)
    boot.lacks = [p.name for p in spec.parameters if p.name not in has]
    boot.besides = sorted(has - asked)[:_MOST_BESIDES] or None


def _names(spec: TunerSpec) -> set[str]:
    return {p.name for p in spec.parameters}


def held(scope: ScopeState, now_ms: int) -> dict[str, str | int | float]:
    """What is not tuned in a scope now, because an instance is here that lacks it: the incumbent's values, by name."""
    lacking = {name for _, boot in _here(scope, now_ms) for name in boot.lacks or ()}
    return {name: x for name, x in scope.incumbent.values.items() if name in lacking}


def not_shared(scope: ScopeState, now_ms: int) -> list[str]:
    """What the instances that are here and the spec do not share, and what becomes of it: sentences for people."""
    lacking, besides = dict[str, list[str]](), dict[str, list[str]]()
    for instance, boot in _here(scope, now_ms):
        for name in boot.lacks or ():
            lacking.setdefault(name, []).append(instance)
        for name in boot.besides or ():
            besides.setdefault(name, []).append(instance)
    found = [
        f"{name} is not tuned, it stays {scope.incumbent.values[name]!s:.100}: the app lacks it in {_named(instances)}"
        for name, instances in sorted(lacking.items())[:_MOST_SAID]
        if name in scope.incumbent.values
    ]
    return found + [
        f"{name} is not in the spec, it runs as the app declares it: in {_named(instances)}"
        for name, instances in sorted(besides.items())[:_MOST_SAID]
    ]


def of_boot(boot: Producer | None) -> str:
    """What one boot and the spec do not share, in words; empty where that is nothing, or not known."""
    if boot is None:
        return ""
    parts = (("lacks", boot.lacks), ("has besides the spec's", boot.besides))
    return "; ".join(f"its app {verb} {', '.join(names)}" for verb, names in parts if names)


def _here(scope: ScopeState, now_ms: int) -> Iterator[tuple[str, Producer]]:
    """The boots that are present, by instance."""
    for instance, boots in scope.producers.items():
        for boot in boots.values():
            if boot.expires_ms >= now_ms:
                yield instance, boot


def _named(instances: Iterable[str]) -> str:
    names = sorted(set(instances))
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{names[0]} and {len(names) - 1} more"
