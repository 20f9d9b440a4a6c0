"""Where logs begin and end, asked of the broker over a connection of its own.

Never from what the consumer has cached: after a pause of the broker a cached end is old, and time would pass for
requests that were answered meanwhile. And not over the consumer's connection either: a question there waits behind the
fetch that the broker is holding open.
"""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from ...core.errors import BrokerUnreachable
from .settings import WorkerSettings

_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Place = tuple[str, int]
"""A topic's full name and a partition."""


class LogEnds:
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
        if not question:
            return {}
        try:
            answers: dict[TopicPartition, Future[Any]] = self._admin.list_offsets(
                question, isolation_level=isolation, request_timeout=max(timeout_s, 0.01)
            )
            return {(tp.topic, tp.partition): answer.result(timeout_s + 1).offset for tp, answer in answers.items()}
        except (KafkaException, TimeoutError) as error:
            raise BrokerUnreachable(f"the broker does not tell offsets: {error}") from error
