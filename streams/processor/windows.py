"""What the baseline's measurements show of a quantity: its scale, the edge of a percentile, the step of its sums.

The edge is the bin that held the baseline's percentile in its newest complete window: a number known before the events
that are judged by it. What comes before the first window has shown a scale is not counted. Of a limit all is known at
once.
"""

import math

from ...core.summary import GAMMA, Summary, bin_index
from ...schemas.spec import Tracked
from ...schemas.state import Quantity, ScopeState
from .contributions import PER_TIME, Scale

ENOUGH_FOR_EDGE = 200
"""Measurements of the baseline from which a percentile is read."""

ENOUGH_FOR_SCALE = 20
"""Measurements of the baseline from which a scale is chosen, where no percentile is needed."""

CUT = 5.0
"""A mean's measurements are cut at so many times the baseline's 95th percentile: else it may have no variance."""

_CUT_BINS = math.ceil(math.log(CUT) / math.log(GAMMA))

_NO_EDGE = -(2**16)

_TICKS_PER_UNIT = 20

_TICKS_PER_SPREAD = 10

_TICKS_OF_HIGHEST = 24

_MOST_DRIFT = 6

_LEAST_TICK = -400


def settle(scope: ScopeState, tracked: Tracked, quantity: Quantity, window: Summary) -> None:
    """Edge, scale and step from a complete window. What contradicts them is measured anew: all sums of it go."""
    scale = _scale(tracked, window)
    tick = _tick_of(tracked, window, scale)
    if quantity.scale is not None and _contradicts(quantity, scale, tick):
        for unit in scope.units.values():
            unit.sums.pop(tracked.name, None)
        quantity.scale, quantity.tick, quantity.spread, quantity.seen = None, None, {}, {}
    if quantity.scale is None:
        quantity.scale, quantity.tick = scale, tick
        quantity.unit = min(window.std or abs(window.mean), 1e100) or 1.0
    quantity.edge = _edge(tracked, window, quantity.scale)


def _contradicts(quantity: Quantity, scale: Scale, tick: int | None) -> bool:
    if quantity.scale == "plain":
        return tick is not None and quantity.tick is not None and tick > quantity.tick + _MOST_DRIFT
    if quantity.scale != scale:
        return True
    return tick is not None and quantity.tick is not None and abs(tick - quantity.tick) > _MOST_DRIFT


def _scale(tracked: Tracked, window: Summary) -> Scale:
    """Shares where there are shares alone, logarithms where all is above zero, else plain."""
    low = window.low if window.low is not None else 0.0
    if tracked.plain:
        return "plain"
    if tracked.rank is not None and not tracked.name.startswith("~"):
        return "share" if low >= 0 or window.quantile(tracked.rank) > 0 else "plain"
    if tracked.aggregate == "mean" and _zeros_and_ones(window):
        return "share"
    return "log" if _above_zero(tracked, window, low) else "plain"


def _above_zero(tracked: Tracked, window: Summary, low: float) -> bool:
    if tracked.rank is not None:
        return low >= 0 and window.quantile(tracked.rank / 2) > 0
    if tracked.aggregate == "sum":
        return low >= 0 and window.sum > 0
    return window.std > 0 if tracked.aggregate == "std" else low > 0


def _zeros_and_ones(window: Summary) -> bool:
    only = not window.negative and window.bins.keys() <= {0} and window.high in {0.0, 1.0}
    return only and window.sum == window.count - window.zeros


def _tick_of(tracked: Tracked, window: Summary, scale: Scale) -> int | None:
    """The step of sums: a millionth of a usual value, or a thousandth of the spread where values may be far from it."""
    if scale == "share":
        return None
    if scale == "log":
        usual = window.mean if tracked.rank is None else window.quantile(tracked.rank)
        return _tick(usual, _TICKS_PER_UNIT)
    highest = max(abs(window.low or 0.0), abs(window.high or 0.0))
    least = _tick(highest, _TICKS_OF_HIGHEST)
    return max(_tick(window.std, _TICKS_PER_SPREAD), least) if window.std else least


def _tick(size: float, below: int) -> int:
    """Exponent of the power of two that is ``below`` powers beneath a size."""
    return max(math.frexp(abs(size))[1] - 1 - below, _LEAST_TICK) if size else -below


def _edge(tracked: Tracked, window: Summary, scale: Scale) -> int | None:
    if tracked.rank is not None and scale == "share":
        value = window.quantile(tracked.rank)
        return bin_index(value) if value > 0 else _NO_EDGE
    if tracked.aggregate == "mean" and scale == "log":
        return bin_index(window.quantile(0.95)) + _CUT_BINS
    return None


def new_quantity(tracked: Tracked) -> Quantity:
    """A quantity of which nothing was measured yet."""
    if is_limited(tracked):
        return _of_limit(tracked)
    if tracked.aggregate == "share":
        return Quantity(scale="share")
    return Quantity(scale="log") if tracked.aggregate in {"rate", "count"} else Quantity()


def _of_limit(tracked: Tracked) -> Quantity:
    """A limit is known from the beginning, and so are edge and step."""
    limit = tracked.guardrail.limit if tracked.guardrail is not None and tracked.guardrail.limit is not None else 0.0
    if tracked.aggregate == "share":
        return Quantity(scale="share")
    if tracked.rank is not None and limit > 0:
        return Quantity(scale="share", edge=bin_index(limit))
    if tracked.aggregate in PER_TIME:
        return Quantity(scale="log", tick=_tick(limit, _TICKS_PER_UNIT))
    return Quantity(scale="plain", tick=_tick(limit, _TICKS_PER_UNIT))


def is_limited(tracked: Tracked) -> bool:
    """Whether it is of an absolute limit: kept by arm, not by unit."""
    return tracked.guardrail is not None and tracked.guardrail.limit is not None


def needs_window(tracked: Tracked) -> bool:
    """Whether the baseline's measurements must show something first."""
    return not is_limited(tracked) and tracked.aggregate not in {"share", "rate", "count"}


def enough(tracked: Tracked) -> int:
    """Measurements that its window must have."""
    return ENOUGH_FOR_EDGE if tracked.rank is not None else ENOUGH_FOR_SCALE
