"""What the benchmarks share: the machine, tables in Markdown, and the original's figures to compare with."""

import os
import platform
import signal
import statistics
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"

ORIGINAL_CALIBRATION_MS = 11.869
"""Median of the calibration loop beside the original's latency table."""


def calibration_ms(repeats: int = 15) -> float:
    """Median milliseconds of a fixed pure-Python loop: machines are compared by it."""
    taken = []
    for _ in range(repeats):
        start, total = time.perf_counter(), 0
        for i in range(200_000):
            total += i * i
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3


def stop_on_signals() -> None:
    """Let what ends a process raise KeyboardInterrupt, as Ctrl-C does: what has been measured is printed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)


def machine(*packages: str) -> str:
    """Date, Python, versions and processor, in a line."""
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    return f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}; {cores}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
