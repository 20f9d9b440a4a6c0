"""What an event adds to a quantity: a numerator and a denominator, whole numbers, so that no order of events matters.

======================  =======================================  ============  ====================
quantity                numerator of an event                    denominator   a unit's number
======================  =======================================  ============  ====================
percentile, guarded     measurements in bins above the edge      measurements  asin √ of the share
share; mean of 0 or 1   sum                                      measurements  asin √ of the share
mean, all above 0       sum, from bins, cut at five times p95    measurements  ln of the mean
mean, else              sum                                      measurements  mean, in spreads
percentile, objective   measurements · ln of the percentile      measurements  mean of the logarithm
min, max, std           measurements · ln of the event's         measurements  mean of the logarithm
rate, count             measurements                             time          ln of the rate
sum, never below 0      sum                                      time          ln of the sum a time
sum, else               sum                                      measurements  mean, in spreads
======================  =======================================  ============  ====================

A measured reward is never put in logarithms. A percentile, min or max that may be zero or below is counted in spreads,
too: standard deviations of the baseline's measurements.
"""

import math
from functools import lru_cache
from typing import Literal

from ...core.summary import GAMMA, Summary, bin_value
from ...schemas.spec import Tracked
from ...schemas.state import Quantity

Scale = Literal["share", "log", "plain"]

ONE = 2**16
"""What one measurement counts in numerators of shares and rates: so that half of an odd number is whole."""

LOG_ONE = 2**20
"""What 1 is in numerators of logarithms."""

MOST_DENOMINATOR = 2**33
"""A unit with more measurements, or milliseconds, in one sum has no number: sums must fit into 64 bits."""

MOST_PER = 2**28
"""A numerator is at most so many times its denominator."""

PER_TIME = {"rate", "count", "sum"}

_EVENTS_VALUE = {"min", "max", "std"}

_NO_CUT = 2**16


def contribution(
    tracked: Tracked, quantity: Quantity, summary: Summary | None, interval_ms: int, weight: int, *, shifted: bool
) -> tuple[int, int] | None:
    """Numerator and denominator of an event.

    Args:
        tracked: The quantity as the spec has it.
        quantity: As the scope has it.
        summary: What the event measured of the metric; ``None`` where it did not.
        interval_ms: Length of what the event measured.
        weight: Each measurement stands for so many.
        shifted: Judge it by an edge that is moved by the tolerance: an arm other than the baseline.

    Returns:
        ``None`` where it has none: it did not measure the metric, or the quantity's scale is not known yet.
    """
    if quantity.scale is None:
        return None
    if tracked.aggregate in PER_TIME and quantity.scale == "log":
        return _bounded(_sum_over_time(tracked, quantity, summary, weight), interval_ms)
    return None if summary is None else _of_metric(tracked, quantity, summary, weight, shifted=shifted)


def _of_metric(
    tracked: Tracked, quantity: Quantity, summary: Summary, weight: int, *, shifted: bool
) -> tuple[int, int]:
    count = summary.count * weight
    if is_value(tracked, quantity):
        value = _percentile(summary, tracked.rank) if tracked.rank is not None else _extreme(summary, tracked.aggregate)
        return _bounded(_of_value(value, count, quantity), count)
    if quantity.scale == "share":
        if tracked.rank is None:
            return _bounded(round(min(max(summary.sum, 0.0), summary.count) * ONE) * weight, count)
        edge = (quantity.edge or 0) + (tolerated_bins(tracked) if shifted else 0)
        return _bounded(sum(n for i, n in summary.bins.items() if i > edge) * weight * ONE, count)
    if quantity.scale == "log":
        return _bounded(_cut_sum(summary, quantity) * weight, count)
    return _bounded(_ticks(summary.sum, quantity, summary.count) * weight, count)


def _extreme(summary: Summary, word: str) -> float:
    if word == "std":
        return summary.std
    return (summary.low if word == "min" else summary.high) or 0.0


def _percentile(summary: Summary, rank: float) -> float:
    """As :meth:`Summary.quantile`, found from above: most percentiles that matter are near the top."""
    rest = summary.count - rank * (summary.count - 1)
    above = 0
    for index in sorted(summary.bins, reverse=True):
        above += summary.bins[index]
        if above >= rest:
            return min(max(bin_value(index), summary.low or 0.0), summary.high or 0.0)
    return summary.quantile(rank)


def _bounded(num: int, den: int) -> tuple[int, int]:
    return min(max(num, -den * MOST_PER), den * MOST_PER), den


def _sum_over_time(tracked: Tracked, quantity: Quantity, summary: Summary | None, weight: int) -> int:
    if summary is None:
        return 0
    if tracked.aggregate == "sum":
        return _ticks(summary.sum, quantity, summary.count) * weight
    return summary.count * weight * ONE


def _of_value(value: float, count: int, quantity: Quantity) -> int:
    if quantity.scale == "plain":
        return _ticks(value, quantity, 1) * count
    return round(count * math.log(max(value, math.ldexp(1.0, quantity.tick or 0))) * LOG_ONE)


def _cut_sum(summary: Summary, quantity: Quantity) -> int:
    cut = quantity.edge if quantity.edge is not None else _NO_CUT
    tick = quantity.tick or 0
    found = 0
    for index, number in summary.bins.items():
        found += number * _bin_ticks(min(cut, index), tick)
    for index, number in summary.negative.items():
        found -= number * _bin_ticks(min(cut, index), tick)
    return found


@lru_cache(2**14)
def _bin_ticks(index: int, tick: int) -> int:
    return round(min(math.ldexp(bin_value(index), -tick), MOST_PER))


def _ticks(value: float, quantity: Quantity, measurements: int) -> int:
    """A number in the quantity's steps, at most as many as its measurements may have."""
    most = float(measurements * MOST_PER)
    return round(min(max(math.ldexp(value, -(quantity.tick or 0)), -most), most))


def is_value(tracked: Tracked, quantity: Quantity) -> bool:
    """Whether events count by a value of their own (a percentile, say), not by their measurements."""
    if tracked.aggregate in _EVENTS_VALUE or tracked.name.startswith("~"):
        return True
    return tracked.rank is not None and quantity.scale == "plain"


def tolerated_bins(tracked: Tracked) -> int:
    """By how many bins an arm's edge lies beyond the baseline's: so much worse a percentile is let pass."""
    if tracked.guardrail is None:
        return 0
    bins = math.ceil(math.log1p(tolerance(tracked, "log")) / math.log(GAMMA) - 1e-9)
    return bins if tracked.goal == "minimize" else -bins


def tolerance(tracked: Tracked, scale: Scale) -> float:
    """What a guardrail lets pass, by its own word or by the scale's default."""
    given = tracked.guardrail.tolerance if tracked.guardrail is not None else None
    if given is not None:
        return given
    return 0.01 if scale == "share" and tracked.rank is None else 0.1
