"""The command line against the embedded broker and one real worker; each exit code means one thing."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from kafkas import ROOT, free_port, unique_prefix, wait_for
from oppertune.schemas import ConfigRecord
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker, read_table
from oppertune.streams.operate.main import app

PLUGINS = str(ROOT / "tests" / "plugins")
OPPERTUNE = [sys.executable, "-m", "oppertune.streams.operate"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run([*OPPERTUNE, *arguments], capture_output=True, text=True, timeout=50, check=False, env=env)


@pytest.fixture(scope="module")
def served() -> Iterator[BrokerSettings]:
    """An embedded broker with a worker that knows the plugins."""
    with EmbeddedBroker(prefix=unique_prefix()) as broker:
        settings = broker.settings
        worker = subprocess.Popen(
            [*OPPERTUNE, "worker", "--embedded", "-b", settings.bootstrap, "--prefix", settings.prefix],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": PLUGINS},
        )
        assert worker.stderr is not None
        for line in worker.stderr:
            if "ready: partitions" in line:
                break
        yield settings
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0
        worker.stderr.close()


@pytest.fixture
def on(served: BrokerSettings):
    """Runs a command on that broker."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(
            *arguments,
            OPPERTUNE_BOOTSTRAP=served.bootstrap,
            OPPERTUNE_PREFIX=served.prefix,
            OPPERTUNE_EMBEDDED="1",
        )

    return call


def spec_file(folder: Path, name: str, **changes: object) -> str:
    spec = {
        "name": name,
        "parameters": [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}],
        **changes,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(spec))
    return str(path)


def test_apply_list_show_and_delete(on, tmp_path):
    path = spec_file(tmp_path, "basic")
    applied = on("tuner", "apply", path, "--json", "--reason", "a test")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(applied.stdout)["applied"] is True
    assert on("tuner", "apply", path).returncode == 0, "applying it again changes nothing, and is no error"
    assert {t["tuner"] for t in json.loads(on("tuner", "list", "--json").stdout)} >= {"basic"}
    shown = on("tuner", "show", "basic")
    assert all(part in shown.stdout for part in ("parked", "pool=10", "a test", "hybrid_solver"))
    assert json.loads(on("tuner", "show", "basic", "--json").stdout)["status"] == "parked"
    assert on("tuner", "delete", "basic").returncode == 0
    assert on("tuner", "show", "basic").returncode == 8


def test_a_spec_that_does_not_validate_is_told_at_once_with_every_problem(tmp_path):
    path = spec_file(tmp_path, "wrong", colour="red", measurement={"min_samples": 0})
    told = run("tuner", "apply", path, "--dry-run")
    assert told.returncode == 3
    assert "colour" in told.stderr
    assert "min_samples" in told.stderr
    (tmp_path / "broken.yaml").write_text("{")
    assert run("tuner", "apply", str(tmp_path / "broken.yaml"), "--dry-run").returncode == 3
    assert run("tuner", "apply", str(tmp_path / "missing.yaml"), "--dry-run").returncode == 3


def test_arguments_that_the_algorithm_refuses_are_told_at_once(tmp_path):
    told = run(
        "tuner", "apply", spec_file(tmp_path, "eta", algorithm={"name": "bluefin", "args": {"eta": -1}}), "--dry-run"
    )
    assert told.returncode == 3
    assert "eta" in told.stderr
    many = [
        {"name": f"c{i}", "type": "categorical", "val": "0", "categories": [str(k) for k in range(10)]}
        for i in range(4)
    ]
    joint = spec_file(tmp_path, "joint", parameters=many, algorithm={"name": "exponential_weights"})
    told = run("tuner", "apply", joint, "--dry-run")
    assert told.returncode == 3
    assert "exponential_weights_slates" in told.stderr


def test_a_dry_run_needs_no_broker():
    told = run(
        "tuner", "apply", str(ROOT / "examples" / "checkout.yaml"), "--dry-run", OPPERTUNE_BOOTSTRAP="127.0.0.1:1"
    )
    assert told.returncode == 0
    assert "valid" in told.stdout


def test_what_only_the_worker_can_know_is_told_by_the_worker(on, tmp_path):
    told = on("tuner", "apply", spec_file(tmp_path, "unknown", algorithm={"name": "no_such"}))
    assert told.returncode == 6
    assert "no_such" in told.stderr


def test_where_no_worker_answers_it_says_so(embedded, tmp_path):
    where = ("-b", embedded.bootstrap, "--prefix", embedded.prefix, "--embedded")
    told = run("tuner", "apply", spec_file(tmp_path, "alone"), "--timeout", "1", *where)
    assert told.returncode == 5
    assert "oppertune worker" in told.stderr


def test_a_broker_that_is_not_there_is_named_with_what_to_do():
    told = run("tuner", "list", "-b", f"127.0.0.1:{free_port()}")
    assert told.returncode == 4
    assert "--bootstrap" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_learner_that_raises_suspends_its_tuner_and_show_says_so_while_others_go_on(on, served, tmp_path):
    bad, good = _two_names_of_one_partition()
    quick = {"measurement": {"interval_s": 0.1, "min_samples": 1, "min_duration_s": 0}}
    for name, algorithm in ((bad, {"name": "explosive", "args": {"fuse": 2}}), (good, {"name": "bluefin"})):
        applied = on("tuner", "apply", spec_file(tmp_path, name, algorithm=algorithm, **quick))
        assert applied.returncode == 0, applied.stderr
    producer = Producer(served.producer())
    for name in (bad, good):
        here = {"v": 1, "id": "here", "tuner": name, "instance": "a"}
        producer.produce(served.topic("contexts"), orjson.dumps(here), name)
    producer.flush(10)
    for round_ in range(1, 3):
        for name in (bad, good):
            wait_for(
                lambda name=name, round_=round_: _measure(served, producer, name, round_), f"round {round_} of {name}"
            )
    wait_for(lambda: _config(served, bad).status == "suspended", "the suspension")
    shown = on("tuner", "show", bad)
    assert shown.returncode == 0
    assert "suspended: RuntimeError: boom" in shown.stdout
    wait_for(lambda: _measure(served, producer, good, 3), "the other tuner to go on")


def _two_names_of_one_partition() -> tuple[str, str]:
    names = [f"pair-{i}" for i in range(20)]
    partition = partition_of(names[0], 4)
    return names[0], next(n for n in names[1:] if partition_of(n, 4) == partition)


def _config(settings: BrokerSettings, name: str) -> ConfigRecord:
    table = read_table(settings, "configs", [partition_of(name, 4)])
    return ConfigRecord.from_bytes(next(iter(table.values()))[name])


def _measure(settings: BrokerSettings, producer: Producer, name: str, round_: int) -> bool:
    """Measure a round once it is open."""
    arms = _config(settings, name).arms
    if not arms or arms[0].round != round_:
        return False
    event = {
        "v": 1,
        "id": f"m{round_}",
        "tuner": name,
        "instance": "a",
        "round": round_,
        "arm": arms[0].arm,
        "request_id": arms[0].request_id,
        "values_hash": arms[0].hash,
        "interval_s": 0.1,
        "active_for_s": 1,
        "metrics": {"reward": 0.5},
    }
    producer.produce(settings.topic("metrics"), orjson.dumps(event), name)
    return producer.flush(10) == 0


COMMANDS = [
    ["demo"], ["worker"], ["broker"], ["topics", "create"], ["topics", "check"], ["topics", "adopt"],
    ["tuner", "apply"], ["tuner", "delete"], ["tuner", "list"], ["tuner", "show"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_shows_an_example_with_options_that_exist(command):
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    example = re.search(r"Example: oppertune (.*?)(?:, then|$)", text, re.MULTILINE)
    assert example is not None
    assert example[1].split()[: len(command)] == command
    for option in re.findall(r"(--[a-z-]+)", example[1]):
        assert text.count(option) >= 2, f"{option} is not an option of {command}"


def test_every_command_is_tested_here():
    top = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback is not None}
    below = {f"{g.name} {c.name}" for g in app.registered_groups for c in g.typer_instance.registered_commands}
    assert {" ".join(c) for c in COMMANDS} == top | below


def test_help_loads_neither_faust_nor_matplotlib():
    code = "import sys, oppertune.streams.operate.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"faust", "matplotlib", "aiokafka", "confluent_kafka", "numpy"} & set(loaded)


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", CliRunner().invoke(app, ["--version"]).output.strip())


def test_the_broker_in_the_foreground_says_where_it_is_and_stops_when_told():
    with subprocess.Popen([*OPPERTUNE, "broker", "--json"], stdout=subprocess.PIPE, text=True) as broker:
        assert broker.stdout is not None
        assert json.loads(broker.stdout.readline())["bootstrap"].startswith("127.0.0.1:")
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(5) == 0


@pytest.mark.kafka
def test_topics_are_created_and_checked(kafka):
    where = ("-b", kafka, "--prefix", unique_prefix())
    missing = run("topics", "check", *where)
    assert missing.returncode == 7
    assert "topics create" in missing.stderr
    created = run("topics", "create", "--partitions", "2", "--json", *where)
    assert created.returncode == 0, created.stderr
    assert len(json.loads(created.stdout)["created"]) == 8
    assert run("topics", "check", *where).returncode == 0
    assert json.loads(run("topics", "adopt", "metrics", "--json", *where).stdout) == {
        "topic": "metrics",
        "partitions": [],
    }


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_short_demo_ends_with_one_line_of_json_and_a_picture(tmp_path):
    picture = tmp_path / "made" / "demo.png"
    done = subprocess.run(
        [*OPPERTUNE, "demo", "--seconds", "6", "--instances", "2", "--json", "--picture", str(picture)],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["rounds"] > 0
    assert set(result["contexts"]) == {"read-heavy", "write-heavy"}
    for context in result["contexts"].values():
        for figure in ("default_p95_ms", "tuned_p95_ms", "default_ops_per_s", "tuned_ops_per_s"):
            assert context[figure] > 0
    assert Path(result["picture"]) == picture
    assert picture.read_bytes().startswith(b"\x89PNG")
