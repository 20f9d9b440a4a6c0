"""One tuner's place in a partition: what is committed of it, and how a fold of it is undone.

A fold works on the live tuner. Its committed records are kept as bytes beside it, so that undoing costs nothing until
it is needed: throw the tuner away and decode it again. When folding a batch raises, the batch is folded again one event
at a time, and the event that raises suspends the tuner; nothing else stops. Where its numbers raise, and not the
tuner's own code, the event is at fault, and alone becomes a dead letter.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from ...core.errors import OppertuneError
from ...schemas.events import Command, ContextEvent, MetricEvent
from ...schemas.keys import scope_key
from ...schemas.state import Disposition
from . import commands
from .carried_out import CarriedOut
from .changes import Changes
from .disposition import Disposed, dead_letter
from .effects import Effects, Received
from .events import Event
from .own_code import OwnFault
from .tuner import Tuner


class IsolatedTuner:
    """A tuner's name, its committed records, and the tuner itself where there is one.

    Args:
        name: The tuner's name.
        partition: Number of the partition, for dead letters.
        committed: Its records of ``state`` by key.
        carried_out: The commands that were, on the partition; changes.
    """

    def __init__(self, name: str, partition: int, committed: dict[str, bytes], carried_out: CarriedOut) -> None:
        self.name = name
        self.unreadable = ""
        self._partition = partition
        self._committed = committed
        self._carried_out = carried_out
        self._seen_ms = 0
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

    def fold(self, events: Sequence[tuple[Received, Event]], floor_ms: int, seen_ms: int) -> Effects:
        """Fold events in order.

        A command is a step of its own: it may end a tuner's life or begin one.

        Args:
            events: The tuner's own.
            floor_ms: The partition's time, which an event's cannot precede.
            seen_ms: What is published now is not seen before that time.
        """
        self._seen_ms = seen_ms
        effects = Effects()
        for is_command, run in groupby(events, key=lambda pair: isinstance(pair[1], Command)):
            together = list(run)
            for step in [[pair] for pair in together] if is_command else [together]:
                effects.merge(self._fold_step(step, floor_ms))
        return effects

    def pass_time(self, now_ms: int, seen_ms: int) -> Effects:
        """Let deadlines pass and renew leases; ``seen_ms`` as above."""
        self._seen_ms = seen_ms
        try:
            return self._attempt(lambda changes: self._pass_time(now_ms, changes))
        except Exception as error:  # noqa: BLE001 - whatever a learner raises costs its tuner only
            self._restore()
            return self._suspend(error, "", 0, now_ms)

    def _fold_step(self, events: list[tuple[Received, Event]], floor_ms: int) -> Effects:
        try:
            return self._attempt(lambda changes: self._take_all(events, floor_ms, changes))
        except Exception:  # noqa: BLE001 - as above
            self._restore()
        effects = Effects()
        for record, event in events:
            effects.merge(self._fold_alone(record, event, floor_ms))
        return effects

    def _fold_alone(self, record: Received, event: Event, floor_ms: int) -> Effects:
        """Fold one event. Where it raises, its tuner is suspended, and then folds it as a suspended tuner does.

        Numbers that cannot be computed with are no fault of a tuner's: every instance would stand still for one.
        """

        def take(changes: Changes) -> None:
            self._take_all([(record, event)], floor_ms, changes)

        try:
            return self._attempt(take)
        except ArithmeticError as error:
            return self._give_up(record, "arithmetic", error)
        except Exception as error:  # noqa: BLE001 - as above
            self._restore()
            effects = self._suspend(error, record.topic, record.offset, max(record.timestamp_ms, floor_ms))
        try:
            effects.merge(self._attempt(take))
        except Exception as error:  # noqa: BLE001 - a command, which a suspended tuner carries out, too
            effects.merge(self._give_up(record, "raised", error))
        return effects

    def _give_up(self, record: Received, reason: str, error: BaseException) -> Effects:
        """Undo what an event did: it becomes a dead letter."""
        self._restore()
        why = Disposed("dead_letter", reason, _told(error))
        return Effects(
            dead_letters=[dead_letter(record, self._partition, why)],
            dispositions=[(record.topic, record.offset, why.disposition)],
        )

    def _suspend(self, error: BaseException, topic: str, offset: int, now_ms: int) -> Effects:
        reason = _told(error)

        def suspend(changes: Changes) -> None:
            changes.now_ms = now_ms
            if self._tuner is not None:
                self._tuner.suspend(reason, topic, offset, changes)

        return self._attempt(suspend)

    def _attempt(self, step: Callable[[Changes], None]) -> Effects:
        """Run a step on the live tuner and encode what it changed; what it wrote is then committed here too."""
        changes = Changes(seen_ms=self._seen_ms)
        step(changes)
        effects = self._tuner.encode(changes) if self._tuner is not None else changes.effects(None, {}, None)
        for key, value in effects.state.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        for command, offset in changes.commands:
            self._carried_out.add(command, offset)
        return effects

    def _pass_time(self, now_ms: int, changes: Changes) -> None:
        changes.now_ms = now_ms
        if self._tuner is not None:
            self._tuner.pass_time(changes)

    def _take_all(self, events: Sequence[tuple[Received, Event]], floor_ms: int, changes: Changes) -> None:
        for record, event in events:
            changes.now_ms = max(record.timestamp_ms, floor_ms)
            disposition: Disposition = "applied"
            try:
                self._take(record, event, changes)
            except Disposed as why:
                disposition = why.disposition
                if why.letter:
                    changes.dead_letters.append(dead_letter(record, self._partition, why))
            changes.dispositions.append((record.topic, record.offset, disposition))

    def _take(self, record: Received, event: Event, changes: Changes) -> None:
        if isinstance(event, Command):
            self._carried_out.check(event)
        if self._tuner is None:
            self._take_without_tuner(record, event, changes)
        elif isinstance(event, MetricEvent):
            self._tuner.metric(event, changes)
        elif isinstance(event, ContextEvent):
            self._tuner.context(event, changes)
        else:
            self._tuner = commands.carry_out(self._tuner, event, record.offset, changes)
        if isinstance(event, Command):
            changes.commands.append((event, record.offset))

    def _take_without_tuner(self, record: Received, event: Event, changes: Changes) -> None:
        if isinstance(event, Command) and event.kind == "apply":
            self._tuner = commands.create(event, record.offset, changes)
            self._forget_unreadable(changes, {self.name, f"{self.name}/"})
        elif isinstance(event, Command) and event.kind == "delete" and self.unreadable:
            self._forget_unreadable(changes, set())
        elif self.unreadable:
            letter = not isinstance(event, ContextEvent)
            raise Disposed("held", "unreadable", f"state of tuner {self.name!r}: {self.unreadable}", letter=letter)
        else:
            raise Disposed("dead_letter", "unknown_tuner", f"there is no tuner {self.name!r}: apply a spec first")

    def _forget_unreadable(self, changes: Changes, kept: set[str]) -> None:
        """Delete records that no tuner speaks for any more, and the configurations that they stood for."""
        for key in self._committed.keys() - kept:
            changes.deleted.add(key)
            changes.deleted_configs.add(scope_key(*key.split("/", 1)) if "/" in key else key)
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


def _told(error: BaseException) -> str:
    if isinstance(error, OwnFault) and error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
