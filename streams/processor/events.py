"""From a consumed record to an event, or to the reason why it is none."""

from functools import lru_cache

from pydantic import ValidationError

from ...schemas.base import MAX_EVENT_BYTES, explain
from ...schemas.events import Command, ContextEvent, MetricEvent
from ...schemas.keys import partition_of
from .disposition import Disposed
from .effects import Received

Event = Command | ContextEvent | MetricEvent

_EVENTS: dict[str, type[Command] | type[ContextEvent] | type[MetricEvent]] = {
    "commands": Command,
    "contexts": ContextEvent,
    "metrics": MetricEvent,
}
_owner = lru_cache(maxsize=65_536)(partition_of)  # murmur2 in Python takes 5 us; so many names are 8 MB


def decode(record: Received, partition: int, partitions: int) -> Event:
    """Read a record's event.

    Raises:
        Disposed: It is not an event, or not one for this partition.
    """
    value = record.value
    if not value:
        raise Disposed("dead_letter", "empty", "the message has no value")
    if len(value) > MAX_EVENT_BYTES:
        raise Disposed("dead_letter", "too_large", f"{len(value)} bytes are more than {MAX_EVENT_BYTES}")
    try:
        event = _EVENTS[record.topic].from_bytes(value)
    except ValidationError as error:
        raise Disposed("dead_letter", _reason(error), explain(error)) from error
    if _owner(event.tuner, partitions) != partition:
        raise Disposed(
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
