"""The config records of one tuner as they come, and what they say at a moment: no Kafka, no clock of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from ...schemas.base import Scalar, explain
from ...schemas.configs import ConfigRecord
from ...schemas.context import reduce_context
from ...schemas.keys import scope_key

ContextData = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Received:
    """A record as it came; it is read when somebody asks for it.

    Attributes:
        value: The record's bytes.
        age_s: How old it was then: the app's clock less the record's timestamp, in seconds.
        now: When it came, by the monotonic clock.
    """

    value: bytes
    age_s: float
    now: float


@dataclass(frozen=True, slots=True)
class Held:
    """The newest record of a scope, and until when (by the monotonic clock) its arms are trusted."""

    record: ConfigRecord
    trusted_until: float

    @property
    def order(self) -> tuple[int, int, int]:
        """Records of a scope in the order in which they were decided; a renewal comes after what it renews."""
        return self.record.incarnation, self.record.version, self.record.published_ms


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tuner's records say at a moment.

    Attributes:
        kind: There is a record to follow; the tuner was deleted; or nothing is known of it.
        record: The record to follow.
        arms: Whether its arms are this app's to run: they are its scope's, and trusted.
        lapsed: They were not renewed in time.
        problem: Why the app's own scope has no record; empty where that is as it should be.
    """

    kind: Literal["record", "deleted", "unknown"]
    record: ConfigRecord | None = None
    arms: bool = False
    lapsed: bool = False
    problem: str = ""

    @property
    def mark(self) -> tuple[object, ...]:
        """Equal as long as nothing changes for the app: a renewal has the mark of what it renews."""
        record = self.record
        which = (record.scope, record.incarnation, record.version) if record is not None else None
        return self.kind, which, self.arms, self.lapsed, self.problem


class Following:
    """All that is known of one tuner's config records.

    Args:
        tuner: The tuner's name.
        context: What the app says of its situation.
    """

    def __init__(self, tuner: str, context: ContextData | None = None) -> None:
        self.tuner = tuner
        self.context = context
        self.deleted = False
        self.unreadable: dict[str, str] = {}
        self._received: dict[str, Received] = {}
        self._held: dict[str, Held] = {}

    def copy(self) -> "Following":
        """The same knowledge, to be followed on by another process."""
        other = Following(self.tuner, self.context)
        other.deleted = self.deleted
        other._received, other._held = dict(self._received), dict(self._held)
        return other

    def take(self, key: str, value: bytes | None, age_s: float, now: float) -> None:
        """A record of ``configs`` came; those of other tuners are none of ours. No value: it was deleted."""
        if key != self.tuner and not key.startswith(f"{self.tuner}/"):
            return
        if value is not None:
            self._received[key] = Received(value, max(age_s, 0.0), now)
        else:
            self._received.pop(key, None)
            self._held.pop(key, None)
            self.unreadable.pop(key, None)
        if key == self.tuner:
            self.deleted = value is None

    def answer(self, now: float) -> Answer:
        """What to follow at a moment of the monotonic clock."""
        own = self._newest(self.tuner)
        if own is None:
            return Answer("deleted" if self.deleted else "unknown")
        try:
            scope = reduce_context(own.record.features, None if self.context is None else dict(self.context)).id
        except ValueError as error:
            return Answer("record", own.record, problem=str(error))
        held = self._newest(scope_key(self.tuner, scope))
        if held is None or held.record.incarnation < own.record.incarnation:
            return Answer("record", own.record)
        lapsed = bool(held.record.arms) and now >= held.trusted_until
        return Answer("record", held.record, arms=not lapsed, lapsed=lapsed)

    def known(self) -> list[ConfigRecord]:
        """Every record that was read so far."""
        return [held.record for held in self._held.values()]

    def _newest(self, key: str) -> Held | None:
        received = self._received.pop(key, None)
        held = self._held.get(key)
        if received is None:
            return held
        try:
            record = ConfigRecord.from_bytes(received.value)
        except ValidationError as error:
            self.unreadable[key] = f"config record {key!r} cannot be read: {explain(error)}"
            return held
        self.unreadable.pop(key, None)
        came = Held(record, received.now + record.lease_s - received.age_s)
        if record.tuner != self.tuner or scope_key(record.tuner, record.scope) != key:
            self.unreadable[key] = f"config record {key!r} is of tuner {record.tuner!r}, scope {record.scope!r}"
        elif held is None or came.order >= held.order:
            held = self._held[key] = came
        return held
