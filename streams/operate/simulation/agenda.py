"""What is still to happen, in the order of virtual time. Plain data, so that a simulation can be kept in a file."""

from heapq import heapify, heappop, heappush
from typing import NamedTuple


class Entry(NamedTuple):
    """Something that happens at a moment of virtual time.

    Attributes:
        at_ms: When.
        order: Of two at the same moment, the one that was planned first happens first.
        what: A word for what happens.
        who: Index of the instance that it happens to; -1: to none in particular.
        life: Of which life of the instance: what was planned before it was started anew does not happen.
        value: A record, where one comes or is sent.
    """

    at_ms: int
    order: int
    what: str
    who: int = -1
    life: int = 0
    value: bytes = b""


class Agenda:
    """A queue of entries by time.

    Args:
        entries: Entries of a simulation that goes on.
        planned: How many were ever planned.
    """

    def __init__(self, entries: list[Entry] | None = None, planned: int = 0) -> None:
        self.entries = list(entries or ())
        self.planned = planned
        heapify(self.entries)

    def plan(self, at_ms: int, what: str, who: int = -1, life: int = 0, value: bytes = b"") -> None:
        """Let something happen."""
        self.planned += 1
        heappush(self.entries, Entry(at_ms, self.planned, what, who, life, value))

    def next(self) -> Entry:
        """Take what happens next."""
        return heappop(self.entries)
