"""An application and a monitor in the ready-made loop; the extension guide's own run in it as printed, over Kafka."""

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from kafkas import unique_prefix, wait_for
from narrowing import number
from oppertune.core.errors import InvalidArgument
from oppertune.core.values import Categorical, Integer, Real
from oppertune.schemas import Command, RoundRecord
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker
from oppertune.streams.client import OfflineClient, TunerClient, TuningLoop
from oppertune.streams.operate.steering.send import send

SNIPPETS = Path(__file__).parents[1] / "data" / "snippets"  # as text: a formatter would change them
POOL = {"pool": 10}


class App:
    def __init__(self, fails: tuple[int, ...] = ()) -> None:
        self.set: list[dict[str, Any]] = []
        self.runs, self.fails = 0, fails

    def set_parameters(self, parameters):
        self.set.append(parameters)

    def run(self):
        self.runs += 1
        if self.runs in self.fails:
            raise OSError("disk full")


class Monitor:
    def __init__(self, metrics=None) -> None:
        self.metrics, self.running, self.measured = metrics, False, 0

    def start(self):
        assert not self.running
        self.running = True

    def stop(self):
        assert self.running
        self.running, self.measured = False, self.measured + 1
        return self.metrics


def test_parameters_are_set_when_they_changed_and_each_run_is_measured():
    app, monitor, client = App(), Monitor(SimpleNamespace(rows=5)), OfflineClient("db", POOL)
    loop = TuningLoop(client, app, monitor, lambda metrics: metrics.rows / 10)
    assert loop.run(3).count == 3
    client.set(pool=20)
    done = loop.run(2)
    assert app.set == [{"pool": 10}, {"pool": 20}]
    assert (app.runs, monitor.measured) == (5, 5)
    assert client.recorded == {"reward": [0.5] * 5, "rows": [5.0] * 5}
    assert (done.count, done.failed, done.reward, done.values) == (2, 0, 0.5, {"pool": 20})
    assert not client.started  # the loop had started it


@dataclass
class Fields:
    latency: float
    name: str = "x"
    ok: bool = True
    _private: int = 1


class Row(NamedTuple):
    latency: float
    name: str


@pytest.mark.parametrize(
    "metrics",
    [{"latency": 2.0, "name": "x", 3: 4}, Fields(2.0), Row(2.0, "x"), {"latency": np.float32(2.0), "all": np.ones(1)},
     SimpleNamespace(latency=2, name="x", reward=9, _private=1)],
    ids=["mapping", "dataclass", "tuple", "numpy", "object"],
)  # fmt: skip
def test_the_numbers_of_whatever_a_monitor_returns_are_recorded(metrics):
    client = OfflineClient("db", POOL)
    TuningLoop(client, App(), Monitor(metrics), lambda _: 1.0).run(1)
    assert client.recorded == {"reward": [1.0], "latency": [2.0]}


def test_a_run_that_raises_ends_the_loop_or_counts_as_told():
    client, monitor = OfflineClient("db", POOL), Monitor({})
    with pytest.raises(OSError, match="disk full"):
        TuningLoop(client, App(fails=(2,)), monitor, lambda _: 1.0).run(3)
    assert client.recorded == {"reward": [1.0]}
    assert not monitor.running
    client = OfflineClient("db", POOL)
    done = TuningLoop(client, App(fails=(2,)), monitor, lambda _: 1.0, failure_reward=-1.0).run(3)
    assert (done.count, done.failed) == (3, 1)
    assert client.recorded == {"reward": [1.0, -1.0, 1.0]}


def test_of_a_failed_run_nothing_else_is_recorded_and_a_broken_monitor_does_not_matter():
    class Broken(Monitor):
        def stop(self):
            super().stop()
            if self.measured == 2:
                raise ConnectionError("the database is gone")
            return {"latency": 0.1}

    client, monitor = OfflineClient("db", POOL), Broken()
    done = TuningLoop(client, App(fails=(1, 2)), monitor, lambda _: 1.0, failure_reward=0).run(3)
    assert client.recorded == {"reward": [0.0, 0.0, 1.0], "latency": [0.1]}
    assert (done.failed, monitor.measured) == (2, 3)


def test_parameters_that_cannot_be_set_are_a_failed_run_and_set_again():
    class Picky(App):
        def set_parameters(self, parameters):
            super().set_parameters(parameters)
            if len(self.set) == 1:
                raise ValueError("no such pool")

    client, app = OfflineClient("db", POOL), Picky()
    done = TuningLoop(client, app, Monitor(), lambda _: 1.0, failure_reward=-1.0).run(3)
    assert (client.recorded, done.failed) == ({"reward": [-1.0, 1.0, 1.0]}, 1)
    assert (len(app.set), app.runs) == (2, 2)
    with pytest.raises(ValueError, match="no such pool"):
        TuningLoop(client, Picky(), Monitor(), lambda _: 1.0).run(1)


def test_a_run_that_is_interrupted_leaves_no_monitor_running_and_no_client_open(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    client, app, monitor = OfflineClient("db", POOL), App(), Monitor()
    monkeypatch.setattr(app, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        TuningLoop(client, app, monitor, lambda _: 1.0, failure_reward=0.0).run()
    assert (monitor.running, client.started, client.recorded) == (False, False, {})


def test_a_reward_that_is_no_number_is_a_failure_and_never_recorded():
    client, nan = OfflineClient("db", POOL), float("nan")
    with pytest.raises(InvalidArgument, match="gave nan"):
        TuningLoop(client, App(), Monitor({"latency": 1.0}), lambda _: nan).run(1)
    assert client.recorded == {}
    assert TuningLoop(client, App(), Monitor({"latency": 1.0}), lambda _: nan, failure_reward=-2.0).run(1).failed == 1
    assert client.recorded == {"reward": [-2.0]}
    with pytest.raises(InvalidArgument, match="failure_reward"):
        TuningLoop(client, App(), Monitor(), lambda _: 1.0, failure_reward=nan)


def test_what_waits_for_a_restart_is_taken_between_runs_by_an_application_that_can():
    class Waiting(OfflineClient):
        awaiting_restart: tuple[str, ...] = ("pool",)

        def accept_restart(self, timeout_s=1.0):
            self.awaiting_restart = ()
            self.set(pool=42)

    for can, pool in ((False, 10), (True, 42)):
        app = App()
        TuningLoop(Waiting("db", POOL), app, Monitor(), lambda _: 1.0, can_restart=can).run(2)
        assert app.set == [{"pool": pool}]


def test_runs_keep_their_distance_and_nothing_waits_after_the_last():
    began = time.monotonic()
    TuningLoop(OfflineClient("db", POOL), App(), Monitor(), lambda _: 1.0, every_s=0.2).run(3)
    assert time.monotonic() - began >= 0.4
    began = time.monotonic()
    TuningLoop(OfflineClient("db", POOL), App(), Monitor(), lambda _: 1.0, every_s=30).run(1)
    assert time.monotonic() - began < 15


def test_a_loop_ends_when_told_or_when_the_target_is_achieved(monkeypatch):
    stop, app, client = threading.Event(), App(), OfflineClient("db", POOL)
    monkeypatch.setattr(app, "run", stop.set)
    assert TuningLoop(client, app, Monitor(), lambda _: 1.0).run(stop=stop).count == 1
    client.tuner_status = "achieved"
    assert TuningLoop(client, App(), Monitor(), lambda _: 1.0).run(until_achieved=True).count == 0


def test_a_run_is_credited_to_what_it_began_under(monkeypatch):
    client = OfflineClient("db", POOL)
    seen: list[Any] = []

    def change_midway():
        seen.append(client.snapshot())
        client.set(pool=client["pool"] + 1)

    app = App()
    monkeypatch.setattr(app, "run", change_midway)
    monkeypatch.setattr(client, "put", lambda request, metric, value: seen.append(request))
    TuningLoop(client, app, Monitor(), lambda _: 1.0).run(1)
    assert seen[1] is seen[0].active_request


# -- the technical summary's extension guide


@pytest.fixture
def guide() -> dict[str, Any]:
    """What its blocks define, run as printed; annotations are not evaluated, for one names a class defined below it."""
    names: dict[str, Any] = {"Mapping": Mapping, "Any": Any}
    names |= {"Integer": Integer, "Real": Real, "Categorical": Categorical, "AutoScopeFeature": SimpleNamespace}
    for block in ("custom-application", "reward-function", "parameter-definition", "context-features"):
        source = "from __future__ import annotations\n" + (SNIPPETS / f"{block}.txt").read_text()
        exec(compile(source, block, "exec"), names)  # noqa: S102 - the guide under test
    return names


@pytest.fixture
def fleet(tmp_path) -> Any:
    """The embedded broker with a real worker process."""
    with EmbeddedBroker(prefix=unique_prefix()) as broker, (tmp_path / "log").open("wb") as log:
        where = ["--bootstrap", broker.bootstrap, "--prefix", broker.settings.prefix, "--embedded"]
        worker = subprocess.Popen([sys.executable, "-m", "oppertune.streams.worker", *where], stderr=log)
        try:
            yield broker.settings
        finally:
            worker.kill()
            worker.wait(10)


def _measured_rounds(settings: BrokerSettings) -> list[RoundRecord]:
    """Rounds as they are closed, until three were measured; what came too late for one is in the topic, too."""
    consumer = Consumer(settings.consumer())
    consumer.assign([TopicPartition(settings.topic("rounds"), p, OFFSET_BEGINNING) for p in range(4)])
    found: list[RoundRecord] = []

    def three_are_measured() -> bool:
        closed = [RoundRecord.from_bytes(message.value() or b"") for message in consumer.consume(100, 0.2)]
        found.extend(record for record in closed if record.outcome == "measured")
        return len(found) >= 3

    try:
        wait_for(three_are_measured, "three measured rounds", 30)
    finally:
        consumer.close()
    return found


def test_the_guides_application_monitor_and_reward_function_are_tuned_by_a_worker(guide, fleet, tmp_path):
    guides_application: Any = guide["YourApplication"]
    guides_monitor: Any = guide["YourMetricsMonitor"]

    class Application(guides_application):  # type: ignore[misc]  # a class that the snippet made
        def set_parameters(self, parameters):
            super().set_parameters(parameters)
            self.parameters = parameters

        def run(self):
            assert super().run() is None  # the guide's blank

    class MetricsMonitor(guides_monitor):  # type: ignore[misc]  # a class that the snippet made
        def stop(self):
            assert super().stop() is None  # the guide's blank
            return guide["YourMetrics"](throughput=10.0 * app.parameters["connection_pool_size"], latency=2.0,
                                        error_rate=0.1)  # fmt: skip

    spec = {
        "name": "database",
        "parameters": [p.to_dict() for p in guide["parameters"]],
        "context": {"features": [{"name": f.name, "values": list(f.values)} for f in guide["features"]]},
        "measurement": {"min_samples": 1, "interval_s": 0.1},
        "heartbeat_s": 1,
    }
    apply = Command(v=1, id="1", kind="apply", tuner="database", author="test", spec=spec)
    assert send(fleet, apply, timeout_s=25) is not None
    app = Application()
    here = {"workload_type": "oltp", "time_of_day": "morning", "user_load": "light"}
    client = TunerClient(
        "database", guide["parameters"], settings=fleet, context=here, state_dir=tmp_path, auto_activate=False
    )
    stop = threading.Event()
    loop = TuningLoop(client, app, MetricsMonitor(), guide["calculate_reward"], every_s=0.02)
    with client:
        running = threading.Thread(target=loop.run, kwargs={"stop": stop})
        running.start()
        try:
            rounds = _measured_rounds(fleet)
        finally:
            stop.set()
            running.join(10)
    for closed in rounds:
        assert closed.context == here
        assert closed.values is not None
        metrics = guide["YourMetrics"](10.0 * number(closed.values["connection_pool_size"]), 2.0, 0.1)
        assert closed.reward == pytest.approx(guide["calculate_reward"](metrics))
        assert closed.told == closed.reward
        assert closed.metrics["latency"].mean == pytest.approx(2.0)
    assert len({tuple((closed.values or {}).items()) for closed in rounds}) > 1
