"""One partition: ``fold(records, time) -> effects``, the one place where anything is decided.

No Kafka, no clock, no randomness but the learners' own: records come with offset and timestamp, time is handed in. So
the last committed state and the records since give the same state again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from ...core.errors import InvalidState, OppertuneError, TopicRecreated, TopicsInvalid
from ...schemas.keys import OFFSETS_KEY, tuner_of
from ...schemas.records import Folded as FoldedSource
from ...schemas.records import JournalRecord
from ...schemas.state import Disposition, PartitionOffsets, SourceState
from .cell import Cell
from .decode import Event, NotUsed, dead_letter, decode
from .effects import SOURCES, Effects, Received
from .statistics import PartitionStatistics, TunerStatistics, of_tuner

_topic = attrgetter("topic")


class AccountsDoNotBalanceError(OppertuneError):
    """Dispositions, gaps and losses do not add up to the applied offset: stop, and report it as a fault of ours."""


class Partition:
    """The tuners of one partition, and what was applied of its sources.

    A fold changes it in place. Where its effects then cannot be committed, throw the partition away and restore it.
    """

    def __init__(self, offsets: PartitionOffsets, cells: dict[str, Cell]) -> None:
        self._offsets = offsets
        self._cells = cells

    @classmethod
    def restore(
        cls, partition: int, partitions: int, records: Mapping[str, bytes], *, topic_ids: Mapping[str, str]
    ) -> "Partition":
        """A partition from the newest records of its ``state`` by key.

        Args:
            partition: Its number.
            partitions: How many there are.
            records: By key; deleted ones left out.
            topic_ids: The broker's ids of the source topics, by bare name; empty where the broker tells none.

        Raises:
            TopicRecreated: A source topic is not the one whose offsets were applied.
            TopicsInvalid: The number of partitions has changed: tuners would be looked for where they are not.
            InvalidState: The partition's own record cannot be read.
        """
        offsets = PartitionOffsets(v=1, partition=partition, partitions=partitions, sources={})
        if OFFSETS_KEY in records:
            try:
                offsets = PartitionOffsets.from_bytes(records[OFFSETS_KEY])
            except ValueError as error:
                raise InvalidState(f"partition {partition}: what was applied of it cannot be read: {error}") from error
        if offsets.partitions != partitions:
            raise TopicsInvalid(
                f"the topics have {partitions} partitions, and had {offsets.partitions} when partition {partition} was"
                " last written: tuners would be looked for on others than theirs. Recreate the topics with as many as"
                " there were, or under another prefix and apply the specs there"
            )
        for topic in SOURCES:
            source = offsets.sources.setdefault(topic, SourceState())
            now = topic_ids.get(topic, "")
            if source.topic_id and now and source.topic_id != now:
                raise TopicRecreated(topic, partition)
            source.topic_id = now or source.topic_id
        by_tuner: dict[str, dict[str, bytes]] = {}
        for key, value in records.items():
            if key != OFFSETS_KEY:
                by_tuner.setdefault(tuner_of(key), {})[key] = value
        return cls(offsets, {name: Cell(name, partition, own) for name, own in by_tuner.items()})

    # -- where it stands

    def next_offsets(self) -> dict[str, int | None]:
        """Per source the first offset that is not applied; ``None`` where nothing of it ever was."""
        return {t: s.next if s.next or s.dispositions else None for t, s in self._offsets.sources.items()}

    def begin(self, first_offsets: Mapping[str, int]) -> None:
        """Set where the counting of sources begins of which nothing was applied."""
        for topic, first in first_offsets.items():
            source = self._offsets.sources[topic]
            source.first = source.next = first

    def next_due_ms(self) -> int | None:
        """The partition time at which time alone next changes something."""
        return min((due for cell in self._cells.values() if (due := cell.due_ms()) is not None), default=None)

    def statistics(self, now_ms: int = 0) -> PartitionStatistics:
        """For health and metrics, at partition time; ``now_ms`` where all sources are known to be read so far.

        Goes through all tuners: for once a second, not for every fold.
        """
        now_ms = max(self._offsets.time_ms, now_ms)
        tuners, totals = dict[str, TunerStatistics](), dict[str, int]()
        for name, cell in self._cells.items():
            if cell.tuner is not None:
                tuners[name] = of_tuner(cell.tuner, now_ms)
            elif cell.unreadable:
                tuners[name] = TunerStatistics(suspended=cell.unreadable)
        for source in self._offsets.sources.values():
            for disposition, count in source.dispositions.items():
                totals[disposition] = totals.get(disposition, 0) + count
        lost = sum(source.lost for source in self._offsets.sources.values())
        return PartitionStatistics(tuners, totals, lost, now_ms)

    # -- the fold

    def fold(
        self, records: Sequence[Received], *, read_to_end_ms: Mapping[str, int], log_starts: Mapping[str, int]
    ) -> Effects:
        """Apply records, let time pass, and say what one transaction must write.

        1. Account for every offset: replays are skipped, gaps and losses counted.
        2. Read each record; what is no event becomes a dead letter.
        3. Fold each tuner's events, in their order, undisturbed by the others.
        4. Advance the partition's time to what all sources were read to, and let deadlines pass.
        5. Write down what was applied; nothing to write, nothing changed.

        Args:
            records: Of any sources, each source's in the order of offsets.
            read_to_end_ms: Per source a wall time at which it was known to have been read to its end.
            log_starts: Per source the earliest offset there still is; asked for where a gap was seen.

        Raises:
            AccountsDoNotBalanceError: A fault of ours: the process must end.
        """
        partition, partitions = self._offsets.partition, self._offsets.partitions
        accounts = {topic: FoldedSource(first=s.next, next=s.next) for topic, s in self._offsets.sources.items()}
        # 1.
        fresh: list[Received] = []
        for topic, run in groupby(records, key=_topic):
            fresh += self._account(list(run), accounts[topic], log_starts.get(topic, 0))
        # 2.
        effects, dispositions = Effects(), list[tuple[str, int, Disposition]]()
        events: dict[str, list[tuple[Received, Event]]] = {}
        for record in fresh:
            try:
                event = decode(record, partition, partitions)
            except NotUsed as fate:
                effects.dead_letters.append(dead_letter(record, partition, fate))
                dispositions.append((record.topic, record.offset, fate.disposition))
            else:
                events.setdefault(event.tuner, []).append((record, event))
        # 3.
        floor_ms = self._offsets.time_ms
        for name, own in events.items():
            cell = self._cells.get(name) or Cell(name, partition, {})
            folded = cell.fold(own, floor_ms)
            self._keep(cell)
            effects.merge(folded.effects)
            dispositions += folded.dispositions
        # 4.
        now_ms = self._time(read_to_end_ms)
        for cell in list(self._cells.values()):
            due = cell.due_ms()
            if due is not None and due <= now_ms:
                effects.merge(cell.pass_time(now_ms).effects)
                self._keep(cell)
        # 5.
        if fresh or effects:
            self._write_down(fresh, dispositions, accounts, read_to_end_ms, now_ms, effects)
        return effects

    def _account(self, run: list[Received], account: FoldedSource, log_start: int) -> list[Received]:
        """Count a source's next records, and what is missing before each; returns them without replays."""
        source = self._offsets.sources[run[0].topic]
        if run[0].offset < source.next:
            run = [r for r in run if r.offset >= source.next]
            if not run:
                return run
        held, spanned = len(run), run[-1].offset + 1 - source.next
        if spanned > held:
            lost = min(max(log_start - source.next, 0), run[0].offset - source.next)
            account.lost += lost
            account.gaps += spanned - held - lost
            source.lost += lost
            source.gaps += spanned - held - lost
        source.next = account.next = run[-1].offset + 1
        newest_ms = max(r.timestamp_ms for r in run)
        source.time_ms = max(source.time_ms, newest_ms)
        return run

    def _time(self, read_to_end_ms: Mapping[str, int]) -> int:
        read_to = (max(read_to_end_ms.get(topic, 0), source.time_ms) for topic, source in self._offsets.sources.items())
        return max(self._offsets.time_ms, min(read_to))

    def _keep(self, cell: Cell) -> None:
        if cell.empty:
            self._cells.pop(cell.name, None)
        else:
            self._cells[cell.name] = cell

    def _write_down(
        self,
        fresh: Sequence[Received],
        dispositions: Sequence[tuple[str, int, Disposition]],
        accounts: dict[str, FoldedSource],
        read_to_end_ms: Mapping[str, int],
        now_ms: int,
        effects: Effects,
    ) -> None:
        for topic, offset, disposition in dispositions:
            account, source = accounts[topic], self._offsets.sources[topic]
            account.dispositions[disposition] = account.dispositions.get(disposition, 0) + 1
            source.dispositions[disposition] = source.dispositions.get(disposition, 0) + 1
            if disposition != "applied":
                account.other.append((offset, disposition))
        for topic, source in self._offsets.sources.items():
            counted = sum(source.dispositions.values()) + source.gaps + source.lost
            if source.first + counted != source.next:
                raise AccountsDoNotBalanceError(
                    f"{topic}-{self._offsets.partition}: began at {source.first}, counted {counted},"
                    f" applied to {source.next}"
                )
        self._offsets.time_ms = now_ms
        self._offsets.transactions += 1
        digest = hashlib.sha256()
        for key in sorted(effects.state):
            value = effects.state[key]
            digest.update(key.encode() + b"\0" + (value if value is not None else b"") + b"\0")
        effects.state[OFFSETS_KEY] = self._offsets.to_bytes()
        effects.journal.append(
            JournalRecord(
                v=1,
                partition=self._offsets.partition,
                transaction=self._offsets.transactions,
                time_ms=now_ms,
                folded={t: a for t, a in accounts.items() if a.next > a.first},
                order=[(topic, sum(1 for _ in run)) for topic, run in groupby(fresh, key=_topic)],
                ends_ms={t: m for t, m in read_to_end_ms.items() if t in accounts},
                state_hash=digest.hexdigest(),
            ).to_bytes()
        )
