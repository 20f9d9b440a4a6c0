"""A service without a line of ours takes part, from its first sign of life to the configuration learned from it."""

import ast
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from kafkas import unique_prefix, value_of, wait_for
from oppertune.core.assignment import position
from oppertune.core.types import generate_context_id
from oppertune.schemas import RoundRecord, TunerSpec, reduce_context
from oppertune.schemas.base import Scalar
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker
from repository.test_docs_wire import SHOWN, rows
from wire.participant import Participant, apply
from worker.processes import Worker

SPEC = {
    "name": "checkout",
    "parameters": [{"name": "pool_size", "type": "integer", "val": 10, "min": 1, "max": 100}],
    "algorithm": {"name": "bluefin", "args": {"random_seed": 3}},
    "objective": {"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "scale": 100}]},
    "measurement": {"interval_s": 0.2, "min_samples": 20},
    "heartbeat_s": 10,
}
FEATURES = [{"name": "load", "bins": [100, 1000]}, {"name": "region", "values": ["eu", "us"]}]
CONTEXT: dict[str, Scalar] = {"load": 250.5, "region": "eu", "host": "no feature"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[BrokerSettings]:
    """An embedded broker with a real worker process."""
    with EmbeddedBroker(prefix=unique_prefix()) as embedded:
        worker = Worker(tmp_path_factory.mktemp("worker"), "worker", embedded.settings)
        try:
            worker.start().wait_ready(within_s=25)
            yield embedded.settings
        finally:
            worker.end()


def test_it_imports_nothing_of_ours():
    tree = ast.parse(Path(__file__).with_name("participant.py").read_text())
    names = [node.module if isinstance(node, ast.ImportFrom) else alias.name
             for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
             for alias in node.names]  # fmt: skip
    assert set(names) == {"confluent_kafka", "hashlib", "json", "time", "uuid"}


@pytest.mark.parametrize("features", [[], FEATURES], ids=["no-context", "context"])
def test_it_goes_from_start_to_a_configuration_that_was_learned_from_it(broker, features):
    name = f"checkout-{len(features)}"
    apply(broker.bootstrap, broker.prefix, SPEC | {"name": name, "context": {"features": features}})
    service = Participant(broker.bootstrap, broker.prefix, name, "checkout-1", {"pool_size": 10}, CONTEXT)
    assert service.values() == {"pool_size": 10}
    played: dict[int, dict[str, int]] = {}

    def second_round() -> bool:
        service.follow()
        if service.running is None:
            service.here()  # there is no order between topics: the first may have come before the spec
            return False
        played[service.running["round"]] = service.values()
        service.measured(0.2, latency_ms=[20.0 + n for n in range(10)])
        return bool(service.running["round"] >= 2)

    wait_for(second_round, "the second round", 25)
    assert all(1 <= values["pool_size"] <= 100 for values in played.values())
    assert played[1] != played[2], "the next configuration tries something else"
    first = next(r for r in _rounds(broker, name) if r.round == 1 and r.outcome == "measured")
    assert first.values == played[1]
    assert first.instances == 1
    assert first.reward == pytest.approx(-0.29, abs=0.01)  # p95 of 20 to 29 ms, at a scale of 100
    service.leave()
    wait_for(lambda: [service.follow(), service.running is None][1], "the incumbent alone, as nobody is left", 25)
    assert service.values() == {"pool_size": 10}


def test_it_names_its_scope_and_its_place_as_we_do(embedded):
    features = TunerSpec.model_validate(SPEC | {"context": {"features": FEATURES}}).context.features
    service = Participant(embedded.bootstrap, embedded.prefix, "checkout", "checkout-1", {}, CONTEXT)
    reduced = service.reduced([f.model_dump() for f in features])
    context = reduce_context(features, CONTEXT)
    assert reduced == context.data
    arms = [
        {"arm": "a", "share": 0.5, "request_id": "1", "kind": "explore"},
        {"arm": "b", "share": 0.5, "request_id": "2", "kind": "explore"},
    ]
    record = {"features": [f.model_dump() for f in features], "salt": "7", "lease_s": 1e9, "arms": arms, "scope": "x"}
    record["status"] = "tuning"
    service.records = {"checkout": (record, 0), f"checkout/{generate_context_id(context.data)}": (record, 1e9)}
    for n in range(20):
        service.instance = f"checkout-{n}"
        assert service.arm()["arm"] == ("a" if position("7", service.instance) < 0.5 else "b")
    service.records["checkout"] = (record | {"incumbent": {"values": {"pool_size": 3}}}, 0)
    service.context = CONTEXT | {"region": "us"}  # of which there is no record yet
    assert service.arm() is None
    assert service.values() == {"pool_size": 3}


def test_an_arm_is_left_when_its_lease_is_over(embedded):
    service = Participant(embedded.bootstrap, embedded.prefix, "checkout", "checkout-1", {"pool_size": 10})
    arm = {"arm": "a", "share": 1.0, "request_id": "1", "values": {"pool_size": 99}, "hash": "9", "kind": "explore"}
    record = {"features": [], "salt": "7", "lease_s": 30, "arms": [arm], "scope": "", "status": "tuning"}
    record["incumbent"] = {"values": {"pool_size": 12}}
    service.records = {"checkout": (json.loads(json.dumps(record)), 0)}
    service.follow(0)
    assert service.values() == {"pool_size": 12}


def test_a_word_that_it_does_not_know_leaves_it_the_incumbent_and_moves_no_other_unit(embedded):
    service = Participant(embedded.bootstrap, embedded.prefix, "checkout", "checkout-1", {"pool_size": 10})
    arms = [
        {"arm": kind, "share": 0.5, "request_id": kind, "values": {"pool_size": n}, "hash": kind, "kind": kind}
        for n, kind in enumerate(["shadow", "explore"])
    ]
    record = {"features": [], "salt": "7", "lease_s": 30, "arms": arms, "scope": "", "status": "tuning"}
    record["incumbent"] = {"values": {"pool_size": 12}}
    for status in ("tuning", "canary"):
        service.records = {"checkout": (record | {"status": status}, time.time())}
        for n in range(20):
            service.instance = f"checkout-{n}"
            service.follow(0)
            explores = status == "tuning" and position("7", service.instance) >= 0.5
            assert service.values() == {"pool_size": 1 if explores else 12}


def test_it_runs_what_the_page_says_of_several_arms_pinned_units_and_a_withdrawn_arm(embedded):
    record = SHOWN["config-record: several arms"]
    service = Participant(embedded.bootstrap, embedded.prefix, "checkout", "checkout-1", {"pool_size": 10})
    service.records = {"checkout": (record | {"features": []}, time.monotonic() + 1e9)}
    for unit, _, _, runs in rows("unit | position | arm | runs"):
        service.instance = unit
        service.follow(0)
        if runs == "the incumbent, unmeasured":
            assert (service.values(), service.running) == (record["incumbent"]["values"], None)
        else:
            assert service.values() == json.loads(runs)
            assert service.running is not None


def test_the_same_values_under_another_request_count_on(embedded):
    service = Participant(embedded.bootstrap, embedded.prefix, "checkout", "checkout-1", {"pool_size": 10})

    def since(round_: int, pool_size: int) -> float:
        arm = {"arm": "a", "share": 1.0, "request_id": f"{round_}", "kind": "baseline", "hash": f"of {pool_size}"}
        record = {"features": [], "salt": "7", "arms": [arm | {"values": {"pool_size": pool_size}}], "scope": ""}
        service.records = {"checkout": (record | {"status": "tuning"}, time.monotonic() + 1e9)}
        service.follow(0)
        assert service.arm()["request_id"] == f"{round_}"
        return float(service.since)

    first = since(1, 10)
    assert since(2, 10) == first
    assert since(3, 20) > first


def _rounds(broker: BrokerSettings, tuner: str) -> list[RoundRecord]:
    consumer = Consumer(broker.consumer())
    place = TopicPartition(broker.topic("rounds"), partition_of(tuner, 4), OFFSET_BEGINNING)
    end = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.assign([place])
    found: list[RoundRecord] = []
    seen = [-1]

    def read() -> bool:
        for message in consumer.consume(100, 0.1):
            seen.append(message.offset() or 0)
            found.append(RoundRecord.from_bytes(value_of(message)))
        return seen[-1] >= end - 2  # its last record is followed by the transaction's marker

    wait_for(read, "the rounds", 15)
    consumer.close()
    return [r for r in found if r.tuner == tuner]
