"""From a consumed record to an event, or to the reason why it is none."""

import hashlib
from functools import lru_cache

import orjson
from pydantic import ValidationError

from ...schemas.base import MAX_EVENT_BYTES, explain
from ...schemas.events import Command, ContextEvent, MetricEvent
from ...schemas.keys import partition_of
from ...schemas.records import DeadLetterHeaders
from ...schemas.state import Disposition
from .effects import DeadLetter, Received

Event = Command | ContextEvent | MetricEvent

MAX_LETTER_BYTES = 64 * 1024
"""A dead letter holds at most so much of a value: one that outgrew its topic's limit stopped a partition for good."""

_EVENTS: dict[str, type[Command] | type[ContextEvent] | type[MetricEvent]] = {
    "commands": Command,
    "contexts": ContextEvent,
    "metrics": MetricEvent,
}
_owner = lru_cache(maxsize=65536)(partition_of)


class NotUsed(Exception):  # noqa: N818 - not an error: a record's fate
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


def decode(record: Received, partition: int, partitions: int) -> Event:
    """Read a record's event.

    Raises:
        NotUsed: It is not an event, or not one for this partition.
    """
    value = record.value
    if not value:
        raise NotUsed("dead_letter", "empty", "the message has no value")
    if len(value) > MAX_EVENT_BYTES:
        raise NotUsed("dead_letter", "too_large", f"{len(value)} bytes are more than {MAX_EVENT_BYTES}")
    try:
        event = _EVENTS[record.topic].from_bytes(value)
    except ValidationError as error:
        raise NotUsed("dead_letter", _reason(error), explain(error)) from error
    if _owner(event.tuner, partitions) != partition:
        raise NotUsed(
            "dead_letter",
            "wrong_partition",
            f"tuner {event.tuner!r} belongs on partition {_owner(event.tuner, partitions)} of {partitions}:"
            " key records by the tuner's name and partition by murmur2 (librdkafka: partitioner=murmur2_random)",
        )
    return event


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "not_json"
    return "schema_version" if first["loc"] == ("v",) else "invalid"


def dead_letter(record: Received, partition: int, why: NotUsed) -> DeadLetter:
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
        key=record.key[:1024] if record.key is not None else None,
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
