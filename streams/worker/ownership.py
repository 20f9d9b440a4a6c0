"""Which partitions are ours, since which generation of the group: restored before events flow, dropped when lost."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any, NoReturn

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP

from ...core.errors import BrokerUnreachable, Fenced, OppertuneError, Refused
from ..processor import SOURCES, Partition
from .checks import Topics
from .exits import ExitCode, end_process
from .log_offsets import LogOffsets
from .partition_loop import PartitionLoop
from .restore import read_state
from .settings import WorkerSettings
from .status import WorkerStatus
from .transport import Batch
from .writer import PartitionWriter

log = logging.getLogger(__name__)

_ASK_S = 15.0
"""For the beginnings and ends of all owned logs. Leaders move when a broker dies, the usual cause of a rebalance, and
are chosen within seconds; without an answer the process ends."""

Restore = Callable[..., Partition]
"""Signature of ``Partition.restore``."""


class Ownership:
    """The owned partitions, and how they are brought into line with an assignment.

    Args:
        settings: The worker's.
        topics: As the start-up checks found them.
        log_offsets: To ask for offsets.
        status: Kept up to date.
        restore: Makes a partition from its state records.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        topics: Topics,
        log_offsets: LogOffsets,
        status: WorkerStatus,
        restore: Restore = Partition.restore,
    ) -> None:
        self.owned: dict[int, PartitionLoop] = {}
        self._settings = settings
        self._topics = topics
        self._log_offsets = log_offsets
        self._status = status
        self._restore = restore
        self._app: faust.App
        # Faust sometimes asks twice at once for the same assignment; the second call finds everything done.
        self._reconciling = asyncio.Lock()
        self._generation: int | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving = False

    def attach(self, app: faust.App) -> None:
        """Serve this Faust app, whose consumer then calls :meth:`reconcile`."""
        self._app = app
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)

    @property
    def generation(self) -> int:
        """Generation of the group that the consumer is in."""
        return int(self._app.consumer_generation_id)

    async def put(self, batch: Batch, generation: int) -> None:
        """Hand a batch to its partition, unless it was fetched under an earlier assignment."""
        owned = self.owned.get(batch.partition)
        if owned is not None and generation == self.generation == self._generation:
            await owned.put(batch)

    async def reconcile(self) -> Mapping[TP, int]:
        """Own exactly what is assigned, and return where reading begins. Idempotent.

        Any failure ends the process: a partition without its state must not be folded.
        """
        async with self._reconciling:
            try:
                while not self._leaving:
                    offsets = await self._reconcile_once()
                    if offsets is not None:
                        return offsets
                    log.info("the assignment changed while partitions were restored: once more")
            except Exception as error:  # noqa: BLE001 - see above
                if not self._leaving:  # while leaving, Faust takes the consumer away
                    _end_for(error)
        return {}

    def leave(self) -> None:
        """The worker stops: take over nothing more."""
        self._leaving = True

    async def release(self) -> None:
        """Drop everything, after the worker was told to leave and Faust has stopped."""
        async with self._reconciling:
            await self._drop(list(self.owned))

    async def _reconcile_once(self) -> dict[TP, int] | None:
        """One attempt; ``None`` where the assignment has changed meanwhile.

        1. The generation grew by more than one: we were out of the group, and others may have owned our partitions
           meanwhile. Keep nothing.
        2. All sources of a partition must be here: workers that share one would fence each other for ever.
        3. Drop what is no longer assigned, or was lost to another owner.
        4. Restore what is new, all partitions at once.
        5. Where nothing was applied yet, ask where the log begins; refuse a log that ends before what was applied.
        6. Seek to the first offset that is not applied.
        7. Announce it in the status.
        """
        consumer, generation = self._app.consumer, self.generation
        assigned = set(consumer.assignment())
        # 1.
        if self._generation is not None and generation > self._generation + 1:
            log.warning("generation %d after %d: restoring everything", generation, self._generation)
            await self._drop(list(self.owned))
        self._generation = self._status.generation = generation
        # 2.
        wanted = self._partitions_of(assigned)
        # 3.
        await self._drop([n for n, owned in self.owned.items() if n not in wanted or not owned.alive])
        # 4.
        fresh = sorted(wanted - self.owned.keys())
        began = monotonic()
        for owned in await asyncio.gather(*(self._take_over(number) for number in fresh)):
            self.owned[owned.number] = owned
        # 5.
        offsets = await self._offsets()
        # 6.
        if generation != self.generation:
            return None
        try:
            if offsets:
                await consumer.read_from(offsets)
        except IllegalStateError:
            # Revoked before the seek: the next assignment is on its way, and is reconciled when it comes.
            return {}
        if generation != self.generation:
            return None
        # 7.
        self._announce(fresh, monotonic() - began)
        return offsets

    def _partitions_of(self, assigned: set[TP]) -> set[int]:
        sources = {self._settings.broker.topic(source) for source in SOURCES}
        by_partition: dict[int, set[str]] = {}
        for tp in assigned:
            if tp.topic in sources:
                by_partition.setdefault(tp.partition, set()).add(tp.topic)
        for number, topics in by_partition.items():
            if topics != sources:
                raise Refused(
                    f"partition {number} is assigned here without {', '.join(sorted(sources - topics))}: is the topic "
                    f"gone, or has another worker a part of this partition? All must have the same version"
                )
        return set(by_partition)

    async def _drop(self, numbers: Sequence[int]) -> None:
        dropped = [self.owned.pop(number) for number in numbers]
        for owned in dropped:
            self._status.partitions.pop(owned.number, None)
        await asyncio.gather(*(owned.close() for owned in dropped))
        if dropped:
            log.info("dropped partitions %s", ranges(numbers))

    async def _take_over(self, number: int) -> PartitionLoop:
        writer, partition = await asyncio.to_thread(self._restore_one, number)
        return PartitionLoop(
            number,
            self._settings,
            partition,
            writer,
            self._log_offsets,
            restore=lambda: self._restore_again(number),
            on_fenced=self._on_fenced,
        )

    def _restore_one(self, number: int) -> tuple[PartitionWriter, Partition]:
        """Fence the former owner, then read what it committed: the other way round, its last commit could be missed."""
        writer = PartitionWriter(self._settings, number)
        writer.open()
        state = read_state(self._settings, self._log_offsets, number)
        return writer, self._restore(number, self._topics.partitions, state, topic_ids=self._topics.ids)

    def _restore_again(self, number: int) -> tuple[PartitionWriter, Partition]:
        """The same for a partition that is here, and whose writer the broker has forgotten."""
        if self._moved_on:
            raise Fenced(f"partition {number}: nothing was written to it for long")
        return self._restore_one(number)

    @property
    def _moved_on(self) -> bool:
        """The group deals out its partitions, or has dealt them out since: ours may be another's."""
        return bool(self._app.rebalancing) or self.generation != self._generation

    async def _offsets(self) -> dict[TP, int]:
        topic = self._settings.broker.topic
        unknown = {number: owned.unknown_beginnings() for number, owned in self.owned.items()}
        starts = await asyncio.to_thread(
            self._log_offsets.starts,
            [(topic(s), number) for number, sources in unknown.items() for s in sources],
            _ASK_S,
        )
        for number, sources in unknown.items():
            if sources:
                self.owned[number].begin({s: starts[topic(s), number] for s in sources})
        applied: dict[tuple[str, int], int] = {}
        for number, owned in self.owned.items():
            async with owned.lock:
                owned.forget_waiting()
                owned.gather_statistics()
                applied |= {(topic(s), number): offset for s, offset in owned.next_offsets().items()}
        ends = await asyncio.to_thread(self._log_offsets.ends, applied, _ASK_S)
        for (name, number), offset in applied.items():
            if ends[name, number] < offset:
                raise Refused(
                    f"{name}-{number} ends at offset {ends[name, number]}, but was applied up to {offset}: its log was "
                    f"cut, or it is another topic than it was. New records would look applied already"
                )
        return {TP(name, number): offset for (name, number), offset in applied.items()}

    def _announce(self, fresh: Sequence[int], seconds: float) -> None:
        self._status.partitions = {number: owned.status for number, owned in self.owned.items()}
        self._status.reconciling_since = None
        if fresh:
            tuners = sum(len(self.owned[n].status.statistics.tuners) for n in fresh)
            log.info("ready: partitions %s, restored %d tuners in %.1f s", ranges(fresh), tuners, seconds)
        log.info("generation %d: partitions %s", self._generation, ranges(list(self.owned)) or "none")

    async def _on_assigned(self, _app: faust.App, assigned: set[TP], **_: object) -> None:
        """An assignment is on its way. Faust does not ask where to begin when it is empty: reconcile it here."""
        self._status.reconciling_since = monotonic()
        self._app.consumer.forget_positions()
        if not assigned:
            self._in_background(self.reconcile())

    def _on_fenced(self, error: Fenced) -> None:
        """Another worker writes this partition. If the group has moved on, the next assignment drops it; else we end.

        A member of the group sees a rebalance begin before anyone else is given one of its partitions: a new owner
        without a rebalance is nothing that we can explain, so we start again.
        """
        if not self._moved_on:
            end_process(f"{error}, though it is still assigned here", ExitCode.RESTART)
        log.warning("%s; it was given to another worker", error)

    def _in_background(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_for(error: Exception) -> NoReturn:
    if isinstance(error, BrokerUnreachable):
        end_process(str(error), ExitCode.UNAVAILABLE)
    if isinstance(error, Fenced):
        end_process(f"{error}, while it was being restored here", ExitCode.RESTART)
    if isinstance(error, OppertuneError):
        end_process(str(error), ExitCode.REFUSED)
    log.error("reconciling an assignment", exc_info=error)
    end_process(f"while reconciling an assignment: {type(error).__name__}: {error}")


def ranges(numbers: Sequence[int]) -> str:
    """Numbers for people: ``0-3, 7``.

    >>> ranges([3, 0, 1, 7])
    '0-1, 3, 7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)
