"""Where logs begin and end, asked of the broker over a connection of its own.

The consumer's cached ends are never used: after a pause of the broker they are old, and requests that were answered
meanwhile would run into their deadlines. Nor is its connection: a question there waits behind the fetch that the broker
is holding open.
"""

import contextlib
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable
from ..broker.handles import AdminClient
from .settings import WorkerSettings

_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""librdkafka's knowledge of the leaders is out of date, as after a pause of the broker, or the topic is being created
again, which its ends then tell: look it up again."""

_AGAIN_S = 0.1
"""Between questions while a leader is being chosen: short beside time-outs of seconds, and no burden to the broker."""

_LEAST_S = 0.01
"""No question is asked without any time for its answer."""

Place = tuple[str, int]
"""A topic's full name and a partition."""


class LogOffsets:
    """Offsets of many partitions in one question. Calls block, and may come from any thread."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._admin = AdminClient(settings.broker.confluent() | {"log_level": 2})

    def starts(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """The offset of the oldest record that was not deleted yet."""
        return self._ask(places, _EARLIEST, IsolationLevel.READ_UNCOMMITTED, timeout_s)

    def ends(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """Where the log ends, records of open transactions included."""
        return self._ask(places, _LATEST, IsolationLevel.READ_UNCOMMITTED, timeout_s)

    def committed_ends(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """Where the log ends for a reader of committed records: at the first open transaction, if there is one."""
        return self._ask(places, _LATEST, IsolationLevel.READ_COMMITTED, timeout_s)

    def _ask(
        self, places: Iterable[Place], spec: OffsetSpec, isolation: IsolationLevel, timeout_s: float
    ) -> dict[Place, int]:
        question = {TopicPartition(topic, partition): spec for topic, partition in places}
        deadline = Deadline(timeout_s)
        while question:
            try:
                return self._ask_once(question, isolation, max(deadline.remaining(), _LEAST_S))
            except KafkaException as error:
                if error.args[0].code() not in _STALE or deadline.passed:
                    raise BrokerUnreachable(f"the broker does not tell offsets: {error}") from error
                deadline.sleep(_AGAIN_S)
                self._look_up_leaders({tp.topic for tp in question}, deadline)
            except TimeoutError as error:
                raise BrokerUnreachable(f"the broker does not tell offsets: {error}") from error
        return {}

    def _look_up_leaders(self, topics: Iterable[str], deadline: Deadline) -> None:
        """Without this, librdkafka was seen to go on asking under the old epoch for minutes."""
        for topic in topics:
            with contextlib.suppress(KafkaException):  # asking again will tell
                self._admin.list_topics(topic, timeout=max(deadline.remaining(), _LEAST_S))

    def _ask_once(
        self, question: dict[TopicPartition, OffsetSpec], isolation: IsolationLevel, timeout_s: float
    ) -> dict[Place, int]:
        answers: dict[TopicPartition, Future[Any]] = self._admin.list_offsets(
            question, isolation_level=isolation, request_timeout=timeout_s
        )
        found = {(tp.topic, tp.partition): answer.result(timeout_s + 1).offset for tp, answer in answers.items()}
        if any(offset < 0 for offset in found.values()):
            # When a known leader stops answering, librdkafka gives no error, but an impossible offset.
            raise TimeoutError("it gave no answer in time")
        return found
