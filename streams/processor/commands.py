"""What an operator's commands do: one function a verb, from the tuner that is there to the tuner that is then."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from ...core.types import Context
from ...schemas.base import explain
from ...schemas.events import Command
from ...schemas.spec import TunerSpec
from ...schemas.state import TunerState
from . import edit, holds, learners, presence, rollout, shared_parameters, steering, versions
from . import round as rounds
from .changes import Changes
from .closing import End, context_of
from .disposition import Disposed
from .learner_time import timed
from .tuner import Tuner, new_scope

REMEMBERED_COMMANDS = 32
"""Ids of commands in a tuner's record, by which whoever sent one sees that it was carried out."""

REMEMBERED_INCARNATIONS = 16
"""Earlier incarnations whose late metrics are known for what they are; of older ones they are of an unknown request."""


def carry_out(tuner: Tuner, command: Command, offset: int, changes: Changes) -> Tuner | None:
    """Do what a command for a tuner that is there wants.

    Args:
        tuner: The tuner.
        command: What is wanted.
        offset: The command's: a new incarnation is named by it.
        changes: What this changes.

    Returns:
        The tuner as it is then; ``None`` where it was deleted.

    Raises:
        Disposed: Its spec cannot be used.
    """
    after = VERBS[command.kind](tuner, command, offset, changes)
    if after is not None:
        _remember(after, command, changes)
    return after


def create(command: Command, offset: int, changes: Changes) -> Tuner:
    """Apply a spec to a name that has no tuner.

    Raises:
        Disposed: The worker cannot run it.
    """
    tuner = _new(_spec_of(command), command, offset, changes)
    changes.publish(tuner.scopes[""])
    _remember(tuner, command, changes)
    return tuner


def _remember(tuner: Tuner, command: Command, changes: Changes) -> None:
    tuner.state.commands = [*tuner.state.commands, command.id][-REMEMBERED_COMMANDS:]
    changes.own = True


def _apply(tuner: Tuner, command: Command, offset: int, changes: Changes) -> Tuner:
    """The same spec changes nothing; another takes over all that is sound under it (``edit.py``)."""
    wanted = _spec_of(command)
    with _refused_with_a_reason():
        spec = learners.decided_as(wanted, tuner.spec)
    if spec == tuner.spec:
        return tuner
    if edit.touches_learning(tuner.spec, spec):
        return _take_over(tuner, spec, command, offset, changes)
    return _amend(tuner, spec, command, changes)


def _amend(tuner: Tuner, spec: TunerSpec, command: Command, changes: Changes) -> Tuner:
    """Under a spec that learns the same, rounds and learners go on."""
    before = tuner.spec
    other_target = spec.target != before.target
    tuner.state.spec = spec
    tuner.state.author, tuner.state.reason, tuner.state.applied_ms = command.author, command.reason, changes.now_ms
    for scope in tuner.scopes.values():
        if other_target:
            scope.achieved, scope.streak, scope.promising = False, 0, 0
        if not spec.rollout.enabled or spec.rollout.stages != before.rollout.stages:
            rollout.drop(scope)
        if not spec.rollout.enabled:
            scope.proposal = None
    tuner.obey("a new spec was applied", changes)
    return tuner


def _take_over(tuner: Tuner, spec: TunerSpec, command: Command, offset: int, changes: Changes) -> Tuner:
    """Another incarnation, with what is sound of what was learned."""
    fresh = _begin_anew(tuner, spec, command, offset, changes)
    for name in sorted(tuner.scopes.keys() & fresh.scopes.keys()):
        before, scope = tuner.scopes[name], fresh.scopes[name]
        kept = edit.with_pins(edit.incumbent(before, tuner.spec, spec), holds.pinned(fresh.state, scope))
        versions.inherit(scope, before, kept, by=command.author, reason=_why_anew(command), now_ms=changes.now_ms)
        scope.proposal = edit.proposal(before, spec)
        scope.round, scope.outcomes = before.round, before.outcomes
        if tuner.spec.objective == spec.objective:
            scope.worst_reward, scope.last_reward = before.worst_reward, before.last_reward
        learner = fresh.learners.of(name)
        if learner.capabilities.learns_from_others:
            for seen in edit.observations(tuner, before, spec):
                timed(spec.algorithm.name, learner.observe, seen.prediction, seen.reward, context_of(scope))
            changes.learned.add(name)
    return _opened(fresh, changes)


def _reset(tuner: Tuner, command: Command, offset: int, changes: Changes) -> Tuner:
    """The same spec from the start."""
    return _opened(_begin_anew(tuner, tuner.spec, command, offset, changes), changes)


def _delete(tuner: Tuner, _: Command, __: int, changes: Changes) -> None:
    """Nothing is known of the tuner any more."""
    _supersede(tuner, "the tuner was deleted", changes)
    for name in tuner.scopes:
        changes.forget(tuner.name, name)
    changes.deleted.add(tuner.name)


VERBS: Mapping[str, Callable[[Tuner, Command, int, Changes], Tuner | None]] = {
    "apply": _apply,
    "delete": _delete,
    "pause": steering.pause,
    "freeze": steering.freeze,
    "observe": steering.observe,
    "kill": steering.kill,
    "resume": steering.resume,
    "rollback": steering.rollback,
    "pin": steering.pin,
    "unpin": steering.unpin,
    "set": steering.set_values,
    "reset": _reset,
}
"""By the command's kind; a test holds that there is one for each."""


def _begin_anew(tuner: Tuner, spec: TunerSpec, command: Command, offset: int, changes: Changes) -> Tuner:
    """Another incarnation: open rounds are superseded, nothing is learned. Holds, pins and history outlive it."""
    same_contexts = edit.keeps_contexts(tuner.spec, spec)
    known = [context_of(scope) for name, scope in tuner.scopes.items() if name and same_contexts]
    # A spec that cannot be used changes nothing.
    fresh = _new(spec, command, max(offset, tuner.state.incarnation + 1), changes, known)
    _supersede(tuner, "a new spec was applied" if command.kind == "apply" else "the tuner was reset", changes)
    fresh.state.earlier = [*tuner.state.earlier, tuner.state.incarnation][-REMEMBERED_INCARNATIONS:]
    fresh.state.commands = tuner.state.commands
    fresh.state.hold, fresh.state.pins = tuner.state.hold, edit.pins(tuner.state.pins, spec)
    for name, old in tuner.scopes.items():
        for boots in old.producers.values():
            shared_parameters.rebase(tuner.state, fresh.state, boots.values())
        if name and not same_contexts:
            changes.scopes.discard(name)
            changes.forget(tuner.name, name)
            presence.remember(fresh.scopes[""], old)
        else:
            scope = fresh.add(new_scope(fresh.state, context_of(old), changes.now_ms))
            scope.pins = edit.pins(old.pins, spec)
            begun = edit.with_pins(scope.incumbent, holds.pinned(fresh.state, scope))
            versions.inherit(scope, old, begun, by=command.author, reason=_why_anew(command), now_ms=changes.now_ms)
            if same_contexts:
                scope.presence, scope.producers = old.presence, old.producers
            else:
                presence.remember(scope, old)
            scope.version = old.version
    return fresh


def _why_anew(command: Command) -> str:
    done = "the spec was edited" if command.kind == "apply" else "the tuner was reset"
    return f"{done}: {command.reason}" if command.reason else done


def _opened(tuner: Tuner, changes: Changes) -> Tuner:
    for scope in tuner.scopes.values():
        rounds.open_next(tuner.state, scope, tuner.learners, changes)
    return tuner


def _supersede(tuner: Tuner, why: str, changes: Changes) -> None:
    for scope in tuner.scopes.values():
        rounds.stop(tuner.state, scope, tuner.learners, changes, End("superseded", why))


def _spec_of(command: Command) -> TunerSpec:
    """The spec that an apply command carries.

    Raises:
        Disposed: It is none, or another tuner's.
    """
    try:
        spec = TunerSpec.model_validate(command.spec)
    except ValidationError as error:
        raise Disposed("dead_letter", "spec_invalid", explain(error)) from error
    if spec.name != command.tuner:
        raise Disposed(
            "dead_letter", "spec_invalid", f"the spec is of tuner {spec.name!r}, the command of {command.tuner!r}"
        )
    return spec


def _new(spec: TunerSpec, command: Command, incarnation: int, changes: Changes, known: Iterable[Context] = ()) -> Tuner:
    """A new tuner, with the scope of no context and nobody present.

    Args:
        spec: Its spec.
        command: Who wanted it, and why.
        incarnation: What names it.
        changes: Of the step, for its time.
        known: Contexts that it will have from the start.

    Raises:
        Disposed: The worker cannot run the spec: its algorithm, arguments or function.
    """
    with _refused_with_a_reason():
        spec = learners.decided(spec)
        learners.try_out(spec, incarnation, known)
        state = TunerState(
            v=1,
            tuner=spec.name,
            spec=spec,
            incarnation=incarnation,
            author=command.author,
            reason=command.reason,
            applied_ms=changes.now_ms,
        )
        return Tuner(state, {"": new_scope(state, Context(), changes.now_ms)})


@contextmanager
def _refused_with_a_reason() -> Iterator[None]:
    """An installed algorithm may raise anything; the spec is what must change."""
    try:
        yield
    except Exception as error:
        raise Disposed("dead_letter", "spec_invalid", f"{type(error).__name__}: {error}") from error
