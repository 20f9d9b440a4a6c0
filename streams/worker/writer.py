"""The transactional producer of one partition: it fences older owners, and writes all of a fold's effects or none."""

from collections.abc import Callable, Iterator

from confluent_kafka import KafkaError, KafkaException

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable, Fenced, Refused
from ..broker import error_codes
from ..broker.handles import Producer
from ..broker.topics import LARGE_BYTES
from ..processor import Effects
from .settings import WorkerSettings

MAX_RECORD_BYTES = LARGE_BYTES + 64 * 1024
"""Room for the largest record, its key and headers, as the topics have it. librdkafka's own default of 1 MB would
refuse a large state record for ever: the same batch would be folded and refused again after every restart."""

_STEP_S = 5.0
"""One call into librdkafka takes at most this long; between calls the deadline is looked at."""

_FULL_QUEUE_S = 0.05
"""How long to let librdkafka send when its queue is full, before handing over the next record."""

_FENCED = frozenset({error_codes.FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.INVALID_PRODUCER_ID_MAPPING})

_FORGOTTEN = KafkaError.INVALID_PRODUCER_ID_MAPPING
"""The coordinator knows this transactional id no more (``transactional.id.expiration.ms``, 7 days, without a write), or
knows it as another producer's that began after it had forgotten ours."""

_SEE_ABORT = frozenset({error_codes.STATE, error_codes.FATAL})
"""The producer is in an error state whose cause produce() does not say: aborting either repairs it or says it."""


class Forgotten(Fenced):
    """The broker has forgotten this producer, which wrote nothing for too long: only a new one can write.

    Whether another worker has written since, the state must tell: restore it.
    """


Headers = list[tuple[str, str | bytes | None]]
Record = tuple[str, bytes | None, bytes | None, Headers]


class PartitionWriter:
    """Writes to one partition of the worker's topics, one transaction at a time. Not for concurrent use.

    Args:
        settings: The worker's.
        partition: Number of the partition; all that is written goes there.
    """

    def __init__(self, settings: WorkerSettings, partition: int) -> None:
        self._settings = settings
        self._partition = partition
        self._producer = Producer(
            settings.broker.confluent()
            | {
                "transactional.id": settings.transactional_id(partition),
                "transaction.timeout.ms": int(settings.transaction_timeout_s * 1000),
                "message.max.bytes": MAX_RECORD_BYTES,
                "linger.ms": 0,
                # The whole of a transaction is queued before it is committed; 100,000 records, the default, can be
                # fewer than the dead letters of one fetch.
                "queue.buffering.max.messages": 1_000_000,
                "delivery.report.only.error": True,
                "log_level": 2,
            }
        )

    def open(self) -> None:
        """Fence whoever wrote this partition before, and abort what was left open.

        Raises:
            BrokerUnreachable: The broker did not answer within the time for restoring.
            Refused: This user may not use the transactional id.
        """
        deadline = Deadline(self._settings.restore_timeout_s)
        while True:
            try:
                self._producer.init_transactions(deadline.remaining(_STEP_S))
            except KafkaException as error:
                if _kafka_error(error).code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
                    raise Refused(
                        f"this user may not use transactional ids {self._settings.transactional_id_prefix}*: allow it"
                        " Write for them (kafka-acls.sh --transactional-id, --resource-pattern-type prefixed)"
                    ) from error
                if not _kafka_error(error).retriable():
                    raise
                if deadline.passed:
                    raise BrokerUnreachable(f"no transactions for partition {self._partition}: {error}") from error
            else:
                return

    def commit(self, effects: Effects) -> None:
        """Write all effects of a fold, or none.

        1. Begin a transaction.
        2. Hand over every record, to this partition of its topic.
        3. Commit; where the broker only needs more time, ask again, until the transaction's own time is up.
        4. Where the transaction failed but may be tried again: abort it, and go to 1 with the same effects.

        Raises:
            Forgotten: Nothing was written for so long that the broker has forgotten who writes here.
            Fenced: Another worker has the partition.
            BrokerUnreachable: The transaction's time is up.
            KafkaException: Anything else, such as a record larger than the topic allows.
        """
        deadline = Deadline(self._settings.transaction_timeout_s)
        while True:
            try:
                # 1.
                self._producer.begin_transaction()
                # 2.
                for topic, key, value, headers in self._records(effects):
                    self._produce(topic, key, value, headers, deadline)
                # 3.
                self._until(self._producer.commit_transaction, deadline)
            except KafkaException as error:
                kafka_error = _kafka_error(error)
                if kafka_error.code() in _FENCED:
                    raise self._fenced(kafka_error) from error
                if not kafka_error.txn_requires_abort() and kafka_error.code() not in _SEE_ABORT:
                    raise
                # 4.
                self._abort(deadline)
            else:
                return

    def close(self) -> None:
        """Close the connections. An open transaction is left to the next owner, who aborts it."""
        self._producer.purge()
        del self._producer

    def _records(self, effects: Effects) -> Iterator[Record]:
        topic = self._settings.broker.topic
        state, configs = topic("state"), topic("configs")
        for key, value in effects.state.items():
            yield state, key.encode(), value, []
        for key, value in effects.configs.items():
            yield configs, key.encode(), value, []
        for key, value in effects.rounds:
            yield topic("rounds"), key.encode(), value, []
        for value in effects.journal:
            yield topic("journal"), None, value, []
        for letter in effects.dead_letters:
            yield topic("dead-letters"), letter.key, letter.value, [*letter.headers]

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        deadline: Deadline,
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, partition=self._partition, headers=headers)
            except BufferError as error:
                if deadline.passed:
                    raise BrokerUnreachable(f"partition {self._partition}: records could not be handed over") from error
                self._producer.poll(_FULL_QUEUE_S)
            else:
                return

    def _abort(self, deadline: Deadline) -> None:
        try:
            self._until(self._producer.abort_transaction, deadline)
        except KafkaException as error:
            if _kafka_error(error).code() in _FENCED:
                raise self._fenced(_kafka_error(error)) from error
            raise

    def _fenced(self, error: KafkaError) -> Fenced:
        kind = Forgotten if error.code() == _FORGOTTEN else Fenced
        return kind(f"partition {self._partition}: {error.str()}")

    def _until(self, call: Callable[[float], object], deadline: Deadline) -> None:
        while True:
            try:
                call(deadline.remaining(_STEP_S))
            except KafkaException as error:
                if not _kafka_error(error).retriable():
                    raise
                if deadline.passed:
                    raise BrokerUnreachable(
                        f"partition {self._partition}: no end to the transaction within "
                        f"{self._settings.transaction_timeout_s:.0f} s: {error}"
                    ) from error
            else:
                return


def _kafka_error(error: KafkaException) -> KafkaError:
    cause = error.args[0]
    if not isinstance(cause, KafkaError):
        raise error
    return cause
