"""What the examples show works: specs are valid, apps are tuned, functions are found, results are what they claim."""

import importlib.util
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

from examples.conftest import EXAMPLES, stopped
from kafkas import ROOT, wait_for
from oppertune.core.summary import Summary
from oppertune.schemas.records import RoundRecord
from oppertune.streams.broker import partition_count
from oppertune.streams.client import OfflineClient, TunerClient
from oppertune.streams.operate.specs.file import read_spec

FILES = {
    p.relative_to(EXAMPLES).as_posix() for p in EXAMPLES.rglob("*") if p.is_file() and "__pycache__" not in p.parts
}
SPECS = sorted(name for name in FILES if name.endswith(".yaml"))
READMES = sorted(name for name in FILES if name.endswith(".md"))
RESULTS = sorted(name for name in FILES if name.endswith(("result.json", "result-kafka.json")))
APPS = {
    "own_app/shipper.py": "own_app/shipper.yaml",
    "http_service/service.py": "http_service/spec.yaml",
    "web_service/reports.py": "web_service/spec.yaml",
}
TRIED = {
    "own_app/shipper.py": "test_the_own_app_is_tuned",
    "own_app/compare.py": "test_the_comparison_tells_better_from_worse",
    "http_service/service.py": "test_the_http_service_is_tuned",
    "http_service/load.py": "test_the_http_service_is_tuned",
    "http_service/web.py": "test_the_http_service_is_tuned",
    "http_service/store.py": "test_the_pool_is_resized_while_it_is_used",
    "http_service/compare.py": "test_two_configurations_of_the_service_are_compared",
    "web_service/reports.py": "test_the_reports_are_compressed_as_the_configuration_says",
    "web_service/service.py": "test_the_web_service_is_tuned_in_each_server_without_a_ghost",
    "web_service/wsgi.py": "test_the_web_service_is_tuned_in_each_server_without_a_ghost",
    "web_service/aio.py": "test_the_web_service_is_tuned_in_each_server_without_a_ghost",
    "web_service/load.py": "test_the_web_service_is_tuned_in_each_server_without_a_ghost",
    "rewards/shop_rewards.py": "test_the_reward_function_is_found_by_its_entry_point",
    "rewards/pyproject.toml": "test_the_reward_function_is_found_by_its_entry_point",
}


def test_no_example_is_without_a_test():
    shown = {f"{name.rpartition('/')[0]}/{picture}" for name in READMES for picture in pictures(name)}
    assert {name for name in FILES if name not in {*SPECS, *READMES, *RESULTS, *TRIED, *shown}} == set()
    assert set(TRIED.values()) <= globals().keys()


def pictures(readme: str) -> list[str]:
    return re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", (EXAMPLES / readme).read_text())


def load(name: str, monkeypatch):
    """An example's module, not run."""
    path = EXAMPLES / name
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


# -- specs


@pytest.mark.parametrize("name", SPECS)
def test_each_spec_is_valid_and_says_what_it_is_for(name):
    read_spec(EXAMPLES / name)
    first = (EXAMPLES / name).read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 40


def test_the_specs_show_every_way_to_a_reward_and_both_ways_to_learn():
    specs = [read_spec(EXAMPLES / name)[0] for name in SPECS]
    objectives = [spec.objective for spec in specs]
    terms = [term for objective in objectives for term in objective.terms or ()]
    assert {"p95", "max", "rate", "mean"} <= {term.aggregate for term in terms}
    assert {term.weight for term in terms} > {1}
    assert any(objective.function for objective in objectives)
    assert any(objective.measured for objective in objectives)
    assert {spec.context.learner for spec in specs if spec.context.features} == {"auto", "shared", "per_context"}
    assert any(spec.target for spec in specs)


@pytest.mark.parametrize(("app", "spec"), APPS.items())
def test_an_app_and_its_spec_declare_the_same(app, spec, monkeypatch):
    declared = [p.to_dict() for p in load(app, monkeypatch).PARAMETERS]
    assert declared == [p.to_dict() for p in read_spec(EXAMPLES / spec)[0].values()]


# -- what is run


@pytest.fixture
def rounds(fleet):
    """Reads a tuner's closed rounds from their beginning: ``rounds("shipper")`` has those that came so far."""
    consumer = Consumer(fleet.consumer())
    topic = fleet.topic("rounds")
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partition_count(fleet, "rounds"))])
    seen: list[RoundRecord] = []

    def rounds(tuner: str) -> list[RoundRecord]:
        for message in consumer.consume(1000, 0.1):
            if message.error() is None:
                value = message.value()
                assert value is not None
                seen.append(RoundRecord.from_bytes(value))
        return [r for r in seen if r.tuner == tuner and r.outcome == "measured"]

    yield rounds
    consumer.close()


def apply(start, spec: str) -> None:
    command = start("tuner", "apply", spec, "--timeout", "25")
    _, said = command.communicate(timeout=30)
    assert command.returncode == 0, said


def test_the_own_app_is_tuned(start, rounds):
    app = start("own_app/shipper.py")  # before its tuner is there, as may be
    apply(start, str(EXAMPLES / "own_app/shipper.yaml"))
    [first, second, *_] = wait_for(lambda: rounds("shipper")[1:] and rounds("shipper"), "two measured rounds", 25)
    assert first.values != second.values
    assert {"cpu_us_per_event", "bytes_per_event"} == second.metrics.keys()
    assert stopped(app) == 0
    assert app.stderr.read() == ""


def test_the_comparison_tells_better_from_worse(monkeypatch):
    compare = load("own_app/compare.py", monkeypatch).compare
    result = compare({"codec": "zlib", "level": 5, "events": 400, "layout": "columns"}, repetitions=1, events=400)
    assert result["tuned"]["bytes_per_event"] < 0.8 * result["default"]["bytes_per_event"]
    assert result["default"]["values"] == {"codec": "zlib", "level": 6, "events": 50, "layout": "rows"}


def fetch(url: str, data: bytes | None = None) -> Any:
    with urllib.request.urlopen(url, data, timeout=10) as response:  # noqa: S310 - the service of the test
        return json.load(response)


def test_the_http_service_is_tuned(start, rounds):
    apply(start, str(EXAMPLES / "http_service/spec.yaml"))
    service = start("http_service/service.py", SERVICE_PORT="0")
    url = service.stdout.readline().strip()
    customers = start(
        "http_service/load.py", "--targets", url.removeprefix("http://"), "--rate", "120", LOAD_MIX="read-heavy"
    )
    measured = wait_for(lambda: rounds("http-service"), "a measured round", 25)[0]
    assert measured.context == {"traffic": "read-heavy"}
    assert {"latency_ms", "error", "behind", "memory_mb", "hit"} == measured.metrics.keys()
    assert fetch(f"{url}/search/bar")[0][2] > 0
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"{url}/prices/all", b"")

    def writes_rule() -> bool:
        fetch(f"{url}/prices/7", b"")
        traffic: str = fetch(f"{url}/status")["traffic"]
        return traffic == "write-heavy"

    assert stopped(customers) == 0
    seen = json.loads(customers.stdout.read())[url.removeprefix("http://")]
    assert seen["requests"] >= measured.metrics["latency_ms"].count
    assert seen["errors"] == 0
    wait_for(writes_rule, "the service to notice its traffic")
    assert stopped(service) == 0
    assert (service.stderr.read(), customers.stderr.read()) == ("", "")


def test_the_pool_is_resized_while_it_is_used(monkeypatch, tmp_path):
    store = load("http_service/store.py", monkeypatch)
    pool = store.Pool(tmp_path / "shop.db", 3)
    with ExitStack() as borrowed:
        used = [borrowed.enter_context(pool.connection(1)) for _ in range(3)]
        pool.resize(1)
        assert pool.open == 3
        assert [connection.execute("SELECT 1").fetchone() for connection in used] == [(1,)] * 3
        with pytest.raises(store.BusyError), pool.connection(0.01):
            pass
    assert pool.open == 1
    with pool.connection(1) as only, pytest.raises(store.BusyError), pool.connection(0.01):
        pass
    pool.resize(2)
    with pool.connection(0) as again, pool.connection(0):
        assert again is only
        assert pool.open == 2
    pool.resize(1)
    assert pool.open == 1


def test_a_waiting_request_gets_the_connection_that_a_larger_pool_has(monkeypatch, tmp_path):
    store = load("http_service/store.py", monkeypatch)
    pool = store.Pool(tmp_path / "shop.db", 1)
    served = threading.Event()

    def request() -> None:
        with pool.connection(20):
            served.set()

    waiting = threading.Thread(target=request)
    with pool.connection(0):
        waiting.start()
        assert not served.wait(0.05)
        pool.resize(2)
        assert served.wait(10)
    waiting.join(10)


def test_a_connection_that_cannot_be_made_takes_no_place_in_the_pool(monkeypatch, tmp_path):
    store = load("http_service/store.py", monkeypatch)
    pool = store.Pool(tmp_path / "missing" / "shop.db", 1)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError), pool.connection(0):
            pass
    assert pool.open == 0


def test_a_new_configuration_resizes_what_the_service_stands_on(monkeypatch, tmp_path):
    service = load("http_service/service.py", monkeypatch)
    tuned = OfflineClient("http-service", service.PARAMETERS)
    shop = service.Shop(tmp_path / "shop.db", tuned)
    words = ["baro", "beni", "bilu"]
    for word in words:
        assert shop.handle(write=False, key=word)[0] == 200
    three = shop.cache.bytes
    tuned.set(cache_entries=1, pool_size=1, ttl_s=10.0)
    assert 0 < shop.cache.bytes < three
    assert shop.handle(write=True, key="3")[0] == 200
    assert shop.handle(write=False, key=words[-1])[0] == 200
    assert tuned.recorded["hit"] == [0, 0, 0, 1]
    assert tuned.recorded["behind"] == [0, 0, 0, 1]  # the price that was changed since
    tuned.set(timeout_ms=20)
    with shop.pool.connection(0):
        assert shop.handle(write=True, key="3")[0] == 503
    assert tuned.recorded["error"] == [0, 0, 0, 0, 0, 1]
    assert set(tuned.recorded) == {"latency_ms", "memory_mb", "error", "hit", "behind"}


def test_a_failed_change_leaves_no_transaction_in_the_pool(monkeypatch, tmp_path):
    store = load("http_service/store.py", monkeypatch)
    pool = store.Pool(tmp_path / "shop.db", 1)
    with suppress(sqlite3.OperationalError), pool.connection(0) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE nothing SET cents = 1")
    with pool.connection(0) as connection:
        assert not connection.in_transaction


def test_the_cache_forgets_by_age_and_by_either_rule(monkeypatch):
    cache = load("http_service/store.py", monkeypatch).Cache(2)

    def put(*keys: str) -> None:
        for key in keys:
            cache.put(key, b"xx", 7)

    def has(key: str, *, lru: bool = False, ttl_s: float = 60.0) -> bool:
        found: object = cache.get(key, ttl_s=ttl_s, lru=lru)
        return found == (b"xx", 7)

    put("a", "b")
    assert has("a")
    put("c")
    assert [has(key) for key in "abc"] == [False, True, True]
    assert has("b", lru=True)
    put("d")
    assert [has(key) for key in "bcd"] == [True, False, True]
    assert not has("b", ttl_s=-1)
    cache.resize(1)
    assert cache.bytes == 2
    cache.resize(0)
    assert cache.bytes == 0


def test_two_configurations_of_the_service_are_compared(tmp_path):
    tuned = {"read-heavy": {"pool_size": 2, "cache_entries": 300, "ttl_s": 5.0, "eviction": "lru"}}
    scopes = [{"context": {"traffic": t}, "incumbent": {"values": values}} for t, values in tuned.items()]
    command = [
        sys.executable,
        str(EXAMPLES / "http_service/compare.py"),
        "--seconds",
        "1",
        "--warmup",
        "0.5",
        "--repetitions",
        "1",
    ]
    done = subprocess.run(
        command, input=json.dumps({"scopes": scopes}), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    [(traffic, sides)] = json.loads(done.stdout)["contexts"].items()
    assert traffic == "read-heavy"
    assert sides["default"]["values"]["pool_size"] == 10
    assert sides["tuned"]["values"]["pool_size"] == 2
    assert all(side["requests"] > 10 for side in sides.values())


def test_the_reports_are_compressed_as_the_configuration_says(monkeypatch):
    module = load("web_service/reports.py", monkeypatch)
    with OfflineClient("reports", module.PARAMETERS) as tuned:
        reports = module.Reports(tuned)
        small = reports.answer(7)
        tuned.set(level=1, kept=10)
        large = reports.answer(7)
        assert len(small) < len(large)
        assert json.loads(zlib.decompress(small)) == json.loads(zlib.decompress(large))
        assert reports.answer(7) is large
        assert tuned.recorded["kept_kib"] == pytest.approx([0, len(large) / 1024, len(large) / 1024])
        for number in range(20):
            reports.answer(number)
        assert tuned.recorded["kept_kib"][-1] < 12 * len(large) / 1024
        assert len(tuned.recorded["waits_ms"]) == 23


GUNICORN = ("gunicorn", "--bind", "127.0.0.1:PORT")
SERVERS = {
    "fastapi": (
        2,
        (*GUNICORN, "--preload", "--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker", "service:app"),
    ),
    "gevent": (1, (*GUNICORN, "--worker-class", "gevent", "wsgi:app")),
    "asyncio": (1, ("aio", "PORT")),
}
"""As in docs/tutorial.md: how many instances there are, and the command."""


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("server", SERVERS)
def test_the_web_service_is_tuned_in_each_server_without_a_ghost(start, rounds, server, tmp_path):
    many, (module, *arguments) = SERVERS[server]
    spec = yaml.safe_load((EXAMPLES / "web_service/spec.yaml").read_text()) | {"name": "reports"}
    spec["measurement"] |= {"interval_s": 0.5, "min_samples": 20}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    apply(start, str(tmp_path / "spec.yaml"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = len(rounds("reports"))
    service = start("-m", module, *(word.replace("PORT", str(port)) for word in arguments), folder="web_service")
    customers = start("web_service/load.py", f"http://127.0.0.1:{port}", "120")
    wait_for(lambda: len(rounds("reports")) > before + 3, "measured rounds", 90)
    assert {"waits_ms", "kept_kib"} == rounds("reports")[-1].metrics.keys()

    def shown() -> Any:
        [scope] = json.loads(start("tuner", "show", "reports", "--json").communicate(timeout=30)[0])["scopes"]
        return scope

    def here() -> int:
        return sum(one["present"] for one in shown()["instances"])

    assert here() == many, shown()["instances"]
    assert "failed" not in shown()["outcomes"]
    assert stopped(service) == 0, service.stderr.read()
    wait_for(lambda: here() == 0, "the goodbyes", 30)
    assert stopped(customers) == -signal.SIGTERM
    start("tuner", "delete", "reports", "--yes").communicate(timeout=30)


def test_the_reward_function_is_found_by_its_entry_point(start, fleet, rounds, tmp_path):
    spec = yaml.safe_load((EXAMPLES / "rewards/spec.yaml").read_text())
    spec["measurement"] = {"interval_s": 0.1, "min_samples": 2, "min_duration_s": 0}
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec))
    apply(start, str(file))
    parameters = read_spec(file)[0].values()
    with TunerClient("checkout-cost", parameters, settings=fleet, state_dir=tmp_path) as tuned:

        def measured() -> list[RoundRecord]:
            tuned.record("latency_ms", 100)
            tuned.record("eur_per_hour", 4)
            closed: list[RoundRecord] = rounds("checkout-cost")
            return closed

        reward = wait_for(measured, "a measured round", 25)[0].reward
    assert reward == pytest.approx((3 - 0.4) / 3)  # -0.4 on a range from -3 to 0


def test_the_reward_function_prefers_any_cost_to_a_broken_limit(monkeypatch):
    function = load("rewards/shop_rewards.py", monkeypatch).cheap_within_limit

    def reward(latency_ms: float, eur: float) -> float:
        metrics = {"latency_ms": Summary(), "eur_per_hour": Summary()}
        metrics["latency_ms"].add(latency_ms)
        metrics["eur_per_hour"].add(eur)
        value: float = function(metrics)
        return value

    assert reward(100, 2) == reward(199, 2) == -0.2
    assert reward(100, 50) == -1 > reward(210, 1) > reward(400, 1)
    assert str(function({"latency_ms": Summary()})) == "nan"


# -- what is claimed


@pytest.mark.parametrize("name", RESULTS)
def test_each_result_is_of_its_spec_and_better_than_the_defaults(name):
    folder = (EXAMPLES / name).parent
    [spec] = [read_spec(path)[0] for path in folder.glob("*.yaml")]
    result = json.loads((EXAMPLES / name).read_text())
    assert time.strptime(result["date"], "%Y-%m-%d")
    assert "cores" in result["machine"]
    for sides in result.get("contexts", {"": result}).values():
        assert sides["default"]["values"] == spec.declared()
        assert all(p.contains(sides["tuned"]["values"][p.name]) for p in spec.values())
        better = [
            key for key, value in sides["tuned"].items() if isinstance(value, float) and value < sides["default"][key]
        ]
        assert better


@pytest.mark.parametrize("name", READMES)
def test_each_option_shown_is_one_of_its_script(name):
    """Beside what tests/repository holds for every document."""
    for script, options in re.findall(r"python (examples/\S+\.py)([^|>#\n]*)", (EXAMPLES / name).read_text()):
        for option in re.findall(r"--([a-z-]+)", options):
            assert re.search(rf'"(--)?{option}"', (ROOT / script).read_text()), f"{script} --{option}"
