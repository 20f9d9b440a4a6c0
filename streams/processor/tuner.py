"""One tuner: its spec, its scopes, its learners, and what each event does to them.

Everything here works in place on one tuner and writes into an :class:`Outcome`. It may raise at any point: the caller
then throws the tuner away and decodes it again from its last committed records (see ``cell.py``).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never, cast

from pydantic import ValidationError

from ...algorithms.base import Algorithm
from ...core.types import Context
from ...schemas.base import explain
from ...schemas.events import Command, ContextEvent, MetricEvent
from ...schemas.keys import request_id, scope_key, state_scope_key, values_hash
from ...schemas.records import Outcome as RoundOutcome
from ...schemas.records import RoundRecord
from ...schemas.spec import TunerSpec, reduce_context
from ...schemas.state import (
    Incumbent,
    OpenRequest,
    ScopeState,
    Suspension,
    TunerState,
)
from . import confirm, learners, reward
from . import scope as scopes
from .decode import NotUsed
from .effects import Effects

MAX_STATE_BYTES = 4 * 1024 * 1024
"""Budget of one state record; its topic takes 8 MB."""

REMEMBERED_COMMANDS = 32
REMEMBERED_INCARNATIONS = 16


MissedOutcome = Literal["late", "settling", "superseded"]


class OverBudgetError(Exception):
    """A state record outgrew its budget."""


@dataclass(slots=True)
class Missed:
    """Metrics of one request that missed their round."""

    event: MetricEvent
    outcome: MissedOutcome
    why: str
    time_ms: int
    events: int = 0


@dataclass(slots=True)
class Outcome:
    """What folding some events into a tuner brought about, besides its state.

    Attributes:
        rounds: Records of closed rounds.
        missed: By request id and disposition.
        deleted: Keys of ``state`` and of ``configs`` to delete.
    """

    rounds: list[RoundRecord] = field(default_factory=list)
    missed: dict[tuple[str, str], Missed] = field(default_factory=dict)
    deleted_state: set[str] = field(default_factory=set)
    deleted_configs: set[str] = field(default_factory=set)


class Tuner:
    """A tuner in memory.

    Args:
        state: The tuner's own record.
        scope_states: Its scopes, by context id.
    """

    def __init__(self, state: TunerState, scope_states: Mapping[str, ScopeState]) -> None:
        self.state = state
        self.scopes = dict(scope_states)
        self._learners: dict[str, Algorithm] = {}
        self._learned: set[str] = set()
        self._changed_scopes: set[str] = set()
        self._changed_self = False
        self._publish: set[str] = set()
        self._function = reward.find_function(self.spec.objective.function) if self.spec.objective.function else None

    # -- from and to records

    @classmethod
    def decode(cls, records: Mapping[str, bytes]) -> "Tuner":
        """A tuner from its records of ``state``, by key.

        Raises:
            ValueError: A record cannot be read, or they do not belong together.
        """
        own: TunerState | None = None
        scope_states = {}
        for key, value in records.items():
            if "/" in key:
                scope = ScopeState.from_bytes(value)
                scope_states[scope.scope] = scope
            else:
                own = TunerState.from_bytes(value)
        if own is None:
            raise ValueError(f"the tuner's own record is missing beside {', '.join(sorted(records))}")
        return cls(own, {k: s for k, s in scope_states.items() if s.incarnation == own.incarnation})

    def encode(self) -> Effects:
        """Everything that changed, as records; then nothing counts as changed any more.

        Raises:
            OverBudgetError: A record outgrew its budget.
        """
        for name in sorted(self._learned):
            learned = self._learners[name].get_state()
            if self._shared:
                self.state.learner = learned
                self._changed_self = True
            else:
                self.scopes[name].learner = learned
                self._changed_scopes.add(name)
        effects = Effects()
        if self._changed_self:
            effects.state[self.name] = self.state.to_bytes()
        for name in sorted(self._changed_scopes):
            scopes.settle(self.scopes[name])
            effects.state[state_scope_key(self.name, name)] = self.scopes[name].to_bytes()
        for name in sorted(self._publish):
            record = scopes.config_record(self.state, self.scopes[name])
            effects.configs[scope_key(self.name, name)] = record.to_bytes()
        for key, value in effects.state.items():
            if value is not None and len(value) > MAX_STATE_BYTES:
                raise OverBudgetError(f"state record {key!r} has {len(value)} bytes, more than {MAX_STATE_BYTES}")
        self._learned.clear()
        self._changed_scopes.clear()
        self._publish.clear()
        self._changed_self = False
        return effects

    @property
    def spec(self) -> TunerSpec:
        """The spec in force."""
        return self.state.spec

    @property
    def name(self) -> str:
        """The tuner's name."""
        return self.state.tuner

    @property
    def _shared(self) -> bool:
        return self.spec.context.learner == "shared"

    def learner(self, scope: str) -> Algorithm:
        """The learner of a scope, brought to life on first use."""
        name = "" if self._shared else scope
        if name not in self._learners:
            stored = self.state.learner if self._shared else self.scopes[name].learner
            self._learners[name] = learners.restored(self.spec, self.state.incarnation, name, stored)
        return self._learners[name]

    def _learner_changed(self, scope: str) -> None:
        self._learned.add("" if self._shared else scope)

    # -- events

    def context(self, event: ContextEvent, now_ms: int) -> None:
        """An instance is here, or leaves.

        Raises:
            NotUsed: Its context is not what the spec declares, it is a duplicate, or a bound is reached.
        """
        if self.state.suspended is not None:
            raise NotUsed("held", "suspended", letter=False)
        try:
            context = reduce_context(self.spec.context.features, event.context)
            if context.id not in self.scopes:
                self.learner("").check_context(context)
        except ValueError as error:
            raise NotUsed("dead_letter", "context_invalid", str(error)) from error
        for other in self.scopes.values():
            before = other.presence.get(event.instance)
            if before is None:
                continue
            if event.seq is not None and before.boot == event.boot and event.seq <= before.seq:
                raise NotUsed("duplicate", "seen", letter=False)
            if other.scope != context.id or event.leaving:
                del other.presence[event.instance]
                self._changed_scopes.add(other.scope)
        if event.leaving:
            return
        scope = self._scope(context)
        self._changed_scopes.add(scope.scope)  # before anything that may refuse the event when part of it is noted
        scopes.see(self.spec, scope, event, now_ms, event.ttl_s or self.spec.presence_s)
        if scope.open is not None and scope.open.id == event.request_id and now_ms <= scopes.deadline_ms(scope.open):
            scopes.activate(self.spec, scope.open, event.instance, now_ms)
        if scope.open is None:
            self._open_next(scope, now_ms)

    def metric(self, event: MetricEvent, now_ms: int, outcome: Outcome) -> None:
        """Measurements made under a request.

        Raises:
            NotUsed: They are late, doubled, of something else, or the tuner stands still.
        """
        if self.state.suspended is not None:
            raise NotUsed("held", "suspended", f"tuner {self.name!r} is suspended: {self.state.suspended.reason}")
        scope = self.scopes.get(event.scope)
        if scope is None:
            raise NotUsed("dead_letter", "unknown_scope", f"tuner {self.name!r} has no context {event.scope!r}")
        try:
            request = scopes.match(self.state, scope, event, now_ms)
        except NotUsed as fate:
            if fate.disposition in {"late", "settling", "superseded"}:
                _note_missed(outcome, event, fate, now_ms)
            raise
        self._changed_scopes.add(scope.scope)  # a duplicate is refused, and a sign of life all the same
        scopes.see(self.spec, scope, event, now_ms, self.spec.presence_s)
        scopes.measure(self.spec, request, event, now_ms)
        if scopes.measured_enough(self.spec, scope, request, now_ms):
            self._close_measured(scope, request, now_ms, outcome)

    def command(self, command: Command, offset: int, now_ms: int, outcome: Outcome) -> None:
        """An operator's wish for a tuner that is there.

        Raises:
            NotUsed: It was carried out before, or its spec cannot be used.
        """
        if command.id in self.state.commands:
            raise NotUsed("duplicate", "seen", letter=False)
        match command.kind:
            case "apply":
                spec = parse_spec(command)
                if spec != self.spec:
                    self._begin_anew(spec, command, offset, now_ms, outcome)
            case "reset":
                self._begin_anew(self.spec, command, offset, now_ms, outcome)
            case "pause":
                self._pause(now_ms, outcome)
            case "resume":
                self._resume(now_ms)
            case "delete":
                self._supersede(now_ms, outcome, "the tuner was deleted")
                for name in self.scopes:
                    self._forget(name, outcome)
                outcome.deleted_state.add(self.name)
                return
            case _:
                assert_never(command.kind)
        self.state.commands = [*self.state.commands, command.id][-REMEMBERED_COMMANDS:]
        self._changed_self = True

    def suspend(self, reason: str, topic: str, offset: int, now_ms: int) -> None:
        """Stand still: the fleet gets the incumbent, and metrics are held, until an operator resumes."""
        self.state.suspended = Suspension(reason=reason[:1000], topic=topic, offset=offset, time_ms=now_ms)
        self._changed_self = True
        for scope in self.scopes.values():
            self._republish(scope, now_ms)

    # -- time

    def due_ms(self) -> int | None:
        """When time alone next changes the tuner."""
        if self.state.suspended is not None or self.state.paused:
            return None
        return min((d for s in self.scopes.values() if (d := scopes.due_ms(self.spec, s)) is not None), default=None)

    def pass_time(self, now_ms: int, outcome: Outcome) -> None:
        """Close what has reached its deadline, and renew leases."""
        for scope in self.scopes.values():
            due = scopes.due_ms(self.spec, scope)
            if due is None or due > now_ms or scope.open is None:
                continue
            request = scope.open
            if scopes.measured_enough(self.spec, scope, request, now_ms):
                self._close_measured(scope, request, now_ms, outcome)
            elif request.measure_by_ms is None and now_ms > request.activate_by_ms:
                fail = self.spec.deadlines.on_inactive == "fail"
                self._close_silent(scope, request, now_ms, outcome, "no instance ran it in time", fail=fail)
            elif request.measure_by_ms is not None and now_ms > request.measure_by_ms:
                self._close_at_deadline(scope, request, now_ms, outcome)
            elif now_ms >= scope.published_ms + scopes.ms(self.spec.lease / 3):
                scope.published_ms = now_ms
                self._publish.add(scope.scope)
                self._changed_scopes.add(scope.scope)

    # -- rounds

    def _scope(self, context: Context) -> ScopeState:
        scope = self.scopes.get(context.id)
        if scope is None:
            if len(self.scopes) > self.spec.context.max_contexts:  # the scope of no context is there besides
                raise NotUsed("refused", "too_many_contexts", f"more than {self.spec.context.max_contexts} contexts")
            scope = self.scopes[context.id] = new_scope(self.state, context)
        return scope

    def _open_next(self, scope: ScopeState, now_ms: int) -> None:
        """Open the scope's next round, or park it where nobody is present."""
        scopes.forget_absent(scope, now_ms)
        if self.state.paused or not scope.presence:
            self._republish(scope, now_ms)
            return
        learner = self.learner(scope.scope)
        context = _context_of(scope)
        kind = confirm.next_kind(self.spec, scope, lambda: learner.recommend(context))
        scope.round += 1
        identity = request_id(self.name, self.state.incarnation, scope.scope, scope.round, scopes.ONE_ARM)
        if kind == "explore":
            values = dict(learner.ask(context, request_id=identity).prediction)
            self._learner_changed(scope.scope)
        elif kind == "confirm" and scope.block is not None:
            values = dict(scope.block.candidate)
        else:
            values = dict(scope.incumbent.values)
        scope.open = OpenRequest(
            id=identity,
            round=scope.round,
            arm=scopes.ONE_ARM,
            kind=kind,
            values=values,
            hash=values_hash(values),
            opened_ms=now_ms,
            activate_by_ms=now_ms + scopes.ms(self.spec.activation_s),
        )
        self._republish(scope, now_ms)

    def _republish(self, scope: ScopeState, now_ms: int) -> None:
        scope.version += 1
        scope.published_ms = now_ms
        self._publish.add(scope.scope)
        self._changed_scopes.add(scope.scope)

    def _close_measured(self, scope: ScopeState, request: OpenRequest, now_ms: int, outcome: Outcome) -> None:
        interval_s = math.fsum(request.intervals_s)
        value = reward.reward_of(self.spec.objective, request.metrics, interval_s, self._function)
        if value is None:
            self._end(scope, request, now_ms, outcome, "skipped", "its metrics give no finite reward")
        else:
            self._end(scope, request, now_ms, outcome, "measured", "", value)
        self._open_next(scope, now_ms)

    def _close_at_deadline(self, scope: ScopeState, request: OpenRequest, now_ms: int, outcome: Outcome) -> None:
        """It ran; what came back in time decides: enough instances with few samples is slow traffic, else a failure.

        Where no worker renewed the lease, the fleet went back to the incumbent: its silence says nothing.
        """
        if scopes.samples(self.spec, request) and scopes.enough_instances(self.spec, scope, request, now_ms):
            self._close_measured(scope, request, now_ms, outcome)
            return
        if now_ms - scope.published_ms > scopes.ms(self.spec.lease):
            self._close_silent(scope, request, now_ms, outcome, "its lease ran out: no worker renewed it", fail=False)
            return
        fail = self.spec.deadlines.on_silence == "fail"
        self._close_silent(scope, request, now_ms, outcome, "it ran, and too few instances reported in time", fail=fail)

    def _close_silent(
        self, scope: ScopeState, request: OpenRequest, now_ms: int, outcome: Outcome, why: str, *, fail: bool
    ) -> None:
        if not fail:
            self._end(scope, request, now_ms, outcome, "skipped", why)
        else:
            worst = scope.worst_reward
            if worst is None and self.spec.objective.range is not None:
                worst = 0.0  # the low end of a known range, on its scale
            self._end(scope, request, now_ms, outcome, "failed", why, worst)
        self._open_next(scope, now_ms)

    def _end(
        self,
        scope: ScopeState,
        request: OpenRequest,
        now_ms: int,
        outcome: Outcome,
        how: RoundOutcome,
        why: str,
        value: float | None = None,
    ) -> None:
        """Close a round: tell the learner, judge a confirmation, write the round's record."""
        told = None
        # A superseded round's learner is thrown away with it, and may be the very reason why.
        if request.kind == "explore" and how != "superseded":
            learner = self.learner(scope.scope)
            if value is not None:
                learner.tell(request.id, value)
                told = value
            else:
                learner.abandon(request.id)
            self._learner_changed(scope.scope)
        elif value is not None:
            self._observe(scope, request, value)
        won = False
        if how in {"measured", "failed"}:
            won = confirm.record(self.spec, scope, request.kind, value, failed=how == "failed")
        if value is not None:
            scope.worst_reward = value if scope.worst_reward is None else min(scope.worst_reward, value)
            scope.last_reward = value
        scope.outcomes[how] = scope.outcomes.get(how, 0) + 1
        scope.open = None
        self._changed_scopes.add(scope.scope)
        outcome.rounds.append(
            RoundRecord(
                v=1,
                tuner=self.name,
                scope=scope.scope,
                context=scope.context,
                incarnation=self.state.incarnation,
                round=request.round,
                arm=request.arm,
                kind=request.kind,
                request_id=request.id,
                outcome=how,
                why=why,
                values=request.values,
                opened_ms=request.opened_ms,
                activated_ms=request.activated_ms,
                closed_ms=now_ms,
                events=request.events,
                instances=sum(1 for reports in request.ran.values() if reports),
                metrics=scopes.results(request),
                reward=value,
                told=told,
                incumbent=won,
            )
        )

    def _observe(self, scope: ScopeState, request: OpenRequest, value: float) -> None:
        """Tell a round that the learner did not ask for to a learner that can take it."""
        learner = self.learner(scope.scope)
        if learner.capabilities.learns_from_others:
            learner.observe(request.values, value, _context_of(scope))
            self._learner_changed(scope.scope)

    # -- commands

    def _supersede(self, now_ms: int, outcome: Outcome, why: str) -> None:
        for scope in self.scopes.values():
            if scope.open is not None:
                self._end(scope, scope.open, now_ms, outcome, "superseded", why)

    def _forget(self, scope: str, outcome: Outcome) -> None:
        outcome.deleted_state.add(state_scope_key(self.name, scope))
        outcome.deleted_configs.add(scope_key(self.name, scope))
        self._changed_scopes.discard(scope)
        self._publish.discard(scope)
        self._learned.discard(scope)

    def _begin_anew(self, spec: TunerSpec, command: Command, offset: int, now_ms: int, outcome: Outcome) -> None:
        """Another spec, or the same from the start: open rounds are superseded, learning starts anew."""
        same_contexts = spec.context.features == self.spec.context.features
        known = [_context_of(scope) for name, scope in self.scopes.items() if name and same_contexts]
        # A spec that cannot be used changes nothing.
        fresh = create(spec, command, max(offset, self.state.incarnation + 1), now_ms, known)
        self._supersede(now_ms, outcome, "a new spec was applied" if command.kind == "apply" else "the tuner was reset")
        old_scopes, earlier = self.scopes, [*self.state.earlier, self.state.incarnation][-REMEMBERED_INCARNATIONS:]
        fresh.state.earlier, fresh.state.commands = earlier, self.state.commands
        self._learned.clear()
        self._learners.clear()
        for name, old in old_scopes.items():
            if name and not same_contexts:
                self._forget(name, outcome)
            else:
                scope = fresh.scopes[name] = new_scope(fresh.state, _context_of(old))
                scope.presence = old.presence if same_contexts else {}
                scope.version = old.version
        self.state, self.scopes, self._function = fresh.state, fresh.scopes, fresh._function  # noqa: SLF001 - own class
        for scope in self.scopes.values():
            self._open_next(scope, now_ms)

    def _pause(self, now_ms: int, outcome: Outcome) -> None:
        for scope in self.scopes.values():
            if scope.open is not None:
                self._end(scope, scope.open, now_ms, outcome, "skipped", "the tuner was paused")
        self.state.paused = True
        for scope in self.scopes.values():
            self._republish(scope, now_ms)

    def _resume(self, now_ms: int) -> None:
        stood_ms = 0
        if self.state.suspended is not None:
            stood_ms = max(now_ms - self.state.suspended.time_ms, 0)
        self.state.suspended = None
        self.state.paused = False
        for scope in self.scopes.values():
            request = scope.open
            if request is None:
                self._open_next(scope, now_ms)
                continue
            # The request was held, not silent: its deadlines stood still with it.
            request.activate_by_ms += stood_ms
            if request.measure_by_ms is not None:
                request.measure_by_ms += stood_ms
            self._republish(scope, now_ms)


def _note_missed(outcome: Outcome, event: MetricEvent, fate: NotUsed, now_ms: int) -> None:
    key = (event.request_id, fate.disposition)
    if key not in outcome.missed:
        outcome.missed[key] = Missed(event, cast("MissedOutcome", fate.disposition), fate.reason, now_ms)
    outcome.missed[key].events += 1


def parse_spec(command: Command) -> TunerSpec:
    """The spec that an apply command carries.

    Raises:
        NotUsed: It is none, or another tuner's.
    """
    try:
        spec = TunerSpec.model_validate(command.spec)
    except ValidationError as error:
        raise NotUsed("dead_letter", "spec_invalid", explain(error)) from error
    if spec.name != command.tuner:
        raise NotUsed(
            "dead_letter", "spec_invalid", f"the spec is of tuner {spec.name!r}, the command of {command.tuner!r}"
        )
    return spec


def create(spec: TunerSpec, command: Command, offset: int, now_ms: int, known: Iterable[Context] = ()) -> Tuner:
    """A new tuner, with the scope of no context and nobody present.

    Args:
        spec: Its spec.
        command: Who wanted it, and why.
        offset: Its incarnation.
        now_ms: The time.
        known: Contexts that it will have from the start.

    Raises:
        NotUsed: The worker cannot run the spec: its algorithm, arguments or function.
    """
    state = TunerState(
        v=1,
        tuner=spec.name,
        spec=spec,
        incarnation=offset,
        commands=[command.id],
        author=command.author,
        reason=command.reason,
        applied_ms=now_ms,
    )
    try:
        learners.try_out(spec, offset, known)
        tuner = Tuner(state, {"": new_scope(state, Context())})
    except Exception as error:  # an installed algorithm may raise anything; the spec is what must change
        raise NotUsed("dead_letter", "spec_invalid", f"{type(error).__name__}: {error}") from error
    tuner._changed_self = True  # noqa: SLF001 - made here
    tuner._republish(tuner.scopes[""], now_ms)  # noqa: SLF001
    return tuner


def _context_of(scope: ScopeState) -> Context:
    return Context(scope.context, id=scope.scope)


def new_scope(tuner: TunerState, context: Context) -> ScopeState:
    """A scope that runs the declared values."""
    declared = tuner.spec.declared()
    return ScopeState(
        v=1,
        tuner=tuner.tuner,
        scope=context.id,
        incarnation=tuner.incarnation,
        context=context.data,
        incumbent=Incumbent(values=declared, hash=values_hash(declared)),
    )
