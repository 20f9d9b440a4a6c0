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
from ...schemas.state import Incumbent, ScopeState, Suspension, TunerState
from . import presence, request, reward
from . import round as rounds
from .changes import Changes
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
        changes.scopes.update(presence.leave(self.scopes.values(), event, but=context.id))
        if event.leaving:
            return
        scope = self._scope(context)
        changes.scopes.add(scope.scope)  # before anything that may refuse the event when part of it is noted
        presence.see(scope, event, event.ttl_s or self.spec.presence_s, self.spec.max_instances, changes.now_ms)
        running = request.of_id(scope, event.request_id)
        if running is not None and changes.now_ms <= request.deadline_ms(running):
            request.activate(self.spec, running, event.instance, changes.now_ms)
        if not scope.arms:
            rounds.open_next(self.state, scope, self.learners, changes)

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
        changes.scopes.add(scope.scope)  # a duplicate is refused, and a sign of life all the same
        presence.see(scope, event, spec.presence_s, spec.max_instances, now_ms)
        request.measure(spec, matched, event, now_ms)
        if request.measured_enough(spec, scope, matched, now_ms):
            rounds.close_measured(self.state, scope, matched, self.learners, changes)

    def _context(self, event: ContextEvent) -> Context:
        try:
            context = reduce_context(self.spec.context.features, event.context)
            if context.id not in self.scopes:
                self.learners.of("").check_context(context)
        except ValueError as error:
            raise Disposed("dead_letter", "context_invalid", str(error)) from error
        return context

    def _scope(self, context: Context) -> ScopeState:
        scope = self.scopes.get(context.id)
        if scope is None:
            if len(self.scopes) > self.spec.context.max_contexts:  # the scope of no context is there besides
                raise Disposed("refused", "too_many_contexts", f"more than {self.spec.context.max_contexts} contexts")
            scope = self.add(new_scope(self.state, context))
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
        if self.state.suspended is not None or self.state.paused:
            return None
        return min((d for s in self.scopes.values() if (d := rounds.due_ms(self.spec, s)) is not None), default=None)

    def pass_time(self, changes: Changes) -> None:
        """Close what has reached its deadline, and renew leases."""
        for scope in self.scopes.values():
            rounds.pass_time(self.state, scope, self.learners, changes)

    # -- a fault of its own

    def suspend(self, reason: str, topic: str, offset: int, changes: Changes) -> None:
        """Stand still: the fleet gets the incumbent, and metrics are held, until an operator resumes."""
        self.state.suspended = Suspension(reason=reason[:1000], topic=topic, offset=offset, time_ms=changes.now_ms)
        changes.own = True
        for scope in self.scopes.values():
            changes.publish(scope)


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
