"""Reading partitions by hand, without a group: to their ends, as a table, or on from where they end now.

There is one reader to an end. Each record counts only when it is committed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable
from . import error_codes
from .handles import Consumer
from .settings import BrokerSettings

HARMLESS = frozenset({error_codes.TRANSPORT, KafkaError.GROUP_AUTHORIZATION_FAILED})
"""Errors that a consumer meets and reads on: librdkafka looks for the coordinator of a group that a reader never joins,
so that a user with no right to it needs none."""

_MOVING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""Errors of a partition that is being made, or led by another broker from now on: they pass."""

_BATCH = 10_000
"""Records handed over at once: so many that the call costs little of a restore, so few that they are easily held."""

_READ_S = 0.02
"""``consume`` waits so long for a full batch, the end of the partition notwithstanding."""

_SILENCE_S = 30.0
"""Enough for a broker to restart; whoever waits for longer wants to know why."""

_ASK_S = 10.0
"""For one question about offsets, a change of the partition's leader included."""

_AGAIN_S = 0.1
"""Between two questions: a new leader is a matter of a second or two."""


def read_table(
    settings: BrokerSettings,
    topic: str,
    partitions: Iterable[int],
    *,
    timeout_s: float = 30.0,
    ends: Mapping[int, int] | None = None,
    client: Mapping[str, Any] | None = None,
) -> dict[int, dict[str, bytes]]:
    """Read partitions of a compacted topic as tables; arguments and errors as for :func:`read_to_end`.

    Returns:
        Per partition, the newest value by key; deleted keys are left out.
    """
    tables: dict[int, dict[str, bytes]] = {partition: {} for partition in partitions}
    for message in read_to_end(settings, topic, tables, timeout_s=timeout_s, ends=ends, client=client):
        key, value = message.key(), message.value()
        if key is None:
            continue
        table, name = tables[message.partition() or 0], text(key)
        if value is None:
            table.pop(name, None)
        else:
            table[name] = _bytes(value)
    return tables


def read_to_end(
    settings: BrokerSettings,
    topic: str,
    partitions: Iterable[int],
    *,
    last: int | None = None,
    timeout_s: float | None = None,
    ends: Mapping[int, int] | None = None,
    client: Mapping[str, Any] | None = None,
) -> Iterator[Message]:
    """The committed records of partitions, each partition's in order, up to where they end.

    Args:
        settings: Where the broker is.
        topic: Bare name.
        partitions: Which ones.
        last: Of each partition only about so many: markers and aborted records count.
        timeout_s: For all of it. Without, it may take any time, while the broker sends something every 30 s.
        ends: Ends that were asked for, by partition: an end before it, of a broker that is behind, is none. Without,
            where a partition ends now.
        client: Settings of librdkafka to win over those of a reader.

    Raises:
        BrokerUnreachable: The ends were not reached in time, or the broker refuses.
    """
    budget = Deadline(_SILENCE_S if timeout_s is None else timeout_s)
    reading, passing = set(partitions), ""
    # Assigning costs a whole fetch wait, 1.0 s at the default; with this and the connection opened by asking for the
    # watermarks first, 0.025 s.
    consumer = Consumer(
        settings.consumer() | {"enable.partition.eof": True, "fetch.wait.max.ms": 20} | dict(client or {})
    )
    try:
        consumer.assign(_starts(consumer, settings.topic(topic), reading, last, budget))
        while reading:
            if budget.passed:
                said = f"sent nothing for {_SILENCE_S:g} s" if timeout_s is None else f"took over {timeout_s:.3g} s"
                raise BrokerUnreachable(
                    f"{settings.topic(topic)} could not be read to its end:"
                    f" the broker at {settings.bootstrap} {said}{passing}"
                )
            messages = consumer.consume(_BATCH, budget.remaining(_READ_S))
            for message in messages:
                if (error := message.error()) is None:
                    yield message
                elif error.code() == error_codes.PARTITION_EOF:
                    partition = message.partition() or 0
                    if (message.offset() or 0) >= (ends or {}).get(partition, 0):
                        reading.discard(partition)
                else:
                    raise_unless_it_passes(error)
                    passing = f", last: {error.str()}"
            # Afterwards: what the caller does with the records is not the broker's silence.
            if timeout_s is None and any(map(_is_heard, messages)):
                budget = Deadline(_SILENCE_S)
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not let {settings.topic(topic)} be read: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def _is_heard(message: Message) -> bool:
    error = message.error()
    return error is None or error.code() == error_codes.PARTITION_EOF


def _starts(
    consumer: Consumer, topic: str, partitions: Collection[int], last: int | None, budget: Deadline
) -> list[TopicPartition]:
    """Where to begin.

    One partition's leader is asked in any case, which opens the connection; those of many only where their ends matter,
    because each answer costs a round trip.
    """
    if last is None and len(partitions) > 1:
        return [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions]
    return [start_of_last(consumer, topic, partition, last, budget) for partition in partitions]


def raise_unless_it_passes(error: KafkaError) -> None:
    """Raise a consumer's error, unless it will read on.

    Raises:
        KafkaException: It will not.
    """
    if not error.retriable() and error.code() not in HARMLESS | _MOVING:
        raise KafkaException(error)


def start_of_last(
    consumer: Consumer, topic: str, partition: int, last: int | None, budget: Deadline | None = None
) -> TopicPartition:
    """Where the last so many records of a partition begin, or all of them.

    Args:
        consumer: Asks.
        topic: Full name.
        partition: Which one.
        last: So many; ``None`` for all.
        budget: For the answer; default: 10 s.

    Raises:
        KafkaException: The broker does not tell in time.
    """
    low, high = _limits(consumer, topic, partition, budget or Deadline(_ASK_S))
    return TopicPartition(topic, partition, low if last is None else max(low, high - last))


def _limits(consumer: Consumer, topic: str, partition: int, budget: Deadline) -> tuple[int, int]:
    """Where a partition begins and ends now; a partition between two leaders is waited for."""
    while True:
        try:
            return consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=max(budget.remaining(_ASK_S), 0.01)
            )
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or budget.passed:
                raise
        budget.sleep(_AGAIN_S)


def end_offsets(
    settings: BrokerSettings, topics: Collection[str], partitions: Iterable[int]
) -> dict[int, dict[str, int]]:
    """Where partitions of topics end now: by partition and bare name.

    Raises:
        BrokerUnreachable: The broker does not tell in time.
    """
    consumer = Consumer(settings.consumer())
    try:
        return {
            partition: {
                topic: _limits(consumer, settings.topic(topic), partition, Deadline(_ASK_S))[1] for topic in topics
            }
            for partition in partitions
        }
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not tell where topics end: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def text(value: bytes | str | None) -> str:
    """Bytes of a key, as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """A record's headers; none where it has none."""
    return [(str(header[0]), _bytes(header[1])) for header in message.headers() or ()]


def _bytes(value: bytes | str | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()
