"""A compacted topic read as a table: the newest value of every key."""

from collections.abc import Iterable
from time import monotonic

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from ...core.errors import BrokerUnreachable
from . import error_codes
from .settings import BrokerSettings

HARMLESS = frozenset({error_codes.TRANSPORT, KafkaError.GROUP_AUTHORIZATION_FAILED})
"""Errors that a consumer meets and reads on: librdkafka looks for the coordinator of a group that a reader never joins,
so that a user with no right to it needs none."""


def read_table(
    settings: BrokerSettings, topic: str, partitions: Iterable[int], *, timeout_s: float = 30.0
) -> dict[int, dict[str, bytes]]:
    """Read partitions of a topic to their ends, as far as they are committed.

    Args:
        settings: Where the broker is.
        topic: Bare name of the topic.
        partitions: Which partitions.
        timeout_s: For all of it.

    Returns:
        Per partition, the newest value by key; deleted keys are left out.

    Raises:
        BrokerUnreachable: The end was not reached in time.
    """
    deadline = monotonic() + timeout_s
    tables: dict[int, dict[str, bytes]] = {partition: {} for partition in partitions}
    reading = set(tables)
    consumer = Consumer(
        settings.consumer()
        | {"enable.partition.eof": True, "isolation.level": "read_committed", "fetch.wait.max.ms": 20}
    )
    try:
        consumer.assign([TopicPartition(settings.topic(topic), p, OFFSET_BEGINNING) for p in tables])
        while reading:
            if monotonic() > deadline:
                raise BrokerUnreachable(
                    f"topic {settings.topic(topic)} could not be read to its end within {timeout_s:g} s"
                )
            # A consume of many messages waits for all of them: a short one returns soon after the last there is.
            for message in consumer.consume(10_000, 0.02):
                partition = message.partition()
                error = message.error()
                if error is None and partition is not None:
                    _keep(tables[partition], message.key(), message.value())
                elif error is not None and error.code() == error_codes.PARTITION_EOF:
                    reading.discard(partition if partition is not None else -1)
                elif error is not None and not error.retriable() and error.code() not in HARMLESS:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return tables


def _keep(table: dict[str, bytes], key: bytes | str | None, value: bytes | str | None) -> None:
    if key is None:
        return
    name = key.decode(errors="replace") if isinstance(key, bytes) else key
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value if isinstance(value, bytes) else value.encode()
