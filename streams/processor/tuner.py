"""One tuner: its spec, its scopes, its learners, and what an event or time does to them.

Everything here works in place on one tuner and says in :class:`~.changes.Changes` what it changed. It may raise at any
point: the caller then throws the tuner away and decodes it again from its last committed records (``isolation.py``).
"""

from collections.abc import Mapping

from ...core.types import Context
from ...schemas.context import reduce_context
from ...schemas.events import ContextEvent, MetricEvent
from ...schemas.keys import values_hash
from ...schemas.spec import TunerSpec
from ...schemas.state import Incumbent, Producer, ScopeState, Suspension, TunerState
from . import beside, holds, presence, quantities, request, reward, rollout, shared_parameters, versions
from . import round as rounds
from .changes import Changes
from .closing import End
from .deduplication import count_context
from .disposition import Disposed
from .effects import Effects
from .learners import Learners


class Tuner:
    """A tuner in memory.

    Args:
        state: The tuner's own record.
        scopes: Its scopes, by context id, in any order.

    Raises:
        InvalidArgument: Its reward function is not installed.
    """

    def __init__(self, state: TunerState, scopes: Mapping[str, ScopeState]) -> None:
        self.state = state
        self.scopes = dict(sorted(scopes.items()))
        self.learners = Learners(state, self.scopes)
        if self.spec.objective.function is not None:
            reward.find_function(self.spec.objective.function)

    @classmethod
    def decode(cls, records: Mapping[str, bytes]) -> "Tuner":
        """A tuner from its records of ``state``, by key.

        Raises:
            ValueError: A record cannot be read, or they do not belong together.
        """
        own: TunerState | None = None
        scopes = {}
        for key, value in records.items():
            if "/" in key:
                scope = ScopeState.from_bytes(value)
                scopes[scope.scope] = scope
            else:
                own = TunerState.from_bytes(value)
        if own is None:
            raise ValueError(f"the tuner's own record is missing beside {', '.join(sorted(records))}")
        return cls(own, {k: s for k, s in scopes.items() if s.incarnation == own.incarnation})

    def encode(self, changes: Changes) -> Effects:
        """What changed, as records.

        Raises:
            OverBudget: A record outgrew its budget.
        """
        return changes.effects(self.state, self.scopes, self.learners)

    @property
    def spec(self) -> TunerSpec:
        """The spec in force."""
        return self.state.spec

    @property
    def name(self) -> str:
        """The tuner's name."""
        return self.state.tuner

    # -- events

    def context(self, event: ContextEvent, changes: Changes) -> None:
        """An instance is here, or leaves.

        Raises:
            Disposed: Its context is not what the spec declares, it is a duplicate, or a bound is reached.
        """
        if self.state.suspended is not None:
            raise Disposed("held", "suspended", letter=False)
        context = self._context(event)
        known = presence.known(self.scopes.values(), event)
        producer = known[1] if known is not None else Producer()
        newest = count_context(producer, event)
        if known is not None:
            changes.scopes.add(known[0].scope)
        if newest and event.leaving:
            self._sign_off(context, event, producer, changes)
            return
        scope = self.scopes.get(context.id)
        if newest:  # else it counts, and undoes nothing of what came after it
            scope = self._arrive(context, event, producer, starts=known is None, changes=changes)
        if scope is None or producer.left:
            return
        running = request.of_id(scope, event.request_id)
        if running is not None and changes.now_ms <= request.deadline_ms(running):
            request.activate(self.spec, running, event, changes.now_ms)
            changes.scopes.add(scope.scope)
        refused = request.of_id(scope, event.refused_id)
        if refused is not None:
            refused.refused = {**(refused.refused or {}), event.instance: event.refused_why}
            changes.scopes.add(scope.scope)
            if request.refused_by_all(scope, refused, changes.now_ms):
                rounds.refuse(self.state, scope, refused, self.learners, changes)
        if not scope.arms and newest:
            rounds.open_next(self.state, scope, self.learners, changes)

    def _sign_off(self, context: Context, event: ContextEvent, producer: Producer, changes: Changes) -> None:
        """A boot says goodbye; one that was never heard of is remembered all the same, for what it sent before."""
        if context.id in self.scopes and presence.known(self.scopes.values(), event) is None:
            presence.check_room(self.scopes[context.id], event, self.spec.max_instances, changes.now_ms)
            presence.boots_of(self.scopes[context.id], event.instance)[event.boot or ""] = producer
        for scope in self.scopes.values():
            if event.instance in scope.producers or event.instance in scope.presence:
                presence.sign_off(scope, event, changes.now_ms)
                if event.instance not in scope.presence:
                    scope.units.pop(event.instance, None)  # a goodbye is no loss
                changes.scopes.add(scope.scope)

    def _arrive(
        self, context: Context, event: ContextEvent, producer: Producer, *, starts: bool, changes: Changes
    ) -> ScopeState:
        """A boot is in a scope, and nowhere else any more; ``starts``: it was never heard of before."""
        others = [
            scope
            for scope in self.scopes.values()
            if scope.scope != context.id and (event.instance in scope.producers or event.instance in scope.presence)
        ]
        for other in others:  # before anything that may refuse the event
            presence.move_out(other, event, starts=starts)
            if event.instance not in other.presence:
                other.units.pop(event.instance, None)
            changes.scopes.add(other.scope)
        scope = self._scope(context, changes.now_ms)
        presence.check_room(scope, event, self.spec.max_instances, changes.now_ms)
        changes.scopes.add(scope.scope)
        beside.arrived(scope, event.instance, restarted=starts and presence.died(scope, event))
        presence.see(scope, event, producer, event.ttl_s or self.spec.presence_s, changes.now_ms)
        changes.own |= shared_parameters.note(self.state, producer, event)
        for other in others:
            presence.hand_over(other, event)
        return scope

    def metric(self, event: MetricEvent, changes: Changes) -> None:
        """Measurements made under a request.

        Raises:
            Disposed: They are late, doubled, of something else, or the tuner stands still.
        """
        if self.state.suspended is not None:
            raise Disposed("held", "suspended", f"tuner {self.name!r} is suspended: {self.state.suspended.reason}")
        scope = self.scopes.get(event.scope)
        if scope is None:
            raise Disposed("dead_letter", "unknown_scope", f"tuner {self.name!r} has no context {event.scope!r}")
        try:
            matched = request.match(self.state, scope, event, changes.now_ms)
        except Disposed as why:
            if why.disposition in {"late", "settling", "superseded"}:
                changes.miss(event, why.disposition, why.reason)
            raise
        spec, now_ms = self.spec, changes.now_ms
        known = presence.known((scope,), event) or presence.known(self.scopes.values(), event)
        if known is None or known[0] is scope:
            presence.check_room(scope, event, spec.max_instances, now_ms)
        request.measure(spec, matched, event, now_ms)
        if scope.schedule == "beside":
            quantities.note(spec, scope, matched.arm, matched.kind == "baseline", event, now_ms)
        changes.scopes.add(scope.scope)
        producer = known[1] if known is not None else Producer()
        if (known is None or known[0] is scope) and not producer.left:  # else measured before its goodbye, or elsewhere
            presence.see(scope, event, producer, spec.presence_s, now_ms)
        rounds.measured(self.state, scope, self.learners, changes)

    def _context(self, event: ContextEvent) -> Context:
        try:
            context = reduce_context(self.spec.context.features, event.context)
            if context.id not in self.scopes:
                self.learners.of("").check_context(context)
        except ValueError as error:
            raise Disposed("dead_letter", "context_invalid", str(error)) from error
        return context

    def _scope(self, context: Context, now_ms: int) -> ScopeState:
        scope = self.scopes.get(context.id)
        if scope is None:
            if len(self.scopes) > self.spec.context.max_contexts:  # the scope of no context is there besides
                raise Disposed("refused", "too_many_contexts", f"more than {self.spec.context.max_contexts} contexts")
            scope = self.add(new_scope(self.state, context, now_ms))
        return scope

    def add(self, scope: ScopeState) -> ScopeState:
        """Take in a scope. They are visited by key: a shared learner learns by that order, and a restart keeps none."""
        self.scopes[scope.scope] = scope
        ordered = sorted(self.scopes.items())
        self.scopes.clear()  # in place: the learners look into the same dictionary
        self.scopes.update(ordered)
        return scope

    # -- time

    def due_ms(self) -> int | None:
        """When time alone next changes the tuner."""
        if self.state.suspended is not None:
            return None
        due = [rounds.due_ms(self.spec, scope) for scope in self.scopes.values()] if holds.measures(self.state) else []
        return min((d for d in [*due, holds.due_ms(self.state)] if d is not None), default=None)

    def pass_time(self, changes: Changes) -> None:
        """End a hold and close what has reached its deadline, and renew leases."""
        if holds.is_over(self.state, changes.now_ms):
            self.state.hold = None
            self.obey("its hold is over", changes)
        for scope in self.scopes.values():
            rounds.pass_time(self.state, scope, self.learners, changes)

    # -- an operator's word

    def obey(self, why: str, changes: Changes) -> None:
        """End what hold and mode do not let go on, and begin what they do; ``why`` is what is said of rounds that end.

        A suspended tuner's learner is not touched: what is open then waits until it is resumed.
        """
        changes.own = True
        for scope in self.scopes.values():
            self.obey_in(scope, why, changes)

    def obey_in(self, scope: ScopeState, why: str, changes: Changes, *, anew: bool = False) -> None:
        """The same in one scope; ``anew``: what is open is of another incumbent or other pins, and ends, too."""
        if self.state.suspended is not None:
            changes.publish(scope)
            return
        if anew or any(not holds.goes_on(self.state, arm.kind) for arm in scope.arms):
            rounds.stop(self.state, scope, self.learners, changes, End("skipped", why))
        if not holds.explores(self.state):
            rollout.drop(scope)
        if not holds.measures(self.state):
            scope.unmeasured_why = ""
        if scope.arms:
            changes.publish(scope)
        else:
            rounds.open_next(self.state, scope, self.learners, changes)

    # -- a fault of its own

    def suspend(self, reason: str, topic: str, offset: int, changes: Changes) -> None:
        """Stand still: the fleet gets the incumbent, and metrics are held, until an operator resumes."""
        self.state.suspended = Suspension(reason=reason[:1000], topic=topic, offset=offset, time_ms=changes.now_ms)
        changes.own = True
        for scope in self.scopes.values():
            changes.publish(scope)


def new_scope(tuner: TunerState, context: Context, now_ms: int) -> ScopeState:
    """A scope that runs the declared values, and what is pinned."""
    declared = tuner.spec.declared()
    scope = ScopeState(
        v=1,
        tuner=tuner.tuner,
        scope=context.id,
        incarnation=tuner.incarnation,
        context=context.data,
        incumbent=Incumbent(values=declared, hash=values_hash(declared)),
        versions=versions.first(declared, by=tuner.author, reason=tuner.reason, now_ms=now_ms),
    )
    for name, pin in tuner.pins.items():
        values = scope.incumbent.values | {name: pin.value}
        versions.promote(scope, values, by=pin.by, reason=pin.reason, now_ms=now_ms)
    return scope
