"""How much better an arm is than the baseline, in the objective's own terms: what rewards and promotes it.

Of the same numbers as guardrails are, one for each unit; but all terms of the objective together, unit by unit.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...schemas.base import ms
from ...schemas.spec import Term, Tracked, TunerSpec
from ...schemas.state import Quantity, ScopeState, Unit
from .contributions import ONE
from .evidence import ENOUGH_DEGREES, Evidence, beside, p_value, variance
from .guardrails import TAU
from .quantities import BASELINE, of, units_of
from .unit_numbers import HISTORY, number, plain_value, sums_of

BETTER_ALPHA = 0.05
"""Chance that a candidate which is no better is promoted all the same."""


class Relative(NamedTuple):
    """An arm's reward less the baseline's, both measured at the same time.

    Attributes:
        theta: The difference, on the reward's scale: above 0 the arm is better.
        se: Its standard error.
        n: Units of the arm that it is from.
    """

    theta: float
    se: float
    n: int


def relative(spec: TunerSpec, scope: ScopeState, arm: str, *, stage: bool) -> Relative | None:
    """How much better an arm's reward is than the baseline's, by units, each less its own history.

    A term that is no logarithm changes by its derivative times the change of the logarithm (delta method), at the
    baseline's present aggregate. Terms are added up unit by unit, so that what moves them together is seen.

    Returns:
        ``None`` where the objective is a function, or too few units measured it for a standard error.
    """
    found = _rewards(spec, scope, arm, stage=stage)
    if found is None:
        return None
    mine, others = found.numbers
    theta = math.fsum(mine) / len(mine) - math.fsum(others) / len(others)
    spread = _spread_of_both(mine, others)
    if spread is None:
        return None
    return Relative(theta, math.sqrt(spread[0] * (1 / len(mine) + 1 / len(others))), len(mine))


def better(spec: TunerSpec, scope: ScopeState, arm: str, min_change: float) -> Evidence | None:
    """Evidence, over the stage, that an arm is better by more than a change of every term that is not worth while.

    Args:
        spec: The tuner's.
        scope: It is not changed.
        arm: The candidate.
        min_change: As a tolerance: 0.01 is 1 %.

    Returns:
        ``None`` where it cannot be told: as :func:`relative`, or fewer than 9 units in the baseline. It is better at a
        level of ln(1 / 0.05).
    """
    found = _rewards(spec, scope, arm, stage=True, min_change=min_change)
    if found is None:
        return None
    return beside(found.numbers[0], found.numbers[1], shift=found.shift, tau=found.tau, floor=found.floor)


def is_better(evidence: Evidence | None) -> bool:
    """Whether a candidate was seen to be better, at any look."""
    return evidence is not None and evidence.level >= -math.log(BETTER_ALPHA)


def better_at_end(spec: TunerSpec, scope: ScopeState, arm: str, min_change: float) -> float | None:
    """Chance of what the stage measured, or more, if the arm were not better: one t-test, for the stage's end alone.

    Args:
        spec: The tuner's.
        scope: It is not changed.
        arm: The candidate.
        min_change: As for :func:`better`.

    Returns:
        Better is less than 0.05; ``None`` as for :func:`relative`.
    """
    found = _rewards(spec, scope, arm, stage=True, min_change=min_change)
    spread = _spread_of_both(*found.numbers) if found is not None else None
    if found is None or spread is None:
        return None
    mine, others = found.numbers
    s2, degrees = max(spread[0], found.floor), spread[1]
    theta = math.fsum(mine) / len(mine) - math.fsum(others) / len(others) - found.shift
    return p_value(theta, math.sqrt(s2 * (1 / len(mine) + 1 / len(others))), degrees)


def _spread_of_both(arm: Sequence[float], baseline: Sequence[float]) -> tuple[float, int] | None:
    """Variance and degrees of freedom: the baseline's, or where its units are few, both arms' together."""
    if len(baseline) > ENOUGH_DEGREES:
        return variance(baseline), len(baseline) - 1
    degrees = len(arm) + len(baseline) - 2
    if degrees < 1:
        return None
    squares = math.fsum(variance(x) * (len(x) - 1) for x in (arm, baseline) if len(x) > 1)
    return squares / degrees, degrees


class _Rewards(NamedTuple):
    """Units' parts of the reward, arm and baseline; what is let pass, a usual effect and the least variance of them."""

    numbers: tuple[list[float], list[float]]
    shift: float
    tau: float
    floor: float


class _Part(NamedTuple):
    """One term of the objective: its quantity, and what a change of 1 on its scale is worth in reward."""

    tracked: Tracked
    quantity: Quantity
    worth: float
    share: float


def _rewards(spec: TunerSpec, scope: ScopeState, arm: str, *, stage: bool, min_change: float = 0.0) -> _Rewards | None:
    units, baseline = units_of(scope, arm), units_of(scope, BASELINE)
    parts = _parts(spec, scope, baseline, stage=stage)
    if not parts:
        return None
    rows = [[_of_unit(unit, parts, stage=stage) for unit in members] for members in (units, baseline)]
    kept = [[row for row in members if row is not None] for members in rows]
    if not all(kept):
        return None
    own_history = all(2 * sum(before is not None for _, before in members) >= len(members) for members in kept)
    mine, others = (
        [
            now - (before or 0.0) if own_history else now
            for now, before in members
            if before is not None or not own_history
        ]
        for members in kept
    )
    usual = math.fsum(abs(p.worth) * _tau(p) for p in parts)
    return _Rewards(
        (mine, others),
        shift=math.fsum(abs(p.worth) * _change(p, min_change) for p in parts),
        tau=usual,
        floor=(1e-4 * usual) ** 2,
    )


def _of_unit(unit: Unit, parts: Sequence[_Part], *, stage: bool) -> tuple[float, float | None] | None:
    """A unit's reward now and under its history, up to a constant; ``None`` where a term of it was not measured."""
    now, before = [], []
    for part in parts:
        found = _on_scale(part, *sums_of(unit, part.tracked.name, stage=stage))
        if found is None:
            return None
        now.append(part.worth * found)
        earlier_ = _on_scale(part, *unit.sums[part.tracked.name][HISTORY:])
        before.append(part.worth * earlier_ if earlier_ is not None else math.nan)
    total = math.fsum(before)
    return math.fsum(now), None if math.isnan(total) else total


def _on_scale(part: _Part, num: int, den: int) -> float | None:
    """As the quantity's number; but a share as it is, for a reward is linear in it."""
    found = number(part.tracked, part.quantity, num, den)
    shares = found is not None and part.quantity.scale == "share"
    return plain_value(part.tracked, part.quantity, num, den, 1) if shares else found


def _tau(part: _Part) -> float:
    if part.quantity.scale == "share":  # asin √p changes by 1 / 2 √(p (1 − p)) of p's change
        return TAU["share"] * 2 * math.sqrt(part.share * (1 - part.share))
    return TAU[part.quantity.scale or "plain"]


def _change(part: _Part, min_change: float) -> float:
    if part.quantity.scale == "log":
        return math.log1p(min_change)
    return min_change * (part.share if part.quantity.scale == "share" else 1.0)


def _parts(spec: TunerSpec, scope: ScopeState, baseline: Sequence[Unit], *, stage: bool) -> list[_Part]:
    """The objective's terms, each once; none where it is a function, or one of them cannot be told yet."""
    range_ = spec.objective.range
    width = range_.high - range_.low if range_ is not None else 1.0
    interval_ms = ms(spec.measurement.interval_s)
    worths: dict[str, float] = {}
    parts: dict[str, _Part] = {}
    terms: Sequence[Term | None] = spec.objective.terms or [None]
    for tracked, term in zip(spec.objective_quantities, terms, strict=False):
        quantity = of(scope, tracked)
        sums = [sums_of(unit, tracked.name, stage=stage) for unit in baseline]
        num, den = sum(n for n, _ in sums), sum(d for _, d in sums)
        value = plain_value(tracked, quantity, num, den, interval_ms)
        if quantity.scale is None or value is None:
            return []
        share = (num / ONE + 0.375) / (den + 0.75) if quantity.scale == "share" else 0.0
        worth = _worth(term, quantity, share if quantity.scale == "share" else value)
        if worth is None:
            return []
        worths[tracked.name] = worths.get(tracked.name, 0.0) + worth / width
        parts[tracked.name] = _Part(tracked, quantity, worths[tracked.name], share)
    return list(parts.values())


def _worth(term: Term | None, quantity: Quantity, value: float) -> float | None:
    """Derivative of the reward by the quantity's number, at the baseline's aggregate."""
    if term is None:
        return quantity.unit
    sign = term.weight if term.goal == "maximize" else -term.weight
    per_number = {"log": value, "share": 1.0, "plain": quantity.unit}[quantity.scale or "plain"]
    if not term.log:
        return sign * per_number / term.scale
    return sign * per_number / value if value > 0 else None
