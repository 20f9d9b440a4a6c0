"""Whether an arm is worse than the baseline: what withdraws it.

Three ways: worse by more than a tolerance, by the evidence of its units; beyond an absolute limit; or it loses units.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...schemas.base import ms
from ...schemas.spec import Guardrail, Tracked, TunerSpec
from ...schemas.state import Quantity, ScopeState, Unit
from .contributions import Scale, tolerance
from .evidence import Evidence, beside, lost_level
from .quantities import BASELINE, earlier, enough_reported, of, recent, units_of
from .reward import aggregate
from .unit_numbers import Row, compared_rows, number, plain_value, rows_of, sums_of

LOST = "lost"
"""Name of the evidence that an arm loses its units."""

LOST_ALPHA = 0.01

TAU = {"share": 0.1, "log": 0.2, "plain": 0.2}
"""Usual size of an effect, by scale: asin √ of shares, logarithms, standard deviations."""


# ---- worse ----------------------------------------------------------------------------------------------------------


Known = dict[tuple[str, bool], list[Row]]
"""The baseline's rows in one look, by quantity and whether they are of the stage: made for the first arm that asks."""


def look(
    spec: TunerSpec, scope: ScopeState, arm: str, now_ms: int, *, stage: bool, known: Known | None = None
) -> Mapping[str, Evidence]:
    """Evidence that an arm is worse than the baseline, by quantity of a guardrail; ``lost`` is one.

    Args:
        spec: The tuner's.
        scope: It is not changed.
        arm: Any but the baseline.
        now_ms: Partition time.
        stage: Over the stage's finished rounds and this one: a candidate.
        known: What other arms' comparisons in the same look have computed of the baseline; it is added to.

    Returns:
        Nothing but ``lost`` while fewer than half of either arm's units have reported; and no quantity on which too few
        units have something to say.
    """
    units, baseline = units_of(scope, arm), units_of(scope, BASELINE)
    found = {LOST: _lost(scope, arm, units, baseline, stage=stage)}
    if not (enough_reported(units, stage=stage) and enough_reported(baseline, stage=stage)):
        return found
    for tracked in spec.quantities:
        guardrail, quantity = tracked.guardrail, of(scope, tracked)
        if guardrail is None or guardrail.limit is not None or quantity.scale is None:
            continue
        rows = (known if known is not None else {}).setdefault((tracked.name, stage), [])
        rows.extend(() if rows else rows_of(tracked, quantity, baseline, stage=stage))
        mine = rows_of(tracked, quantity, units, stage=stage)
        evidence = _worse(spec, tracked, quantity, (mine, rows), baseline, now_ms, stage=stage)
        if evidence is not None:
            if evidence.level >= threshold(spec, guardrail):
                evidence = _with_values(scope, tracked, evidence, arm)
            found[tracked.name] = evidence
    return found


def _worse(
    spec: TunerSpec,
    tracked: Tracked,
    quantity: Quantity,
    rows: tuple[Sequence[Row], Sequence[Row]],
    baseline: Sequence[Unit],
    now_ms: int,
    *,
    stage: bool,
) -> Evidence | None:
    found = compared_rows(quantity, rows)
    sign = 1.0 if tracked.goal == "minimize" else -1.0
    since_ms = quantity.stage_since_ms if stage and quantity.stage_since_ms is not None else quantity.since_ms
    scale: Scale = quantity.scale or "plain"
    evidence = beside(
        [sign * x for x in found.numbers[0]],
        [sign * x for x in found.numbers[1]],
        shift=_let_pass(tracked, quantity, baseline, stage=stage),
        tau=TAU[scale],
        floor=found.floor,
        earlier=earlier(spec, quantity, since_ms, now_ms) if found.own_history else None,
    )
    return evidence._replace(scale=scale) if evidence is not None else None


def _let_pass(tracked: Tracked, quantity: Quantity, baseline: Sequence[Unit], *, stage: bool) -> float:
    """The tolerance on the scale of the units' numbers; a percentile's is in the arm's edge already."""
    if quantity.scale == "plain":
        return tolerance(tracked, "plain")
    if quantity.scale == "log":
        return math.log1p(tolerance(tracked, "log"))
    if tracked.rank is not None:
        return 0.0
    p = _total(tracked, quantity, baseline, stage=stage) or 0.0
    given = tracked.guardrail.tolerance if tracked.guardrail is not None else None
    # A mean's tolerance is relative to it, a share's absolute; and the default of either is a share's.
    allowed = p * given if tracked.aggregate == "mean" and given is not None else tolerance(tracked, "share")
    worst = min(p + allowed, 1.0) if tracked.goal == "minimize" else max(p - allowed, 0.0)
    return abs(math.asin(math.sqrt(worst)) - math.asin(math.sqrt(p)))


def _total(tracked: Tracked, quantity: Quantity, units: Sequence[Unit], *, stage: bool) -> float | None:
    """The aggregate of an arm's units together: a share, for one."""
    sums = [sums_of(unit, tracked.name, stage=stage) for unit in units]
    sums = [s for s in sums if number(tracked, quantity, *s) is not None]
    return plain_value(tracked, quantity, sum(n for n, _ in sums), sum(d for _, d in sums), 1)


def _lost(scope: ScopeState, arm: str, units: Sequence[Unit], baseline: Sequence[Unit], *, stage: bool) -> Evidence:
    losses = sum(unit.losses or 0 for unit in units)
    others = sum(unit.losses or 0 for unit in baseline)
    if stage:
        losses += scope.stage_losses.get(arm, 0)
        others += scope.stage_losses.get(BASELINE, 0)
    level = lost_level(losses, others, len(units), len(baseline))
    return Evidence(level, 0.0, 0.0, 0.0, len(units), len(baseline), float(losses), float(others))


def _with_values(scope: ScopeState, tracked: Tracked, evidence: Evidence, arm: str) -> Evidence:
    """Evidence with what was measured in the arms' open requests, for people."""
    found = {}
    for request in scope.arms:
        summary = request.metrics.get(tracked.metric)
        if request.arm in {arm, BASELINE} and summary is not None:
            word = "mean" if tracked.aggregate == "share" else tracked.aggregate
            found[request.arm] = aggregate(summary, word, math.fsum(request.intervals_s))
    return evidence._replace(arm_value=found.get(arm), baseline_value=found.get(BASELINE))


def threshold(spec: TunerSpec, guardrail: Guardrail) -> float:
    """The level from which on a guardrail is broken: its α is shared by all that are relative to the baseline."""
    shared = sum(g.limit is None for g in spec.guards)
    return -math.log(guardrail.alpha / max(shared, 1))


def breach(spec: TunerSpec, evidence: Mapping[str, Evidence]) -> str | None:
    """Why an arm must be withdrawn, in a sentence with numbers; ``None`` where nothing says so.

    Args:
        spec: The tuner's.
        evidence: Of :func:`look`.
    """
    broken: list[tuple[float, str]] = []
    for tracked in spec.quantities:
        found = evidence.get(tracked.name)
        if found is None or tracked.guardrail is None or tracked.guardrail.limit is not None:
            continue
        beyond = found.level - threshold(spec, tracked.guardrail)
        if beyond >= 0:
            broken.append((beyond, _said(tracked, tracked.guardrail, found)))
    lost = evidence.get(LOST)
    if lost is not None and units_lost(evidence):
        said = (
            f"units lost: {lost.arm_value:.0f} of the arm's {lost.arm_units},"
            f" {lost.baseline_value:.0f} of the baseline's {lost.baseline_units}"
        )
        broken.append((lost.level + math.log(LOST_ALPHA), said))
    return max(broken)[1] if broken else None


def units_lost(evidence: Mapping[str, Evidence]) -> bool:
    """Whether an arm loses more units than the baseline does, beyond chance."""
    lost = evidence.get(LOST)
    return lost is not None and lost.level >= -math.log(LOST_ALPHA)


def _said(tracked: Tracked, guardrail: Guardrail, found: Evidence) -> str:
    arm, baseline = found.arm_value, found.baseline_value
    is_share = found.scale == "share" and tracked.rank is None
    if arm is None or baseline is None:
        said = f"{tracked.said} worse than the baseline's"
    elif is_share or baseline <= 0 or arm <= 0:
        said = f"{tracked.said} {arm:.3g}, the baseline's {baseline:.3g}"
    else:
        said = f"{tracked.said} {arm / baseline:.2g} x the baseline's"
    return f"{said} (tolerance {_tolerance_said(tracked, guardrail, found, is_share=is_share)})"


def _tolerance_said(tracked: Tracked, guardrail: Guardrail, found: Evidence, *, is_share: bool) -> str:
    if is_share and (tracked.aggregate == "share" or guardrail.tolerance is None):
        points = 100 * tolerance(tracked, "share")
        return f"{points:g} percentage point{'' if points == 1 else 's'}"
    if found.scale == "plain":
        return f"{tolerance(tracked, 'plain'):g} standard deviations"
    return f"{100 * tolerance(tracked, 'log'):g} %"


# ---- beyond a limit -------------------------------------------------------------------------------------------------


class OverLimit(NamedTuple):
    """An absolute limit that an arm does not hold.

    Attributes:
        why: In a sentence with numbers.
        common_cause: The baseline does not hold it either: the arm is not to blame.
    """

    why: str
    common_cause: bool


def over_limit(spec: TunerSpec, scope: ScopeState, arm: str, now_ms: int) -> OverLimit | None:
    """Whether an arm is beyond an absolute limit, by what it measured in this interval and the one before.

    Args:
        spec: The tuner's. Fewer than 30 measurements, or than a round must have, say nothing.
        scope: It is not changed.
        arm: Any; the baseline, too.
        now_ms: Partition time.

    Returns:
        ``None`` where it holds all limits. One that the arm alone breaks goes before one that all break.
    """
    found: list[OverLimit] = []
    for tracked in spec.quantities:
        guardrail = tracked.guardrail
        if guardrail is None or guardrail.limit is None:
            continue
        said = _beyond(spec, scope, tracked, guardrail.limit, arm, now_ms)
        if said is not None:
            common = _beyond(spec, scope, tracked, guardrail.limit, BASELINE, now_ms) is not None
            found.append(OverLimit(f"{said}; the baseline's is, too" if common else said, common))
    return min(found, key=lambda over: over.common_cause, default=None)


ENOUGH_FOR_LIMIT = 30
"""Measurements from which on a limit can be broken; fewer where the spec's ``min_samples`` is less."""


def _beyond(spec: TunerSpec, scope: ScopeState, tracked: Tracked, limit: float, arm: str, now_ms: int) -> str | None:
    quantity = of(scope, tracked)
    interval_ms = ms(spec.measurement.interval_s)
    num, den, count = recent(quantity, arm, now_ms // interval_ms)
    value = plain_value(tracked, quantity, num, den, interval_ms)
    if count < min(ENOUGH_FOR_LIMIT, spec.measurement.min_samples) or value is None:
        return None
    beyond = "above" if tracked.goal == "minimize" else "below"
    most = limit
    if tracked.rank is not None and quantity.scale == "share":
        most = 1 - tracked.rank
        shown = f"{100 * value:.3g} % of {count} measurements are above {limit:g}"
    else:
        shown = f"{value:.3g} in {count} measurements"
    broken = value > most if tracked.goal == "minimize" else value < most
    return f"{tracked.said} is {beyond} {limit:g}: {shown}" if broken else None


def lose(scope: ScopeState, instance: str) -> None:
    """Count the loss of an instance that ran an arm: it restarted, vanished or fell silent."""
    unit = scope.units.get(instance)
    if unit is not None:
        unit.losses = (unit.losses or 0) + 1
