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

from ...core.errors import InvalidArgument
from ...schemas.records import DeadLetterHeaders
from ..broker import BrokerSettings, partition_count
from .reading import read_to_end, text

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Letter:
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
            return printable(self.value.decode(errors="backslashreplace"))
        return parsed


def printable(said: str) -> str:
    """Text that does nothing to a terminal but to be read: somebody else wrote it."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in said)


def read_letters(
    settings: BrokerSettings, *, tuner: str = "", reason: str = "", since_ms: int = 0, partition: int | None = None
) -> Iterator[Letter]:
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
        letter = _letter(message)
        if (
            letter is not None
            and letter.headers.tuner == (tuner or letter.headers.tuner)
            and letter.headers.reason == (reason or letter.headers.reason)
            and letter.written_ms >= since_ms
        ):
            yield letter


def _letter(message: Message) -> Letter | None:
    headers = {str(header[0]): text(header[1]) for header in message.headers() or ()}
    try:
        said = DeadLetterHeaders.model_validate(headers)
    except ValidationError:  # somebody else's record
        return None
    key, value = message.key(), message.value()
    return Letter(
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        said,
        key if isinstance(key, bytes) else b"",
        value if isinstance(value, bytes) else b"",
    )


def newest(letters: Iterable[Letter], limit: int) -> tuple[list[Letter], dict[str, int]]:
    """The newest so many, newest last; and how many there are of each reason in all, the most frequent first."""
    counts = Counter[str]()

    def counted() -> Iterator[Letter]:
        for letter in letters:
            counts[letter.headers.reason] += 1
            yield letter

    shown = heapq.nlargest(limit, counted(), key=lambda letter: (letter.written_ms, letter.partition, letter.offset))
    return shown[::-1], dict(counts.most_common())


def place(word: str) -> tuple[int, int]:
    """Partition and offset of ``partition:offset``.

    Raises:
        InvalidArgument: The word is no such place.
    """
    if (found := re.fullmatch(r"(\d+):(\d+)", word)) is None:
        raise InvalidArgument(f"a dead letter is named PARTITION:OFFSET, such as 3:17, not {word!r}")
    return int(found[1]), int(found[2])


def duration(word: str) -> timedelta:
    """A time such as ``90s``, ``15m``, ``2h`` or ``7d``.

    Raises:
        InvalidArgument: The word is none.
    """
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", word)) is None:
        raise InvalidArgument(f"a time is written 90s, 15m, 2h or 7d, not {word!r}")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
