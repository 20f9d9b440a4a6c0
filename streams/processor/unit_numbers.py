"""One number for each unit, from its sums: by these arms are compared."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...schemas.spec import Tracked
from ...schemas.state import Quantity, Unit
from .contributions import LOG_ONE, MOST_DENOMINATOR, ONE, PER_TIME, is_value

ROUND, STAGE, HISTORY = 0, 2, 4

LEAST_VARIANCE = 1e-8
"""Of a unit's number: a difference of a ten-thousandth is none, however alike the units are."""


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
    if quantity.scale == "log" and tracked.aggregate in PER_TIME:
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
        return sums[ROUND], sums[ROUND + 1]
    both = [*sums[STAGE : STAGE + 2], 0, 0, 0, 0]
    add(both, 0, sums[ROUND], sums[ROUND + 1])
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


def compared(tracked: Tracked, quantity: Quantity, arms: Sequence[Sequence[Unit]], *, stage: bool) -> Compared:
    """Each unit's number, less its number under the incumbent before where half of each arm's units have one.

    Units without one are left out then; else nobody's is used.
    """
    return compared_rows(quantity, [rows_of(tracked, quantity, units, stage=stage) for units in arms])


def rows_of(tracked: Tracked, quantity: Quantity, units: Sequence[Unit], *, stage: bool) -> list["Row"]:
    """Of each unit that has a number, that and what it is of: the baseline's are the same for all arms of a look."""
    return [row for unit in units if (row := _row(tracked, quantity, unit, stage=stage)) is not None]


def compared_rows(quantity: Quantity, rows: Sequence[Sequence["Row"]]) -> Compared:
    """As :func:`compared`, of arms' rows."""
    own_history = all(row and 2 * sum(r.before is not None for r in row) >= len(row) for row in rows)
    kept = [[r for r in row if not own_history or r.before is not None] for row in rows]
    return Compared(
        numbers=[[r.now - (r.before or 0.0) if own_history else r.now for r in row] for row in kept],
        own_history=own_history,
        floor=_floor(quantity, kept[-1], own_history=own_history),
    )


class Row(NamedTuple):
    """A unit's number now and before, and the sums that they are of."""

    now: float
    before: float | None
    sums: tuple[int, int]
    sums_before: tuple[int, int]


def _row(tracked: Tracked, quantity: Quantity, unit: Unit, *, stage: bool) -> Row | None:
    sums = sums_of(unit, tracked.name, stage=stage)
    now = number(tracked, quantity, *sums)
    if now is None:
        return None
    before = (unit.sums[tracked.name][HISTORY], unit.sums[tracked.name][HISTORY + 1])
    return Row(now, number(tracked, quantity, *before), sums, before)


def _floor(quantity: Quantity, rows: Sequence[Row], *, own_history: bool) -> float:
    """Of shares, what counting leaves: units that had no error yet are alike, but not because they must be.

    The variance of asin √((k + 3/8) / (n + 3/4)) is λ / (λ + 3/8) / 4 n, by its derivative at λ, the expected k. That
    is from all units together, and one more: where nothing was counted at all, the next may be.
    """
    if quantity.scale != "share" or not rows:
        return LEAST_VARIANCE
    counted = [r.sums for r in rows] + [r.sums_before for r in rows if own_history]
    share = min((sum(num for num, _ in counted) / ONE + 1) / max(sum(den for _, den in counted), 1), 1.0)
    found = math.fsum(share * den / (share * den + 0.375) / 4 / (den + 0.75) for _, den in counted)
    return max(found / len(rows), LEAST_VARIANCE)


def add(sums: list[int], place: int, num: int, den: int) -> None:
    """Add to one of a unit's sums; one that is full keeps nothing but that it is: so no order matters."""
    total = min(sums[place + 1] + den, MOST_DENOMINATOR)
    sums[place : place + 2] = (sums[place] + num if total < MOST_DENOMINATOR else 0, total)
