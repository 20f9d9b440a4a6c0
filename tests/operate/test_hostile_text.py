"""Others' text does nothing but be read, whatever command prints it: not to terminals, Rich, matplotlib or shells."""

import csv
import json
import logging
import re
import subprocess
from typing import Any

import pytest
import typer
from confluent_kafka import Producer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from oppertune.core.errors import InvalidInput
from oppertune.schemas.keys import partition_of
from oppertune.schemas.records import DeadLetterHeaders
from oppertune.schemas.spec import CategoricalParameter, Term
from oppertune.streams.operate.console import LogFormatter, out
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.main import app
from oppertune.streams.operate.specs.file import check_spec
from oppertune.streams.operate.specs.template import commented_spec
from oppertune.streams.operate.steering import send as sending
from oppertune.streams.operate.text import printable, printable_json, shell_lines
from world import World

from .topics_of import write_world

MARKUP = "[red]x[/]:boom:"
EVIL = f"\x1b[2J\x9b1m\r\nforged\u202e{MARKUP}"
"""Clears screens, forges lines, turns them round, and is markup that does not end."""
MATHS = r"$\frac{$ $(touch owned) `touch owned` '; touch owned; '$"
WHOLE = EVIL + MATHS
TERM = Term(metric="latency_ms", aggregate="p95", goal="minimize")
SPEC: dict[str, Any] = {
    "name": "evil",
    "description": WHOLE,
    "parameters": [
        {"name": f"mode {EVIL}", "type": "categorical", "val": WHOLE, "categories": [WHOLE, "b"], "unit": EVIL[-30:]},
        {"name": f"pool {EVIL}", "type": "integer", "val": 1, "min": 1, "max": 9, "unit": EVIL[:29], "restart": True},
    ],
    "algorithm": {"name": "uniform_random"},
    "context": {"features": [{"name": f"zone {EVIL}"}]},
    "objective": {"measured": f"reward {EVIL}"},
    "measurement": {"interval_s": 1, "min_samples": 1, "min_duration_s": 0},
    "rollout": {"every": 3, "turns": 1},
}


def evil_world() -> World:
    """A tuner in which all that others may name is hostile: one that tunes, with closed rounds and a dead letter."""
    world = World()
    world.apply(SPEC, author=WHOLE, reason=WHOLE)
    world.fold()
    world.here(WHOLE, tuner="evil", context={f"zone {EVIL}": WHOLE})
    world.fold()
    world.command("set", "evil", values={f"pool {EVIL}": 2}, now=True, author=WHOLE, reason=WHOLE)
    world.command("pin", "evil", values={f"mode {EVIL}": WHOLE}, author=WHOLE, reason=WHOLE)
    world.fold()
    [key] = [key for key in world.configs if key != "evil"]
    scope = key.partition("/")[2]
    for _ in range(9):
        world.now_ms += 1000
        event = world.metric_event(WHOLE, scope=scope, tuner="evil", metrics={f"reward {EVIL}": 0.5})
        world.send("metrics", event, key=b"evil")
        world.fold()
    world.send("metrics", world.metric_event(WHOLE, scope=scope, tuner="evil", request_id=WHOLE), key=WHOLE.encode())
    world.fold()
    return world


@pytest.fixture(scope="module")
def world():
    return evil_world()


@pytest.fixture
def evil(world, workerless):
    """A broker whose topics hold that world, as a worker would have written it."""
    assert world.letters
    write_world(workerless, world, "evil")
    producer = Producer(workerless.producer())
    producer.produce(
        workerless.topic("dead-letters"), WHOLE.encode(), "evil", partition_of("evil", 4), headers=letter_headers()
    )
    assert producer.flush(10) == 0
    return workerless


def letter_headers(*, topic="metrics", event_id=WHOLE):
    return DeadLetterHeaders(
        reason=EVIL, detail=WHOLE, tuner="evil", instance=WHOLE, event_id=event_id, disposition="dead_letter",
        topic=topic, partition=0, offset=7, timestamp_ms=1_700_000_000_000, size=1,
    ).to_headers()  # fmt: skip


def harmless(text: str) -> None:
    assert re.sub(r"[\n\t]", "", text).isprintable(), "nothing for a terminal to obey"
    assert not re.search(r"\n\s*forged", text), "no line of their own"


def told(text: str) -> str:
    """What is printed, without the lines and frames in which it is laid out."""
    return re.sub(r"[\s│─╷╵┃━]+", "", text)


READING = {
    "tuner list": [],
    "tuner show": ["evil"],
    "tuner best": ["evil"],
    "tuner history": ["evil"],
    "tuner diff": ["evil", "1", "2"],
    "tuner why": ["evil", "--instance", WHOLE],
    "watch": ["evil", "--last", "1000", "--rounds", "5"],
    "dead-letters list": [],
    "dead-letters show": ["PLACE"],
}
STEERING: dict[str, list[str]] = {
    "tuner apply": [],
    "tuner pause": [],
    "tuner freeze": [],
    "tuner observe": [],
    "tuner kill": [],
    "tuner resume": [],
    "tuner rollback": ["1"],
    "tuner pin": [f"pool {EVIL}=2"],
    "tuner unpin": [f"mode {EVIL}"],
    "tuner set": [f"pool {EVIL}=3"],
    "tuner reset": ["--yes"],
    "tuner delete": ["--yes"],
}
FILES = ["tuner picture", "export", "tuner init", "simulate"]
OWN_TEXT = ["topics create", "topics check", "topics adopt", "worker", "broker", "demo"]
"""They print nothing of others; a worker logs, which is below."""


def test_no_command_is_left_out():
    def words(group: Any, *above: str):
        for name, command in group.commands.items():
            yield from words(command, *above, name) if hasattr(command, "commands") else [" ".join([*above, name])]

    assert {*READING, *STEERING, *FILES, *OWN_TEXT} == set(words(typer.main.get_command(app)))


@pytest.mark.parametrize("command", READING)
def test_what_is_read_is_printed_as_text(evil, call, command):
    arguments = [*command.split(), *READING[command]]
    if "PLACE" in arguments:
        letters = json.loads(call("dead-letters", "list", "--json").out)["letters"]
        arguments[-1] = next(one["place"] for one in letters if one["reason"] == EVIL)
    ended = call(*arguments)
    assert ended.code == ExitCode.OK, ended.err
    harmless(ended.out + ended.err)
    if command != "tuner list":
        assert told(MARKUP) in told(ended.out), "markup is text, too"
    as_json = call(*arguments, "--json")
    assert as_json.code == ExitCode.OK, as_json.err
    harmless(as_json.out)
    if command != "tuner list":
        found = [text for line in as_json.out.splitlines() for text in strings(json.loads(line))]
        assert any(EVIL in text for text in found), "the same data"


def strings(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [text for pair in data.items() for one in pair for text in strings(one)]
    if isinstance(data, list):
        return [text for one in data for text in strings(one)]
    return [data] if isinstance(data, str) else []


@pytest.mark.parametrize("command", STEERING)
def test_what_workers_and_users_say_is_printed_as_text(evil, call, monkeypatch, tmp_path, command):
    def refuse(settings, command):
        headers = letter_headers(topic="commands", event_id=command.id)
        producer = Producer(settings.producer())
        producer.produce(
            settings.topic("dead-letters"), b"?", "evil", partition=partition_of("evil", 4), headers=headers
        )
        assert producer.flush(10) == 0

    monkeypatch.setattr(sending, "_publish", refuse)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    target = str(path) if command == "tuner apply" else "evil"
    more = STEERING[command]
    ended = call(*command.split(), target, *more, "--author", WHOLE, "--reason", WHOLE)
    assert ended.code == (ExitCode.OK if command == "tuner resume" else ExitCode.REFUSED), ended.err
    harmless(ended.out + ended.err)
    missing = call(*command.split(), str(tmp_path / EVIL), *more)
    assert missing.code in {ExitCode.INVALID, ExitCode.NOT_FOUND, ExitCode.USAGE}
    harmless(missing.out + missing.err)


def test_a_picture_shows_text_and_no_mathematics(evil, call, tmp_path):
    path = tmp_path / "evil.png"
    ended = call("tuner", "picture", "evil", "--output", str(path))
    assert (ended.code, path.read_bytes()[:4]) == (ExitCode.OK, b"\x89PNG"), ended.err
    harmless(ended.out)


def test_an_export_has_the_text_as_it_is(evil, call, tmp_path):
    path = tmp_path / "evil.csv"
    ended = call("export", "evil", "--output", str(path))
    assert ended.code == ExitCode.OK, ended.err
    harmless(ended.out + ended.err)
    with path.open(encoding="utf-8", newline="") as file:
        assert {row[f"context.zone {EVIL}"] for row in csv.DictReader(file)} == {WHOLE}


@given(st.text(min_size=1, max_size=50), st.text(st.sampled_from("ab\x1b\x85\u202e\n'\"no0:"), min_size=1))
def test_a_spec_that_init_writes_is_text_of_which_nothing_is_lost(name, category):
    parameter = CategoricalParameter(type="categorical", name=name, val=category, categories=[category, "other one"])
    text = commented_spec("shop", [parameter], TERM, "shop.yaml")
    harmless(text)
    assert check_spec(text, "it")[0].parameters == [parameter]


# -- the functions that all of it goes through

ANY = st.text(st.characters())


@given(ANY)
def test_printable_text_is_left_as_it_is_and_nothing_else_is(text):
    said = printable(text)
    assert said.isprintable()
    assert (said == text) == text.isprintable()
    assert printable(text, lines=True).replace("\n", "").replace("\t", "").isprintable()


@given(st.recursive(ANY | st.integers(), lambda below: st.lists(below) | st.dictionaries(ANY, below)))
def test_json_is_the_same_data(data):
    document = printable_json(json.dumps(data, ensure_ascii=False))
    assert document.isprintable()
    assert json.loads(document) == data


@given(st.dictionaries(ANY.filter(bool) | st.sampled_from([MATHS, "a.b", "1st"]), ANY | st.just(MATHS), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_shell_takes_env_lines_as_assignments_and_nothing_else(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("shell")
    try:
        lines = shell_lines(values)
    except InvalidInput as error:
        harmless(str(error))
        return
    assert len(lines) == len(values)
    names = [line.partition("=")[0] for line in lines]
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) for name in names)
    script = "\n".join([*lines, *(f'printf "%s\\0" "${name}"' for name in names)])
    done = subprocess.run(["sh"], input=script.encode(), capture_output=True, cwd=folder, timeout=10, check=True)
    assert (done.stderr, list(folder.iterdir())) == (b"", []), "nothing is executed"
    assert done.stdout.decode().split("\0")[:-1] == list(values.values())


def test_env_lines_of_a_tuner_are_refused_where_a_value_is_no_line(evil, call):
    ended = call("tuner", "best", "evil", "--format", "env")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "cannot stand in a line: take it from --json" in ended.err
    harmless(ended.err)


def test_a_console_takes_what_it_prints_for_text(monkeypatch, capsys):
    table = Table(WHOLE)
    table.add_row(WHOLE)
    for thing in (WHOLE, Text(WHOLE), table, Panel(WHOLE, title=WHOLE)):
        out.print(thing, width=500)
        said = capsys.readouterr().out
        assert said.replace("\n", "").isprintable()
        assert told(MARKUP) in told(said)


def test_a_log_line_is_one_line_with_its_zone():
    record = logging.LogRecord("oppertune", logging.INFO, "", 0, "instance %s", (WHOLE,), None)
    record.created = 1_700_000_000.5
    said = LogFormatter("%(asctime)s %(message)s").format(record)
    assert said.startswith(r"2023-11-14 22:13:20 UTC instance \x1b[2J")
    assert said.isprintable()
