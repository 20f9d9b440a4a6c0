"""The demo's result, as a table."""

import math
from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from .compare import DEFAULTS, Side, Sides, times_faster


def _latency(side: Side) -> str:
    if not side.p95_ms:
        return "-"
    return f"{_ms(side.median_p95_ms)} ({_ms(side.min_p95_ms)}–{_ms(side.max_p95_ms)})"


def _ms(x: float) -> str:
    """Three digits that count, at least two decimals where it is small: at most five characters up to 100 seconds."""
    return f"{x:.{2 if x < 10 else 1 if x < 100 else 0}f}"


def _throughput(side: Side) -> str:
    return f"{side.median_ops_per_s:.0f}" if side.ops_per_s else "-"


def _times_faster(defaults: Side, side: Side) -> str | Text:
    ratio = times_faster(defaults, side)
    if math.isnan(ratio.median):
        return "-"
    if not ratio.is_decided:
        return f"{ratio.median:.1f}×, not distinguishable"
    times = f"{ratio.median:.1f}× ({ratio.low:.1f}–{ratio.high:.1f})"
    if not ratio.is_other_than_1:
        return times
    return Text(times, f"bold {'green' if ratio.median > 1 else 'red'}")


def comparison_table(results: Mapping[str, Sides]) -> Table:
    """Declared defaults against the other configurations, a line for each of them in each context.

    Args:
        results: By context: the sides by name, that with the defaults first.

    Returns:
        Medians over the repetitions: of the 95th percentiles of latency with the smallest and the largest, and of how
        many times faster than the defaults, with the 90 % confidence interval, where that says which is faster, or that
        neither is.
    """
    table = Table(title="95th percentile of latency in ms: median (min–max) of the repetitions", pad_edge=False)
    table.add_column("context", no_wrap=True)
    table.add_column("values", no_wrap=True)
    for title in ("p95, ms", "times faster (90 %)", "ops/s"):
        table.add_column(title, justify="right", no_wrap=True)
    for context, sides in results.items():
        for name, side in sides.items():
            first = name == DEFAULTS
            faster = "" if first else _times_faster(sides[DEFAULTS], side)
            table.add_row(context if first else "", name, _latency(side), faster, _throughput(side))
        table.add_section()
    return table
