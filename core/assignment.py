"""Which unit runs which arm: pure functions, easily the same in any language.

The rule: a unit's position is a number in [0, 1) that depends on its name and the scope's salt alone; arms take
consecutive pieces of [0, 1), each as long as its share; what is left over is nobody's, and runs the incumbent. So all
processes and languages deal a unit to the same arm without asking anybody, and another salt deals anew.
"""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


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
