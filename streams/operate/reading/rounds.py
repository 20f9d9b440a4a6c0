"""The rounds of a tuner, as the ``rounds`` topic keeps them."""

from collections.abc import Iterator

from pydantic import ValidationError

from ....schemas.keys import partition_of
from ....schemas.records import RoundRecord
from ...broker import BrokerSettings, partition_count
from ...broker.reading import read_to_end, text


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
