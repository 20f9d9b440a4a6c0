"""A running mean and spread of rewards, robust to single absurd ones."""

import math
from collections.abc import Mapping
from typing import Any

from ...core.state import JsonDict

LARGEST = 1e150
"""Rewards and gradients are cut here: neither a difference nor a square of such numbers can overflow."""

FARTHEST = 5.0
"""A deviation counts as this many spreads at most: one absurd reward moves m by 5/w spreads, and s by 4/w of it."""


def cut(x: float) -> float:
    """``x``, limited so that a difference of two can't overflow."""
    return x if -LARGEST <= x <= LARGEST else math.copysign(LARGEST, x)


class RunningStatistics:
    """Mean m and mean absolute deviation s of about the last ``window`` numbers, after Huber's winsorizing (1964).

    For the k-th number x, with w = min(k, window): d = clip(x - m, -5 s, 5 s); m <- m + d / w;
    s <- s + (|d| - s) / w. The first number is the first m, and the first deviation that is not 0 the first s.

    Args:
        window: Numbers that count, at least 1.
        mean: m, if it is known beforehand; None to learn it.

    Attributes:
        mean: m; 0 before the first number.
        spread: s, at least 0; 0 until two numbers differed.
    """

    __slots__ = ("_count", "_learned", "_window", "mean", "spread")

    def __init__(self, window: int, mean: float | None = None) -> None:
        self._window = window
        self._learned = mean is None
        self._count = 0
        self.mean = mean or 0.0
        self.spread = 0.0

    def add(self, x: float) -> float:
        """Count a number, and return d: how far it is above the mean before it, at most five spreads."""
        x = cut(x)
        if self._learned and not self._count:
            self.mean = x
        self._count = w = min(self._count + 1, self._window)
        d = x - self.mean
        if self.spread:
            farthest = FARTHEST * self.spread
            d = min(max(d, -farthest), farthest)
            self.spread += (abs(d) - self.spread) / w
        else:
            self.spread = abs(d)
        if self._learned:
            self.mean += d / w
        return d

    def scaled(self, x: float) -> float:
        """Count a number, and return d / s: where it stands among the others, about ±1; 0 while all are equal."""
        d = self.add(x)
        return d / self.spread if self.spread else 0.0

    def get_state(self) -> JsonDict:
        """Count, mean and spread."""
        return {"count": self._count, "mean": self.mean, "spread": self.spread}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self._count, self.mean, self.spread = int(state["count"]), float(state["mean"]), float(state["spread"])
