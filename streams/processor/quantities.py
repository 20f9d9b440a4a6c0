"""What is kept of each unit so that arms can be compared: sums of this round, of a stage, and of its own history.

The stage's are of its finished rounds. The history is what the unit did before, under the incumbent.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import nsmallest

from ...core.assignment import position
from ...core.summary import Summary
from ...schemas.base import ms
from ...schemas.events import MetricEvent
from ...schemas.spec import Tracked, TunerSpec
from ...schemas.state import Quantity, ScopeState, SeenSpread, Unit
from .contributions import MOST_DENOMINATOR, contribution
from .evidence import MAX_EARLIER, Earlier, variance
from .measurements import summary_of
from .unit_numbers import HISTORY, ROUND, STAGE, add, compared
from .windows import enough, is_limited, needs_window, new_quantity, settle

BASELINE = "baseline"
"""Name of the arm that runs the incumbent beside the others."""

MOST_WINDOW_BINS = 8_192

MOST_WINDOW_COUNT = 2**53

MOST_NOTED = 32
"""Units of a baseline whose spread is noted for when they are few: with more, that is far off."""

WINDOW_UNITS = 32
"""Units of the baseline whose measurements are its window: enough for a percentile, and few to add up."""

_BUCKETS = 12


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
    interval_ms, slot = ms(event.interval_s), now_ms // ms(spec.measurement.interval_s)
    for metric, of_metric in spec.quantities_by_metric.items():
        measurement = event.metrics.get(metric)
        summary = None if measurement is None else summary_of(measurement)
        if incumbent and summary is not None and (unit.shows or not mine):
            _see(scope, of_metric, summary, event.weight)
        for tracked in of_metric:
            quantity, limited = of(scope, tracked), is_limited(tracked)
            if not (mine or limited):
                continue
            found = contribution(tracked, quantity, summary, interval_ms, event.weight, shifted=not incumbent)
            if found is None:
                continue
            if limited:
                samples = summary.count * event.weight if summary is not None else 0
                _add_recent(quantity, request_arm, (*found, samples), slot)
            else:
                if tracked.name not in unit.sums:
                    unit.sums = dict(sorted([*unit.sums.items(), (tracked.name, [0] * 6)]))
                add(unit.sums[tracked.name], ROUND, *found)


def of(scope: ScopeState, tracked: Tracked) -> Quantity:
    """What a scope knows of a quantity; made where it is new."""
    quantity = scope.quantities.get(tracked.name)
    if quantity is None:
        quantity = scope.quantities[tracked.name] = new_quantity(tracked)
    return quantity


def _of_now(scope: ScopeState, tracked: Tracked) -> Quantity:
    """The same at a round's begin: a limit may be another one since the last."""
    known, made = of(scope, tracked), new_quantity(tracked)
    changed = is_limited(tracked) and (known.edge, known.tick, known.scale) != (made.edge, made.tick, made.scale)
    return made if changed else known


def _add_recent(quantity: Quantity, arm: str, added: tuple[int, int, int], slot: int) -> None:
    if arm not in quantity.recent:
        quantity.recent = dict(sorted([*quantity.recent.items(), (arm, [slot, *[0] * 6])]))
    recent = quantity.recent[arm]
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


def units_of(scope: ScopeState, arm: str) -> list[Unit]:
    """The units that were given an arm at the round's begin."""
    return [unit for unit in scope.units.values() if unit.arm == arm]


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
    known = {tracked.name for tracked in spec.quantities if not is_limited(tracked)}
    for unit in scope.units.values():
        for name, sums in list(unit.sums.items()):
            if name not in known:
                del unit.sums[name]
                continue
            if unit.arm in stage_arms:
                add(sums, STAGE, sums[ROUND], sums[ROUND + 1])
            if unit.arm in incumbent_arms and not keep_history:
                sums[HISTORY:] = _half(sums[HISTORY], sums[HISTORY + 1])
                add(sums, HISTORY, sums[ROUND], sums[ROUND + 1])
            sums[ROUND : ROUND + 2] = [0, 0]
        if unit.arm in stage_arms and unit.losses:
            scope.stage_losses[unit.arm] = scope.stage_losses.get(unit.arm, 0) + unit.losses
        unit.reports, unit.losses, unit.lost = 0, None, None
    scope.units = {name: scope.units.get(name) or Unit() for name in arms}
    shown = _shown(scope, [name for name, arm in arms.items() if arm == BASELINE])
    for name, arm in arms.items():
        scope.units[name].arm, scope.units[name].shows = arm, name in shown or None
    scope.quantities = {tracked.name: _of_now(scope, tracked) for tracked in spec.quantities}
    for quantity in scope.quantities.values():
        quantity.spread = _with_seen(quantity)
        quantity.seen = {}
        quantity.recent = {arm: sums for arm, sums in quantity.recent.items() if arm in stage_arms}
        quantity.since_ms = now_ms
        if quantity.stage_since_ms is None:
            quantity.stage_since_ms = now_ms


def _shown(scope: ScopeState, baseline: Collection[str]) -> Collection[str]:
    """Which of the baseline's units make its windows: as many as are enough, others each round."""
    if len(baseline) <= WINDOW_UNITS:
        return baseline
    return set(nsmallest(WINDOW_UNITS, baseline, key=lambda name: position(f"window/{scope.round}", name)))


def _half(num: int, den: int) -> list[int]:
    """Half of a history, its ratio kept. An odd denominator is rounded up: one measurement is not forgotten."""
    half = (den + 1) // 2
    return [num * half // den if den else 0, half]


def begin_stage(scope: ScopeState) -> None:
    """A stage begins with the next round: nothing was measured in it, and nobody lost."""
    scope.stage_losses = {}
    for unit in scope.units.values():
        for sums in unit.sums.values():
            sums[STAGE : STAGE + 2] = [0, 0]
    for quantity in scope.quantities.values():
        quantity.stage_since_ms = None


def promoted(scope: ScopeState, candidate_arm: str) -> None:
    """The candidate is the incumbent now: histories are of another configuration, but for what its units measured."""
    for unit in scope.units.values():
        for sums in unit.sums.values():
            sums[HISTORY:] = [0, 0]
            if unit.arm == candidate_arm:
                sums[HISTORY:] = sums[STAGE : STAGE + 2]
                add(sums, HISTORY, sums[ROUND], sums[ROUND + 1])
            sums[ROUND : ROUND + 2] = [0, 0]
    begin_stage(scope)


def advance(spec: TunerSpec, scope: ScopeState, now_ms: int) -> None:
    """At each look, after the arms were judged: what the baseline has shown moves edges, and its spread is noted."""
    baseline = units_of(scope, BASELINE)
    for tracked in spec.quantities:
        if is_limited(tracked):
            continue
        quantity = of(scope, tracked)
        _note_spread(spec, tracked, quantity, baseline, now_ms)
    for of_metric in spec.quantities_by_metric.values():
        windowed = [tracked for tracked in of_metric if needs_window(tracked)]
        if windowed:
            _advance_window(spec, scope, windowed, now_ms)


def _advance_window(spec: TunerSpec, scope: ScopeState, of_metric: Sequence[Tracked], now_ms: int) -> None:
    """Read a complete window of a metric, and begin the next. The first quantity of the metric keeps it for all."""
    holder = of(scope, of_metric[0])
    window = holder.window
    if not window.count:
        holder.window_since_ms = now_ms
    if now_ms - holder.window_since_ms < ms(spec.measurement.interval_s):
        return
    whole = window.count >= max(map(enough, of_metric))
    for tracked in of_metric:
        quantity = of(scope, tracked)
        if whole or (quantity.scale is None and window.count >= enough(tracked)):
            settle(scope, tracked, quantity, window)
    if whole:
        holder.window, holder.window_since_ms = Summary(), now_ms


def _see(scope: ScopeState, of_metric: Iterable[Tracked], summary: Summary, weight: int) -> None:
    holder = next((tracked for tracked in of_metric if needs_window(tracked)), None)
    if holder is None:
        return
    window = of(scope, holder).window
    if window.count < MOST_WINDOW_COUNT and len(window.bins) + len(window.negative) < MOST_WINDOW_BINS:
        window.merge(summary, weight)
        window.canonicalise()


def bucket(spec: TunerSpec, since_ms: int, now_ms: int) -> int:
    """Which power of two of intervals has passed, from 0."""
    intervals = (now_ms - since_ms) // ms(spec.measurement.interval_s)
    return min(max(intervals, 1).bit_length() - 1, _BUCKETS - 1)


def _note_spread(spec: TunerSpec, tracked: Tracked, quantity: Quantity, baseline: Sequence[Unit], now_ms: int) -> None:
    """Note how far the baseline's units are apart.

    It is noted where there are too few to judge an arm by, too: else they always would be. Without own histories it is
    not, for it would hold what tells their machines apart.
    """
    if len(baseline) > MOST_NOTED or not enough_reported(baseline, stage=False):
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
    reported = [unit.reports > 0 or (stage and any(sums[STAGE + 1] for sums in unit.sums.values())) for unit in units]
    return any(reported) and 2 * sum(reported) >= len(reported)
