"""The rounds of a tuner, as the ``rounds`` topic keeps them."""

from collections.abc import Iterator

from pydantic import ValidationError

from ...schemas.keys import partition_of
from ...schemas.records import RoundRecord
from ..broker import BrokerSettings, partition_count
from .reading import read_to_end, text

_BARS = "▁▂▃▄▅▆▇█"


def read_rounds(settings: BrokerSettings, name: str, *, last: int | None = None) -> Iterator[RoundRecord]:
    """A tuner's closed rounds, oldest first; metrics that missed their round are left out, as is what cannot be read.

    Args:
        settings: Where the broker is.
        name: The tuner's.
        last: Look only at about so many records of its partition.

    Raises:
        BrokerUnreachable: The topic cannot be read in time.
        TopicsInvalid: It is not there.
    """
    partition = partition_of(name, partition_count(settings, "rounds"))
    for message in read_to_end(settings, "rounds", [partition], last=last):
        if text(message.key()) == name and (closed := closed_round(message.value())) is not None:
            yield closed


def closed_round(value: bytes | str | None) -> RoundRecord | None:
    """The round that a record of the topic tells of; ``None`` where it tells of none."""
    try:
        record = RoundRecord.from_bytes(value or b"")
    except ValidationError:  # of a newer version
        return None
    return record if record.kind is not None else None


def sparkline(rewards: list[float]) -> str:
    """Numbers as a line of bars, from the lowest to the highest.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    if not rewards:
        return ""
    low, span = min(rewards), max(rewards) - min(rewards)
    return "".join(_BARS[round((r - low) / span * 7) if span else 3] for r in rewards)
