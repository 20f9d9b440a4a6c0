"""Points in time for people: with date and zone, the same in every command and in the worker's log. Pure."""

from datetime import UTC, datetime

from ...core.errors import InvalidArgument


def when(ms: float) -> str:
    """Milliseconds since 1970 as people write them.

    >>> when(1_700_000_000_123)
    '2023-11-14 22:13:20 UTC'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment(word: str) -> int:
    """A point in time as people write it, in milliseconds since 1970; UTC where it names no zone.

    Raises:
        InvalidArgument: The word is none.

    >>> moment("2023-11-14T22:13:20Z")
    1700000000000
    """
    try:
        read = datetime.fromisoformat(word)
    except ValueError as error:
        raise InvalidArgument(f"a point in time is written 2026-01-31T14:00Z, not {word!r}") from error
    return round((read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp() * 1000)
