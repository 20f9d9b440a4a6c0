"""What folding some events into one tuner changes, collected on the way, and made into records at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...core.errors import OverBudget
from ...schemas.events import Command, MetricEvent
from ...schemas.keys import scope_key, state_scope_key
from ...schemas.records import RoundRecord
from ...schemas.state import Disposition, ScopeState, TunerState
from .config_record import config_record
from .effects import DeadLetter, Effects
from .learners import Learners
from .request import in_canonical_form

MAX_STATE_BYTES = 4 * 1024 * 1024
"""Budget of one state record. Its topic takes 8 MB: a record that the broker refuses would stop the whole partition."""

MissedOutcome = Literal["late", "settling", "superseded"]


class Missed(NamedTuple):
    """Metric events of one request that missed their round, told by the first of them.

    Attributes:
        event: The first.
        outcome: What became of them.
        why: In a word.
        time_ms: When.
        events: How many.
    """

    event: MetricEvent
    outcome: MissedOutcome
    why: str
    time_ms: int
    events: int

    def record(self) -> RoundRecord:
        """As it goes to ``rounds``: nothing measured vanishes without a word."""
        event = self.event
        return RoundRecord(
            v=1,
            tuner=event.tuner,
            scope=event.scope,
            incarnation=0,
            round=event.round,
            arm=event.arm,
            request_id=event.request_id,
            outcome=self.outcome,
            why=self.why,
            closed_ms=self.time_ms,
            events=self.events,
        )


@dataclass(slots=True)
class Changes:
    """The one place where each step of a fold says what it changed. Where a step raises, all of it is thrown away.

    Attributes:
        now_ms: Partition time of the event that is being folded.
        seen_ms: Nobody sees what is published before this time: the newest of the broker's that the fold knows of.
        own: The tuner's own state record changed.
        scopes: Scopes whose state record changed.
        published: Scopes with a newer config record.
        learned: Scopes whose learner was asked, or learned.
        rounds: Closed rounds.
        missed: Metric events that missed their round, by request and disposition.
        deleted: Keys of ``state`` whose records are deleted.
        deleted_configs: The same of ``configs``.
        dead_letters: What could not be used.
        dispositions: What became of each record, by its topic and offset.
        commands: Those that were carried out, with their offsets.
    """

    now_ms: int = 0
    seen_ms: int = 0
    own: bool = False
    scopes: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    learned: set[str] = field(default_factory=set)
    rounds: list[RoundRecord] = field(default_factory=list)
    missed: dict[tuple[str, str], Missed] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    deleted_configs: set[str] = field(default_factory=set)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dispositions: list[tuple[str, int, Disposition]] = field(default_factory=list)
    commands: list[tuple[Command, int]] = field(default_factory=list)

    def publish(self, scope: ScopeState) -> None:
        """The fleet gets a new answer for a scope."""
        scope.version += 1
        self.renew(scope)

    def renew(self, scope: ScopeState) -> None:
        """The fleet gets the same answer for a scope again: its lease begins anew."""
        scope.published_ms = self.now_ms
        self.published.add(scope.scope)
        self.scopes.add(scope.scope)

    def miss(self, event: MetricEvent, outcome: MissedOutcome, why: str) -> None:
        """A metric event missed its round."""
        key = (event.request_id, outcome)
        before = self.missed.get(key)
        self.missed[key] = (
            before._replace(events=before.events + 1)
            if before is not None
            else Missed(event, outcome, why, self.now_ms, 1)
        )

    def forget(self, tuner: str, scope: str) -> None:
        """A scope is no more: delete its records."""
        self.deleted.add(state_scope_key(tuner, scope))
        self.deleted_configs.add(scope_key(tuner, scope))

    def effects(self, tuner: TunerState | None, scopes: Mapping[str, ScopeState], learners: Learners | None) -> Effects:
        """All of it as records.

        Args:
            tuner: The tuner as the step left it; ``None`` where there is none any more.
            scopes: Its scopes, by context id.
            learners: Its learners.

        Raises:
            OverBudget: A state record outgrew its budget.
        """
        effects = Effects(dead_letters=self.dead_letters, dispositions=self.dispositions)
        effects.state.update(dict.fromkeys(sorted(self.deleted)))
        effects.configs.update(dict.fromkeys(sorted(self.deleted_configs)))
        if tuner is not None and learners is not None:
            self._encode(effects, tuner, scopes, learners)
        effects.rounds += [(r.tuner, r.to_bytes()) for r in self.rounds]
        effects.rounds += [(m.event.tuner, m.record().to_bytes()) for m in self.missed.values()]
        return effects

    def _encode(
        self, effects: Effects, tuner: TunerState, scopes: Mapping[str, ScopeState], learners: Learners
    ) -> None:
        own, changed = self.own, set(self.scopes)
        for name in sorted({learners.owner(scope) for scope in self.learned}):
            learners.store(name)
            if learners.shared:
                own = True
            else:
                changed.add(name)
        if own:
            effects.state[tuner.tuner] = tuner.to_bytes()
        for name in sorted(changed):
            in_canonical_form(scopes[name].arms)
            effects.state[state_scope_key(tuner.tuner, name)] = scopes[name].to_bytes()
        for name in sorted(self.published):
            effects.configs[scope_key(tuner.tuner, name)] = config_record(tuner, scopes[name]).to_bytes()
        for key, value in effects.state.items():
            if value is not None and len(value) > MAX_STATE_BYTES:
                raise OverBudget(f"state record {key!r} has {len(value)} bytes, more than {MAX_STATE_BYTES}")
