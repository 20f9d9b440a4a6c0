"""Measuring configurations against each other: the same store, the same traffic, in turns."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ....core.errors import InvalidArgument
from .load import Load
from .workload import OrderStore


@dataclass(slots=True)
class Side:
    """What one configuration achieved, one number per repetition.

    Attributes:
        p95_ms: 95th percentile of the latencies, in milliseconds.
        ops_per_s: Completed operations per second.
    """

    p95_ms: list[float] = field(default_factory=list)
    ops_per_s: list[float] = field(default_factory=list)

    def add(self, latencies_s: Sequence[float], ops_per_s: float) -> None:
        """Add a repetition: what :func:`measure_side` returns, of one process or of several together."""
        self.p95_ms.append(p95_ms(latencies_s))
        self.ops_per_s.append(ops_per_s)

    @property
    def median_p95_ms(self) -> float:
        """Median over the repetitions of the 95th percentile; NaN without any."""
        return _median(self.p95_ms)

    @property
    def min_p95_ms(self) -> float:
        """The best repetition's 95th percentile; NaN without any."""
        return min(self.p95_ms, default=math.nan)

    @property
    def max_p95_ms(self) -> float:
        """The worst repetition's 95th percentile; NaN without any."""
        return max(self.p95_ms, default=math.nan)

    @property
    def median_ops_per_s(self) -> float:
        """Median over the repetitions of the operations per second; NaN without any."""
        return _median(self.ops_per_s)

    @property
    def min_ops_per_s(self) -> float:
        """The slowest repetition's operations per second; NaN without any."""
        return min(self.ops_per_s, default=math.nan)

    @property
    def max_ops_per_s(self) -> float:
        """The fastest repetition's operations per second; NaN without any."""
        return max(self.ops_per_s, default=math.nan)


DEFAULTS, TUNED, REFERENCE = "defaults", "tuned", "reference"
"""Names of the sides; the last is only there where it was asked for."""

Sides: TypeAlias = dict[str, Side]
"""What each configuration achieved in a context, in the order in which they took turns."""

_CONFIDENCE = 0.9

_SAME = 1.15
"""Ratios between this and its inverse are as good as 1."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times faster than another one configuration is.

    Attributes:
        median: Over the repetitions, each compared with its neighbour in time; NaN without any.
        low, high: Bounds of its 90 % confidence interval.
    """

    median: float
    low: float
    high: float

    @property
    def is_other_than_1(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1 or self.high < 1

    @property
    def is_decided(self) -> bool:
        """Whether more repetitions would hardly tell more: the interval excludes 1, or all of it is as good as 1."""
        return self.is_other_than_1 or (self.low >= 1 / _SAME and self.high <= _SAME)


def times_faster(than: Side, side: Side) -> Ratio:
    """How many times faster a side is, by the 95th percentiles of each repetition.

    The interval makes no assumption on how latencies are distributed: it is made of order statistics, of which the
    number below the median is binomial (Conover 1999, *Practical Nonparametric Statistics*, 3.2). With fewer than five
    repetitions there is none of 90 %, and it is without bounds.
    """
    ratios = sorted(a / b for a, b in zip(than.p95_ms, side.p95_ms, strict=True) if b > 0)
    n = len(ratios)
    skipped = -1  # of the smallest and the largest each
    while sum(math.comb(n, k) for k in range(skipped + 2)) * 2 <= (1 - _CONFIDENCE) * 2**n:
        skipped += 1
    low, high = (ratios[skipped], ratios[n - 1 - skipped]) if skipped >= 0 else (0.0, math.inf)
    return Ratio(_median(ratios), low, high)


def _median(numbers: Sequence[float]) -> float:
    return statistics.median(numbers) if numbers else math.nan


def p95_ms(latencies_s: Sequence[float]) -> float:
    """The 95th percentile of latencies in seconds, in milliseconds: the smallest that 95 % of them do not exceed.

    Raises:
        InvalidArgument: There are none.
    """
    if not latencies_s:
        raise InvalidArgument("no latencies: nothing was completed while it was measured")
    ordered = sorted(latencies_s)
    return 1000.0 * ordered[math.ceil(0.95 * len(ordered)) - 1]


def measure_side(
    store: OrderStore, load: Load, values: Mapping[str, object], *, settle_s: float, measure_s: float
) -> tuple[list[float], float]:
    """Apply a configuration and measure it under load.

    Args:
        store: The store.
        load: Its traffic; the schedule starts anew, so that no side inherits the other's queue.
        values: The configuration.
        settle_s: How long it runs before its operations count.
        measure_s: How long they count.

    Returns:
        The latencies in seconds of the operations completed while it was measured, and how many there were per second.

    Raises:
        InvalidArgument: A value is not legal.
        SettingRefused: SQLite did not take a setting.
    """
    store.apply(values)
    store.flush()
    load.restart()
    load.run_for(settle_s, _ignore)
    latencies_s: list[float] = []
    start_s = time.perf_counter()
    load.run_for(measure_s, lambda _kind, latency_s: latencies_s.append(latency_s))
    elapsed_s = time.perf_counter() - start_s
    return latencies_s, len(latencies_s) / elapsed_s if elapsed_s > 0 else 0.0


def _ignore(_kind: str, _latency_s: float) -> None:
    """Operations of the settling time do not count."""
