"""A budget of time, handed down to everything that waits for the broker."""

from time import monotonic, sleep


class Deadline:
    """So many seconds from now, by the monotonic clock.

    >>> Deadline(5.0).remaining() <= 5.0
    True
    """

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def remaining(self, at_most: float = float("inf")) -> float:
        """Seconds left, never negative, and no more than ``at_most``."""
        return min(max(self._at - monotonic(), 0.0), at_most)

    @property
    def passed(self) -> bool:
        """Nothing is left."""
        return monotonic() >= self._at

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the deadline."""
        sleep(self.remaining(seconds))
