"""Points in time for people: with date and zone, the same in every command and in the worker's log. Pure."""

from datetime import UTC, datetime


def when(ms: float) -> str:
    """Milliseconds since 1970 as people write them.

    >>> when(1_700_000_000_123)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
