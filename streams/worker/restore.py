"""The state of a partition, read from the ``state`` topic before anything is folded."""

import logging

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable
from ..broker import error_codes
from .exits import Refused
from .log_offsets import LogOffsets
from .settings import WorkerSettings

log = logging.getLogger(__name__)

_WAIT_S = 0.2
"""How long to wait before asking again whether foreign transactions have ended."""

_BATCH = 10_000

_READ_S = 0.02
"""``consume`` waits so long for a full batch, the end of the partition notwithstanding."""


def read_state(settings: WorkerSettings, ends: LogOffsets, partition: int) -> dict[str, bytes]:
    """The newest committed value of every key, deleted ones left out. Values stay bytes: most are never decoded.

    The partition's writer must be open: from then on nobody else can commit to it.

    1. Ask for the end, and for the end of what is committed.
    2. Where the two differ, somebody has a transaction open on ``state``: wait for its end. Reading on regardless
       would stop before the newest committed records, and events be learned twice.
    3. Read to the end, keeping the newest per key.

    Raises:
        Refused: The foreign transaction stays open.
        BrokerUnreachable: The broker does not answer within the time for restoring.
    """
    deadline = Deadline(settings.restore_timeout_s)
    place = (settings.broker.topic("state"), partition)
    waiting = False
    while True:
        # 1.
        end = ends.ends([place], deadline.remaining(10))[place]
        committed = ends.committed_ends([place], deadline.remaining(10))[place]
        # 2.
        if committed >= end:
            break
        if deadline.passed:
            raise Refused(
                f"partition {partition} of {place[0]} has an open transaction at offset {committed} that is not a "
                f"worker's: only workers may write there. Find who does (kafka-transactions.sh find-hanging), "
                f"end it, and start again"
            )
        if not waiting:
            log.warning("partition %d: waiting for the end of an open transaction on %s", partition, place[0])
            waiting = True
        deadline.sleep(_WAIT_S)
    # 3.
    return _read(settings, place, end, deadline)


def _read(settings: WorkerSettings, place: tuple[str, int], end: int, deadline: Deadline) -> dict[str, bytes]:
    newest: dict[str, bytes] = {}
    if end == 0:
        return newest
    consumer = Consumer(
        settings.broker.confluent()
        | {
            "group.id": settings.group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            # Assigning costs a whole fetch wait, 1.0 s at the default; with this and the connection opened by asking
            # for the watermarks first, 0.025 s.
            "fetch.wait.max.ms": 20,
            "log_level": 2,
        }
    )
    try:
        tp = TopicPartition(*place, OFFSET_BEGINNING)
        consumer.get_watermark_offsets(tp, timeout=deadline.remaining(10))
        consumer.assign([tp])
        while True:
            if deadline.passed:
                raise BrokerUnreachable(f"{place[0]}-{place[1]} could not be read to its end, offset {end}, in time")
            for message in consumer.consume(_BATCH, deadline.remaining(_READ_S)):
                if _is_end(message, end):
                    return newest
                _keep(message, newest)
    except KafkaException as error:
        raise BrokerUnreachable(f"{place[0]}-{place[1]} could not be read: {error}") from error
    finally:
        consumer.close()


def _is_end(message: Message, end: int) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() != error_codes.PARTITION_EOF:
        if error.retriable() or error.code() == error_codes.TRANSPORT:
            return False
        raise KafkaException(error)
    return (message.offset() or 0) >= end


def _keep(message: Message, newest: dict[str, bytes]) -> None:
    if message.error() is not None:
        return
    key, value = message.key(), message.value()
    if key is None:
        return
    name = key.decode(errors="replace")
    if value is None:
        newest.pop(name, None)
    else:
        newest[name] = value
