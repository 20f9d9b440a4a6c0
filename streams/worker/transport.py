"""Faust's consumer with the worker's two hooks: where reading begins, and whole fetches instead of single records.

Public API of Faust, but for one method: ``AIOKafkaConsumerThread._create_worker_consumer``, because no setting of
Faust's makes its consumer read committed records only. tests/worker/test_faust_pins.py fails when Faust changes it.
What aiokafka cannot read is in ``unreadable.py``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from .settings import WorkerSettings
from .unreadable import survive_unreadable_batches

POLL_S = 0.25
"""A fetch that brings nothing returns after this. At Faust's 1 s it took that long to see that a log which ends in a
marker was read to its end."""


@dataclass(slots=True)
class Batch:
    """What one fetch brought of one source partition. Faust handles it as one record: each costs it 65 µs.

    Attributes:
        topic: Full name of the topic.
        partition: Its partition.
        after: The read position before the first record. Where it is beyond what is applied, Faust has dropped a batch
            on the way; a gap in the offsets alone would look like a marker.
        records: aiokafka's records, in the order of offsets.
    """

    topic: str
    partition: int
    after: int
    records: Sequence[Any]

    # What else Faust asks of a record when it wraps it into a message.
    timestamp = None
    timestamp_type = 0
    headers = ()
    key = None
    checksum = None
    serialized_key_size = 0
    serialized_value_size = 0

    @property
    def offset(self) -> int:
        """Offset of the last record: Faust's read offset."""
        return int(self.records[-1].offset)

    @property
    def value(self) -> "Batch":
        """Itself: what the agent gets."""
        return self


class Batches:
    """Faust's scheduler of fetched records (setting ``ConsumerScheduler``): one batch per source partition.

    Attributes:
        reached: Per source partition the offset behind the last record that was handed out; at first, where reading
            begins. A partition that is not in it is assigned, but :meth:`Consumer.read_from` has not said where to
            begin: what is fetched of it could begin anywhere, and is dropped.
    """

    def __init__(self) -> None:
        self.reached: dict[TP, int] = {}

    def iterate(self, records: Mapping[TP, Sequence[Any]]) -> Iterator[tuple[TP, Batch]]:
        """Make one batch of what a fetch brought of each source partition."""
        batches = []
        for tp, fetched in records.items():
            if fetched and tp in self.reached:
                batches.append((tp, Batch(tp.topic, tp.partition, self.reached[tp], fetched)))
                self.reached[tp] = fetched[-1].offset + 1
        return iter(batches)


class Reconciles(Protocol):
    """Who decides where reading begins: the ownership."""

    async def reconcile(self) -> Mapping[TP, int]:
        """Own what is assigned, and no more; return the offsets to read from."""


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far a source partition was read at some moment. It moves past markers and aborted records, too.

    Attributes:
        position: The consumer's next offset.
        reached: Behind the last record handed out at that moment: once that is applied, all before ``position`` is.
    """

    position: int
    reached: int


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer; reading begins where the ownership says."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(*args, **kwargs)
        self.ownership: Reconciles = self.transport.ownership
        self.positions: dict[TP, ReadPosition] = {}
        self.positions_wanted: set[TP] = set()

    def _new_consumer_thread(self) -> "ConsumerThread":
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust for all assigned partitions at every rebalance, before any event flows.

        When the next rebalance begins, Faust stops waiting for this. The work must still go on to its end: half
        restored partitions would be neither owned nor dropped.
        """
        offsets: Mapping[TP, int] = await asyncio.shield(asyncio.ensure_future(self.ownership.reconcile()))
        return offsets

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's
        """One message per source partition and fetch. Then, with no fetch under way, the positions that are wanted."""
        async for tp, message in super().getmany(min(timeout, POLL_S)):
            yield tp, message
        while self.positions_wanted:
            tp = self.positions_wanted.pop()
            # Unassigned meanwhile, or not known yet: the ticker will ask again.
            with contextlib.suppress(IllegalStateError, TimeoutError):
                position = await asyncio.wait_for(self.position(tp), POLL_S)
                self.positions[tp] = ReadPosition(position, self.scheduler.reached.get(tp, 0))

    def forget_positions(self) -> None:
        """A new assignment: hand out nothing until :meth:`read_from` has said where to begin."""
        self.scheduler.reached.clear()
        self.positions.clear()

    async def read_from(self, offsets: Mapping[TP, int]) -> None:
        """Seek to these offsets, in one step. Only while Faust's flow is stopped.

        Else what a fetch from before the seek brings could be taken for what comes after it.
        """
        await self.seek_wait(offsets)
        for tp, offset in offsets.items():
            self.scheduler.reached[tp] = offset
            self.positions.pop(tp, None)


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread of aiokafka's consumer."""

    mundane_level = "debug"

    async def on_thread_stop(self) -> None:
        """As Faust's; but where the broker is away, aiokafka lets out the cancelling of its own fetches."""
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # it is we who are cancelled

    def _create_worker_consumer(self, transport: "Transport") -> AIOKafkaConsumer:
        """Overrides Faust's; differs in ``isolation_level``, ``fetch_max_wait_ms`` and the assignor.

        Unless it writes transactions itself, Faust reads uncommitted records: an app's aborted events would be learned.
        Faust's own assignor is always used: it alone gives all sources of a partition to one worker.
        """
        survive_unreadable_batches()
        conf = self.app.conf
        self._assignor = self.app.assignor
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset=conf.consumer_auto_offset_reset,
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=int(transport.settings.fetch_wait_s * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's transport with our consumer.

    Args:
        app: The Faust app.
        settings: The worker's.
        ownership: Says where reading begins.
    """

    Consumer = Consumer

    def __init__(self, app: faust.App, settings: WorkerSettings, ownership: Reconciles) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.settings = settings
        self.ownership = ownership
