"""Reading topics that are no tables: to their ends, or on and on."""

from collections.abc import Iterable, Iterator
from time import monotonic, sleep

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ...core.errors import BrokerUnreachable
from ..broker import HARMLESS, BrokerSettings, error_codes

_ASK_S = 10.0
_AGAIN_S = 0.1
_MOVING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""Errors of a partition that is being made, or led by another broker from now on: they pass."""
_END = error_codes.PARTITION_EOF


def read_to_end(
    settings: BrokerSettings,
    topic: str,
    partitions: Iterable[int],
    *,
    last: int | None = None,
    silence_s: float = 30.0,
) -> Iterator[Message]:
    """The committed records of partitions, each partition's in order, up to where they end now.

    Args:
        settings: Where the broker is.
        topic: Bare name.
        partitions: Which ones.
        last: Of each partition only about so many: markers and aborted records count.
        silence_s: How long the broker may send nothing. All of it may take any time.

    Raises:
        BrokerUnreachable: It sent nothing for so long, or refuses.
    """
    heard = monotonic()
    consumer = Consumer(settings.consumer() | {"enable.partition.eof": True})
    try:
        reading = set(partitions)
        consumer.assign([newest(consumer, settings.topic(topic), p, last) for p in reading])
        while reading:
            if monotonic() - heard > silence_s:
                raise BrokerUnreachable(
                    f"the broker at {settings.bootstrap} sent nothing of {settings.topic(topic)} for {silence_s:g} s"
                )
            for message in consumer.consume(5_000, 0.05):
                error = message.error()
                if error is None or error.code() == _END:
                    heard = monotonic()
                if error is None:
                    yield message
                elif error.code() == _END:
                    reading.discard(message.partition() or 0)
                else:
                    refuse(error)
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not let {topic} be read: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def refuse(error: KafkaError) -> None:
    """Raise a consumer's error, unless it will read on.

    Raises:
        KafkaException: It will not.
    """
    if not error.retriable() and error.code() not in HARMLESS | _MOVING:
        raise KafkaException(error)


def newest(consumer: Consumer, topic: str, partition: int, last: int | None) -> TopicPartition:
    """Where the last so many records of a partition begin, or all of them."""
    low, high = limits(consumer, topic, partition)
    return TopicPartition(topic, partition, low if last is None else max(low, high - last))


def limits(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Where a partition begins and ends now; a partition between two leaders is waited for.

    Raises:
        KafkaException: The broker does not tell in time.
    """
    deadline = monotonic() + _ASK_S
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ASK_S)
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or monotonic() > deadline:
                raise
        sleep(_AGAIN_S)


def ends(settings: BrokerSettings, topics: Iterable[str], partition: int) -> dict[str, int]:
    """Where a partition of topics ends now, by bare name.

    Raises:
        BrokerUnreachable: The broker does not tell in time.
    """
    consumer = Consumer(settings.consumer())
    try:
        return {topic: limits(consumer, settings.topic(topic), partition)[1] for topic in topics}
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not tell where topics end: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def text(value: bytes | str | None) -> str:
    """Bytes of a key or header, for people."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
