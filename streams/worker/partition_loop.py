"""The loop of one owned partition: batches come in, are folded in a thread, and each fold is one transaction."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import orjson

from ...core.errors import BrokerUnreachable, Fenced, Refused
from ..processor import SOURCES, Effects, Partition, Received
from .broker_clock import BrokerClock, ahead_ms
from .exits import ExitCode, end_process
from .log_offsets import LogOffsets
from .metrics import transaction_seconds
from .settings import WorkerSettings
from .status import PartitionStatus
from .transport import Batch
from .writer import Forgotten, PartitionWriter

log = logging.getLogger(__name__)

_ASK_S = 10.0
"""For the beginnings of logs, which are asked for where offsets are missing. A broker whose leader moves answers within
seconds; one that does not answer ends the process with all its other partitions, so this is generous."""

_GATHER_S = 1.0
"""Age at which the processor's statistics in the status are gathered anew: often enough for Prometheus, which comes
every few seconds. Gathering goes through all tuners."""

_GATHER_SHARE = 0.02
"""The largest share of the time that may go into gathering: with very many tuners they are gathered less often."""

_one_at_a_time = threading.Lock()
"""Folds are pure Python: several at once would only take the interpreter from each other. While one folds, the other
partitions' transactions go on."""


class PartitionLoop:
    """Folds one restored partition's batches, one after another.

    Only its own task folds. It holds ``lock`` meanwhile: whoever needs the partition at rest takes the lock.

    Args:
        number: The partition.
        settings: The worker's.
        partition: The restored state.
        writer: Open.
        log_offsets: To ask where a log begins.
        restore: Takes the partition over again: a new writer, and what is committed. Raises Fenced where it is not ours
            any more.
        on_fenced: Called when another worker has shut this one out.
    """

    def __init__(
        self,
        number: int,
        settings: WorkerSettings,
        partition: Partition,
        writer: PartitionWriter,
        log_offsets: LogOffsets,
        *,
        restore: Callable[[], tuple[PartitionWriter, Partition]],
        on_fenced: Callable[[Fenced], None],
    ) -> None:
        self.number = number
        self.lock = asyncio.Lock()
        self.status = PartitionStatus(applied={}, clock=BrokerClock(partition.newest_ms(), time.monotonic()))
        self.alive = True
        self.read_to_ms: dict[str, int] = {}
        self.asked_ms = 0
        self._settings = settings
        self._partition = partition
        self._writer = writer
        self._log_offsets = log_offsets
        self._restore = restore
        self._on_fenced = on_fenced
        self._sources = {settings.broker.topic(source): source for source in SOURCES}
        self._first: dict[str, int] = {}
        self._gather_at = 0.0
        self._waiting: list[Batch] = []
        self._waiting_records = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._task = asyncio.ensure_future(self._run())

    # -- offsets

    def unknown_beginnings(self) -> list[str]:
        """Sources of which nothing was ever applied, and whose first offset :meth:`begin` was not given yet."""
        return [s for s, offset in self._partition.next_offsets().items() if offset is None and s not in self._first]

    def begin(self, first_offsets: Mapping[str, int]) -> None:
        """Take the first offsets of the sources that :meth:`unknown_beginnings` named."""
        self._first.update(first_offsets)
        self._partition.begin(first_offsets)

    def next_offsets(self) -> dict[str, int]:
        """Per source the first offset that is not applied. Only while at rest."""
        applied = self._partition.next_offsets()
        return {source: self._first.get(source, 0) if (o := applied[source]) is None else o for source in SOURCES}

    # -- what comes in

    async def put(self, batch: Batch) -> None:
        """Queue a batch; waits while too many records are queued."""
        self._hear(batch)
        while self._waiting_records > self._settings.queued_records and self.alive:
            self._room.clear()
            await self._room.wait()
        if self.alive:
            self._waiting.append(batch)
            self._waiting_records += len(batch.records)
            self._work.set()

    def _hear(self, batch: Batch) -> None:
        """Set the broker's clock by the newest record, and compare this machine's.

        A record behind the end that the ticker was told last was appended after the ticker asked.
        """
        newest = batch.records[-1]
        self.status.clock.heard(newest.timestamp, time.monotonic())
        end = self.status.ends.get(self._sources[batch.topic])
        asked_ms = self.asked_ms if end is not None and newest.offset >= end else None
        ahead = ahead_ms(newest.timestamp, asked_ms, time.time_ns() // 1_000_000)
        if ahead is not None and newest.timestamp > 0:
            self.status.clock_ahead_s = ahead / 1000

    def forget_waiting(self) -> None:
        """Drop what is queued: reading begins again behind what is applied."""
        self._take_waiting()

    def let_time_pass(self) -> None:
        """Fold an empty batch soon, with what is known of how far the sources were read."""
        self._work.set()

    async def close(self) -> None:
        """Stop folding; a transaction under way ends first."""
        self.alive = False
        self._work.set()
        self._room.set()
        await self._task
        await asyncio.to_thread(self._writer.close)

    # -- folding

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            async with self.lock:
                if not self.alive:
                    return
                batches = self._take_waiting()
                try:
                    await asyncio.to_thread(self._apply, batches)
                except Fenced as error:
                    self.alive = False
                    self._room.set()
                    self._on_fenced(error)
                    return

    def _take_waiting(self) -> list[Batch]:
        batches, self._waiting, self._waiting_records = self._waiting, [], 0
        self._room.set()
        return batches

    def _apply(self, batches: Sequence[Batch]) -> None:
        """Fold batches and commit their effects. In a thread; a fault of ours ends the process.

        Where the broker has forgotten the writer, the partition is restored, and the same batches are folded on what is
        committed: what another worker has applied of them is skipped as any replay is.
        """
        try:
            try:
                records, effects = self._fold_and_commit(batches)
            except Forgotten as error:
                log.warning("%s: nothing was written to it for long; restoring it alone", error)
                self._take_over_again()
                records, effects = self._fold_and_commit(batches)
        except Fenced:
            raise
        except BrokerUnreachable as error:
            end_process(f"partition {self.number}: {error}", ExitCode.UNAVAILABLE)
        except Refused as error:
            end_process(f"partition {self.number}: {error}", ExitCode.REFUSED)
        except Exception as error:  # what is folded but not committed must not live on
            log.exception("partition %d", self.number)
            end_process(f"partition {self.number}: {type(error).__name__}: {error}", ExitCode.FAULT)
        self._note(records, effects)

    def _take_over_again(self) -> None:
        self._writer.close()
        self._writer, self._partition = self._restore()
        applied = self._partition.next_offsets()
        self._partition.begin({source: first for source, first in self._first.items() if applied[source] is None})

    def _fold_and_commit(self, batches: Sequence[Batch]) -> tuple[int, Effects]:
        """What was folded and written: the number of records, and their effects.

        1. Take the records that follow on what is applied.
        2. Where offsets are missing, ask where the log begins now: what is missing before it was deleted, the rest are
           markers.
        3. Fold.
        4. Commit the effects in one transaction; without effects nothing has changed.
        """
        # 1.
        records, gaps = self._in_order(batches)
        # 2.
        log_starts = self._starts(gaps) if gaps else {}
        # 3.
        with _one_at_a_time:
            effects = self._fold(records, log_starts)
        # 4.
        if effects:
            with transaction_seconds.time():
                self._writer.commit(effects)
        return len(records), effects

    def _fold(self, records: Sequence[Received], log_starts: Mapping[str, int]) -> Effects:
        read_to_ms = dict(self.read_to_ms)
        if not records:
            due = self._partition.next_due_ms()
            # Partition time is never beyond the source that was read the least far.
            if due is None or due > min(read_to_ms.values(), default=0):
                return Effects()
        return self._partition.fold(records, read_to_end_ms=read_to_ms, log_starts=log_starts)

    def _in_order(self, batches: Sequence[Batch]) -> tuple[list[Received], set[str]]:
        """The records to fold, and the sources of which offsets are missing before or among them.

        Reading begins where applying ended, so each batch must follow on the one before. Where it does not, Faust has
        dropped one on the way: its records would be taken for markers, and lost unnoticed.
        """
        received: list[Received] = []
        gaps: set[str] = set()
        expected = self.next_offsets()
        for batch in batches:
            source = self._sources[batch.topic]
            records = batch.records
            if batch.after > expected[source]:
                end_process(
                    f"{batch.topic}-{self.number}: what was fetched from offset {expected[source]} to {batch.after} "
                    f"did not arrive here; starting again reads it again",
                    ExitCode.RESTART,
                )
            if batch.offset < expected[source]:
                continue
            if records[0].offset > expected[source] or records[-1].offset - records[0].offset != len(records) - 1:
                gaps.add(source)
            received += [Received(source, r.offset, r.timestamp, r.key, r.value) for r in records]
            expected[source] = batch.offset + 1
        return received, gaps

    def _starts(self, sources: set[str]) -> dict[str, int]:
        places = {(self._settings.broker.topic(source), self.number): source for source in sources}
        starts = {places[place]: start for place, start in self._log_offsets.starts(places, _ASK_S).items()}
        for source, applied in self.next_offsets().items():
            if starts.get(source, 0) > applied:
                log.error(
                    "%s-%d begins at offset %d, but was applied up to %d only: what was between is lost",
                    self._settings.broker.topic(source),
                    self.number,
                    starts[source],
                    applied,
                )
        return starts

    def _note(self, records: int, effects: Effects) -> None:
        status = self.status
        status.applied = self.next_offsets()
        status.records += records
        if effects:
            status.transactions += 1
            status.stuck_s = 0.0
        if effects.rounds:
            status.rounds = _with_rounds(status.rounds, effects.rounds)
        if time.monotonic() > self._gather_at:
            self.gather_statistics()

    def gather_statistics(self) -> None:
        """Bring the processor's own statistics into the status. Only while at rest, or by the thread that folds."""
        began = time.monotonic()
        self.status.applied = self.next_offsets()
        statistics = self.status.statistics = self._partition.statistics(self.status.read_to_ms)
        if self.status.initial_statistics is None:
            self.status.initial_statistics = statistics
        self.status.rounds = {k: n for k, n in self.status.rounds.items() if k[0] in statistics.tuners}
        now = time.monotonic()
        self._gather_at = now + max(_GATHER_S, (now - began) / _GATHER_SHARE)


def _with_rounds(
    before: Mapping[tuple[str, str], int], records: Sequence[tuple[str, bytes]]
) -> dict[tuple[str, str], int]:
    """Counts of closed rounds by tuner and outcome, with those of one transaction: a new object, for other threads."""
    counts = dict(before)
    for tuner, value in records:
        record = orjson.loads(value)
        if record.get("kind") is not None:  # without a kind it is about metrics that missed their round
            counts[tuner, record["outcome"]] = counts.get((tuner, record["outcome"]), 0) + 1
    return counts
