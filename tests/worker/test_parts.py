"""The worker's parts by themselves: order of batches, time, ownership, exits."""

import asyncio
import contextlib
import dataclasses
import logging
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from faust.types import TP
from threadpoolctl import threadpool_info, threadpool_limits

from oppertune.core.deadline import Deadline
from oppertune.core.errors import BrokerUnreachable, Fenced, Refused, TopicsInvalid
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.broker.topics import LARGE_BYTES
from oppertune.streams.processor import SOURCES, Effects, Partition, PartitionStatistics, Received
from oppertune.streams.worker import (
    WorkerSettings,
    WorkerStatus,
    ownership,
    partition_loop,
    restore,
    run,
    ticker,
    watchdog,
    writer,
)
from oppertune.streams.worker.broker_clock import BrokerClock
from oppertune.streams.worker.checks import Topics
from oppertune.streams.worker.exits import ExitCode
from oppertune.streams.worker.logs import RateLimit
from oppertune.streams.worker.ownership import Ownership, ranges
from oppertune.streams.worker.status import PartitionStatus
from oppertune.streams.worker.ticker import Ticker
from oppertune.streams.worker.transport import Batch, Batches, ReadPosition

SETTINGS = WorkerSettings(BrokerSettings("127.0.0.1:1", "p."), tick_s=0.01)
METRICS = TP("p.metrics", 0)


class Ended(Exception):  # noqa: N818 - not an error: the end
    """Stands for the end of the process."""

    def __init__(self, reason: str, code: ExitCode) -> None:
        super().__init__(reason)
        self.code = code


@pytest.fixture(autouse=True)
def ends(monkeypatch: pytest.MonkeyPatch) -> list[Ended]:
    """Ends of the process that were asked for; each is raised, too."""
    ended: list[Ended] = []

    def end(reason: str, code: ExitCode = ExitCode.FAULT) -> None:
        ended.append(Ended(reason, code))
        raise ended[-1]

    for module in (partition_loop, ownership, ticker, watchdog):
        monkeypatch.setattr(module, "end_process", end)
    return ended


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset, timestamp=1000 + offset, key=b"k", value=b"v")


def batch(after: int, *offsets: int, topic: str = "p.metrics") -> Batch:
    return Batch(topic, 0, after, [record(o) for o in offsets])


class FakePartition(Partition):
    """Counts what it is given; writes something for every fold with records."""

    def __init__(self) -> None:
        self.next: dict[str, int | None] = dict.fromkeys(SOURCES, 0)
        self.folds: list[tuple[list[Received], dict[str, int], dict[str, int]]] = []
        self.due: int | None = None

    def next_offsets(self) -> dict[str, int | None]:
        return dict(self.next)

    def begin(self, first_offsets: Any) -> None:
        self.next |= first_offsets

    def newest_ms(self) -> int:
        return 0

    def next_due_ms(self) -> int | None:
        return self.due

    def statistics(self, _: int = 0) -> PartitionStatistics:
        return PartitionStatistics()

    def fold(self, records: Any, *, read_to_end_ms: Any, log_starts: Any) -> Effects:
        self.folds.append((list(records), dict(read_to_end_ms), dict(log_starts)))
        for r in records:
            self.next[r.topic] = r.offset + 1
        return Effects(journal=[b"x"]) if records else Effects()


class FakeWriter:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.commits = error, 0

    def open(self) -> None:
        pass

    def commit(self, _: Effects) -> None:
        if self.error:
            raise self.error
        self.commits += 1

    def close(self) -> None:
        pass


class FakeEnds:
    def __init__(self) -> None:
        self.at: dict[tuple[str, int], int] = {}
        self.error: Exception | None = None

    def starts(self, places: Any, _: float) -> dict[Any, int]:
        return dict.fromkeys(places, 7)

    def ends(self, places: Any, _: float) -> dict[Any, int]:
        if self.error:
            raise self.error
        return {place: self.at.get(place, 0) for place in places}

    committed_ends = ends


def own(partition: FakePartition, writer_: Any = None, fenced: Any = None, restore_: Any = None) -> Any:
    log_offsets: Any = FakeEnds()
    writes: Any = writer_ or FakeWriter()
    return partition_loop.PartitionLoop(
        0, SETTINGS, partition, writes, log_offsets, restore=restore_, on_fenced=fenced or (lambda _: None)
    )


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


# -- batches


def test_a_fetch_becomes_one_batch_per_source_partition_and_remembers_what_went_before() -> None:
    batches = Batches()
    assert list(batches.iterate({METRICS: [record(3)]})) == [], "nothing before it was told where to begin"
    batches.reached[METRICS] = 3
    ((tp, first),) = batches.iterate({METRICS: [record(3), record(5)]})
    ((_, second),) = batches.iterate({METRICS: [record(9)], TP("p.contexts", 0): []})
    assert (tp, first.after, first.offset) == (METRICS, 3, 5)
    assert (second.after, second.offset) == (6, 9)


def test_batches_are_folded_in_order_replays_skipped_and_gaps_asked_about() -> None:
    async def scenario() -> None:
        partition, writer_ = FakePartition(), FakeWriter()
        one = own(partition, writer_)
        await one.put(batch(0, 0, 1, 2))
        await until(lambda: one.status.transactions == 1)
        await one.put(batch(0, 0, 1, 2))
        await one.put(batch(3, 5, 6))
        await until(lambda: one.status.transactions == 2)
        assert one.status.applied == {"commands": 0, "contexts": 0, "metrics": 7}
        assert [[r.offset for r in records] for records, _, _ in partition.folds] == [[0, 1, 2], [5, 6]]
        assert [starts for _, _, starts in partition.folds] == [{}, {"metrics": 7}]
        assert partition.folds[0][0][0] == Received("metrics", 0, 1000, b"k", b"v")
        await one.close()

    asyncio.run(scenario())


def test_a_batch_that_does_not_follow_on_ends_the_process_instead_of_looking_like_a_marker(ends: list[Ended]) -> None:
    async def scenario() -> None:
        partition = FakePartition()
        one = own(partition)
        await one.put(batch(0, 0, 1))
        await one.put(batch(5, 5, 6))
        with pytest.raises(Ended):
            await asyncio.wait_for(one._task, 5)
        assert partition.folds == []

    asyncio.run(scenario())
    assert ends[0].code == ExitCode.RESTART
    assert "p.metrics-0: what was fetched from offset 2 to 5" in str(ends[0])


def test_time_alone_folds_only_when_something_is_due() -> None:
    async def scenario() -> None:
        partition = FakePartition()
        one = own(partition)
        one.read_to_ms = {"commands": 10, "contexts": 10, "metrics": 5}
        for due, folds in ((None, 0), (6, 0), (5, 1)):
            partition.due = due
            one.let_time_pass()
            await asyncio.sleep(0.03)
            async with one.lock:
                assert len(partition.folds) == folds
        assert partition.folds[0] == ([], {"commands": 10, "contexts": 10, "metrics": 5}, {})
        await one.close()

    asyncio.run(scenario())


def test_who_puts_waits_while_too_much_is_queued() -> None:
    async def scenario() -> None:
        partition = FakePartition()
        one = own(partition)
        one._settings = WorkerSettings(SETTINGS.broker, queued_records=2)
        async with one.lock:
            await one.put(batch(0, 0, 1, 2))
            waiting = asyncio.ensure_future(one.put(batch(3, 3)))
            await asyncio.sleep(0.02)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 5)
        await until(lambda: one.status.records == 4)
        await one.close()

    asyncio.run(scenario())


def test_a_fenced_partition_stops_folding_and_says_so() -> None:
    async def scenario() -> None:
        said: list[Fenced] = []
        one = own(FakePartition(), FakeWriter(Fenced("newer owner")), said.append)
        await one.put(batch(0, 0))
        await until(lambda: said)
        assert not one.alive
        await one.put(batch(1, 1))
        await one.close()

    asyncio.run(scenario())


def test_a_partition_whose_writer_was_forgotten_is_restored_and_folds_the_same_again(ends: list[Ended]) -> None:
    async def scenario() -> None:
        first, again, new_writer = FakePartition(), FakePartition(), FakeWriter()
        again.next |= {"metrics": 2, "commands": None}  # another worker has applied two of them meanwhile
        one = own(first, FakeWriter(writer.Forgotten("forgotten")), restore_=lambda: (new_writer, again))
        one.begin({"commands": 7})
        await one.put(batch(0, 0, 1, 2))
        await until(lambda: one.status.transactions)
        assert [r.offset for r in first.folds[0][0]] == [0, 1, 2], "of which nothing is kept"
        assert [r.offset for r in again.folds[0][0]] == [0, 1, 2], "a fold skips replays itself"
        assert again.next["commands"] == 7
        assert new_writer.commits == 1
        assert one.alive
        await one.close()

    asyncio.run(scenario())
    assert ends == []


def test_a_partition_that_is_forgotten_and_not_ours_any_more_is_dropped() -> None:
    async def scenario() -> None:
        said: list[Fenced] = []

        def moved_on() -> None:
            raise Fenced("given to another")

        one = own(FakePartition(), FakeWriter(writer.Forgotten("forgotten")), said.append, moved_on)
        await one.put(batch(0, 0))
        await until(lambda: said)
        assert not one.alive
        await one.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("rebalancing", "generation"), [(True, 1), (False, 2)])
def test_nothing_is_taken_over_again_once_the_group_has_moved_on(
    monkeypatch: pytest.MonkeyPatch, *, rebalancing: bool, generation: int
) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        await group.ownership.reconcile()
        assert group.ownership._restore_again(0)
        group.app.rebalancing, group.app.consumer_generation_id = rebalancing, generation
        with pytest.raises(Fenced):
            group.ownership._restore_again(0)
        assert group.restored == [0, 0]
        await group.ownership.release()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "code"), [(BrokerUnreachable("gone"), ExitCode.UNAVAILABLE), (ValueError("odd"), ExitCode.FAULT)]
)
def test_what_was_folded_but_cannot_be_committed_ends_the_process(
    ends: list[Ended], error: Exception, code: ExitCode
) -> None:
    async def scenario() -> None:
        one = own(FakePartition(), FakeWriter(error))
        await one.put(batch(0, 0))
        with pytest.raises(Ended):
            await asyncio.wait_for(one._task, 5)

    asyncio.run(scenario())
    assert ends[0].code == code


# -- ownership


class FakeConsumer:
    def __init__(self, *assigned: TP) -> None:
        self.assigned = set(assigned)
        self.read: list[dict[TP, int]] = []
        self.positions: dict[TP, ReadPosition] = {}
        self.positions_wanted: set[TP] = set()

    def assignment(self) -> set[TP]:
        return self.assigned

    async def read_from(self, offsets: dict[TP, int]) -> None:
        self.read.append(offsets)


class Group:
    """An ownership, and the app it asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
        self.ends = cast("Any", FakeEnds())
        self.status = WorkerStatus()
        self.restored: list[int] = []
        self.consumer = FakeConsumer()
        self.app = SimpleNamespace(
            consumer=self.consumer,
            consumer_generation_id=1,
            rebalancing=False,
            on_partitions_assigned=SimpleNamespace(connect=lambda *_, **__: None),
        )
        self.partitions: dict[int, FakePartition] = {}
        monkeypatch.setattr(ownership, "PartitionWriter", lambda *_: FakeWriter())
        monkeypatch.setattr(ownership, "read_state", lambda *_: {})
        self.ownership = Ownership(SETTINGS, Topics(4, {}), self.ends, self.status, self.restore)
        self.ownership.attach(self.app)
        self.assign(*numbers)

    def restore(self, number: int, *_: Any, **__: Any) -> FakePartition:
        self.restored.append(number)
        return self.partitions.setdefault(number, FakePartition())

    def assign(self, *numbers: int, generation: int = 1) -> None:
        self.app.consumer_generation_id = generation
        self.consumer.assigned = {TP(f"p.{source}", n) for source in SOURCES for n in numbers}


def test_new_partitions_are_restored_kept_ones_go_on_from_memory_and_lost_ones_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0, 1)
        await group.ownership.reconcile()
        assert group.restored == [0, 1]
        group.partitions[1].next["metrics"] = 40
        group.ends.at[METRICS.topic, 1] = 40
        group.assign(1, 2, generation=2)
        offsets = await group.ownership.reconcile()
        assert group.restored == [0, 1, 2]
        assert set(group.status.partitions) == {1, 2}
        assert offsets[TP("p.metrics", 1)] == 40
        assert await group.ownership.reconcile() == offsets, "asked twice for one assignment"
        group.assign(generation=3)
        assert await group.ownership.reconcile() == {}
        assert not group.ownership.owned
        await group.ownership.release()

    asyncio.run(scenario())


def test_the_former_owner_is_fenced_before_what_it_wrote_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Writer(FakeWriter):
        def open(self) -> None:
            order.append("fence")

    def read(*_: Any) -> dict[str, bytes]:
        order.append("read")
        return {}

    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        monkeypatch.setattr(ownership, "PartitionWriter", lambda *_: Writer())
        monkeypatch.setattr(ownership, "read_state", read)
        await group.ownership.reconcile()
        await group.ownership.release()

    asyncio.run(scenario())
    assert order == ["fence", "read"]


def test_an_open_transaction_on_state_is_waited_for_and_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    committed = [3, 3, 5]
    times_s: set[float] = set()

    def ends(places: list[Any], timeout_s: float) -> dict[Any, int]:
        times_s.add(timeout_s)
        return dict.fromkeys(places, 5)

    def committed_ends(places: list[Any], timeout_s: float) -> dict[Any, int]:
        times_s.add(timeout_s)
        return dict.fromkeys(places, committed.pop(0) if committed else 3)

    def table(*_: Any, timeout_s: float, **__: Any) -> dict[int, dict[str, bytes]]:
        assert timeout_s >= restore._ASK_S, "it may read, however late the transaction ended"
        return {0: {"t": b"{}"}}

    asked: Any = SimpleNamespace(ends=ends, committed_ends=committed_ends)
    monkeypatch.setattr(restore, "_WAIT_S", 0.0)
    monkeypatch.setattr(restore, "read_table", table)
    assert restore.read_state(SETTINGS, asked, 0) == {"t": b"{}"}
    assert committed == [], "it asked until the transaction had ended"
    with pytest.raises(Refused, match="open transaction at offset 3"):
        restore.read_state(dataclasses.replace(SETTINGS, restore_timeout_s=0.05), asked, 0)
    assert times_s == {restore._ASK_S}, "no answer is given up because the time for restoring ends"
    committed = [3, 5]
    late = dataclasses.replace(SETTINGS, restore_timeout_s=0.05)
    assert restore.read_state(late, asked, 0) == {"t": b"{}"}


def test_a_writer_that_is_fenced_says_so_and_one_that_may_try_again_does(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    errors: list[KafkaError] = []
    given: dict[str, Any] = {}

    class FakeProducer:
        def __init__(self, settings: dict[str, Any]) -> None:
            given.update(settings)

        def begin_transaction(self) -> None:
            calls.append("begin")

        def produce(self, *_: Any, **__: Any) -> None:
            calls.append("produce")

        def commit_transaction(self, _: float) -> None:
            if errors:
                raise KafkaException(errors.pop())
            calls.append("commit")

        def abort_transaction(self, _: float) -> None:
            calls.append("abort")

    monkeypatch.setattr(writer, "Producer", FakeProducer)
    one = writer.PartitionWriter(SETTINGS, 0)
    assert given["message.max.bytes"] > LARGE_BYTES, "or the largest state record would be refused for ever"
    errors.append(KafkaError(KafkaError.INVALID_TXN_STATE, "once more", False, False, True))
    one.commit(Effects(journal=[b"x"]))
    assert calls == ["begin", "produce", "abort", "begin", "produce", "commit"]
    for code, kind in (
        (KafkaError.INVALID_PRODUCER_EPOCH, Fenced),
        (KafkaError.INVALID_PRODUCER_ID_MAPPING, writer.Forgotten),
    ):
        errors.append(KafkaError(code, "a newer one"))
        with pytest.raises(Fenced) as raised:
            one.commit(Effects(journal=[b"x"]))
        assert raised.type is kind


def test_after_a_generation_that_was_missed_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        await group.ownership.reconcile()
        group.assign(0, generation=3)
        await group.ownership.reconcile()
        assert group.restored == [0, 0]
        await group.ownership.release()

    asyncio.run(scenario())


def test_reading_begins_at_the_logs_beginning_where_nothing_was_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        partition = group.partitions[0] = FakePartition()
        partition.next["metrics"] = None
        group.ends.at["p.metrics", 0] = 9
        offsets = await group.ownership.reconcile()
        assert offsets[METRICS] == 7
        assert partition.next["metrics"] == 7
        await group.ownership.release()

    asyncio.run(scenario())


def test_a_partition_of_which_another_worker_reads_a_source_is_refused(
    monkeypatch: pytest.MonkeyPatch, ends: list[Ended]
) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        group.consumer.assigned.remove(METRICS)
        await group.ownership.reconcile()

    with pytest.raises(Ended):
        asyncio.run(scenario())
    assert ends[0].code == ExitCode.REFUSED
    assert "partition 0 is assigned here without p.metrics" in str(ends[0])


def test_a_log_that_ends_before_what_was_applied_is_refused(monkeypatch: pytest.MonkeyPatch, ends: list[Ended]) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        group.partitions[0] = FakePartition()
        group.partitions[0].next["metrics"] = 5
        await group.ownership.reconcile()

    with pytest.raises(Ended):
        asyncio.run(scenario())
    assert ends[0].code == ExitCode.REFUSED
    assert "applied up to 5" in str(ends[0])


def test_an_assignment_that_changes_while_partitions_are_restored_is_reconciled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        plain = group.restore

        def restore(number: int, *_: Any, **__: Any) -> FakePartition:
            group.assign(1, generation=2)
            return plain(number)

        group.ownership._restore = restore
        await group.ownership.reconcile()
        assert set(group.ownership.owned) == {1}
        assert len(group.consumer.read) == 1
        await group.ownership.release()

    asyncio.run(scenario())


def test_batches_of_an_earlier_generation_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        await group.ownership.reconcile()
        await group.ownership.put(batch(0, 0, 1), generation=0)
        await group.ownership.put(batch(0, 0), generation=1)
        await until(lambda: group.partitions[0].folds)
        assert [[r.offset for r in records] for records, _, _ in group.partitions[0].folds] == [[0]]
        await group.ownership.release()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("rebalancing", "generation", "ends_it"), [(False, 1, True), (True, 1, False), (False, 2, False)]
)
def test_fenced_while_still_assigned_ends_the_process_but_not_once_the_group_has_moved_on(
    monkeypatch: pytest.MonkeyPatch, ends: list[Ended], *, rebalancing: bool, generation: int, ends_it: bool
) -> None:
    async def scenario() -> None:
        group = Group(monkeypatch, 0)
        await group.ownership.reconcile()
        group.app.rebalancing = rebalancing
        group.app.consumer_generation_id = generation
        with pytest.raises(Ended) if ends_it else contextlib.nullcontext():
            group.ownership._on_fenced(Fenced("newer"))
        await group.ownership.release()

    asyncio.run(scenario())
    assert [end.code for end in ends] == [ExitCode.RESTART] * ends_it


# -- time


class Clockwork:
    """A ticker over one owned partition."""

    def __init__(self) -> None:
        self.status, self.consumer = WorkerStatus(), FakeConsumer()
        self.ends = cast("Any", FakeEnds())
        self.owned = SimpleNamespace(
            number=0,
            alive=True,
            read_to_ms={},
            status=PartitionStatus(applied=dict.fromkeys(SOURCES, 0), clock=BrokerClock(1_000, time.monotonic())),
            let_time_pass=lambda: None,
        )
        self.status.partitions[0] = self.owned.status
        holder: Any = SimpleNamespace(owned={0: self.owned})
        self.ticker = Ticker(SETTINGS, holder, self.ends, self.status, SimpleNamespace(consumer=self.consumer))

    def tick(self) -> None:
        asyncio.run(self.ticker.tick())


def test_a_source_is_read_to_its_end_as_of_before_the_question() -> None:
    clock = Clockwork()
    clock.ends.at["p.metrics", 0] = 5
    clock.tick()
    assert set(clock.owned.read_to_ms) == {"commands", "contexts"}
    assert clock.owned.status.lag == clock.status.lag == 5
    assert 1_000 <= clock.owned.read_to_ms["commands"] < 60_000
    clock.owned.status.applied = {**clock.owned.status.applied, "metrics": 5}
    clock.tick()
    assert set(clock.owned.read_to_ms) == set(SOURCES)
    assert clock.status.lag == 0


def test_the_time_of_an_answer_is_taken_before_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork()
    asked = clock.ends.committed_ends

    def answer(places: Any, timeout_s: float) -> dict[Any, int]:
        # What is sent meanwhile may lie behind the end that is told.
        clock.owned.status.clock.heard(900_000, time.monotonic())
        told: dict[Any, int] = asked(places, timeout_s)
        return told

    monkeypatch.setattr(clock.ends, "committed_ends", answer)
    clock.tick()
    assert set(clock.owned.read_to_ms) == set(SOURCES)
    assert max(clock.owned.read_to_ms.values()) < 60_000


def test_a_wall_clock_that_steps_moves_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork()
    for wall_s in (10**9, 2 * 10**9, 0):
        monkeypatch.setattr(time, "time_ns", lambda wall_s=wall_s: wall_s * 10**9)
        monkeypatch.setattr(time, "time", lambda wall_s=wall_s: float(wall_s))
        clock.tick()
        assert 1_000 <= clock.owned.status.read_to_ms < 60_000


def skewed(wall_ms: int, timestamp_ms: int, offset: int, monkeypatch: pytest.MonkeyPatch) -> float | None:
    """What a partition says of this machine's clock after a record, having asked for the end 1 s before it came."""

    async def scenario() -> float | None:
        one = own(FakePartition())
        one.status.ends, one.asked_ms = {"metrics": 5}, wall_ms - 1_000
        monkeypatch.setattr(time, "time_ns", lambda: wall_ms * 1_000_000)
        await one.put(
            Batch("p.metrics", 0, 0, [SimpleNamespace(**{**vars(record(offset)), "timestamp": timestamp_ms})])
        )
        found: float | None = one.status.clock_ahead_s
        await one.close()
        return found

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wall_ms", "timestamp_ms", "offset", "ahead_s"),
    [
        (1_000_000, 999_500, 5, 0),
        (1_000_000, 999_500, 4, None),
        (1_000_000, 600_000, 4, None),  # old, or the clock is ahead: there is no knowing
        (1_000_000, 699_000, 5, 300),  # appended after the question: the clock is ahead
        (1_000_000, 1_300_000, 4, -300),
        (1_000_000, -1, 5, None),
    ],
)
def test_a_skew_is_told_from_what_is_certain(
    wall_ms: int, timestamp_ms: int, offset: int, ahead_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert skewed(wall_ms, timestamp_ms, offset, monkeypatch) == ahead_s


def test_a_skew_is_logged_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clockwork()
    for ahead_s in (None, 300.0, 300.0, 0.0, 0.0):
        clock.owned.status.clock_ahead_s = ahead_s
        clock.tick()
    said = [r.message for r in caplog.records]
    assert said == [
        "this machine's clock is 300 s ahead of the broker's; partition time is the broker's: put this one right (NTP)",
        "this machine's clock agrees with the broker's again",
    ]


def test_markers_at_the_end_are_passed_only_when_all_before_the_position_is_applied() -> None:
    clock = Clockwork()
    clock.ends.at["p.metrics", 0] = 5
    clock.tick()
    assert METRICS in clock.consumer.positions_wanted
    clock.consumer.positions[METRICS] = ReadPosition(position=5, reached=4)
    clock.tick()
    assert "metrics" not in clock.owned.read_to_ms, "a record up to offset 3 is handed out, but not applied"
    clock.owned.status.applied = {**clock.owned.status.applied, "metrics": 4}
    clock.tick()
    assert "metrics" in clock.owned.read_to_ms


def test_time_stands_still_while_the_broker_does_not_answer() -> None:
    clock = Clockwork()
    clock.ends.error = BrokerUnreachable("paused")
    clock.tick()
    assert clock.owned.read_to_ms == {}
    assert clock.status.answered is None


def test_lag_without_progress_counts_as_stuck_only_while_the_broker_answers() -> None:
    clock = Clockwork()
    clock.ends.at["p.metrics", 0] = 5
    clock.tick()
    time.sleep(0.05)
    clock.tick()
    stuck = clock.owned.status.stuck_s
    assert 0.04 < stuck < 1
    clock.ends.error = BrokerUnreachable("paused")
    clock.tick()
    assert clock.owned.status.stuck_s == stuck
    clock.ends.error = None
    clock.owned.status.applied = {**clock.owned.status.applied, "metrics": 1}
    clock.tick()
    assert clock.owned.status.stuck_s == 0


def test_a_log_that_is_cut_while_it_is_read_ends_the_process(ends: list[Ended]) -> None:
    clock = Clockwork()
    clock.owned.status.applied = {**clock.owned.status.applied, "metrics": 9}
    clock.tick()
    clock.tick()
    assert not ends
    with pytest.raises(Ended):
        clock.tick()
    assert "p.metrics-0 ends at 0, but was applied up to 9" in str(ends[0])


# -- the rest


@pytest.mark.parametrize(
    ("still_s", "stuck_s", "reconciling_s", "said"),
    [
        (0, 0, None, None),
        (61, 0, None, "stood still"),
        (0, 61, None, "applied nothing"),
        (0, 0, 1, None),
        (0, 0, 1000, "not reconciled"),
    ],
)
def test_the_watchdog_says_what_is_wrong(
    still_s: float, stuck_s: float, reconciling_s: float | None, said: str | None
) -> None:
    status = WorkerStatus()
    status.partitions[0] = PartitionStatus(applied={}, lag=3, stuck_s=stuck_s)
    status.reconciling_since = None if reconciling_s is None else time.monotonic() - reconciling_s
    reason = watchdog.Watchdog(SETTINGS, status)._reason(still_s)
    assert (reason is None) if said is None else (said in str(reason))


def test_noise_of_a_broker_that_is_away_is_held_back_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("oppertune.streams.worker.logs.monotonic", lambda: now[0])
    limit = RateLimit("kafka:9092")

    def line(name: str, level: int = logging.ERROR, said: str = "a fault of %s") -> logging.LogRecord:
        return logging.LogRecord(name, level, "conn.py", 7, said, ("node",), None)

    assert [limit.filter(line("aiokafka.conn")) for _ in range(100)] == [True] * 3 + [False] * 97
    assert all(limit.filter(line("oppertune.streams.worker.run")) for _ in range(10))
    assert all(limit.filter(line("aiokafka.conn", logging.INFO)) for _ in range(10))
    now[0] += 59
    assert not limit.filter(line("aiokafka.conn"))
    now[0] += 2
    later = line("aiokafka.conn")
    assert limit.filter(later)
    assert later.getMessage() == "a fault of node (and 98 more such lines held back)"


_SAID_OF_A_BROKER_THAT_IS_AWAY = {
    "Unable connect to node with id 1: [Errno 111] Connect call failed ('127.0.0.1', 9092)": "aiokafka",
    "Unable to update metadata from [1]": "aiokafka",
    "Group Coordinator Request failed: NodeNotReadyError: Attempt to send": "aiokafka.consumer.group_coordinator",
    "Marking the coordinator dead (node 1)for group oppertune.worker.": "aiokafka.consumer.group_coordinator",
    "Heartbeat session expired - marking coordinator dead": "aiokafka.consumer.group_coordinator",
    "Failed fetch messages from 1: KafkaConnectionError: Connection at k:9092 closed": "aiokafka.consumer.fetcher",
    "FAIL [rdkafka#producer-1] 127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: refused": "oppertune.kafka",
    "FAIL [rdkafka#producer-1] 127.0.0.1:9092/1: Disconnected (after 9 ms in state UP)": "oppertune.kafka",
}


def test_a_broker_that_is_away_is_one_line_and_then_one_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("oppertune.streams.worker.logs.monotonic", lambda: now[0])
    limit, written = RateLimit("kafka:9092"), []
    for _ in range(130):
        for line, (said, name) in enumerate(_SAID_OF_A_BROKER_THAT_IS_AWAY.items()):
            record = logging.LogRecord(name, logging.ERROR, "x.py", line, said, (), None)
            written += [record.getMessage()] if limit.filter(record) else []
        ours = logging.LogRecord("oppertune.streams.worker.ticker", logging.WARNING, "x.py", 99, "still", (), None)
        ours.broker_away = True
        written += [ours.getMessage()] if limit.filter(ours) else []
        now[0] += 1
    first = next(iter(_SAID_OF_A_BROKER_THAT_IS_AWAY))
    said = f"no connection to Kafka at kafka:9092, or to a part of it: {first}"
    assert written == [said, *[f"{said} (and {60 * 9 - 1} more such lines held back)"] * 2]


def test_the_ticker_says_once_that_the_broker_answers_again(caplog: pytest.LogCaptureFixture) -> None:
    class Offsets:
        away = True

        def committed_ends(self, places: object, timeout_s: float) -> dict[Any, int]:
            if self.away:
                raise BrokerUnreachable("it gave no answer in time")
            return {}

    offsets = Offsets()
    ticker = Ticker(SETTINGS, cast("Any", None), cast("Any", offsets), WorkerStatus(), cast("Any", None))
    caplog.set_level(logging.INFO)

    async def ask() -> None:
        for offsets.away in (False, True, True, False, False):
            await ticker._ask([])

    asyncio.run(ask())
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.INFO] == [
        "the broker answers again, after 0 s"
    ]
    assert all(vars(r)["broker_away"] for r in caplog.records if r.levelno == logging.WARNING)


def test_ranges_are_written_for_people() -> None:
    assert ranges([3, 0, 1, 2, 7]) == "0-3, 7"
    assert ranges([]) == ""


def test_a_deadline_is_never_negative() -> None:
    deadline = Deadline(0)
    assert deadline.passed
    assert deadline.remaining() == 0
    assert 0 < Deadline(9).remaining(0.5) <= 0.5


@pytest.mark.kafka
def test_a_newer_writer_of_a_partition_fences_the_older(real: BrokerSettings) -> None:
    settings = WorkerSettings(real)
    older, newer = writer.PartitionWriter(settings, 1), writer.PartitionWriter(settings, 1)
    effects = Effects(state={"a": b"1"}, journal=[b"{}"], rounds=[("a", b"{}")], configs={"a": None})
    older.open()
    older.commit(effects)
    newer.open()
    with pytest.raises(Fenced, match="partition 1"):
        older.commit(effects)
    newer.commit(effects)
    older.close()
    newer.close()


def test_while_a_worker_runs_linear_algebra_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def checks(*_: object) -> None:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        raise TopicsInvalid("seen enough")

    monkeypatch.setattr(run, "_check", checks)
    with threadpool_limits(2, user_api="blas"):
        assert run.run_worker(SETTINGS) == ExitCode.REFUSED
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}
    assert set(threads) == {1}
