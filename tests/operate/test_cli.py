"""What holds for every command, and what is told before anything is published."""

import json
import re
import shlex
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from kafkas import unique_prefix
from oppertune.core.errors import CommandFailed
from oppertune.streams.operate.demo import run_demo
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.main import app
from oppertune.streams.operate.specs.file import read_spec

COMMANDS = [
    ["demo"], ["worker"], ["broker"], ["topics", "create"], ["topics", "check"], ["topics", "adopt"],
    ["tuner", "init"], ["tuner", "apply"], ["tuner", "delete"], ["tuner", "list"], ["tuner", "show"], ["tuner", "best"],
    ["tuner", "pause"], ["tuner", "freeze"], ["tuner", "observe"], ["tuner", "kill"], ["tuner", "resume"],
    ["tuner", "rollback"], ["tuner", "pin"], ["tuner", "unpin"], ["tuner", "set"], ["tuner", "reset"],
    ["tuner", "history"], ["tuner", "diff"], ["tuner", "why"], ["tuner", "picture"],
    ["dead-letters", "list"], ["dead-letters", "show"], ["watch"], ["export"], ["simulate"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_each_command_shows_an_example_that_parses(command):
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    example = re.search(r"Example: oppertune (.*?)(?:, then|$)", text, re.MULTILINE)
    assert example is not None
    words = shlex.split(example[1])
    assert words[: len(command)] == command
    parser: Any = typer.main.get_command(app)
    for word in command:
        parser = parser.commands[word]
    parser.make_context(command[-1], words[len(command) :])


def test_no_command_is_missing_above():
    top = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback is not None}
    below = {
        f"{group.name} {command.name}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for command in group.typer_instance.registered_commands
    }
    assert {" ".join(c) for c in COMMANDS} == top | below


def test_the_version_is_printed_alone():
    assert re.fullmatch(r"\d+\.\d+\.\d+", CliRunner().invoke(app, ["--version"]).output.strip())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": {"name": "bluefin", "args": {"eta": -1}}}, "eta"),
        ({"algorithm": {"name": "bluefin"}, "parameters": "categories"}, "BlueFin tunes"),
        ({"algorithm": {"name": "exponential_weights"}, "parameters": "categories"}, "exponential_weights_slates"),
        ({"algorithm": {"name": "autoscope", "args": {"features": [{"name": "load"}]}}}, "needs a context"),
    ],
    ids=["argument", "parameters", "joint", "context"],
)
def test_what_the_algorithm_refuses_is_told_before_anything_is_published(changes, said, tmp_path):
    number = [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}]
    many = [
        {"name": f"c{i}", "type": "categorical", "val": "0", "categories": [str(k) for k in range(10)]}
        for i in range(5)
    ]
    spec = {"name": "t", "parameters": number, **changes}
    spec["parameters"] = many if spec["parameters"] == "categories" else number
    path = tmp_path / "t.json"
    path.write_text(json.dumps(spec))
    with pytest.raises(CommandFailed, match=said) as failed:
        read_spec(path)
    assert failed.value.code == ExitCode.INVALID


def test_an_algorithm_that_only_a_worker_may_have_is_left_to_the_worker(tmp_path):
    path = tmp_path / "t.json"
    parameter = {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}
    path.write_text(json.dumps({"name": "t", "parameters": [parameter], "algorithm": {"name": "of_our_own"}}))
    assert read_spec(path)[0].algorithm.name == "of_our_own"


@pytest.mark.kafka
def test_adopting_where_nothing_was_recreated_says_so(kafka):
    where = ["-b", kafka, "--prefix", unique_prefix()]
    assert CliRunner().invoke(app, ["topics", "create", "--partitions", "2", *where]).exit_code == 0
    adopted = CliRunner().invoke(app, ["topics", "adopt", "metrics", *where])
    assert adopted.exit_code == 0
    assert "nothing to adopt" in adopted.output


def test_a_picture_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandFailed, match="--picture"):
        run_demo(seconds=5, instances=2, bootstrap="", picture=tmp_path / "file" / "demo.png", console=Console())
