"""Whether this process takes part as an instance: rounds wait for those that do."""


class Serving:
    """A process takes part from its start; once it forks, only if it records something itself.

    So the master of a server that forks its workers is no instance, and a helper that a service forks is none either.
    One that had recorded something before it forked is given some time: as long as one that fell silent, and twice as
    long as it ever took from one measurement to the next.

    Args:
        now: The monotonic clock.
        child: Whether this process is the child of one that had started the client.
    """

    def __init__(self, now: float, *, child: bool = False) -> None:
        self._began = now
        self._forked: float | None = now if child else None
        self._recorded: float | None = None
        self._longest_s = 0.0

    def fork(self, now: float) -> None:
        """This process forked; from any thread."""
        self._forked = now

    def record(self, now: float) -> None:
        """It recorded something, credited to a request or not."""
        last = self._recorded if self._recorded is not None else self._began
        self._longest_s = max(self._longest_s, now - last)
        self._recorded = now

    def takes_part(self, now: float, ttl_s: float) -> bool:
        """Whether it is an instance now; ``ttl_s`` is how long one that fell silent is waited for, in seconds."""
        forked, recorded = self._forked, self._recorded
        if forked is None:
            return True
        if recorded is None:
            return False
        return recorded > forked or now < forked + max(ttl_s, 2 * self._longest_s)
