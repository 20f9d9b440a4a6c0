"""What an operator's hand on a running tuner does: holds, versions, pins. Each command ends in one of the three.

A command that asks for what stands already changes nothing; one that makes no sense is refused with a sentence. What
is judged before it becomes the incumbent, or waits for approval, belongs here, too, beside ``set``.
"""

from collections.abc import Iterator, Mapping

from ...core.values import Categorical, Integer, ParameterValue, ValueType
from ...schemas.events import Command
from ...schemas.keys import values_hash
from ...schemas.state import HoldKind, Pin, Proposal, ScopeState, Version
from . import holds, versions
from .changes import Changes
from .disposition import Disposed
from .legal import Values, configuration, legal
from .tuner import Tuner

_SAID: Mapping[HoldKind, str] = {
    "paused": "the tuner was paused",
    "observe": "the tuner only observes",
    "frozen": "the tuner was frozen",
    "killed": "the tuner was killed",
}
"""Of rounds that end with it."""


def pause(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """The fleet gets the incumbent, and measures nothing."""
    return _hold(tuner, "paused", command, changes)


def freeze(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """The fleet gets the incumbent, and measures it."""
    return _hold(tuner, "frozen", command, changes)


def observe(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """As after a rollback: the incumbent is measured, and nothing tried."""
    return _hold(tuner, "observe", command, changes)


def kill(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """The fleet gets the declared values."""
    return _hold(tuner, "killed", command, changes)


def _hold(tuner: Tuner, kind: HoldKind, command: Command, changes: Changes) -> Tuner:
    if command.until_ms is not None and command.until_ms <= changes.now_ms:
        raise _refused("its end is not ahead: by the broker's clock, that time has passed")
    if not holds.stands(tuner.state.hold, kind, command.until_ms):
        tuner.state.hold = holds.begun(kind, command, changes.now_ms)
        tuner.obey(_SAID[kind], changes)
    return tuner


def resume(tuner: Tuner, _: Command, __: int, changes: Changes) -> Tuner:
    """Go on after a hold, or after what suspended the tuner was mended."""
    state = tuner.state
    if state.hold is None and state.suspended is None:
        raise _refused("nothing holds the tuner: there is nothing to resume")
    stood_ms = max(changes.now_ms - state.suspended.time_ms, 0) if state.suspended is not None else 0
    state.suspended = None
    state.hold = None
    for scope in tuner.scopes.values():
        for request in scope.arms if stood_ms else ():
            # The request was held, not silent: its deadlines stood still with it.
            request.activate_by_ms += stood_ms
            if request.measure_by_ms is not None:
                request.measure_by_ms += stood_ms
    tuner.obey("the tuner was resumed", changes)
    return tuner


def rollback(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """An earlier version's values are the incumbent again, and nothing is tried until the tuner is resumed."""
    _not_suspended(tuner)
    scope = _one_scope(tuner, command)
    if _was_rolled_back(tuner, scope, command):
        return tuner
    version = _wanted(scope, command)
    values = configuration(version.values, tuner.spec)
    if values is None:
        raise _refused(f"version {version.number} is not legal under the spec any more")
    restored = f"back to version {version.number}{': ' if command.reason else ''}{command.reason}"
    before = tuner.state.hold
    tuner.state.hold = holds.after_rollback(before, command, changes.now_ms)
    values |= holds.pinned(tuner.state, scope)
    _promote(tuner, scope, values, command, changes, reason=restored, restores=version.number)
    if tuner.state.hold is not before:
        tuner.obey("the incumbent was rolled back", changes)
    return tuner


def _was_rolled_back(tuner: Tuner, scope: ScopeState, command: Command) -> bool:
    """Whether a command that names no version asks for what was done already: since then, the tuner is held."""
    hold, version = tuner.state.hold, versions.current(scope)
    held = hold is not None and hold.until_ms is None and version.since_ms >= hold.since_ms
    return command.version is None and version.restores is not None and held


def _wanted(scope: ScopeState, command: Command) -> Version:
    version = versions.before(scope) if command.version is None else versions.numbered(scope, command.version)
    if version is not None:
        return version
    known = ", ".join(str(one.number) for one in scope.versions)
    wanted = "a version before this one" if command.version is None else f"version {command.version}"
    raise _refused(f"there is no {wanted.removeprefix('a ')} to go back to; there are: {known}")


def set_values(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """An operator's configuration is judged against the incumbent next, or takes its place at once."""
    _not_suspended(tuner)
    given = _legal_values(tuner, command)
    chosen = _scopes(tuner, command)
    for scope in chosen:
        if against := sorted(n for n, x in holds.pinned(tuner.state, scope).items() if given.get(n, x) != x):
            raise _refused(f"{against[0]} is pinned to another value: unpin it first")
    if not command.now and not tuner.spec.rollout.enabled:
        raise _refused("the spec does not judge candidates (rollout.enabled): set it with now, or not at all")
    for scope in chosen:
        values = scope.incumbent.values | given
        if command.now:
            _promote(tuner, scope, values, command, changes)
        else:
            _propose(scope, values, command, changes)
    return tuner


def _propose(scope: ScopeState, values: Values, command: Command, changes: Changes) -> None:
    named = values_hash(values)
    if named == scope.incumbent.hash or (scope.proposal is not None and scope.proposal.hash == named):
        return
    scope.proposal = Proposal(
        values=dict(values), hash=named, by=command.author, reason=command.reason, since_ms=changes.now_ms
    )
    changes.scopes.add(scope.scope)


def pin(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """Every arm has these values from now on: the incumbent at once, as a version, and whatever is asked for."""
    _not_suspended(tuner)
    given = _legal_values(tuner, command)
    chosen = _scopes(tuner, command, fallback=True)
    pins = tuner.state.pins if command.scope is None else chosen[0].pins
    new = {name: x for name, x in given.items() if name not in pins or pins[name].value != x}
    if command.scope is None:
        for scope in chosen:
            scope.pins = {name: one for name, one in scope.pins.items() if name not in given}
    for name, x in new.items():
        pins[name] = Pin(value=x, by=command.author, reason=command.reason, since_ms=changes.now_ms)
    for scope in chosen:
        changes.scopes.add(scope.scope)
        _promote(tuner, scope, scope.incumbent.values | given, command, changes)
        if new and any(x != arm.values[name] for arm in scope.arms for name, x in given.items()):
            tuner.obey_in(scope, f"{', '.join(given)} was pinned", changes, anew=True)
    changes.own = True
    return tuner


def unpin(tuner: Tuner, command: Command, _: int, changes: Changes) -> Tuner:
    """Parameters are tuned again; the incumbent keeps their values until something better is found."""
    _not_suspended(tuner)
    names = command.parameters or []
    known = {parameter.name for parameter in tuner.spec.parameters}
    if unknown := sorted(set(names) - known):
        raise _refused(_no_parameter(unknown[0], tuner))
    chosen = _scopes(tuner, command, fallback=True)
    if command.scope is not None and (everywhere := sorted(set(names) & tuner.state.pins.keys())):
        raise _refused(f"{everywhere[0]} is pinned in all contexts: unpin it in all of them")
    for scope in chosen:
        scope.pins = {name: one for name, one in scope.pins.items() if name not in names}
        changes.scopes.add(scope.scope)
    if command.scope is None:
        tuner.state.pins = {name: one for name, one in tuner.state.pins.items() if name not in names}
    return tuner


def _promote(
    tuner: Tuner,
    scope: ScopeState,
    values: Values,
    command: Command,
    changes: Changes,
    *,
    reason: str | None = None,
    restores: int | None = None,
) -> None:
    """Make values the incumbent by an operator's word; rounds that were opened under another one end."""
    said = command.reason if reason is None else reason
    promoted = versions.promote(
        scope,
        values,
        by=command.author,
        reason=said,
        now_ms=changes.now_ms,
        restores=restores,
    )
    if promoted:
        scope.incumbent.confirmed = values != tuner.spec.declared()
        scope.achieved, scope.streak, scope.promising = False, 0, 0
        tuner.obey_in(scope, f"{command.author} changed the incumbent", changes, anew=True)


def _scopes(tuner: Tuner, command: Command, *, fallback: bool = False) -> list[ScopeState]:
    """The scopes that a command is for.

    Args:
        tuner: The tuner.
        command: It names one, or means all.
        fallback: Also the scope of no context, where there are others: it is what an unknown context runs.

    Raises:
        Disposed: There is none of the name.
    """
    if command.scope is None:
        return [scope for name, scope in tuner.scopes.items() if name or fallback or not _has_contexts(tuner)]
    if command.scope not in tuner.scopes:
        raise _refused(f"the tuner has no context {command.scope!r}")
    return [tuner.scopes[command.scope]]


def _has_contexts(tuner: Tuner) -> bool:
    return len(tuner.scopes) > 1


def _one_scope(tuner: Tuner, command: Command) -> ScopeState:
    chosen = _scopes(tuner, command)
    if len(chosen) > 1:
        raise _refused(f"versions are a context's own, and there are {len(chosen)} contexts: name one")
    return chosen[0]


def _legal_values(tuner: Tuner, command: Command) -> dict[str, ParameterValue]:
    return dict(_each_legal(tuner, command.values or {}))


def _each_legal(tuner: Tuner, values: Values) -> Iterator[tuple[str, ParameterValue]]:
    parameters = {parameter.name: parameter for parameter in tuner.spec.values()}
    for name, given in values.items():
        if name not in parameters:
            raise _refused(_no_parameter(name, tuner))
        x = legal(parameters[name], given)
        if x is None:
            raise _refused(f"{name}={given!s:.100} is not legal: it is {_range(parameters[name])}")
        yield name, x


def _range(parameter: ValueType) -> str:
    if isinstance(parameter, Categorical):
        return f"one of {', '.join(parameter.categories)}"[:300]
    kind = "a whole number" if isinstance(parameter, Integer) else "a number"
    step = f", in steps of {parameter.step}" if parameter.step not in {None, 1} else ""
    return f"{kind} from {parameter.min} to {parameter.max}{step}"


def _no_parameter(name: str, tuner: Tuner) -> str:
    return f"the spec has no parameter {name!r}; it has {', '.join(p.name for p in tuner.spec.parameters)}"


def _not_suspended(tuner: Tuner) -> None:
    if tuner.state.suspended is not None:
        raise _refused("the tuner is suspended: mend the cause and resume it first, or kill it")


def _refused(why: str) -> Disposed:
    return Disposed("refused", "makes_no_sense", why)
