"""The worker's metrics: each is documented, counts what this worker did, and has a bounded number of series."""

import time
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from oppertune.streams.broker import BrokerSettings
from oppertune.streams.processor import Partition, PartitionStatistics, learner_time
from oppertune.streams.processor.statistics import ScopeStatistics, TunerStatistics
from oppertune.streams.worker import PartitionStatus, WorkerSettings, WorkerStatus, metrics, partition_loop
from oppertune.streams.worker.metrics import METRICS, registry
from world import World, running, spec

SETTINGS = WorkerSettings(BrokerSettings("kafka:9092", "p."))

Series = dict[tuple[str, ...], float]


def scrape(partitions: dict[int, PartitionStatus], **changes: Any) -> dict[str, Series]:
    """All samples by name, then by their labels' values in the order of the labels' names, as Prometheus sees them."""
    worker = WorkerStatus(partitions=partitions, phase="running", generation=1, **changes)
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(generate_latest(registry(worker, SETTINGS)).decode()):
        for sample in family.samples:
            key = tuple(value for _, value in sorted(sample.labels.items()))
            assert key not in found.setdefault(sample.name, {}), f"{sample.name}{key} twice"
            found[sample.name][key] = sample.value
    return found


def at(world: World, **changes: Any) -> dict[int, PartitionStatus]:
    return {0: PartitionStatus(applied={}, statistics=world.partition.statistics(), **changes)}


def tuners(**named: TunerStatistics) -> dict[int, PartitionStatus]:
    return {0: PartitionStatus(applied={}, statistics=PartitionStatistics(named))}


def context(id_: str = "", **changes: Any) -> ScopeStatistics:
    made = ScopeStatistics(id_, None, 1, 1, False, "", None, None, None)
    return made._replace(**changes)


def test_every_metric_is_documented_and_every_documented_one_is_there_with_its_labels() -> None:
    world = running(spec(target={"reward": 9.0}, rollout={"every": 2, "turns": 1}))
    world.play(6)
    partition = at(world, ends={"metrics": 9})
    partition[0].applied, partition[0].clock_ahead_s = {"metrics": 8}, 0.0
    metrics.transaction_seconds.observe(0.01)
    worker = WorkerStatus(partitions=partition, answered=time.monotonic())
    exposed = list(text_string_to_metric_families(generate_latest(registry(worker, SETTINGS)).decode()))
    ours = {f.name + "_total" * (f.type == "counter"): f for f in exposed if not f.name.endswith("_created")}
    assert ours.keys() == METRICS.keys()
    for name, family in ours.items():
        metric = METRICS[name]
        assert (family.type, family.documentation) == (metric.type, metric.meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), name


def test_they_are_openmetrics_too() -> None:
    """What a newer Prometheus asks for."""
    text = exposition.generate_latest(registry(WorkerStatus(partitions=at(running())), SETTINGS)).decode()
    exposed = {family.name for family in parser.text_string_to_metric_families(text)}
    assert {"oppertune_worker_ready", "oppertune_records", "oppertune_transaction_seconds"} <= exposed


@pytest.mark.parametrize("name", METRICS)
def test_names_follow_the_conventions(name: str) -> None:
    metric = METRICS[name]
    assert name.startswith("oppertune_")
    assert name.endswith("_total") == (metric.type == "counter")
    assert not name.endswith(("_ms", "_s", "_count", "_sum", "_bucket"))


def test_counters_count_since_the_partition_was_taken_over() -> None:
    world = running()
    world.play(2)
    began = world.partition.statistics()
    world.play(1)
    world.measured(metrics={"reward": 1.0}, request_id="unknown")
    world.fold()
    found = scrape(at(world, initial_statistics=began, records=4, transactions=2, rounds={("checkout", "measured"): 1}))
    assert found["oppertune_dispositions_total"]["applied", "0"] == 3
    assert found["oppertune_dispositions_total"]["dead_letter", "0"] == 1
    assert found["oppertune_records_total"] == {("0",): 4}
    assert found["oppertune_transactions_total"] == {("0",): 2}
    assert found["oppertune_rounds_total"]["measured", "checkout"] == 1
    assert found["oppertune_rounds_total"]["failed", "checkout"] == 0, "there from the start, so that it can grow"
    assert found["oppertune_lost_records_total"] == {("0",): 0}


def test_lost_records_are_counted() -> None:
    world = running()
    began = world.partition.statistics()
    record = world.measured()._replace(offset=7)
    world.commit(world.partition.fold([record], read_to_end_ms={}, log_starts={"metrics": 5}))
    assert scrape(at(world, initial_statistics=began))["oppertune_lost_records_total"] == {("0",): 5}


def test_a_tuner_shows_its_instances_rewards_target_and_condition() -> None:
    one = context("x", data={"traffic": "low"}, instances=3, incumbent_reward=0.5, last_reward=0.7, achieved=True)
    other = context("y", data={"traffic": "high"}, instances=0)
    found = scrape(tuners(a=TunerStatistics("it raised", contexts=(one, other)), b=TunerStatistics("", held="frozen")))
    assert found["oppertune_instances_present"] == {("traffic=low", "a"): 3, ("traffic=high", "a"): 0}
    assert found["oppertune_incumbent_reward"] == {("traffic=low", "a"): 0.5}
    assert found["oppertune_last_reward"] == {("traffic=low", "a"): 0.7}
    assert found["oppertune_target_achieved"] == {("traffic=low", "a"): 1}
    assert found["oppertune_tuner_suspended"] == {("a",): 1, ("b",): 0}
    kinds = ("paused", "observe", "frozen", "killed")
    assert found["oppertune_tuner_held"] == {(k, t): int((k, t) == ("frozen", "b")) for k in kinds for t in "ab"}
    assert found["oppertune_tuners"] == {("0",): 2}


def test_contexts_that_roll_out_and_withdrawn_arms_are_counted() -> None:
    partitions = tuners(
        a=TunerStatistics("", contexts=(context("x", rolling=True), context("y"))), b=TunerStatistics("")
    )
    partitions[0].rounds = {("a", "broken"): 2}
    found = scrape(partitions)
    assert found["oppertune_rollouts"] == {("a",): 1, ("b",): 0}
    assert [found["oppertune_rounds_total"]["broken", tuner] for tuner in "ab"] == [2, 0]


def test_a_roll_out_is_one_while_it_is_under_way() -> None:
    world = running(spec(rollout={"every": 2, "turns": 1}))
    seen = set()
    for _ in range(6):
        world.play(1)
        rolling = world.partition.statistics().tuners["checkout"].contexts[0].rolling
        assert rolling == (world.scope().rollout is not None)
        seen.add(rolling)
    assert seen == {True, False}


def test_instances_are_present_until_their_time_is_up_in_partition_time() -> None:
    world = running()
    assert world.partition.statistics().tuners["checkout"].contexts[0].instances == 1
    later = world.now_ms + 31_000
    assert world.partition.statistics(later).tuners["checkout"].contexts[0].instances == 0


def test_partition_time_behind_the_clock_is_what_was_read_or_applied_last() -> None:
    now_ms = time.time_ns() // 1_000_000
    found = scrape(
        {
            0: PartitionStatus(
                applied={}, read_to_ms=now_ms - 2_000, statistics=PartitionStatistics(time_ms=now_ms - 9_000)
            ),
            1: PartitionStatus(
                applied={}, read_to_ms=now_ms - 9_000, statistics=PartitionStatistics(time_ms=now_ms - 4_000)
            ),
            2: PartitionStatus(applied={}),
        }
    )["oppertune_partition_time_lag_seconds"]
    assert found == {("0",): pytest.approx(2, abs=1), ("1",): pytest.approx(4, abs=1)}


def test_the_brokers_last_answer_is_told_by_the_clock_and_not_before_there_was_one() -> None:
    name = "oppertune_broker_last_answer_timestamp_seconds"
    assert name not in scrape({})
    assert scrape({}, answered=time.monotonic() - 7)[name][()] == pytest.approx(time.time() - 7, abs=1)


def test_exactly_one_state_is_on() -> None:
    states = scrape({}, answered=time.monotonic() - 60)["oppertune_worker_state"]
    assert [word for (word,), on in states.items() if on] == ["broker_silent"]
    assert scrape({}, answered=time.monotonic() - 60)["oppertune_worker_ready"][()] == 0


def test_a_context_is_named_by_its_id_where_its_features_would_not_tell_it_apart_or_are_long() -> None:
    contexts = (
        context("id-1", data={"n": 1}),
        context("id-2", data={"n": "1"}),
        context("id-3", data={"n": "x" * 200}),
    )
    found = scrape(tuners(a=TunerStatistics("", contexts=contexts)))["oppertune_instances_present"]
    assert set(found) == {("n=1", "a"), ("id-2", "a"), ("id-3", "a")}


def test_series_are_bounded_and_a_suspended_tuner_is_never_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_TUNERS", 10)
    monkeypatch.setattr(metrics, "MAX_CONTEXTS", 15)
    two = (context("x", data={"n": 1}), context("y", data={"n": 2}))
    many = {f"t{n:03}": TunerStatistics("", contexts=two) for n in range(50)}
    found = scrape(tuners(**many, z=TunerStatistics("it raised", contexts=two)))
    assert len(found["oppertune_tuner_suspended"]) == 10
    assert found["oppertune_tuner_suspended"]["z",] == 1
    assert len(found["oppertune_instances_present"]) == 15
    assert len(found["oppertune_rounds_total"]) == 50
    assert found["oppertune_left_out"] == {("tuners",): 41, ("contexts",): 87}


# -- where it is counted


def test_closed_rounds_are_counted_and_metrics_that_missed_theirs_are_not() -> None:
    world = running()
    late = world.metric_event()
    for _ in range(3):
        world.measured()
    closed = world.fold()
    world.send("metrics", late)
    missed = world.fold()
    assert missed.rounds, "it is told of, as a late one"
    counts = partition_loop._with_rounds({("b", "failed"): 2}, [*closed.rounds, *missed.rounds])
    assert counts == {("b", "failed"): 2, ("checkout", "measured"): 1}


def test_time_in_learners_is_counted_by_algorithm_for_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_time, "_spent", {})
    seconds, calls = "oppertune_learner_seconds_total", "oppertune_learner_calls_total"
    assert not {seconds, calls} & scrape({}).keys()
    clock = iter([1.0, 1.5, 10.0, 14.0])  # an ask of each
    monkeypatch.setattr(learner_time, "perf_counter", lambda: next(clock))
    for name in ("hybrid_solver", "uniform_random"):
        running(spec(algorithm={"name": name}))
    found = scrape({})
    assert found[seconds] == {("hybrid_solver",): 0.5, ("uniform_random",): 4.0}
    assert found[calls] == {("hybrid_solver",): 1, ("uniform_random",): 1}


def test_statistics_are_gathered_less_often_where_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, takes_s = [100.0], [0.5, 0.001]

    class Slow(Partition):
        def __init__(self) -> None:
            pass

        def next_offsets(self) -> dict[str, int | None]:
            return dict.fromkeys(("commands", "contexts", "metrics"), 0)

        def statistics(self, _: int = 0) -> PartitionStatistics:
            clock[0] += takes_s.pop()
            return PartitionStatistics()

    one = object.__new__(partition_loop.PartitionLoop)
    one._partition, one._first, one.status = Slow(), {}, PartitionStatus(applied={})
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for pause_s in (1.0, 25.0):
        one.gather_statistics()
        assert one._gather_at - clock[0] == pytest.approx(pause_s)
