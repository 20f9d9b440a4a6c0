"""Mergeable summaries of measurements: count, exact sums, extremes, and a histogram for percentiles.

Merging is exact and commutative: summaries of the same measurements are equal whatever the order and grouping in which
they were merged. Sums of floats are not, so they are kept as expansions (Shewchuk 1997, *Adaptive precision
floating-point arithmetic*). The histogram's bins follow DDSketch (Masson, Rim, Lee, PVLDB 12(12), 2019, §2.1):
bin i holds the values in (γ^(i-1), γ^i], with γ = (1 + α) / (1 - α).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

RELATIVE_ACCURACY = 0.01
"""α: a percentile read from the histogram is within 1 % of a measured value of that rank."""

GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_LOG_GAMMA = math.log(GAMMA)


def bin_index(magnitude: float) -> int:
    """Index of the bin that holds a positive value."""
    return math.ceil(math.log(magnitude) / _LOG_GAMMA)


def bin_value(index: int) -> float:
    """The value that stands for a bin: within 1 % of all that it holds."""
    return 2 * math.exp(index * _LOG_GAMMA) / (GAMMA + 1)


def exact_sum(expansion: Iterable[float]) -> list[float]:
    """The canonical expansion of a sum of floats: the sum rounded, then what rounding left, and so on.

    It represents the exact sum, so it does not depend on the order of the terms; ``[]`` is zero.
    """
    rest = list(expansion)
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
        total: Expansion of their sum (see :func:`exact_sum`).
        squares: Expansion of the sum of their squares.
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
        self.total = exact_sum([*self.total, value * weight])
        self.squares = exact_sum([*self.squares, value * value * weight])
        self._widen(value, value)
        if value > 0:
            index = bin_index(value)
            self.bins[index] = self.bins.get(index, 0) + weight
        elif value < 0:
            index = bin_index(-value)
            self.negative[index] = self.negative.get(index, 0) + weight
        else:
            self.zeros += weight

    def merge(
        self,
        *,
        count: int,
        total: Iterable[float],
        squares: Iterable[float],
        low: float,
        high: float,
        bins: Mapping[int, int],
        negative: Mapping[int, int],
        zeros: int,
        weight: int = 1,
    ) -> None:
        """Add another summary's contents, each measurement ``weight`` times."""
        self.count += count * weight
        self.total = exact_sum([*self.total, *(part * weight for part in total)])
        self.squares = exact_sum([*self.squares, *(part * weight for part in squares)])
        self._widen(low, high)
        for mine, theirs in ((self.bins, bins), (self.negative, negative)):
            for index, number in theirs.items():
                mine[index] = mine.get(index, 0) + number * weight
        self.zeros += zeros * weight

    def _widen(self, low: float, high: float) -> None:
        if self.low is None or low < self.low:
            self.low = low
        if self.high is None or high > self.high:
            self.high = high

    @property
    def sum(self) -> float:
        """The sum, correctly rounded."""
        return self.total[0] if self.total else 0.0

    @property
    def mean(self) -> float:
        """The arithmetic mean; NaN while there are no measurements."""
        return self.sum / self.count if self.count else math.nan

    @property
    def std(self) -> float:
        """The population's standard deviation; NaN while there are no measurements."""
        if not self.count:
            return math.nan
        mean = self.mean
        second = (self.squares[0] if self.squares else 0.0) / self.count
        return math.sqrt(max(0.0, second - mean * mean))

    def quantile(self, q: float) -> float:
        """The measurement of rank ``q`` (0 to 1), within 1 %, and inside what was measured; NaN while empty."""
        if not self.count or self.low is None or self.high is None:
            return math.nan
        rank = q * (self.count - 1)
        value = self.high
        seen = 0
        for candidate, number in self._ascending():
            seen += number
            if seen > rank:
                value = candidate
                break
        return min(max(value, self.low), self.high)

    def _ascending(self) -> Iterable[tuple[float, int]]:
        for index in sorted(self.negative, reverse=True):
            yield -bin_value(index), self.negative[index]
        if self.zeros:
            yield 0.0, self.zeros
        for index in sorted(self.bins):
            yield bin_value(index), self.bins[index]
