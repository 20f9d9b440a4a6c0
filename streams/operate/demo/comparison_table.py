"""The demo's result, as a table."""

import math
from collections.abc import Mapping

from rich.table import Table

from .compare import Side


def _latency(side: Side) -> str:
    if not side.p95_ms:
        return "-"
    return f"{_ms(side.median_p95_ms)} ({_ms(side.min_p95_ms)}–{_ms(side.max_p95_ms)})"


def _ms(x: float) -> str:
    """Three digits that count, at least two decimals where it is small: at most five characters up to 100 seconds."""
    return f"{x:.{2 if x < 10 else 1 if x < 100 else 0}f}"


def _throughput(side: Side) -> str:
    return f"{side.median_ops_per_s:.0f}" if side.ops_per_s else "-"


def _times_faster(defaults: Side, tuned: Side) -> str:
    before_ms, after_ms = defaults.median_p95_ms, tuned.median_p95_ms
    if math.isnan(before_ms) or math.isnan(after_ms) or after_ms <= 0:
        return "-"
    times = f"{before_ms / after_ms:.1f}×"
    # Where the ranges overlap, the repetitions do not bear the difference out: no colour for it.
    if tuned.max_p95_ms < defaults.min_p95_ms:
        return f"[bold green]{times}[/]"
    return f"[bold red]{times}[/]" if tuned.min_p95_ms > defaults.max_p95_ms else times


def comparison_table(results: Mapping[str, tuple[Side, Side]]) -> Table:
    """Declared defaults against tuned, a line per context.

    Args:
        results: By context: the side with the defaults, and the side with the tuned values.

    Returns:
        Medians over the repetitions, with the smallest and largest of the latencies in brackets. The ratio is coloured
        where the two ranges do not overlap.
    """
    table = Table(title="95th percentile of latency in ms, median (min–max) of the repetitions", pad_edge=False)
    table.add_column("context", no_wrap=True)
    for title in ("defaults", "tuned", "times\nfaster", "ops/s\ndefaults", "ops/s\ntuned"):
        table.add_column(title, justify="right", no_wrap=True)
    for context, (defaults, tuned) in results.items():
        table.add_row(
            context,
            _latency(defaults),
            _latency(tuned),
            _times_faster(defaults, tuned),
            _throughput(defaults),
            _throughput(tuned),
        )
    return table
