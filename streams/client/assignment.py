"""Which unit runs which arm: pure functions, easily the same in any language."""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def position(salt: str, unit: str) -> float:
    """Where a unit stands in [0, 1): the first 8 bytes of sha256("salt:unit"), big-endian, over 2^64."""
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def choose(shares: Iterable[tuple[float, T]], where: float) -> T | None:
    """The arm at a position: arms take [0, s1), [s1, s1 + s2), … in order; ``None`` beyond the last."""
    upto = 0.0
    for share, arm in shares:
        upto += share
        if where < upto:
            return arm
    return None
