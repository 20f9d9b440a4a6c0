"""What became of a consumed record that was not simply applied, and the dead letter that says so."""

import hashlib

import orjson

from ...schemas.base import MAX_EVENT_BYTES
from ...schemas.records import DeadLetterHeaders
from ...schemas.state import Disposition
from .effects import DeadLetter, Received

MAX_LETTER_BYTES = 64 * 1024
"""A dead letter holds at most so much of a value: one that outgrew its topic's limit stopped a partition for good."""

MAX_KEY_BYTES = 1024
"""And so much of a key: keys of ours are 165 bytes at most, but anybody may send to an input topic."""


class Disposed(Exception):  # noqa: N818 - not an error: what became of a record
    """A record was not simply applied.

    Args:
        disposition: What became of it.
        reason: A word for programs; ends in the dead letter's headers.
        detail: A sentence for people.
        letter: Whether the record itself goes to dead-letters.
    """

    def __init__(self, disposition: Disposition, reason: str, detail: str = "", *, letter: bool = True) -> None:
        super().__init__(detail or reason)
        self.disposition = disposition
        self.reason = reason
        self.detail = detail
        self.letter = letter


def dead_letter(record: Received, partition: int, why: Disposed) -> DeadLetter:
    """The dead letter of a record: as received, or its beginning and its hash where it is too large."""
    value = record.value
    size = len(value) if value is not None else 0
    cut = value is not None and size > MAX_LETTER_BYTES
    named = _named(value) if value is not None and size <= MAX_EVENT_BYTES else {}
    headers = DeadLetterHeaders(
        reason=why.reason,
        detail=why.detail[:1000],
        disposition=why.disposition,
        topic=record.topic,
        partition=partition,
        offset=record.offset,
        timestamp_ms=max(record.timestamp_ms, 0),
        size=size,
        sha256=hashlib.sha256(value).hexdigest() if value is not None and cut else "",
        tuner=named.get("tuner", ""),
        instance=named.get("instance", ""),
        event_id=named.get("id", ""),
    )
    return DeadLetter(
        key=record.key[:MAX_KEY_BYTES] if record.key is not None else None,
        value=value[:MAX_LETTER_BYTES] if value is not None and cut else value,
        headers=headers.to_headers(),
    )


def _named(value: bytes) -> dict[str, str]:
    """What a record that is no event still says of its origin."""
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(data, dict):
        return {}
    return {k: data[k][:200] for k in ("tuner", "instance", "id") if isinstance(data.get(k), str)}
