"""One tuner's place in a partition: what is committed of it, and how a fold of it is undone.

A fold works on the live tuner. Its committed records are kept as bytes beside it, so that undoing costs nothing until
it is needed: throw the tuner away and decode it again. When folding a batch raises, the batch is folded again one event
at a time, and the event that raises suspends the tuner; nothing else stops.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ...core.errors import OppertuneError
from ...schemas.events import Command, ContextEvent, MetricEvent
from ...schemas.keys import scope_key
from ...schemas.records import RoundRecord
from ...schemas.state import Disposition
from .decode import Event, NotUsed, dead_letter
from .effects import Effects, Received
from .tuner import Missed, Outcome, Tuner, create, parse_spec


@dataclass(slots=True)
class Folded:
    """What folding some events of one tuner came to: effects, and each event's disposition by its topic and offset."""

    effects: Effects = field(default_factory=Effects)
    dispositions: list[tuple[str, int, Disposition]] = field(default_factory=list)

    def merge(self, later: "Folded") -> None:
        """Add what a later step came to."""
        self.effects.merge(later.effects)
        self.dispositions += later.dispositions


class Cell:
    """A tuner's name, its committed records, and the tuner itself where there is one.

    Args:
        name: The tuner's name.
        partition: Number of the partition, for dead letters.
        committed: Its records of ``state`` by key.
    """

    def __init__(self, name: str, partition: int, committed: dict[str, bytes]) -> None:
        self.name = name
        self.unreadable = ""
        self._partition = partition
        self._committed = committed
        self._tuner: Tuner | None = None
        self._restore()

    @property
    def tuner(self) -> Tuner | None:
        """The live tuner; ``None`` where there is none, or its state cannot be read."""
        return self._tuner

    @property
    def empty(self) -> bool:
        """Nothing is known of the tuner any more."""
        return not self._committed

    def due_ms(self) -> int | None:
        """When time alone next changes the tuner."""
        return self._tuner.due_ms() if self._tuner is not None else None

    def fold(self, events: Sequence[tuple[Received, Event]], floor_ms: int) -> Folded:
        """Fold events in order; ``floor_ms`` is the partition's time, which an event's cannot precede.

        A command is a step of its own: it may end a tuner's life or begin one.
        """
        folded = Folded()
        for is_command, run in groupby(events, key=lambda pair: isinstance(pair[1], Command)):
            together = list(run)
            for step in [[pair] for pair in together] if is_command else [together]:
                folded.merge(self._fold_step(step, floor_ms))
        return folded

    def _fold_step(self, events: list[tuple[Received, Event]], floor_ms: int) -> Folded:
        try:
            return self._take_all(events, floor_ms)
        except Exception:  # noqa: BLE001 - whatever a learner raises costs its tuner only (design G5)
            self._restore()
        folded = Folded()
        for record, event in events:
            try:
                folded.merge(self._take_all([(record, event)], floor_ms))
            except Exception as error:  # noqa: BLE001 - as above
                self._restore()
                now_ms = max(record.timestamp_ms, floor_ms)
                folded.merge(self._suspend(error, record.topic, record.offset, now_ms))
                folded.merge(self._take_all([(record, event)], floor_ms))
        return folded

    def pass_time(self, now_ms: int) -> Folded:
        """Let deadlines pass and renew leases."""
        try:
            return self._attempt(lambda out, _: self._tuner.pass_time(now_ms, out) if self._tuner is not None else None)
        except Exception as error:  # noqa: BLE001 - as above
            self._restore()
            return self._suspend(error, "", 0, now_ms)

    def _suspend(self, error: Exception, topic: str, offset: int, now_ms: int) -> Folded:
        reason = f"{type(error).__name__}: {error}"

        def suspend(_: Outcome, __: Folded) -> None:
            if self._tuner is not None:
                self._tuner.suspend(reason, topic, offset, now_ms)

        return self._attempt(suspend)

    def _attempt(self, step: Callable[[Outcome, Folded], None]) -> Folded:
        """Run a step on the live tuner and encode what it changed; what it wrote is then committed here too."""
        outcome, folded = Outcome(), Folded()
        step(outcome, folded)
        folded.effects.state.update(dict.fromkeys(sorted(outcome.deleted_state)))
        folded.effects.configs.update(dict.fromkeys(sorted(outcome.deleted_configs)))
        if self.name in outcome.deleted_state:
            self._tuner = None
        if self._tuner is not None:
            folded.effects.merge(self._tuner.encode())
        folded.effects.rounds += [(r.tuner, r.to_bytes()) for r in outcome.rounds]
        folded.effects.rounds += [(m.event.tuner, _missed_record(m).to_bytes()) for m in outcome.missed.values()]
        for key, value in folded.effects.state.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        return folded

    def _take_all(self, events: Sequence[tuple[Received, Event]], floor_ms: int) -> Folded:
        def step(outcome: Outcome, folded: Folded) -> None:
            for record, event in events:
                disposition: Disposition = "applied"
                try:
                    self._take(record, event, max(record.timestamp_ms, floor_ms), outcome)
                except NotUsed as fate:
                    disposition = fate.disposition
                    if fate.letter:
                        folded.effects.dead_letters.append(dead_letter(record, self._partition, fate))
                folded.dispositions.append((record.topic, record.offset, disposition))

        return self._attempt(step)

    def _take(self, record: Received, event: Event, now_ms: int, outcome: Outcome) -> None:
        if self._tuner is None:
            self._take_without_tuner(record, event, now_ms, outcome)
        elif isinstance(event, MetricEvent):
            self._tuner.metric(event, now_ms, outcome)
        elif isinstance(event, ContextEvent):
            self._tuner.context(event, now_ms)
        else:
            self._tuner.command(event, record.offset, now_ms, outcome)

    def _take_without_tuner(self, record: Received, event: Event, now_ms: int, outcome: Outcome) -> None:
        if isinstance(event, Command) and event.kind == "apply":
            self._tuner = create(parse_spec(event), event, record.offset, now_ms)
            self._forget_unreadable(outcome, {self.name, f"{self.name}/"})
        elif isinstance(event, Command) and event.kind == "delete" and self.unreadable:
            self._forget_unreadable(outcome, set())
        elif self.unreadable:
            letter = not isinstance(event, ContextEvent)
            raise NotUsed("held", "unreadable", f"state of tuner {self.name!r}: {self.unreadable}", letter=letter)
        else:
            raise NotUsed("dead_letter", "unknown_tuner", f"there is no tuner {self.name!r}: apply a spec first")

    def _forget_unreadable(self, outcome: Outcome, kept: set[str]) -> None:
        """Delete records that no tuner speaks for any more, and the configurations that they stood for."""
        for key in self._committed.keys() - kept:
            outcome.deleted_state.add(key)
            outcome.deleted_configs.add(scope_key(*key.split("/", 1)) if "/" in key else key)
        self.unreadable = ""

    def _restore(self) -> None:
        """Decode the tuner from its committed records; where that fails, the tuner alone stands still."""
        self._tuner = None
        if not self._committed:
            return
        try:
            self._tuner = Tuner.decode(self._committed)
        except (ValueError, OppertuneError) as error:
            self.unreadable = f"{type(error).__name__}: {error}"[:1000]


def _missed_record(missed: Missed) -> RoundRecord:
    """What became of metrics that no round could count, for ``rounds``: nothing measured vanishes without a word."""
    event = missed.event
    return RoundRecord(
        v=1,
        tuner=event.tuner,
        scope=event.scope,
        incarnation=0,
        round=event.round,
        arm=event.arm,
        request_id=event.request_id,
        outcome=missed.outcome,
        why=missed.why,
        closed_ms=missed.time_ms,
        events=missed.events,
    )
