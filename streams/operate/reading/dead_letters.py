"""Dead letters: what could not be used, where it came from, and why."""

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from confluent_kafka import Message
from pydantic import ValidationError

from ....core.errors import InvalidArgument
from ....schemas.records import DeadLetterHeaders
from ...broker import BrokerSettings, partition_count
from ...broker.reading import headers_of, read_to_end
from ..text import printable

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """One dead letter.

    Attributes:
        partition: Of the topic ``dead-letters``.
        offset: In that partition; both together name it.
        written_ms: When the worker wrote it.
        headers: What the worker says of it.
        key: As received.
        value: As received, or the first 64 kB.
    """

    partition: int
    offset: int
    written_ms: int
    headers: DeadLetterHeaders
    key: bytes
    value: bytes

    @property
    def place(self) -> str:
        """Its name for people: ``partition:offset``."""
        return f"{self.partition}:{self.offset}"

    def body(self) -> object:
        """The value: JSON where it is, else text with unprintable characters escaped."""
        try:
            parsed = json.loads(self.value)
            json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):  # no JSON, or none that could be printed as such
            return printable(self.value.decode(errors="backslashreplace"), lines=True)
        return parsed


def read_dead_letters(
    settings: BrokerSettings, *, tuner: str = "", reason: str = "", since_ms: int = 0, partition: int | None = None
) -> Iterator[DeadLetterRecord]:
    """Dead letters, each partition's in order: as they are read, for all of them could be too many to hold.

    Args:
        settings: Where the broker is.
        tuner: Only of this tuner.
        reason: Only with this reason.
        since_ms: Only those that were written since.
        partition: Only of this partition of the topic.

    Raises:
        BrokerUnreachable: The topic cannot be read in time.
        TopicsInvalid: It is not there.
    """
    count = partition_count(settings, "dead-letters")
    partitions = range(count) if partition is None else [partition] if partition < count else []
    for message in read_to_end(settings, "dead-letters", partitions):
        found = dead_letter(message)
        if (
            found is not None
            and found.headers.tuner == (tuner or found.headers.tuner)
            and found.headers.reason == (reason or found.headers.reason)
            and found.written_ms >= since_ms
        ):
            yield found


def dead_letter(message: Message) -> DeadLetterRecord | None:
    """The dead letter that a record of the topic is; ``None`` where somebody else wrote it."""
    try:
        headers = DeadLetterHeaders.from_headers(headers_of(message))
    except ValidationError:
        return None
    key, value = message.key(), message.value()
    return DeadLetterRecord(
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        headers,
        key if isinstance(key, bytes) else b"",
        value if isinstance(value, bytes) else b"",
    )


def newest_and_counts(
    dead_letters: Iterable[DeadLetterRecord], limit: int
) -> tuple[list[DeadLetterRecord], dict[str, int]]:
    """The newest so many, newest last; and how many there are of each reason in all, the most frequent first."""
    counts = Counter[str]()

    def counted() -> Iterator[DeadLetterRecord]:
        for one in dead_letters:
            counts[one.headers.reason] += 1
            yield one

    newest = heapq.nlargest(limit, counted(), key=lambda one: (one.written_ms, one.partition, one.offset))
    return newest[::-1], dict(counts.most_common())


def parse_place(word: str) -> tuple[int, int]:
    """Partition and offset of ``partition:offset``.

    Raises:
        InvalidArgument: The word is no such place.
    """
    if (found := re.fullmatch(r"(\d+):(\d+)", word)) is None:
        raise InvalidArgument(f"a dead letter is named PARTITION:OFFSET, such as 3:17, not {word!r}")
    return int(found[1]), int(found[2])


def parse_duration(word: str) -> timedelta:
    """A time such as ``90s``, ``15m``, ``2h`` or ``7d``.

    Raises:
        InvalidArgument: The word is none.
    """
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", word)) is None:
        raise InvalidArgument(f"a time is written 90s, 15m, 2h or 7d, not {word!r}")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
