"""The simulated fleet: instances follow records as wire-format.md says, nothing is lost unseen, all is repeatable."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oppertune.core.assignment import position
from oppertune.core.errors import CommandFailed, InvalidArgument
from oppertune.core.summary import Summary
from oppertune.core.values import Categorical, Integer, Real, ValueType
from oppertune.schemas import ConfigRecord
from oppertune.schemas.events import ContextEvent, MeasuredSummary, MetricEvent
from oppertune.schemas.keys import values_hash
from oppertune.schemas.spec import TunerSpec
from oppertune.streams.operate.outputs import Simulated
from oppertune.streams.operate.simulation.agenda import Agenda
from oppertune.streams.operate.simulation.figures import Figures
from oppertune.streams.operate.simulation.fleet import HOUR_MS, LAG_MS, Fleet
from oppertune.streams.operate.simulation.instance import Instance, arm_of
from oppertune.streams.operate.simulation.measuring import Metric, as_sent, measured, metrics_of, summary_of
from oppertune.streams.operate.simulation.options import FleetOptions
from oppertune.streams.operate.simulation.report import figures_of, lines_of
from oppertune.streams.operate.simulation.run import START_MS, Simulation
from oppertune.streams.operate.simulation.system import (
    FUNCTIONS,
    Altered,
    Effect,
    Table,
    made,
    quality,
    read_table,
    turned,
)  # fmt: skip
from oppertune.streams.operate.simulation.truth import Truth

SPEC: dict[str, Any] = {
    "name": "checkout",
    "parameters": [
        {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
        {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
        {"name": "policy", "type": "categorical", "val": "lru", "categories": ["lru", "lfu", "arc"]},
    ],
    "algorithm": {"name": "uniform_random", "args": {"random_seed": 7}},
    "objective": {"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "scale": 100}]},
}
DECLARED: dict[str, str | int | float] = {"pool": 10, "ratio": 0.5, "policy": "lru"}
OTHER: dict[str, str | int | float] = {"pool": 20, "ratio": 0.25, "policy": "arc"}
CALM = FleetOptions(
    instances=6, late=0, missing=0, doubled=0, stragglers=0, outliers=0, host_sd=0, noise_sd=0, shock_sd=0, swing=0
)


def simulation(options: FleetOptions = CALM, hours: float = 0.05, system: Any = None, **changes: Any) -> Simulation:
    written = {**SPEC, **changes}
    spec = TunerSpec.model_validate(written)
    return Simulation(spec, written, system or made("hill", spec.values(), 0), options, hours)


def record(*arms: dict[str, Any], version: int = 1, **changes: Any) -> bytes:
    """A config record of arms, each with what differs from a usual one."""
    usual = {"values": OTHER, "arm": "candidate", "request_id": "r1", "round": 1, "kind": "explore", "share": 1.0}
    given: dict[str, Any] = {
        "v": 1, "tuner": "checkout", "scope": "", "incarnation": 0, "version": version, "status": "tuning",
        "incumbent": {"values": DECLARED, "hash": values_hash(DECLARED)}, "arms": [], "salt": "7", "lease_s": 30.0,
        "published_ms": START_MS, "interval_s": 10.0, "settle_s": 0.0, "heartbeat_s": 10.0,
    } | changes  # fmt: skip
    for arm in arms:
        one: dict[str, Any] = usual | arm
        given["arms"].append(one | {"hash": values_hash(one["values"])})
    return orjson.dumps(given)


class Alone:
    """A fleet without a worker: what it sends is looked at, and records are published by hand."""

    def __init__(self, options: FleetOptions = CALM, system: Any = None, **changes: Any) -> None:
        spec = TunerSpec.model_validate({**SPEC, **changes})
        self.agenda, self.truth = Agenda(), Truth()
        self.sent: list[tuple[int, ContextEvent | MetricEvent]] = []
        self.fleet = Fleet(
            spec, system or made("flat", spec.values(), 0), options, self.agenda, self.truth, send=self._send,
            start_ms=START_MS,
        )  # fmt: skip
        self.now_ms = START_MS
        self.fleet.populate()

    def _send(self, topic: str, value: bytes) -> None:
        event = (ContextEvent if topic == "contexts" else MetricEvent).from_bytes(value)
        self.sent.append((self.now_ms - START_MS, event))

    def publish(self, value: bytes) -> None:
        self.agenda.plan(self.now_ms, "record", value=value)

    def wait(self, seconds: float) -> None:
        end_ms = self.now_ms + round(seconds * 1000)
        while self.agenda.entries and self.agenda.entries[0].at_ms <= end_ms:
            entry = self.agenda.next()
            self.now_ms = entry.at_ms
            self.fleet.happen(entry)
        self.now_ms = end_ms

    def of(self, kind: type, since_s: float = 0.0) -> list[tuple[int, Any]]:
        return [(at, event) for at, event in self.sent if isinstance(event, kind) and at >= since_s * 1000]

    @property
    def instances(self) -> list[Instance]:
        return self.fleet.instances

    def runs(self) -> list[str | None]:
        return [one.run.request_id if one.run is not None else None for one in self.instances]


# -- which arm a unit runs


def parsed(value: bytes) -> ConfigRecord:
    return ConfigRecord.from_bytes(value)


def test_units_take_arms_by_position_and_cumulative_shares():
    value = parsed(record({"share": 0.3, "arm": "e1"}, {"share": 0.2, "arm": "e2", "request_id": "r2"}))
    for unit in (f"i{n}" for n in range(200)):
        where, arm = position("7", unit), arm_of(value, unit)
        wanted = "e1" if where < 0.3 else "e2" if where < 0.5 else None
        assert (arm.arm if arm is not None else None) == wanted


@pytest.mark.parametrize("kind", ["withdrawn", "of-a-newer-worker"])
def test_an_arm_of_another_kind_keeps_its_piece_and_its_units_run_the_incumbent(kind):
    value = parsed(record({"share": 0.5, "kind": kind}, {"share": 0.5, "arm": "e2", "request_id": "r2"}))
    for unit in (f"i{n}" for n in range(50)):
        arm = arm_of(value, unit)
        assert (arm.arm if arm is not None else None) == (None if position("7", unit) < 0.5 else "e2")


def test_under_an_unknown_status_the_incumbent_is_run():
    assert arm_of(parsed(record({})), "i1") is not None
    assert arm_of(parsed(record({}, status="of-a-newer-worker")), "i1") is None


@pytest.mark.parametrize(("pinned", "wanted"), [("incumbent", None), ("e2", "e2")])
def test_a_pinned_unit_is_looked_up_before_its_position(pinned, wanted):
    value = parsed(record({"share": 1.0, "arm": "e1"}, {"share": 0.0, "arm": "e2", "request_id": "r2"}))
    pinning = dataclasses.make_dataclass("Pinning", ["status", "arms", "salt", "pinned"])
    with_pins: Any = pinning(value.status, value.arms, value.salt, {"i1": pinned})
    arm = arm_of(with_pins, "i1")
    assert (arm.arm if arm is not None else None) == wanted
    other = arm_of(with_pins, "i2")
    assert other is not None
    assert other.arm == "e1"


# -- an instance's life under records


def test_an_arm_is_announced_measured_each_interval_and_left_when_the_lease_ends():
    alone = Alone()
    alone.wait(12)
    assert alone.runs() == [None] * 6
    assert all(event.request_id is None for _, event in alone.of(ContextEvent))
    alone.publish(record({}))
    alone.wait(25)
    assert alone.runs() == ["r1"] * 6
    announced = {
        e.instance for at, e in alone.of(ContextEvent, 12) if e.request_id == "r1" and at <= 12_000 + LAG_MS[1]
    }
    assert len(announced) == 6
    reports = alone.of(MetricEvent)
    assert len(reports) == 2 * 6
    assert {event.interval_s for _, event in reports} == {10.0}
    assert sorted({event.active_for_s for _, event in reports}) == [10.0, 20.0]
    assert {(e.request_id, e.arm, e.round, e.values_hash) for _, e in reports} == {
        ("r1", "candidate", 1, values_hash(OTHER))
    }
    alone.wait(10)  # 30 s and the lag are over: no renewal came
    assert alone.runs() == [None] * 6
    assert {one.values for one in alone.instances} == {values_hash(DECLARED)}
    assert all(event.request_id is None for _, event in alone.of(ContextEvent, 43))


def test_a_renewal_prolongs_the_lease_and_changes_nothing_else():
    alone = Alone()
    alone.wait(12)
    alone.publish(record({}))
    for n in range(1, 6):
        alone.wait(10)
        alone.publish(record({}, published_ms=START_MS + n))
    alone.wait(5)
    assert alone.runs() == ["r1"] * 6
    assert {event.interval_s for _, event in alone.of(MetricEvent)} == {10.0}, "no report was cut short"


def test_what_was_published_before_an_instance_began_is_run_after_its_renewal_only():
    alone = Alone(dataclasses.replace(CALM, restarts=0))
    alone.wait(12)
    alone.publish(record({}))
    alone.wait(1)
    started_anew = alone.instances[0]
    alone.fleet._crash(started_anew, alone.now_ms)
    alone.wait(6)
    assert started_anew.alive
    assert started_anew.boot == "i0000.1"
    assert alone.runs() == [None, *["r1"] * 5]
    alone.publish(record({}, published_ms=START_MS + 1))
    alone.wait(1)
    assert alone.runs() == ["r1"] * 6
    first = [event.seq for _, event in alone.of(ContextEvent, 13) if event.boot == "i0000.1"]
    assert first == list(range(len(first))), "a boot counts from 0"


def test_measurements_count_once_values_have_settled_and_equal_values_settle_once():
    alone = Alone()
    alone.wait(12)
    alone.publish(record({}, settle_s=4.0))
    alone.wait(15)
    reports = alone.of(MetricEvent)
    assert {event.interval_s for _, event in reports} == {10.0}
    assert {event.active_for_s for _, event in reports} == {14.0}
    alone.publish(record({"request_id": "r2", "round": 2}, version=2, settle_s=4.0))
    alone.wait(11)
    second = [event for _, event in alone.of(MetricEvent) if event.request_id == "r2"]
    assert len(second) == 6
    assert all(event.interval_s == 10.0 for event in second), "no second settling"
    assert all(event.active_for_s > 24 for event in second), "it is active since the first"


def test_first_reports_come_early_where_the_record_asks_for_it():
    alone = Alone(dataclasses.replace(CALM, rate_per_s=50.0))
    alone.wait(12)
    alone.publish(record({}, first_report_s=[1.0, 2.0, 4.0]))
    alone.wait(20)
    ages = [event.active_for_s for _, event in alone.of(MetricEvent) if event.instance == "i0000"]
    assert ages == [1.0, 2.0, 4.0, 14.0]


def test_what_was_measured_before_a_change_is_reported_under_the_old_request():
    alone = Alone()
    alone.wait(12)
    alone.publish(record({}))
    alone.wait(4)
    alone.publish(record({"request_id": "r2", "round": 2}, version=2))
    alone.wait(1)
    cut = alone.of(MetricEvent)
    assert len(cut) == 6
    assert {event.request_id for _, event in cut} == {"r1"}
    assert all(3.7 < event.interval_s < 4.3 for _, event in cut)


def test_a_straggler_keeps_the_old_record_for_a_while_but_not_beyond_its_lease():
    alone = Alone(dataclasses.replace(CALM, stragglers=1.0, straggle_s=1000.0))
    alone.wait(12)
    alone.fleet._options = CALM
    alone.publish(record({}))
    alone.wait(1)
    alone.fleet._options = dataclasses.replace(CALM, stragglers=1.0, straggle_s=1000.0)
    alone.publish(record({"request_id": "r2"}, version=2))
    alone.wait(10)
    deaf = [one for one in alone.instances if one.deaf_ms > alone.now_ms]
    assert deaf
    assert all(one.run is not None and one.run.request_id == "r1" for one in deaf)
    alone.publish(record({"request_id": "r2"}, version=2, published_ms=START_MS + 1))
    alone.wait(25)
    assert all(one.run is None for one in alone.instances if one.deaf_ms > alone.now_ms)


def test_goodbyes_are_said_by_half_of_those_that_go():
    alone = Alone(dataclasses.replace(CALM, instances=40, deaths=40 * 60.0))
    alone.wait(60)
    gone = sum(not one.alive for one in alone.instances)
    goodbyes = sum(event.leaving for _, event in alone.of(ContextEvent))
    assert gone > 10
    assert 0 < goodbyes < gone


def test_a_configuration_that_crashes_ends_processes_which_come_back():
    crashing = Altered(values_hash(DECLARED), Effect(1.0, crashes=0.9))
    alone = Alone(system=crashing)
    alone.wait(12)
    alone.publish(record({}))
    alone.wait(40)
    assert sum(one.life for one in alone.instances) >= 6
    assert all(one.alive for one in alone.instances), "the lease is over: nothing crashes any more"
    assert {one.values for one in alone.instances} == {values_hash(DECLARED)}


def test_a_shared_back_end_makes_all_slower_alike():
    dear = Altered(values_hash(DECLARED), Effect(4.0))
    options = dataclasses.replace(CALM, instances=20, rate_per_s=200.0, stragglers=0)

    def medians(backend: float) -> tuple[float, float]:
        alone = Alone(dataclasses.replace(options, backend=backend), system=dear)
        alone.wait(12)
        half = {"share": 0.5, "arm": "base", "request_id": "r0", "kind": "baseline", "values": DECLARED}
        alone.publish(record({"share": 0.5}, half))
        alone.wait(11)
        found: dict[str, list[float]] = {"candidate": [], "base": []}
        for _, event in alone.of(MetricEvent):
            latencies: Any = event.metrics["latency_ms"]
            found[event.arm].append(_summary(latencies).quantile(0.5))
        return float(np.mean(found["candidate"])), float(np.mean(found["base"]))

    alone_, together = medians(0.0), medians(1.0)
    assert alone_[0] / alone_[1] == pytest.approx(4.0, rel=0.1)
    assert together[0] / together[1] == pytest.approx(4.0, rel=0.1)
    assert together[1] > 1.5 * alone_[1]


def _summary(sent: MeasuredSummary) -> Summary:
    return Summary(sent.count, [sent.sum], [sent.sum_sq], sent.min, sent.max, dict(sent.bins))


# -- what is measured


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=200))
def test_a_summary_from_arrays_is_that_of_adding_one_by_one(logarithms):
    one_by_one = Summary()
    for x in np.exp(np.array(logarithms)).tolist():
        one_by_one.add(x)
    found = summary_of(np.array(logarithms))
    assert (found.count, found.low, found.high) == (one_by_one.count, one_by_one.low, one_by_one.high)
    assert found.sum == pytest.approx(one_by_one.sum, rel=1e-12)
    assert math.fsum(found.squares) == pytest.approx(math.fsum(one_by_one.squares), rel=1e-12)
    for q in (0.1, 0.5, 0.95):
        assert found.quantile(q) == pytest.approx(one_by_one.quantile(q), rel=0.021)


def test_metrics_grow_with_the_cost_or_shrink_as_their_goal_says():
    rng = np.random.default_rng(0)
    metrics = [Metric("ms", "latency", 100.0), Metric("hits", "good", 5.0), Metric("errors", "errors")]
    metrics.append(Metric("done", "good", counted=True))

    def means(effect: Effect) -> dict[str, float]:
        found = measured(metrics, effect, 0.0, 20_000, rng)
        return {
            "ms": _summary(MeasuredSummary(**found["ms"])).quantile(0.5),
            "hits": _summary(MeasuredSummary(**found["hits"])).quantile(0.5),
            "errors": found["errors"]["sum"] / found["errors"]["count"],
            "done": float(found["done"]["count"]),
        }

    usual, bad = means(Effect(1.0)), means(Effect(2.0, errors=0.1))
    assert usual["ms"] == pytest.approx(100, rel=0.03)
    assert bad["ms"] == pytest.approx(200, rel=0.03)
    assert usual["hits"] == pytest.approx(5, rel=0.03)
    assert bad["hits"] == pytest.approx(2.5, rel=0.03)
    assert usual["errors"] == pytest.approx(0.005, abs=0.003)
    assert bad["errors"] == pytest.approx(0.1, rel=0.1)
    assert (usual["done"], bad["done"]) == (20_000, 10_000)


@given(st.integers(1, 500), st.floats(0, 1))
def test_all_that_is_measured_is_a_valid_event(requests, errors):
    rng = np.random.default_rng(0)
    metrics = [Metric("ms", "latency"), Metric("errors", "errors"), Metric("good", "good")]
    found = measured(metrics, Effect(1.5, errors), 0.3, requests, rng)
    event = {
        "v": 1, "id": "a", "tuner": "t", "instance": "i", "boot": "b", "seq": 0, "scope": "", "round": 1, "arm": "e1",
        "request_id": "r", "values_hash": "h", "interval_s": 1.0, "active_for_s": 1.0, "metrics": found,
    }  # fmt: skip
    MetricEvent.from_bytes(orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS))


def test_the_objective_and_guardrails_say_what_is_measured():
    terms = [
        {"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "scale": 20},
        {"metric": "http_errors", "aggregate": "mean", "goal": "minimize"},
        {"metric": "done", "aggregate": "rate", "goal": "maximize"},
    ]
    spec = TunerSpec.model_validate({**SPEC, "objective": {"terms": terms}})
    assert metrics_of(spec) == [
        Metric("latency_ms", "latency", 20.0), Metric("http_errors", "errors"), Metric("done", "good", counted=True),
    ]  # fmt: skip
    assert metrics_of(TunerSpec.model_validate({**SPEC, "objective": {}})) == [Metric("reward", "good")]
    with pytest.raises(InvalidArgument, match="declare terms"):
        metrics_of(TunerSpec.model_validate({**SPEC, "objective": {"function": "own"}}))


# -- what configurations do


PARAMETERS: list[ValueType] = [
    Integer("pool", 10, 1, 100),
    Real("ratio", 0.5, 0.0, 1.0),
    Categorical("policy", "lru", ("lru", "lfu", "arc")),
]


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=30)
@given(seed=st.integers(0, 50), pool=st.integers(1, 100), ratio=st.floats(0, 1), policy=st.sampled_from(["lru", "arc"]))
def test_made_up_systems_cost_1_as_declared_and_never_less_than_the_best(name, seed, pool, ratio, policy):
    system = made(name, PARAMETERS, seed)
    assert system.effect(DECLARED).cost == pytest.approx(1.0)
    cost = system.effect({"pool": pool, "ratio": ratio, "policy": policy}).cost
    assert cost >= system.best * (1 - 1e-9)
    if name == "flat":
        assert math.isnan(quality(system, cost))
    else:
        assert 0 <= quality(system, system.best) < quality(system, system.median) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_cliff_is_steep_and_not_where_the_declared_values_are(seed):
    system, rng = made("cliff", PARAMETERS, seed), np.random.default_rng(seed)
    drawn: list[dict[str, str | int | float]] = [
        {
            "pool": int(rng.integers(1, 101)),
            "ratio": float(rng.random()),
            "policy": ["lru", "lfu", "arc"][rng.integers(3)],
        }
        for _ in range(500)
    ]
    effects = [system.effect(values) for values in drawn]
    fallen = [e for e in effects if e.errors > 0.05]
    assert 0 < len(fallen) < 500
    assert system.effect(DECLARED).errors < 0.05
    assert min(e.cost for e in fallen) > 1.5 * min(e.cost for e in effects)


def test_an_optimum_that_moves_is_mirrored():
    assert turned(PARAMETERS, {"pool": 1, "ratio": 0.25, "policy": "arc"}) == {
        "pool": 100, "ratio": 0.75, "policy": "lru",
    }  # fmt: skip


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "system.csv"
    path.write_text("pool,wal,Time-,Rate+\n1,0,100,10\n1,1,50,20\n64,0,200,5\n64,1,25,40\n64,1,1,1\n")
    return path


TABLED: list[ValueType] = [Integer("pool", 1, 1, 64), Categorical.switch("wal", val=False)]


def test_a_table_answers_as_its_rows_and_as_the_nearest_one(table):
    system = read_table(table, TABLED)
    assert system.effect({"pool": 1, "wal": "off"}).cost == pytest.approx(1.0)
    assert system.effect({"pool": 1, "wal": "on"}).cost == pytest.approx(0.5)
    assert system.effect({"pool": 64, "wal": "on"}).cost == pytest.approx(0.25), "the first of equal rows"
    assert system.effect({"pool": 60, "wal": "off"}).cost == pytest.approx(2.0)
    assert system.best == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table of a system"),
        ("pool,wal\n1,0\n", "no table of a system"),
        ("pool,Time-\n1,5\n", "no column for wal; it has pool"),
        ("pool,wal,Time-\n1,0,5\n1,x,5\n", "line 3: numbers"),
        ("pool,wal,Time-\n1,0,5\n1,1\n", "line 3: numbers"),
        ("pool,wal,Time-\n1,0,0\n", "Time is not above 0"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(CommandFailed, match=said):
        read_table(path, TABLED)


def test_a_category_that_is_no_number_cannot_be_in_a_table(table):
    with pytest.raises(CommandFailed, match="category 'fast' of wal is none"):
        read_table(table, [TABLED[0], Categorical("wal", "fast", ("fast", "safe"))])
    assert isinstance(read_table(table, TABLED), Table)


# -- the whole


RESTLESS = FleetOptions(
    instances=10, seed=3, joins=60, deaths=60, restarts=60, late=0.1, missing=0.1, doubled=0.1, stragglers=0.05,
    outliers=0.05, backend=0.5, switch_at_h=0.03,
)  # fmt: skip


def test_a_seed_decides_all_and_a_simulation_that_was_kept_goes_on_as_if_never_stopped():
    straight, again, in_parts = (simulation(RESTLESS, 0.08) for _ in range(3))
    assert straight.run(0.08)
    assert again.run(0.08)
    assert not in_parts.run(0.08, stop=lambda: in_parts.hours > 0.02)
    gone_on = simulation(RESTLESS, 0.08)
    gone_on.go_on(in_parts.kept())
    assert gone_on.run(0.08)
    assert figures_of(straight).model_dump_json() == figures_of(again).model_dump_json()
    assert figures_of(straight).model_dump_json() == figures_of(gone_on).model_dump_json()
    other = simulation(dataclasses.replace(RESTLESS, seed=4), 0.08)
    other.run(0.08)
    assert figures_of(other) != figures_of(straight)


def test_what_was_kept_of_another_simulation_is_refused():
    kept = simulation().kept()
    with pytest.raises(CommandFailed, match="of another simulation"):
        simulation(dataclasses.replace(CALM, seed=9)).go_on(kept)
    with pytest.raises(CommandFailed, match="damaged"):
        simulation().go_on(b"{}")


def test_the_real_processor_accounts_for_all_that_was_sent():
    restless = simulation(RESTLESS, 0.08)
    restless.run(0.08)
    figures = figures_of(restless)
    folded = {topic: sum(counts.values()) for topic, counts in figures.dispositions.items()}
    assert folded["commands"] == 1
    assert folded["contexts"] + folded["metrics"] + figures.waiting == sum(figures.sent.values())
    metrics = figures.dispositions["metrics"]
    assert metrics["applied"] > 0
    assert metrics["late"] > 0
    assert metrics["duplicate"] > 0
    assert metrics.keys() <= {"applied", "late", "duplicate"}, "a fleet that follows records sends nothing wrong"
    assert figures.missing > 0
    assert sum(figures.rounds.values()) > 5
    calm = simulation()
    calm.run(0.05)
    assert "duplicate" not in calm.dispositions()["metrics"]
    assert calm.fleet.missing == 0


def test_outliers_are_in_what_the_rounds_saw():
    spiky = simulation(dataclasses.replace(CALM, outliers=1.0), system=made("flat", PARAMETERS, 0))
    calm = simulation(system=made("flat", PARAMETERS, 0))
    rewards = {}
    for name, one in (("spiky", spiky), ("calm", calm)):
        one.run(0.05)
        state = next(json.loads(value) for key, value in one._state.items() if key == "checkout/")
        rewards[name] = state["last_reward"]
    assert rewards["spiky"] == pytest.approx(20 * rewards["calm"], rel=0.3)


def test_truth_knows_how_long_how_bad_was_run():
    bad = simulation(
        system=Altered(values_hash(DECLARED), Effect(2.0)), explore={"share": 1.0}, rollout={"enabled": False}
    )
    bad.run(0.05)
    figures = figures_of(bad)
    lived = bad.truth.instance_ms
    assert lived == pytest.approx(6 * 0.05 * HOUR_MS, rel=0.1)
    assert figures.regret == pytest.approx(figures.bad_share, rel=1e-3), "bad costs twice the best"
    assert 0.5 < figures.bad_share < 1
    assert figures.promotions == figures.false_alarms == 0
    assert figures.incumbent_regret == 0
    flat = simulation(system=made("flat", PARAMETERS, 0))
    flat.run(0.05)
    assert figures_of(flat).bad_share == figures_of(flat).regret == 0
    assert figures_of(flat).mean_quality is None


def test_nobody_runs_anything_on_trial_when_a_worker_comes_back_after_two_leases():
    away = simulation(dataclasses.replace(CALM, away_at_h=0.02, away_s=60.0))
    away.run(0.02 + 65 / 3600)
    assert away.stranded == 0
    short = simulation(dataclasses.replace(CALM, away_at_h=0.02, away_s=5.0), explore={"share": 1.0})
    short.run(0.02 + 10 / 3600)
    assert short.stranded > 0, "their leases hold"


def test_contexts_are_tuned_apart():
    features = [{"name": "region", "values": ["eu", "us"]}, {"name": "load", "bins": [10, 100]}]
    apart = simulation(dataclasses.replace(CALM, instances=12), context={"features": features})
    apart.run(0.05)
    figures = figures_of(apart)
    assert len(figures.incumbents) == len({one.scope for one in apart.fleet.instances}) > 2
    assert figures.dispositions["contexts"].keys() == {"applied"}
    assert figures.rounds["measured"] > 10


def test_figures_are_told_to_people():
    figures = Figures(
        hours=1, instances=5, mean_quality=None, incumbent_quality=0.25, regret=0.1, incumbent_regret=0.05,
        bad_share=0.0123, asked=7, promotions=1, withdrawn=2, false_alarms=1, bad_arms=3, exposure_s=15.0,
        exposure_p90_s=30.0, rounds={"measured": 9}, sent={}, missing=4, dispositions={"metrics": {"applied": 8}},
        waiting=0, incumbents={},
    )  # fmt: skip
    said = dict(lines_of(figures, 10.0))
    assert said["quality, 0 best, 1 median"] == "—; of the incumbent 0.250"
    assert said["worse than declared by 10%"] == "1.230% of instance-time"
    assert said["… first report to last instance"] == "1.5 intervals (15.0 s), 90 % within 3.0"
    assert said["metric events"] == "8 applied; 4 never came"
    assert Simulated.model_fields.keys() == {*Figures.model_fields, "ended"}
    assert as_sent(summary_of(np.array([0.0])))["count"] == 1
