"""One partition: ``fold(records, time) -> effects``, the one place where anything is decided.

No Kafka, no clock, no randomness but the learners' own: records come with offset and timestamp, time is handed in. So
the last committed state and the records since give the same state again.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from ...core.errors import InvalidState, TopicRecreated, TopicsInvalid
from ...schemas.keys import COMMANDS_KEY, OFFSETS_KEY, is_partitions, tuner_of
from ...schemas.state import CarriedOutCommands, PartitionOffsets, SourceState
from . import accounting
from .carried_out import CarriedOut
from .disposition import Disposed, dead_letter
from .effects import SOURCES, Effects, Received
from .events import Event, decode
from .isolation import IsolatedTuner
from .journal import journal_record, of_topic
from .statistics import PartitionStatistics, TunerStatistics, of_tuner


def _carried_out(records: Mapping[str, bytes], partition: int) -> CarriedOut:
    if COMMANDS_KEY not in records:
        return CarriedOut(CarriedOutCommands(v=1))
    try:
        return CarriedOut(CarriedOutCommands.from_bytes(records[COMMANDS_KEY]))
    except ValueError as error:
        raise InvalidState(f"partition {partition}: its commands carried out cannot be read: {error}") from error


class Partition:
    """The tuners of one partition, and what was applied of its sources.

    A fold changes it in place. Where its effects then cannot be committed, throw the partition away and restore it.
    """

    def __init__(self, offsets: PartitionOffsets, carried_out: CarriedOut, tuners: dict[str, IsolatedTuner]) -> None:
        self._offsets = offsets
        self._carried_out = carried_out
        self._tuners = tuners

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
            InvalidState: One of the partition's own records cannot be read.
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
            if not is_partitions(key):
                by_tuner.setdefault(tuner_of(key), {})[key] = value
        carried_out = _carried_out(records, partition)
        tuners = {name: IsolatedTuner(name, partition, own, carried_out) for name, own in by_tuner.items()}
        if COMMANDS_KEY not in records:
            carried_out.know(one.tuner.state for one in tuners.values() if one.tuner is not None)
        return cls(offsets, carried_out, tuners)

    # -- where it stands

    def next_offsets(self) -> dict[str, int | None]:
        """Per source the first offset that is not applied; ``None`` where nothing of it ever was."""
        return {t: s.next if s.next or s.dispositions else None for t, s in self._offsets.sources.items()}

    def newest_ms(self) -> int:
        """The newest time of the broker's that is known: of a record, or partition time; 0 before there was any."""
        return max(self._offsets.time_ms, *(source.time_ms for source in self._offsets.sources.values()))

    def begin(self, first_offsets: Mapping[str, int]) -> None:
        """Set where the counting of sources begins of which nothing was applied."""
        for topic, first in first_offsets.items():
            source = self._offsets.sources[topic]
            source.first = source.next = first

    def next_due_ms(self) -> int | None:
        """The partition time at which time alone next changes something."""
        return min((due for tuner in self._tuners.values() if (due := tuner.due_ms()) is not None), default=None)

    def statistics(self, now_ms: int = 0) -> PartitionStatistics:
        """For health and metrics, at partition time; ``now_ms`` where all sources are known to be read so far.

        Goes through all tuners: for once a second, not for every fold.
        """
        now_ms = max(self._offsets.time_ms, now_ms)
        tuners, totals = dict[str, TunerStatistics](), dict[str, int]()
        for name, cell in self._tuners.items():
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
            read_to_end_ms: Per source a time of the broker's as of which it was known to have been read to its end.
            log_starts: Per source the earliest offset there still is; asked for where a gap was seen.

        Raises:
            AccountsDoNotBalance: A fault of ours: the process must end.
        """
        offsets = self._offsets
        # 1.
        accounts, fresh = accounting.opened(offsets), list[Received]()
        for topic, run in groupby(records, key=of_topic):
            fresh += accounting.account(offsets.sources[topic], accounts[topic], list(run), log_starts.get(topic, 0))
        # 2.
        effects, events = Effects(), dict[str, list[tuple[Received, Event]]]()
        for record in fresh:
            try:
                event = decode(record, offsets.partition, offsets.partitions)
            except Disposed as why:
                effects.dead_letters.append(dead_letter(record, offsets.partition, why))
                effects.dispositions.append((record.topic, record.offset, why.disposition))
            else:
                events.setdefault(event.tuner, []).append((record, event))
        # 3.
        seen_ms = max([offsets.time_ms, *read_to_end_ms.values(), *(record.timestamp_ms for record in fresh)])
        for name, own in events.items():
            tuner = self._tuners.get(name) or IsolatedTuner(name, offsets.partition, {}, self._carried_out)
            effects.merge(tuner.fold(own, offsets.time_ms, seen_ms))
            self._keep(tuner)
        # 4.
        now_ms = self._time(read_to_end_ms)
        due = [name for name, tuner in self._tuners.items() if (at := tuner.due_ms()) is not None and at <= now_ms]
        for name in sorted(due):
            effects.merge(self._tuners[name].pass_time(now_ms, seen_ms))
            self._keep(self._tuners[name])
        if (carried_out := self._carried_out.written()) is not None:
            effects.state[COMMANDS_KEY] = carried_out
        # 5.
        if effects or any(account.next > account.first for account in accounts.values()):
            accounting.count(offsets, accounts, effects.dispositions)
            offsets.time_ms = now_ms
            offsets.transactions += 1
            journal = journal_record(offsets, accounts, fresh, read_to_end_ms, effects.state)
            effects.state[OFFSETS_KEY] = offsets.to_bytes()
            effects.journal.append(journal.to_bytes())
        return effects

    def _time(self, read_to_end_ms: Mapping[str, int]) -> int:
        """Partition time: what all sources are read to, and it never goes back."""
        sources = self._offsets.sources.items()
        read_to = (max(read_to_end_ms.get(topic, 0), source.time_ms) for topic, source in sources)
        return max(self._offsets.time_ms, min(read_to))

    def _keep(self, tuner: IsolatedTuner) -> None:
        if tuner.empty:
            self._tuners.pop(tuner.name, None)
        else:
            self._tuners[tuner.name] = tuner
