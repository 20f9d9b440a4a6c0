"""What goes into the fold and what comes out of it, free of Kafka."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ...schemas.state import Disposition

SOURCES = ("commands", "contexts", "metrics")
"""The topics that are folded, without their prefix. Only offsets order records, and only within one of them."""


class Unreadable(bytes):
    """The value of a record that could not be read: it is counted as lost. Says why."""


class Received(NamedTuple):
    """A consumed record. Made for every one, so it is the cheapest of Python's immutable kinds.

    Attributes:
        topic: One of :data:`SOURCES`.
        offset: Its place in its partition.
        timestamp_ms: The broker's time of appending.
        key: As received.
        value: As received; :class:`Unreadable` where nothing of the record could be read.
    """

    topic: str
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used, as it is written to ``dead-letters``."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class Effects:
    """All that one transaction writes, each to the partition that was folded.

    Attributes:
        state: Changed records of ``state`` by key; ``None`` deletes.
        configs: Newest records of ``configs`` by key; ``None`` deletes.
        rounds: Keyed records for ``rounds``.
        dead_letters: Records for ``dead-letters``.
        journal: Records for ``journal``: one, or none where nothing is written.
        dispositions: What became of each record, by its topic and offset: counted in ``state`` and ``journal``.
    """

    state: dict[str, bytes | None] = field(default_factory=dict)
    configs: dict[str, bytes | None] = field(default_factory=dict)
    rounds: list[tuple[str, bytes]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    dispositions: list[tuple[str, int, Disposition]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.state or self.configs or self.rounds or self.dead_letters or self.journal)

    def merge(self, later: "Effects") -> None:
        """Add what a later step wrote."""
        self.state.update(later.state)
        self.configs.update(later.configs)
        self.rounds += later.rounds
        self.dead_letters += later.dead_letters
        self.journal += later.journal
        self.dispositions += later.dispositions
