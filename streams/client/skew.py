"""How far this machine's clock is from that of who writes the records: told, and never reckoned with."""

from collections import deque

SKEW_S = 5.0
"""Clocks that differ by less are taken as equal: a record may be read a little late."""

_RECORDS = 3
"""The least of so many counts: one record alone may have been read late, behind a change callback that took long."""


class Skew:
    """What the newest records say of the clock."""

    def __init__(self) -> None:
        self._ahead_s: deque[float] = deque(maxlen=_RECORDS)

    def note(self, wall_s: float, written_ms: int) -> None:
        """A record came while the client listened.

        Args:
            wall_s: This machine's clock then.
            written_ms: The record's timestamp.
        """
        self._ahead_s.append(wall_s - written_ms / 1000)

    @property
    def problem(self) -> str:
        """A sentence; empty where the clocks agree."""
        ahead_s = min(self._ahead_s, default=0.0, key=abs)
        if abs(ahead_s) < SKEW_S:
            return ""
        which = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"this machine's clock is {abs(ahead_s):.0f} s {which} the one by which config records are written:"
            " leases do not depend on it, but times in logs will not agree"
        )
