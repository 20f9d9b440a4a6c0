"""What can be measured: a name, and a finite number. Whatever an app gives is looked at without raising."""

from typing import SupportsFloat

MAX_MAGNITUDE = 1e80
"""A larger measurement is an error. Squared and counted 10^12 times it is 1e172: an event holds up to 1e200."""

MAX_NAME = 100
"""Characters of a metric's name."""


def number(value: object) -> float | None:
    """A measurement as a float; ``None`` where it is not a finite number."""
    try:
        if not isinstance(value, float | int):  # numpy's numbers, decimals: not strings
            if not isinstance(value, SupportsFloat):
                return None
            value = float(value)
        return float(value) if -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE else None
    except Exception:  # noqa: BLE001 - the app's own class may raise anything
        return None


def fault(metric: object, value: object) -> str | None:
    """Why a measurement is none; ``None`` where it is one."""
    if not isinstance(metric, str) or not 1 <= len(metric) <= MAX_NAME or not metric.isprintable():
        return f"a metric's name has 1 to {MAX_NAME} printable characters"
    if number(value) is None:
        return f"{shown(value)} is not a finite number"
    return None


def shown(value: object) -> str:
    """Anything in a sentence, at a length that people read."""
    try:
        return f"{value!r:.100}"
    except Exception:  # noqa: BLE001 - the app's own class may raise anything
        return f"a {type(value).__name__}"
