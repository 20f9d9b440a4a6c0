"""Measurements that were refused: counted, and told by metric."""

from .measurement import shown
from .real_threads import new_lock

MAX_NAMED = 10
"""Metrics whose refusal is told by name: an app that makes up names without end must not fill its memory."""


class Refusals:
    """Counts what is refused, from any thread.

    Attributes:
        count: All that was refused.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._lock = new_lock()  # held for a few steps, in which no greenlet gives way

    def add(self, metric: object, why: str, count: int = 1) -> None:
        """Note measurements that were refused.

        Args:
            metric: Whatever was given as its name.
            why: What is wrong; told of the first.
            count: How many.
        """
        name = metric if isinstance(metric, str) and metric and metric.isprintable() else shown(metric)
        name = name[:100]
        with self._lock:
            self.count += count
            if name in self._first or len(self._first) < MAX_NAMED:
                self._first.setdefault(name, why)
                self._counts[name] = self._counts.get(name, 0) + count

    @property
    def by_metric(self) -> dict[str, str]:
        """A sentence for each metric of which something was refused; of the first few."""
        with self._lock:
            first, counts = dict(self._first), dict(self._counts)
        return {name: f"{_measurements(counts[name])} of {name} refused: {why}" for name, why in first.items()}

    @property
    def problems(self) -> tuple[str, ...]:
        """All of it, a sentence each."""
        with self._lock:
            others = self.count - sum(self._counts.values())
        more = (f"{_measurements(others)} of other names refused",) if others else ()
        return (*self.by_metric.values(), *more)


def _measurements(count: int) -> str:
    return "1 measurement" if count == 1 else f"{count:,} measurements"
