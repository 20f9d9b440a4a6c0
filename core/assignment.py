"""Which unit runs which arm: pure functions, easily the same in any language.

The rule: a unit's position is a number in [0, 1) that depends on its name and the scope's salt alone; arms take
consecutive pieces of [0, 1), each as long as its share; what is left over is nobody's, and runs the incumbent. So all
processes and languages deal a unit to the same arm without asking anybody, and another salt deals anew.

Who hands out the shares knows which units there are, and cuts by count: the borders between arms lie so that exactly as
many of the units as are wanted fall into each. All borders are multiples of 2^-53. Sums and differences of such numbers
up to 1 are exact as floats, so :func:`choose` meets each border to the bit, in any language and order of adding. Two
units in one such cell of 2^-53 cannot be parted and go to the later arm together: two of 1,000 are under less than one
salt in 10^10.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

from .errors import InvalidArgument

T = TypeVar("T")

BASELINE = -1
"""In place of an arm's index: the baseline's piece, of :func:`cut_rest`."""

_CELLS = 2**53
"""Borders are multiples of one over this: all that a float in [0.5, 1) can tell apart."""


def position(salt: str, unit: str) -> float:
    """Where a unit stands in [0, 1).

    SHA-256 of ``salt``, a colon and ``unit`` in UTF-8; its first 8 bytes as a big-endian unsigned integer, divided by
    2^64. (Rounded to a float, the very last of the 2^64 places are 1.0: beyond every arm whose shares do not exceed 1.)

    >>> position("7", "job-1")
    0.719348948085499
    """
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def choose(shares: Iterable[tuple[float, T]], where: float) -> T | None:
    """The arm at a position, by cumulative shares.

    Args:
        shares: Each arm's share and the arm, in the order of the config record. With shares s1, s2, … the first takes
            [0, s1), the second [s1, s1 + s2), and so on; the sums are added up in this order, as floats.
        where: A position in [0, 1), as of :func:`position`.

    Returns:
        The first arm whose piece ends beyond the position; ``None`` where none does.
    """
    upto = 0.0
    for share, arm in shares:
        upto += share
        if where < upto:
            return arm
    return None


def cut(salt: str, units: Iterable[str], wanted: Sequence[int]) -> list[float]:
    """Shares that give each arm exactly the wanted number of the units that are there.

    A border lies half-way between the last unit of one arm and the first of the next; the first arm begins at 0, and
    an arm that takes the very last unit ends at 1. Who is wanted by no arm stands behind them all.

    Args:
        salt: Of the record that will have the shares.
        units: Names of those that are there; one that is named twice counts once.
        wanted: How many of them each arm takes, in the order of the record.

    Returns:
        The share of each arm, in [0, 1], in the same order; 0 for an arm of none.

    Raises:
        InvalidArgument: More are wanted than there are, or fewer than none.
    """
    cells = _cells(salt, units)
    _check(wanted, len(cells))
    borders = [0]
    taken = 0
    for count in wanted:
        taken += count
        borders.append(_border(cells, taken))
    return [(end - begin) / _CELLS for begin, end in pairwise(borders)]


def grow(salt: str, units: Iterable[str], count: int, upto: float = 0.0) -> float:
    """Where a roll-out's arm ends, which begins at 0: it holds so many of the units, and never moves back.

    So nobody who runs it is taken off it, whoever joins or leaves, as long as the salt stays the same.

    Args:
        salt: Of the roll-out.
        units: Names of those that are there.
        count: How many of them are to run it, at least.
        upto: Where it ended before, in [0, 1].

    Returns:
        Its share, in [0, 1]: ``upto`` where that holds as many already.

    Raises:
        InvalidArgument: More are wanted than there are, or fewer than none; or ``upto`` is no share.
    """
    cells = _cells(salt, units)
    _check([count], len(cells))
    return max(_border(cells, count), _border_at(upto)) / _CELLS


def cut_rest(
    salt: str, units: Iterable[str], upto: float, wanted: Sequence[int], start_rank: int
) -> list[tuple[float, int]]:
    """The pieces behind a roll-out's arm: further arms, and the baseline, which takes all that is left.

    The arms are neighbours, from a rank among the remaining units on, in a circle: the first unit comes after the last.
    So with ranks that are drawn evenly each unit is in an arm equally often, under one salt. The record's list has a
    beginning and an end: the arm that goes on over them, or the baseline, has two pieces.

    Args:
        salt: Of the roll-out.
        units: Names of those that are there; those in front of ``upto`` are not dealt with here.
        upto: Where the roll-out's arm ends, in [0, 1], as of :func:`grow`; 0 where there is none.
        wanted: How many of the remaining units each arm takes.
        start_rank: Rank of the first unit of the first arm; counted on around the circle.

    Returns:
        Share and arm of each piece, in the order of the record: the arm by its index in ``wanted``, or
        :data:`BASELINE`. They fill [``upto``, 1). An arm of none has no piece.

    Raises:
        InvalidArgument: More are wanted than remain, or fewer than none; or ``upto`` is no share.
    """
    begin = _border_at(upto)
    cells = [cell for cell in _cells(salt, units) if cell >= begin]
    _check(wanted, len(cells))
    dealt = [arm for arm, count in enumerate(wanted) for _ in range(count)]
    dealt += [BASELINE] * (len(cells) - len(dealt))
    by_rank = [dealt[(rank - start_rank) % len(dealt)] for rank in range(len(dealt))] or [BASELINE]
    pieces: list[tuple[float, int]] = []
    rank = 0
    for arm, run in groupby(by_rank):
        rank += len(list(run))
        end = max(_border(cells, rank), begin)
        pieces.append(((end - begin) / _CELLS, arm))
        begin = end
    return pieces


def _cells(salt: str, units: Iterable[str]) -> list[int]:
    """The cell of each unit, in order. A unit is in front of a border if its cell is of a lower number."""
    return sorted(int(position(salt, unit) * _CELLS) for unit in set(units))


def _border(cells: Sequence[int], rank: int) -> int:
    """The border in front of which so many units stand; nobody but those whose cells are one can be wrong."""
    if rank <= 0:
        return 0
    if rank >= len(cells):
        return _CELLS
    return (cells[rank - 1] + cells[rank] + 1) // 2


def _border_at(share: float) -> int:
    """The first border that is not in front of a share's end."""
    if not 0 <= share <= 1:
        raise InvalidArgument(f"a share is a number from 0 to 1, not {share!r}")
    return math.ceil(share * _CELLS)


def _check(wanted: Sequence[int], units: int) -> None:
    if min(wanted, default=0) < 0 or sum(wanted) > units:
        raise InvalidArgument(f"{units} units cannot be dealt out as {list(wanted)}")
