"""Seeing and steering a fleet from the command line, against a real worker on the embedded broker."""

import csv
import json
import os
import signal
import subprocess
import time
from typing import Any

import jsonschema
import pytest
from confluent_kafka import Producer
from pyarrow import parquet

from kafkas import ROOT, wait_for
from oppertune.core.errors import MissingExtra
from oppertune.core.values import Categorical, Integer, ValueType
from oppertune.schemas.keys import partition_of
from oppertune.schemas.records import RoundRecord
from oppertune.streams.client import TunerClient
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import OUTPUTS, WatchEvent, schema_text
from oppertune.streams.operate.reporting import export as exporting
from oppertune.streams.operate.reporting.picture import RoundPoint, reward_picture
from oppertune.streams.operate.reporting.tuner_text import sparkline
from oppertune.streams.operate.reporting.watch_line import watch_line

from .conftest import OPPERTUNE

SCHEMAS = ROOT / "schemas" / "json" / "cli"
SPEC = {
    "name": "shop",
    "parameters": [
        {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100, "unit": "conn"},
        {"name": "gzip", "type": "switch", "val": "on"},
    ],
    "context": {"features": [{"name": "region", "values": ["eu", "us"]}]},
    "measurement": {"interval_s": 0.1, "min_samples": 1},
    "rollout": {"turns": 1, "every": 3},
    "heartbeat_s": 1,
}
PARAMETERS: list[ValueType] = [Integer("pool", 10, min=1, max=100), Categorical.switch("gzip", val=True)]


def checked(command: str, text: str) -> dict[str, Any]:
    """The one document that a command printed, held against its schema."""
    assert text.count("\n") == 1, text
    document: dict[str, Any] = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{command}.schema.json").read_text()))
    return document


def measure(client: TunerClient) -> None:
    """What the shop always comes to, whichever test measures it; what is read and what is measured belong together."""
    snapshot = client.snapshot()
    snapshot.record("reward", snapshot["pool"] / 100)


@pytest.fixture(scope="module")
def shop(one_worker, tmp_path_factory):
    """A tuner with two contexts and some closed rounds, and a dead letter; its fleet has gone since."""
    folder = tmp_path_factory.mktemp("shop")
    path = folder / "shop.json"
    path.write_text(json.dumps(SPEC))
    where = ["-b", one_worker.settings.bootstrap, "--prefix", one_worker.settings.prefix, "--embedded"]
    done = subprocess.run([*OPPERTUNE, "tuner", "apply", path, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    clients = [
        TunerClient("shop", PARAMETERS, settings=one_worker.settings, context={"region": r}, state_dir=folder / r)
        for r in ("eu", "us")
    ]
    with clients[0], clients[1]:

        def rounds():
            for client in clients:
                measure(client)
            return min(client.snapshot().round or 0 for client in clients) > 8

        wait_for(rounds, "eight rounds of each context", 25)
    producer = Producer(one_worker.settings.producer())
    producer.produce(one_worker.settings.topic("metrics"), key="shop", value=b"\x00 no json \xff")
    partition = partition_of("shop", 4)
    producer.produce(one_worker.settings.topic("metrics"), partition=partition, key=b"\x1b[2J", value=b"[" * 100_000)
    assert producer.flush(10) == 0
    return one_worker


@pytest.fixture
def cli(shop, served, call):
    return call


def test_every_schema_is_current_and_every_output_has_one():
    assert {path.name for path in SCHEMAS.iterdir()} == {f"{command}.schema.json" for command in OUTPUTS}
    for command, output in OUTPUTS.items():
        assert (SCHEMAS / f"{command}.schema.json").read_text() == schema_text(output), "python -m …operate.outputs"


def test_what_every_other_command_prints_as_json_is_what_its_schema_says(cli, tmp_path):
    spec = tmp_path / "steered.yaml"
    arguments = {
        "tuner-init": ["steered", "--parameter", "pool=10:1..100", "--output", str(spec)],
        "tuner-apply": [str(spec)],
        "tuner-pause": ["steered", "--author", "ada", "--reason", "load test"],
        "tuner-freeze": ["steered", "--for", "2h"],
        "tuner-observe": ["steered", "--until", "2100-01-01T00:00Z"],
        "tuner-kill": ["steered"],
        "tuner-resume": ["steered"],
        "tuner-pin": ["steered", "pool=20", "--reason", "40 connections"],
        "tuner-unpin": ["steered", "pool"],
        "tuner-set": ["steered", "pool=30", "--now"],
        "tuner-rollback": ["steered"],
        "tuner-history": ["steered"],
        "tuner-diff": ["steered", "1", "2"],
        "tuner-why": ["steered"],
        "tuner-reset": ["steered", "--yes"],
        "tuner-delete": ["steered", "--yes"],
        "topics-create": [],
        "topics-check": [],
    }
    told = {name: checked(name, cli(*name.split("-", 1), *given, "--json").out) for name, given in arguments.items()}
    done = {name.partition("-")[2]: one["done"] for name, one in told.items() if "done" in one}
    assert done == {
        "apply": "applied", "pause": "paused", "freeze": "frozen", "observe": "observing", "kill": "killed",
        "resume": "resumed", "pin": "pinned", "unpin": "unpinned", "set": "set", "rollback": "rolled back",
        "reset": "reset", "delete": "deleted",
    }  # fmt: skip
    [context] = told["tuner-history"]["contexts"]
    assert [(v["number"], v["values"]["pool"]) for v in context["versions"]] == [(1, 10), (2, 20), (3, 30), (4, 20)]
    assert told["tuner-diff"]["changed"] == [{"parameter": "pool", "before": 10, "after": 20}]
    assert told["tuner-why"]["status"] == "observing"
    assert (
        told["tuner-reset"]["incarnation"] > told["tuner-resume"]["incarnation"] == told["tuner-apply"]["incarnation"]
    )
    # Above and below, and in test_demo.py and test_simulate.py; topics-adopt and broker need a broker of their own.
    elsewhere = {
        "tuner-show", "tuner-best", "tuner-list", "watch", "dead-letters-list", "dead-letters-show", "export", "demo",
        "topics-adopt", "broker", "simulate",
    }  # fmt: skip
    assert arguments.keys() | elsewhere == OUTPUTS.keys()


def test_a_broker_of_ones_own_and_what_is_adopted_there(call):
    with subprocess.Popen([*OPPERTUNE, "broker", "--json"], stdout=subprocess.PIPE, text=True) as broker:
        try:
            assert broker.stdout is not None
            where = checked("broker", broker.stdout.readline())
            here = ("-b", where["bootstrap"], "--prefix", where["prefix"], "--embedded")
            adopted = checked("topics-adopt", call("topics", "adopt", "metrics", "--json", *here).out)
            assert adopted == {"topic": "metrics", "partitions": []}
        finally:
            broker.kill()


def test_show_tells_rounds_rewards_instances_and_what_it_waits_for(cli):
    shown = checked("tuner-show", cli("tuner", "show", "shop", "--json").out)
    assert [s["context"] for s in shown["scopes"]] in (
        [{"region": "eu"}, {"region": "us"}],
        [{"region": "us"}, {"region": "eu"}],
    )
    for scope in shown["scopes"]:
        assert scope["outcomes"]["measured"] >= 8
        assert len(scope["rewards"]) >= 8
        assert scope["waiting_for"]
    text = " ".join(cli("tuner", "show", "shop").out.split())
    for part in ("events of its partition wait", "context region=eu", "waiting for:", "pool=", "conn", "▁", "█"):
        assert part in text


def test_best_prints_the_incumbents(cli):
    found = checked("tuner-best", cli("tuner", "best", "shop", "--json").out)["incumbents"]
    assert {one["context"]["region"] for one in found} == {"eu", "us"}
    [one] = checked("tuner-best", cli("tuner", "best", "shop", "--context", "region=us", "--json").out)["incumbents"]
    env = cli("tuner", "best", "shop", "--context", "region=us", "--format", "env").out
    assert env == f"pool={one['values']['pool']}\ngzip={one['values']['gzip']}\n"
    table = cli("tuner", "best", "shop").out
    assert "conn" in table
    assert "region=eu" in table
    told = cli("tuner", "best", "shop", "--format", "env")
    assert (told.code, "has 2 contexts: choose one" in told.err) == (ExitCode.USAGE, True)
    assert cli("tuner", "best", "shop", "--context", "region=mars").code == ExitCode.NOT_FOUND


def test_pause_and_resume_and_reset(cli):
    def did(*arguments):
        return checked(f"tuner-{arguments[0]}", cli("tuner", *arguments, "--json").out)["done"]

    assert did("pause", "shop", "--reason", "load test") == "paused"
    assert did("pause", "shop") == "nothing"
    assert "paused; go on with: oppertune tuner resume shop" in " ".join(cli("tuner", "show", "shop").out.split())
    assert [t["status"] for t in checked("tuner-list", cli("tuner", "list", "--json").out)["tuners"]] == ["paused"]
    assert did("resume", "shop") == "resumed"
    assert did("resume", "shop") == "nothing"
    told = cli("tuner", "reset", "shop")
    assert (told.code, "say --yes" in told.err) == (ExitCode.USAGE, True)
    for command in ("pause", "resume", "reset", "best", "picture"):
        assert cli("tuner", command, "nobody", *(["--yes"] if command == "reset" else [])).code == ExitCode.NOT_FOUND


def test_dead_letters_are_listed_and_shown_and_harm_no_terminal(cli):
    listed = checked("dead-letters-list", cli("dead-letters", "list", "--reason", "not_json", "--json").out)
    assert listed["reasons"] == {"not_json": 2}
    letter, hostile = listed["letters"]
    deep = cli("dead-letters", "show", hostile["place"])
    assert deep.code == ExitCode.OK, deep.err
    assert "\x1b" not in deep.out.replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert r"\x1b[2J" in deep.out
    shown = checked("dead-letters-show", cli("dead-letters", "show", letter["place"], "--json").out)
    assert (shown["topic"], shown["key"], shown["value"]) == ("metrics", "shop", r"\x00 no json \xff")
    text = cli("dead-letters", "show", letter["place"]).out
    assert "\x00" not in text
    assert r"\x00 no json \xff" in text
    assert "2 not_json" in cli("dead-letters", "list", "--since", "1h").out
    assert checked("dead-letters-list", cli("dead-letters", "list", "--tuner", "x", "--json").out)["letters"] == []
    assert cli("dead-letters", "show", "0:99999").code == ExitCode.NOT_FOUND
    for wrong in (["show", "first"], ["list", "--since", "yesterday"]):
        assert cli("dead-letters", *wrong).code == ExitCode.USAGE


def test_rounds_are_exported_as_csv_and_parquet_with_their_types(cli, tmp_path):
    text, table = tmp_path / "rounds.csv", tmp_path / "rounds.parquet"

    def exported():
        """The same rounds, twice: once more, where one closed in between, left open by another test."""
        done = checked("export", cli("export", "shop", "-o", str(text), "--force", "--json").out)
        assert cli("export", "shop", "-o", str(table), "--force").code == ExitCode.OK
        with text.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == done["rounds"] >= 16
        return rows if parquet.read_table(table).num_rows == len(rows) else []

    rows = wait_for(exported, "two exports of the same rounds", 30)
    assert {row["context.region"] for row in rows} == {"eu", "us"}
    read = parquet.read_table(table)
    assert read.num_rows == len(rows)
    kinds = {name: str(read.schema.field(name).type) for name in ("value.pool", "value.gzip", "reward", "incumbent")}
    assert kinds == {"value.pool": "int64", "value.gzip": "string", "reward": "double", "incumbent": "bool"}
    measured = [row for row in rows if row["outcome"] == "measured"]
    assert all(float(row["reward"]) == pytest.approx(int(row["value.pool"]) / 100) for row in measured)
    told = cli("export", "shop", "-o", str(text))
    assert (told.code, "--force" in told.err) == (ExitCode.USAGE, True)
    assert cli("export", "shop", "-o", str(text), "--force").code == ExitCode.OK
    assert cli("export", "shop", "-o", str(tmp_path / "rounds.xls")).code == ExitCode.USAGE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rounds.csv", "rounds.parquet"]


def test_an_export_without_rounds_and_one_without_pyarrow(tmp_path, monkeypatch):
    assert exporting.write([], tmp_path / "none.parquet") == 0
    monkeypatch.setattr(exporting, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(MissingExtra, match=r"oppertune-streams\[parquet\]"):
        exporting.write([], tmp_path / "more.parquet")


def test_a_parameter_that_changed_its_type_becomes_text():
    def closed(value):
        fixed = {"v": 1, "tuner": "t", "scope": "", "incarnation": 1, "round": 1, "arm": "a", "kind": "explore"}
        return RoundRecord.model_validate(
            fixed | {"request_id": "r", "outcome": "measured", "values": {"x": value}, "closed_ms": 1}
        )

    columns, rows = exporting.columns_and_rows([closed(1), closed("many")])
    assert "value.x" in columns
    assert exporting._column([r["value.x"] for r in rows]) == ["1", "many"]
    assert exporting._column([1, 2.5, None]) == [1.0, 2.5, None]


def test_the_target_is_drawn_where_there_is_one(tmp_path):
    point = RoundPoint("eu", 1, 0.5, "explore", "measured", new_incumbent=False, p95_ms=None)
    reward_picture([point], tmp_path / "without.png")
    reward_picture([point], tmp_path / "with.png", target=0.5)
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "with.png").read_bytes()


def test_the_picture_of_a_tuner(cli, tmp_path):
    path = tmp_path / "pictures" / "shop.png"
    assert cli("tuner", "picture", "shop", "-o", str(path)).code == ExitCode.OK
    assert path.read_bytes().startswith(b"\x89PNG")


def test_watch_follows_rounds_and_ends_when_told(cli, shop, tmp_path):
    here = ["-b", shop.settings.bootstrap, "--prefix", shop.settings.prefix, "--embedded"]
    past = cli("watch", "shop", "--last", "10000", "--rounds", "16", "--json").out.splitlines()
    told = [checked("watch", one + "\n") for one in past]
    assert sum(one["what"] == "round" for one in told) == 16
    assert any(one["what"] == "incumbent" for one in told)
    client = TunerClient("shop", PARAMETERS, settings=shop.settings, context={"region": "eu"}, state_dir=tmp_path)
    with subprocess.Popen([*OPPERTUNE, "watch", "--json", *here], stdout=subprocess.PIPE) as watching:
        output = watching.stdout
        assert output is not None
        try:
            with client:
                os.set_blocking(output.fileno(), False)
                said: list[bytes] = []

                def round_seen() -> bool:
                    measure(client)
                    said.append(output.read() or b"")
                    return b'"what":"round"' in b"".join(said)

                wait_for(round_seen, "a round, live", 25)
            watching.send_signal(signal.SIGTERM)
            assert watching.wait(10) == 0
        finally:
            watching.kill()


def test_watch_survives_a_reader_that_goes_away(cli, shop):
    here = f"-b {shop.settings.bootstrap} --prefix {shop.settings.prefix} --embedded"
    command = f"{' '.join(OPPERTUNE)} watch shop --last 10000 --rounds 16 {here} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_lines_for_people_name_what_changed():
    output = WatchEvent
    closed: dict[str, Any] = {
        "tuner": "shop",
        "round": 3,
        "time_ms": int(time.time() * 1000),
        "context": {"region": "eu"},
    }
    said = [
        watch_line(
            output(what="round", kind="explore", outcome="measured", reward=0.5, changed={"pool": 20}, **closed)
        ),
        watch_line(output(what="incumbent", reward=0.5, values={"pool": 20}, **closed)),
        watch_line(output(what="status", tuner="shop", status="tuning", said="lost again: tuning resumes")),
        watch_line(output(what="dead_letter", tuner="shop", said="not_json: no", place="1:2")),
        watch_line(output(what="broker", said="no broker answers")),
    ]
    for text, part in zip(
        map(str, said),
        (
            "shop region=eu round 3 explore measured reward 0.5  pool=20",
            "new incumbent, reward 0.5: pool=20",
            "tuning: lost again",
            "oppertune dead-letters show 1:2",
            "broker: no broker answers",
        ),
        strict=True,
    ):
        assert part in text


def test_rewards_as_bars():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([]) == ""
