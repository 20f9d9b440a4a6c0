"""The config records of one tuner as they come, and what they say at a moment: no Kafka, no clock of its own."""

import math
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
class UnreadRecord:
    """A record as it came; it is read when somebody asks for it.

    Attributes:
        value: The record's bytes.
        live: It was written while the client listened, and not before.
        now: When it came, by the monotonic clock.
    """

    value: bytes
    live: bool
    now: float


@dataclass(frozen=True, slots=True)
class LeasedRecord:
    """The newest record of a scope, and until when (by the monotonic clock) its arms may be run.

    A lease runs from the arrival of a record that was written while the client listened. One that was there before may
    be of any age: it gives none, and its arms wait for a renewal. So an app that an arm kills at its start does not
    meet the same arm again and again where no worker lives.
    """

    record: ConfigRecord
    trusted_until: float = -math.inf

    def renewed_by(self, record: ConfigRecord) -> bool:
        """Whether a record says the same, perhaps later."""
        return (self.record.incarnation, self.record.version) == (record.incarnation, record.version)

    @property
    def order(self) -> tuple[int, int, int]:
        """Records of a scope in the order in which they were decided; a renewal comes after what it renews."""
        return self.record.incarnation, self.record.version, self.record.published_ms


@dataclass(frozen=True, slots=True)
class FollowedRecord:
    """What a tuner's records say at a moment.

    Attributes:
        kind: There is a record to follow; the tuner was deleted; or nothing is known of it.
        record: The record to follow.
        arms: Whether its arms are this app's to run: they are its scope's, and their lease holds.
        lapsed: They have no lease: it is over, or they wait for their first renewal.
        waits_s: They wait for their first renewal, which comes within so many seconds where a worker lives; else 0.
        problem: Why the app's own scope has no record; empty where that is as it should be.
    """

    kind: Literal["record", "deleted", "unknown"]
    record: ConfigRecord | None = None
    arms: bool = False
    lapsed: bool = False
    waits_s: float = 0.0
    problem: str = ""

    @property
    def mark(self) -> tuple[object, ...]:
        """Equal as long as nothing changes for the app: a renewal has the mark of what it renews."""
        record = self.record
        which = (record.scope, record.incarnation, record.version) if record is not None else None
        return self.kind, which, self.arms, self.lapsed, self.problem


class ConfigFollower:
    """All that is known of one tuner's config records.

    Args:
        tuner: The tuner's name.
        context: What the app says of its situation.

    Attributes:
        deleted: The tuner's own record was deleted.
        unreadable: Why records could not be read, by key.
    """

    def __init__(self, tuner: str, context: ContextData | None = None) -> None:
        self.tuner = tuner
        self.context = context
        self.deleted = False
        self.unreadable: dict[str, str] = {}
        self._unread: dict[str, UnreadRecord] = {}
        self._newest: dict[str, LeasedRecord] = {}

    def copy(self) -> "ConfigFollower":
        """The same knowledge, to be followed on by another process."""
        other = ConfigFollower(self.tuner, self.context)
        other.deleted = self.deleted
        other._unread, other._newest = dict(self._unread), dict(self._newest)
        return other

    def take(self, key: str, value: bytes | None, now: float, *, live: bool) -> None:
        """Take in a message of ``configs``; those of other tuners are ignored.

        Args:
            key: The message's key.
            value: The record; ``None`` where it was deleted.
            now: The monotonic clock.
            live: It was written while the client listened, and not before.
        """
        if key != self.tuner and not key.startswith(f"{self.tuner}/"):
            return
        if value is not None:
            self._unread[key] = UnreadRecord(value, live, now)
        else:
            self._unread.pop(key, None)
            self._newest.pop(key, None)
            self.unreadable.pop(key, None)
        if key == self.tuner:
            self.deleted = value is None

    def current(self, now: float) -> FollowedRecord:
        """What to follow at a moment of the monotonic clock."""
        own = self._read_newest(self.tuner)
        if own is None:
            return FollowedRecord("deleted" if self.deleted else "unknown")
        try:
            scope = reduce_context(own.record.features, None if self.context is None else dict(self.context)).id
        except ValueError as error:
            return FollowedRecord("record", own.record, problem=str(error))
        leased = self._read_newest(scope_key(self.tuner, scope))
        if leased is None or leased.record.incarnation < own.record.incarnation:
            return FollowedRecord("record", own.record)
        lapsed = bool(leased.record.arms) and now >= leased.trusted_until
        waits_s = leased.record.lease_s / 3 if lapsed and leased.trusted_until == -math.inf else 0.0
        return FollowedRecord("record", leased.record, arms=not lapsed, lapsed=lapsed, waits_s=waits_s)

    def known(self) -> list[ConfigRecord]:
        """Every record that was read so far."""
        return [leased.record for leased in self._newest.values()]

    def _read_newest(self, key: str) -> LeasedRecord | None:
        unread = self._unread.pop(key, None)
        newest = self._newest.get(key)
        if unread is None:
            return newest
        try:
            record = ConfigRecord.from_bytes(unread.value)
        except ValidationError as error:
            self.unreadable[key] = f"config record {key!r} cannot be read: {explain(error)}"
            return newest
        self.unreadable.pop(key, None)
        if unread.live:
            came = LeasedRecord(record, unread.now + record.lease_s)
        elif newest is not None and newest.renewed_by(record):
            came = LeasedRecord(record, newest.trusted_until)  # it is read anew, or was renewed meanwhile
        else:
            came = LeasedRecord(record)
        if record.tuner != self.tuner or scope_key(record.tuner, record.scope) != key:
            self.unreadable[key] = f"config record {key!r} is of tuner {record.tuner!r}, scope {record.scope!r}"
        elif newest is None or came.order >= newest.order:
            newest = self._newest[key] = came
        return newest
