"""Traffic at a fixed rate, whatever the service does.

Operations arrive on a schedule of their own, as customers do: when the service is slow they queue, and their latency
counts from the scheduled arrival. A loop that waits for each answer before the next question would hide exactly the
waiting that a bad configuration causes.
"""

import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from ....core.errors import InvalidArgument
from .workload import OrderStore

RATE_PER_S: Final[Mapping[str, float]] = {"read-heavy": 500.0, "write-heavy": 250.0}
"""Arrivals per second and process at which four processes strain the defaults without drowning them."""

MAX_BACKLOG_S: Final = 1.0
"""Arrivals that have waited longer are dropped, so that one bad configuration does not spoil the rounds after it."""

BETWEEN_INTERVAL_S: Final = 0.005
"""Longest time between two calls of ``between``, but for one operation that takes longer."""

_SPIN_S: Final = 0.00015
"""The last part of a wait, spent looking at the clock: a sleep ends about this late."""


class Load:
    """Arrivals for one store, spaced evenly, on a schedule that goes on from one call to the next.

    Args:
        store: The store to operate.
        rate_per_s: Arrivals per second.
        seed: Seed of the schedule's phase, so that several processes do not arrive in step.

    Attributes:
        rate_per_s: Arrivals per second.
        dropped: Arrivals given up so far, because they were more than :data:`MAX_BACKLOG_S` behind.

    Raises:
        InvalidArgument: The rate is not a finite number above 0.
    """

    def __init__(self, store: OrderStore, rate_per_s: float, seed: int) -> None:
        if not (math.isfinite(rate_per_s) and rate_per_s > 0):
            raise InvalidArgument(f"rate_per_s must be finite and above 0, not {rate_per_s}")
        self.rate_per_s = rate_per_s
        self.dropped = 0
        self._store = store
        self._phase_s = random.Random(seed).random() / rate_per_s  # noqa: S311 - traffic, not secrets
        self._origin_s: float | None = None
        self._arrivals = 0

    def restart(self) -> None:
        """Let the schedule start anew with the next run: what would have arrived in a deliberate pause does not."""
        self._origin_s = None

    def run_for(
        self, seconds: float, on_operation: Callable[[str, float], None], between: Callable[[], None] | None = None
    ) -> int:
        """Operate the store on schedule for a while.

        Arrivals between two calls belong to the second one, where they have waited already; see :meth:`restart`.

        Args:
            seconds: How long.
            on_operation: Called for each completed operation, with its kind and its latency in seconds.
            between: Called between operations, when idle and at least every :data:`BETWEEN_INTERVAL_S`: the place to
                apply new settings. The time that it takes delays the operations, and counts in their latencies.

        Returns:
            How many operations were completed. Writes whose transaction is still open are not among them.
        """
        start_s = now_s = time.perf_counter()
        end_s = start_s + seconds
        if self._origin_s is None:
            self._origin_s = start_s + self._phase_s
            self._arrivals = 0
        between_due_s = start_s
        completed = 0
        while now_s < end_s:
            self._drop_backlog(now_s, self._origin_s)
            arrival_s = self._origin_s + self._arrivals / self.rate_per_s
            if arrival_s <= now_s:
                self._arrivals += 1
                operations = self._store.operate(arrival_s)
            else:
                operations = self._store.flush_due(now_s)
            for kind, latency_s in operations:
                on_operation(kind, latency_s)
            completed += len(operations)
            now_s = time.perf_counter()
            arrival_s = self._origin_s + self._arrivals / self.rate_per_s
            if between is not None and (now_s < arrival_s or now_s >= between_due_s):
                between()
                now_s = time.perf_counter()
                between_due_s = now_s + BETWEEN_INTERVAL_S
            due_s = self._store.due_s
            now_s = _wait_until(min(arrival_s, end_s, between_due_s if between else end_s, due_s or end_s), now_s)
        return completed

    def _drop_backlog(self, now_s: float, origin_s: float) -> None:
        """Give up the arrivals that are more than the bound behind."""
        oldest = math.ceil((now_s - MAX_BACKLOG_S - origin_s) * self.rate_per_s)
        if oldest > self._arrivals:
            self.dropped += oldest - self._arrivals
            self._arrivals = oldest


def _wait_until(until_s: float, now_s: float) -> float:
    """Sleep, then look at the clock until it is time; the time then."""
    if until_s - now_s > _SPIN_S:
        time.sleep(until_s - now_s - _SPIN_S)
        now_s = time.perf_counter()
    while now_s < until_s:
        now_s = time.perf_counter()
    return now_s
