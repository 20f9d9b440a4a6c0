"""What each unit measured, as whole numbers: from events to one number a unit, by which arms can be compared.

A quantity is a numerator and a denominator. Per unit they are summed over this round, over a stage's finished rounds,
and over what the unit did before under the incumbent. All are integers, so that no order of events matters:

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
The edge of a percentile is the bin that held the baseline's in its newest complete window: a number known before the
events that are judged by it. Which scale a quantity has, and the step in which it is summed, the baseline's first
window shows; what comes before is not counted.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from ...core.summary import GAMMA, Summary, bin_index, bin_value
from ...schemas.base import ms
from ...schemas.events import MetricEvent
from ...schemas.spec import Tracked, TunerSpec
from ...schemas.state import Quantity, ScopeState, SeenSpread, Unit
from .evidence import MAX_EARLIER, Earlier, variance
from .measurements import summary_of

BASELINE = "baseline"
"""Name of the arm that runs the incumbent beside the others."""

ONE = 2**16
"""What one measurement counts in numerators of shares and rates: so that half of an odd number is whole."""

LOG_ONE = 2**20
"""What 1 is in numerators of logarithms."""

MOST_DENOMINATOR = 2**33
"""A unit with more measurements, or milliseconds, in one sum has no number: sums must fit into 64 bits."""

MOST_PER = 2**28
"""A numerator is at most so many times its denominator."""

ENOUGH_FOR_EDGE = 200
"""Measurements of the baseline from which a percentile is read."""

ENOUGH_FOR_SCALE = 20
"""Measurements of the baseline from which a scale is chosen, where no percentile is needed."""

MOST_WINDOW_BINS = 8_192
MOST_WINDOW_COUNT = 2**53

CUT = 5.0
"""A mean's measurements are cut at so many times the baseline's 95th percentile: else it may have no variance."""

_CUT_BINS = math.ceil(math.log(CUT) / math.log(GAMMA))
_NO_EDGE = -(2**16)
_NO_CUT = 2**16
_BUCKETS = 12
_TICKS_PER_UNIT = 20
_TICKS_PER_SPREAD = 10
_TICKS_OF_HIGHEST = 24
_MOST_DRIFT = 6
_LEAST_TICK = -400

_PER_TIME = {"rate", "count", "sum"}
_EVENTS_VALUE = {"min", "max", "std"}
_ROUND, _STAGE, _HISTORY = 0, 2, 4

Scale = Literal["share", "log", "plain"]


# ---- from an event to whole numbers ---------------------------------------------------------------------------------


def note(
    spec: TunerSpec,
    scope: ScopeState,
    request_arm: str,
    incumbent: bool,  # noqa: FBT001
    event: MetricEvent,
    now_ms: int,
) -> None:
    """Add an applied metric event to its unit's sums, to the baseline's windows and to what limits are judged by.

    Args:
        spec: The tuner's.
        scope: Changed in place.
        request_arm: Arm of the request that the event is of. Sums are of units that were given that arm.
        incumbent: The arm is the baseline.
        event: An event of an instance without a :class:`Unit` is ignored.
        now_ms: Partition time.
    """
    unit = scope.units.get(event.instance)
    if unit is None:
        return
    mine = unit.arm == request_arm
    if mine:
        unit.reports += 1
        unit.last_ms = max(unit.last_ms, now_ms)
    windows = _windows(spec)
    summaries: dict[str, Summary] = {}
    interval_ms = ms(event.interval_s)
    for tracked in spec.quantities:
        quantity = of(scope, tracked)
        measurement = event.metrics.get(tracked.metric)
        if measurement is None:
            summary = None
        else:
            summary = summaries.get(tracked.metric) or summaries.setdefault(tracked.metric, summary_of(measurement))
        if incumbent and summary is not None and tracked.name in windows:
            _see(quantity.window, summary, event.weight)
        if not mine and not _limited(tracked):
            continue
        found = contribution(tracked, quantity, summary, interval_ms, event.weight, shifted=not incumbent)
        if found is None:
            continue
        if _limited(tracked):
            samples = summary.count * event.weight if summary is not None else 0
            _add_recent(quantity, request_arm, (*found, samples), now_ms // ms(spec.measurement.interval_s))
        else:
            _add(unit.sums.setdefault(tracked.name, [0] * 6), _ROUND, *found)


def of(scope: ScopeState, tracked: Tracked) -> Quantity:
    """What a scope knows of a quantity; made where it is new."""
    quantity = scope.quantities.get(tracked.name)
    if quantity is None:
        quantity = scope.quantities[tracked.name] = _new(tracked)
    return quantity


def _new(tracked: Tracked) -> Quantity:
    if _limited(tracked):
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
    if tracked.aggregate in _PER_TIME:
        return Quantity(scale="log", tick=_tick(limit, _TICKS_PER_UNIT))
    return Quantity(scale="plain", tick=_tick(limit, _TICKS_PER_UNIT))


def _of_now(scope: ScopeState, tracked: Tracked) -> Quantity:
    """The same at a round's begin: a limit may be another one since the last."""
    known, made = of(scope, tracked), _new(tracked)
    changed = _limited(tracked) and (known.edge, known.tick, known.scale) != (made.edge, made.tick, made.scale)
    return made if changed else known


def _limited(tracked: Tracked) -> bool:
    return tracked.guardrail is not None and tracked.guardrail.limit is not None


def _needs_window(tracked: Tracked) -> bool:
    return not _limited(tracked) and tracked.aggregate not in {"share", "rate", "count"}


def _windows(spec: TunerSpec) -> dict[str, list[Tracked]]:
    """The quantities that have windows, and whom they are for: one of each metric, for all that need it."""
    by_metric: dict[str, list[Tracked]] = {}
    for tracked in spec.quantities:
        if _needs_window(tracked):
            by_metric.setdefault(tracked.metric, []).append(tracked)
    return {of_metric[0].name: of_metric for of_metric in by_metric.values()}


def is_value(tracked: Tracked, quantity: Quantity) -> bool:
    """Whether events count by a value of their own (a percentile, say), not by their measurements."""
    if tracked.aggregate in _EVENTS_VALUE or tracked.name.startswith("~"):
        return True
    return tracked.rank is not None and quantity.scale == "plain"


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
    if tracked.aggregate in _PER_TIME and quantity.scale == "log":
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


def _add(sums: list[int], place: int, num: int, den: int) -> None:
    """Add to one of a unit's sums; one that is full keeps nothing but that it is: so no order matters."""
    total = min(sums[place + 1] + den, MOST_DENOMINATOR)
    sums[place : place + 2] = (sums[place] + num if total < MOST_DENOMINATOR else 0, total)


def _add_recent(quantity: Quantity, arm: str, added: tuple[int, int, int], slot: int) -> None:
    recent = quantity.recent.setdefault(arm, [slot, *[0] * 6])
    if slot > recent[0]:
        before = recent[1:4] if slot == recent[0] + 1 else [0] * 3
        recent[:] = [slot, 0, 0, 0, *before]
    place = 1 + 3 * (recent[0] - slot)
    if place <= 4 and recent[place + 1] + added[1] < MOST_DENOMINATOR:
        recent[place : place + 3] = [a + b for a, b in zip(recent[place : place + 3], added, strict=True)]


def recent(quantity: Quantity, arm: str, slot: int) -> tuple[int, int, int]:
    """Numerator, denominator and measurements of an arm in the interval of a number and in the one before."""
    sums = quantity.recent.get(arm, [slot, *[0] * 6])
    if slot == sums[0]:
        return sums[1] + sums[4], sums[2] + sums[5], sums[3] + sums[6]
    return (sums[1], sums[2], sums[3]) if slot == sums[0] + 1 else (0, 0, 0)


# ---- from sums to one number a unit ---------------------------------------------------------------------------------


def number(tracked: Tracked, quantity: Quantity, num: int, den: int) -> float | None:
    """A unit's number on the quantity's scale; ``None`` where there is nothing, or more than could be kept."""
    if not 0 < den < MOST_DENOMINATOR:
        return None
    if quantity.scale == "share":  # Anscombe 1948: the variance is the same, 1 / 4 den, whatever the share
        return math.asin(math.sqrt((min(max(num / ONE, 0.0), den) + 0.375) / (den + 0.75)))
    if quantity.scale == "plain":
        return math.ldexp(num / den, quantity.tick or 0) / quantity.unit
    if is_value(tracked, quantity):
        return num / den / LOG_ONE
    return math.log(max(num, ONE / 2 if tracked.aggregate in {"rate", "count"} else 0.5) / den)


def plain_value(tracked: Tracked, quantity: Quantity, num: int, den: int, interval_ms: int) -> float | None:
    """The aggregate that sums stand for, as people know it.

    A share where the quantity counts one; a rate per second; count and sum per reporting interval of an instance.
    """
    if den <= 0:
        return None
    ratio = num / den
    if quantity.scale == "share":
        return ratio / ONE
    if quantity.scale == "log" and is_value(tracked, quantity):
        return math.exp(ratio / LOG_ONE)
    if quantity.scale == "log" and tracked.aggregate in _PER_TIME:
        per_ms = math.ldexp(ratio, quantity.tick or 0) if tracked.aggregate == "sum" else ratio / ONE
        return per_ms * (1000 if tracked.aggregate == "rate" else interval_ms)
    if tracked.aggregate in {"rate", "count"}:
        return None
    return math.ldexp(ratio, quantity.tick or 0)


def sums_of(unit: Unit, name: str, *, stage: bool) -> tuple[int, int]:
    """A unit's numerator and denominator of this round; of the stage's finished rounds, too, where it is asked for."""
    sums = unit.sums.get(name)
    if sums is None:
        return 0, 0
    if not stage:
        return sums[_ROUND], sums[_ROUND + 1]
    both = [*sums[_STAGE : _STAGE + 2], 0, 0, 0, 0]
    _add(both, 0, sums[_ROUND], sums[_ROUND + 1])
    return both[0], both[1]


class Compared(NamedTuple):
    """Units' numbers, by arm.

    Attributes:
        numbers: For each arm that was asked for, those of its units that have one.
        own_history: They are differences to what each unit did before under the incumbent.
        floor: Least variance of such a number that chance alone leaves, above 0.
    """

    numbers: list[list[float]]
    own_history: bool
    floor: float


LEAST_VARIANCE = 1e-8
"""Of a unit's number: a difference of a ten-thousandth is none, however alike the units are."""


def compared(tracked: Tracked, quantity: Quantity, arms: Sequence[Sequence[Unit]], *, stage: bool) -> Compared:
    """Each unit's number, less its number under the incumbent before where half of each arm's units have one.

    Units without one are left out then; else nobody's is used.
    """
    now = [[(unit, sums_of(unit, tracked.name, stage=stage)) for unit in units] for units in arms]
    rows: list[list[tuple[float, float | None, int, int]]] = []
    for units in now:
        row = []
        for unit, (num, den) in units:
            present = number(tracked, quantity, num, den)
            if present is not None:
                before = unit.sums[tracked.name][_HISTORY : _HISTORY + 2]
                row.append((present, number(tracked, quantity, *before), den, before[1]))
        rows.append(row)
    own_history = all(row and 2 * sum(r[1] is not None for r in row) >= len(row) for row in rows)
    kept = [[r for r in row if not own_history or r[1] is not None] for row in rows]
    return Compared(
        numbers=[[r[0] - (r[1] or 0.0) if own_history else r[0] for r in row] for row in kept],
        own_history=own_history,
        floor=_floor(quantity, kept[-1], own_history=own_history),
    )


def _floor(quantity: Quantity, rows: Sequence[tuple[float, float | None, int, int]], *, own_history: bool) -> float:
    """Of shares, what counting leaves: units that had no error yet are alike, but not because they must be."""
    if quantity.scale != "share" or not rows:
        return LEAST_VARIANCE
    found = math.fsum(
        0.25 / (now + 0.75) + (0.25 / (before + 0.75) if own_history else 0.0) for _, _, now, before in rows
    )
    return max(found / len(rows), LEAST_VARIANCE)


def units_of(scope: ScopeState, arm: str) -> list[Unit]:
    """The units that were given an arm at the round's begin."""
    return [unit for unit in scope.units.values() if unit.arm == arm]


# ---- as time goes on ------------------------------------------------------------------------------------------------


def begin(
    spec: TunerSpec,
    scope: ScopeState,
    arms: Mapping[str, str],
    incumbent_arms: Collection[str],
    stage_arms: Collection[str],
    now_ms: int,
    *,
    keep_history: bool,
) -> None:
    """Begin a round: what the last one measured goes to histories and stage, and each unit gets its arm.

    Args:
        spec: The tuner's.
        scope: Changed in place.
        arms: By instance, the arm that it is given; empty for one that is pinned. Who is not in it is forgotten.
        incumbent_arms: Arms of the round that is over whose units ran what the incumbent is now.
        stage_arms: Arms of that round whose sums count for the stage: baseline and candidate.
        now_ms: Partition time.
        keep_history: A roll-out lasts: histories stay as they are.
    """
    advance(spec, scope, now_ms)
    known = {tracked.name for tracked in spec.quantities if not _limited(tracked)}
    for unit in scope.units.values():
        for name, sums in list(unit.sums.items()):
            if name not in known:
                del unit.sums[name]
                continue
            if unit.arm in stage_arms:
                _add(sums, _STAGE, sums[_ROUND], sums[_ROUND + 1])
            if unit.arm in incumbent_arms and not keep_history:
                sums[_HISTORY:] = _half(sums[_HISTORY], sums[_HISTORY + 1])
                _add(sums, _HISTORY, sums[_ROUND], sums[_ROUND + 1])
            sums[_ROUND : _ROUND + 2] = [0, 0]
        if unit.arm in stage_arms and unit.losses:
            scope.stage_losses[unit.arm] = scope.stage_losses.get(unit.arm, 0) + unit.losses
        unit.reports, unit.losses, unit.lost = 0, 0, False
    scope.units = {name: scope.units.get(name) or Unit() for name in arms}
    for name, arm in arms.items():
        scope.units[name].arm = arm
    scope.quantities = {tracked.name: _of_now(scope, tracked) for tracked in spec.quantities}
    for quantity in scope.quantities.values():
        quantity.spread = _with_seen(quantity)
        quantity.seen = {}
        quantity.recent = {arm: sums for arm, sums in quantity.recent.items() if arm in stage_arms}
        quantity.since_ms = now_ms
        if quantity.stage_since_ms is None:
            quantity.stage_since_ms = now_ms


def _half(num: int, den: int) -> list[int]:
    """Half of a history, its ratio kept. An odd denominator is rounded up: one measurement is not forgotten."""
    half = (den + 1) // 2
    return [num * half // den if den else 0, half]


def begin_stage(scope: ScopeState) -> None:
    """A stage begins with the next round: nothing was measured in it, and nobody lost."""
    scope.stage_losses = {}
    for unit in scope.units.values():
        for sums in unit.sums.values():
            sums[_STAGE : _STAGE + 2] = [0, 0]
    for quantity in scope.quantities.values():
        quantity.stage_since_ms = None


def promoted(scope: ScopeState, candidate_arm: str) -> None:
    """The candidate is the incumbent now: histories are of another configuration, but for what its units measured."""
    for unit in scope.units.values():
        for sums in unit.sums.values():
            sums[_HISTORY:] = [0, 0]
            if unit.arm == candidate_arm:
                sums[_HISTORY:] = sums[_STAGE : _STAGE + 2]
                _add(sums, _HISTORY, sums[_ROUND], sums[_ROUND + 1])
            sums[_ROUND : _ROUND + 2] = [0, 0]
    begin_stage(scope)


def advance(spec: TunerSpec, scope: ScopeState, now_ms: int) -> None:
    """At each look, after the arms were judged: what the baseline has shown moves edges, and its spread is noted."""
    baseline = units_of(scope, BASELINE)
    for tracked in spec.quantities:
        if _limited(tracked):
            continue
        quantity = of(scope, tracked)
        _note_spread(spec, tracked, quantity, baseline, now_ms)
    for name, of_metric in _windows(spec).items():
        window = scope.quantities[name]
        if not window.window.count:
            window.window_since_ms = now_ms
        elif now_ms - window.window_since_ms >= ms(spec.measurement.interval_s):
            _close_window(scope, window, of_metric, now_ms)


def _close_window(scope: ScopeState, holder: Quantity, of_metric: Sequence[Tracked], now_ms: int) -> None:
    window = holder.window
    whole = window.count >= max(map(_enough, of_metric))
    for tracked in of_metric:
        quantity = of(scope, tracked)
        if whole or (quantity.scale is None and window.count >= _enough(tracked)):
            _settle(scope, tracked, quantity, window)
    if whole:
        holder.window, holder.window_since_ms = Summary(), now_ms


def _enough(tracked: Tracked) -> int:
    return ENOUGH_FOR_EDGE if tracked.rank is not None else ENOUGH_FOR_SCALE


def _see(window: Summary, summary: Summary, weight: int) -> None:
    if window.count < MOST_WINDOW_COUNT and len(window.bins) + len(window.negative) < MOST_WINDOW_BINS:
        window.merge(summary, weight)
        window.canonicalise()


# ---- what the baseline's window shows -------------------------------------------------------------------------------


def _settle(scope: ScopeState, tracked: Tracked, quantity: Quantity, window: Summary) -> None:
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


# ---- the spread of earlier rounds -----------------------------------------------------------------------------------


def bucket(spec: TunerSpec, since_ms: int, now_ms: int) -> int:
    """Which power of two of intervals has passed, from 0."""
    intervals = (now_ms - since_ms) // ms(spec.measurement.interval_s)
    return min(max(intervals, 1).bit_length() - 1, _BUCKETS - 1)


def _note_spread(spec: TunerSpec, tracked: Tracked, quantity: Quantity, baseline: Sequence[Unit], now_ms: int) -> None:
    """Note how far the baseline's units are apart.

    It is noted where there are too few to judge an arm by, too: else they always would be. Without own histories it is
    not, for it would hold what tells their machines apart.
    """
    if not enough_reported(baseline, stage=False):
        return
    found = compared(tracked, quantity, [baseline], stage=False)
    units = found.numbers[0]
    if len(units) < 2 or not found.own_history:
        return
    seen = quantity.seen.setdefault(bucket(spec, quantity.since_ms, now_ms), SeenSpread())
    seen.looks += 1
    seen.degrees = float(len(units) - 1)
    seen.variance += (max(variance(units), found.floor) - seen.variance) / seen.looks


def _with_seen(quantity: Quantity) -> dict[int, tuple[float, float]]:
    spread = dict(quantity.spread)
    for place, seen in quantity.seen.items():
        degrees, known = spread.get(place, (0.0, 0.0))
        total = degrees + seen.degrees
        spread[place] = (min(total, MAX_EARLIER), known + (seen.variance - known) * seen.degrees / total)
    return spread


def earlier(spec: TunerSpec, quantity: Quantity, since_ms: int, now_ms: int) -> Earlier | None:
    """Spread that earlier rounds had after as long, or after less: it only shrinks; ``None`` where none is known."""
    now = bucket(spec, since_ms, now_ms)
    place = max((b for b in quantity.spread if b <= now), default=None)
    return Earlier(*quantity.spread[place]) if place is not None else None


def enough_reported(units: Iterable[Unit], *, stage: bool) -> bool:
    """Whether half of the units have reported in this round, or in the stage; nobody is not half."""
    reported = [unit.reports > 0 or (stage and any(sums[_STAGE + 1] for sums in unit.sums.values())) for unit in units]
    return any(reported) and 2 * sum(reported) >= len(reported)
