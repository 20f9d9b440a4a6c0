"""Where logs begin and end, asked of the broker over a connection of its own.

Never from what the consumer has cached: after a pause of the broker a cached end is old, and time would pass for
requests that were answered meanwhile. And not over the consumer's connection either: a question there waits behind the
fetch that the broker is holding open.
"""

import contextlib
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable
from .settings import WorkerSettings

_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
    }
)
"""What is known of the leaders is old, as after a pause of the broker: it must be looked up anew."""

_AGAIN_S = 0.1

Place = tuple[str, int]
"""A topic's full name and a partition."""


class LogOffsets:
    """Answers with offsets of many partitions at once; calls block, and may come from any thread."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._admin = AdminClient(settings.broker.confluent() | {"log_level": 2})

    def starts(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """The earliest offset there still is."""
        return self._ask(places, _EARLIEST, IsolationLevel.READ_UNCOMMITTED, timeout_s)

    def ends(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """The end for those who read all there is."""
        return self._ask(places, _LATEST, IsolationLevel.READ_UNCOMMITTED, timeout_s)

    def committed_ends(self, places: Iterable[Place], timeout_s: float) -> dict[Place, int]:
        """The end for those who read committed records: before it no transaction is open."""
        return self._ask(places, _LATEST, IsolationLevel.READ_COMMITTED, timeout_s)

    def _ask(
        self, places: Iterable[Place], spec: OffsetSpec, isolation: IsolationLevel, timeout_s: float
    ) -> dict[Place, int]:
        question = {TopicPartition(topic, partition): spec for topic, partition in places}
        deadline = Deadline(timeout_s)
        while question:
            try:
                return self._ask_once(question, isolation, max(deadline.remaining(), 0.01))
            except KafkaException as error:
                if error.args[0].code() not in _STALE or deadline.passed:
                    raise BrokerUnreachable(f"the broker does not tell offsets: {error}") from error
                deadline.sleep(_AGAIN_S)
                self._look_up_leaders({tp.topic for tp in question}, deadline)
            except TimeoutError as error:
                raise BrokerUnreachable(f"the broker does not tell offsets: {error}") from error
        return {}

    def _look_up_leaders(self, topics: Iterable[str], deadline: Deadline) -> None:
        """Without it librdkafka goes on asking under the old epoch for minutes (seen)."""
        for topic in topics:
            with contextlib.suppress(KafkaException):  # the question itself will tell
                self._admin.list_topics(topic, timeout=max(deadline.remaining(), 0.01))

    def _ask_once(
        self, question: dict[TopicPartition, OffsetSpec], isolation: IsolationLevel, timeout_s: float
    ) -> dict[Place, int]:
        answers: dict[TopicPartition, Future[Any]] = self._admin.list_offsets(
            question, isolation_level=isolation, request_timeout=timeout_s
        )
        found = {(tp.topic, tp.partition): answer.result(timeout_s + 1).offset for tp, answer in answers.items()}
        if any(offset < 0 for offset in found.values()):
            # Where a leader that was known stops answering, librdkafka gives no error, but an impossible offset.
            raise TimeoutError("it gave no answer in time")
        return found
