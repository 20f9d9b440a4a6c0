"""The broker's time between its timestamps, and how far this machine's clock is off.

Partition time is the broker's. Between two of its timestamps a worker's monotonic clock tells how much has passed; its
wall clock, which may be ahead, put right, or another machine's after a takeover, is compared and never followed: time
that was pulled ahead by one stood still until the world had caught up.
"""

_PACE = 0.5
"""At what share of its pace a clock goes on that is ahead of the broker's, until that has caught up. It must not stand
still, nor go back; and leases are renewed at a third of their length, so at half the pace still in time."""


SKEW_S = 5.0
"""A clock that is further off is worth a word: well above what fetching and asking take, and far below a lease."""


class BrokerClock:
    """What the broker's clock shows: its newest timestamp, and what has passed since that came.

    A timestamp is a moment old when it comes, so the reading is never ahead of the broker's own, unless the broker's
    was put back.

    Args:
        stored_ms: The newest time that is known when the clock begins; 0 for none.
        now_s: Monotonic time.
    """

    __slots__ = ("_shown", "_told")

    def __init__(self, stored_ms: int = 0, now_s: float = 0.0) -> None:
        self._told = self._shown = (stored_ms, now_s)

    def now_ms(self, now_s: float) -> int:
        """The broker's time at a monotonic time; 0 while nothing is known. Never goes back, never stands still."""
        told_ms, told_s = self._told
        shown_ms, shown_s = self._shown
        if not told_ms:
            return 0
        return int(max(told_ms + (now_s - told_s) * 1000, shown_ms + (now_s - shown_s) * 1000 * _PACE))

    def heard(self, timestamp_ms: int, now_s: float) -> None:
        """A record came with a timestamp of the broker's; records of old formats have none."""
        if timestamp_ms > 0:
            self._shown = (self.now_ms(now_s), now_s)
            self._told = (timestamp_ms, now_s)


def ahead_ms(timestamp_ms: int, earliest_ms: int | None, latest_ms: int) -> int | None:
    """By how much a wall clock is ahead of the broker's at least; negative where it is behind, 0 where they may agree.

    Args:
        timestamp_ms: What the broker's clock showed when it appended a record.
        earliest_ms: What the wall clock showed at some time before that; ``None`` where none is known.
        latest_ms: What it showed when the record had come.

    Returns:
        ``None`` where the record may just be old.
    """
    if timestamp_ms > latest_ms:
        return latest_ms - timestamp_ms
    return None if earliest_ms is None else max(earliest_ms - timestamp_ms, 0)


def skew(ahead_s: float) -> str:
    """How far a clock is off, for people.

    >>> skew(-300.2)
    "300 s behind the broker's"
    """
    return f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the broker's"
