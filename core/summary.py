"""Mergeable summaries of measurements: count, exact sums, extremes, and a histogram for percentiles.

Merging is exact and commutative: summaries of the same measurements are equal whatever the order and grouping in which
they were merged. Sums of floats are not, so they are kept as expansions (Shewchuk 1997, *Adaptive precision
floating-point arithmetic*). The histogram's bins follow DDSketch (Masson, Rim, Lee, PVLDB 12(12), 2019, §2.1):
bin i holds the values in (γ^(i-1), γ^i], with γ = (1 + α) / (1 - α).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

RELATIVE_ACCURACY = 0.01
"""α: a percentile read from the histogram is within 1 % of a measured value of that rank."""

MAX_TERMS = 256
"""Terms of a sum that are gathered before they are added up."""

GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_LOG_GAMMA = math.log(GAMMA)


def bin_index(magnitude: float) -> int:
    """Index of the bin that holds a positive value."""
    return math.ceil(math.log(magnitude) / _LOG_GAMMA)


def bin_value(index: int) -> float:
    """The value that stands for a bin: within 1 % of all that it holds."""
    return 2 * math.exp(index * _LOG_GAMMA) / (GAMMA + 1)


def exact_sum(terms: Iterable[float]) -> list[float]:
    """The canonical expansion of a sum of floats: the sum rounded, then what rounding left, and so on.

    It represents the exact sum, so it does not depend on the order of the terms; ``[]`` is zero.
    """
    rest = list(terms)
    canonical: list[float] = []
    while rounded := math.fsum(rest):
        canonical.append(rounded)
        rest.append(-rounded)
    return canonical


@dataclass(slots=True)
class Summary:
    """What is known of a set of measurements of one metric.

    Attributes:
        count: Number of measurements, each counted as often as its weight says.
        total: Terms whose exact sum is their sum; its canonical expansion after :meth:`canonicalise`.
        squares: The same for their squares.
        low: The smallest, ``None`` while there are none.
        high: The largest.
        bins: Measurements above zero, by bin.
        negative: Measurements below zero, by the bin of their magnitude.
        zeros: Number of measurements equal to zero.
    """

    count: int = 0
    total: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    bins: dict[int, int] = field(default_factory=dict)
    negative: dict[int, int] = field(default_factory=dict)
    zeros: int = 0

    def add(self, value: float, weight: int = 1) -> None:
        """Add one finite measurement that stands for ``weight`` of its kind."""
        self.count += weight
        self.total.append(value * weight)
        self.squares.append(value * value * weight)
        if len(self.total) > MAX_TERMS:
            self.canonicalise()
        if self.low is None or value < self.low:
            self.low = value
        if self.high is None or value > self.high:
            self.high = value
        if value > 0:
            index = bin_index(value)
            self.bins[index] = self.bins.get(index, 0) + weight
        elif value < 0:
            index = bin_index(-value)
            self.negative[index] = self.negative.get(index, 0) + weight
        else:
            self.zeros += weight

    def merge(self, other: "Summary", weight: int = 1) -> None:
        """Add what another summary holds, each measurement ``weight`` times. The other stays as it is."""
        self.count += other.count * weight
        self.total += [part * weight for part in other.total]
        self.squares += [part * weight for part in other.squares]
        if len(self.total) > MAX_TERMS:
            self.canonicalise()
        if other.low is not None and (self.low is None or other.low < self.low):
            self.low = other.low
        if other.high is not None and (self.high is None or other.high > self.high):
            self.high = other.high
        for mine, theirs in ((self.bins, other.bins), (self.negative, other.negative)):
            for index, number in theirs.items():
                mine[index] = mine.get(index, 0) + number * weight
        self.zeros += other.zeros * weight

    def canonicalise(self) -> None:
        """Bring the sums into their canonical form, so that equal summaries are equal to the bit."""
        self.total = exact_sum(self.total)
        self.squares = exact_sum(self.squares)

    @property
    def sum(self) -> float:
        """The sum, correctly rounded."""
        return math.fsum(self.total)

    @property
    def mean(self) -> float:
        """The arithmetic mean, inside what was measured; NaN while there are no measurements."""
        if not self.count or self.low is None or self.high is None:
            return math.nan
        return min(max(self.sum / self.count, self.low), self.high)

    @property
    def std(self) -> float:
        """The population's standard deviation; NaN while there are no measurements."""
        if not self.count:
            return math.nan
        mean = self.mean
        second = math.fsum(self.squares) / self.count
        return math.sqrt(max(0.0, second - mean * mean))

    def quantile(self, q: float) -> float:
        """The measurement of rank ``q`` (0 to 1), within 1 %, and inside what was measured; NaN while empty."""
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Sequence[float]) -> list[float]:
        """Several quantiles in one pass; ``qs`` must ascend."""
        if not self.count or self.low is None or self.high is None:
            return [math.nan] * len(qs)
        found: list[float] = []
        seen = 0
        for value, number in self._ascending():
            seen += number
            while len(found) < len(qs) and seen > qs[len(found)] * (self.count - 1):
                found.append(min(max(value, self.low), self.high))
        return found + [self.high] * (len(qs) - len(found))

    def _ascending(self) -> Iterable[tuple[float, int]]:
        for index in sorted(self.negative, reverse=True):
            yield -bin_value(index), self.negative[index]
        if self.zeros:
            yield 0.0, self.zeros
        for index in sorted(self.bins):
            yield bin_value(index), self.bins[index]
