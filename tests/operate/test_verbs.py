"""The table of an operator's verbs: each row is a command line, an event and a function of the processor."""

import json
import re
import shlex
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from oppertune.schemas.events import Command
from oppertune.streams.operate.commands import verbs as verb_commands
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.main import app
from oppertune.streams.operate.outputs import OUTPUTS, Done
from oppertune.streams.operate.reading.tuners import TunerView
from oppertune.streams.operate.steering.send import new_command
from oppertune.streams.operate.steering.verbs import VERBS, Verb
from oppertune.streams.processor import commands as processor_commands
from world import World, running, spec

FIRST: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "resume": [("pause", {})],
    "rollback": [("set", {"values": {"pool": 20}, "now": True})],
}
"""What must have been, by verb, so that it makes sense."""

WITH: dict[str, dict[str, Any]] = {
    "apply": {"spec": spec(heartbeat_s=5)},
    "pin": {"values": {"pool": 20}},
    "unpin": {"parameters": ["pool"]},
    "set": {"values": {"pool": 20}},
}
"""What a verb's command must have besides."""

JUDGED = spec(rollout={"enabled": True})

each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


def test_the_table_the_schema_and_the_processor_know_the_same_verbs():
    assert [verb.word for verb in VERBS.values()] == list(VERBS)
    assert set(get_args(Command.model_fields["kind"].annotation)) == set(VERBS) == set(processor_commands.VERBS)


@each_verb
def test_each_verb_is_a_command_with_its_help_its_example_and_a_schema_of_its_output(verb: Verb):
    group: Any = typer.main.get_command(app)
    command = group.commands["tuner"].commands[verb.word]
    shown = CliRunner().invoke(app, ["tuner", verb.word, "--help"], env={"COLUMNS": "200"})
    words = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", shown.output).split())
    assert " ".join(verb.help.split()) in words
    assert f"Example: oppertune tuner {verb.word} {verb.example}" in words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--timeout", "--author", "--reason", "--json", "--bootstrap"} <= options
    assert ("--yes" in options) == (verb.asks_first or verb.word == "apply"), "apply asks where something is lost"
    assert OUTPUTS[f"tuner-{verb.word}"] is Done
    assert verb.done in Done.model_json_schema()["properties"]["done"]["enum"]


@each_verb
def test_each_verb_awaits_what_the_fold_makes_of_its_command_and_not_less(verb: Verb):
    world = running(JUDGED)
    for kind, more in FIRST.get(verb.word, ()):
        world.command(kind, **more)
    world.fold()
    before = world.tuner()
    command = new_command(verb, "checkout", author="ada", **WITH.get(verb.word, {}))
    assert not verb.is_seen(command, before)
    world.send("commands", json.loads(command.to_bytes()), key=b"checkout")
    world.fold()
    assert verb.is_seen(command, tuner_or_none(world))


def given(verb: Verb) -> list[str]:
    """What stands behind the word, as the example of its help has it, but for the reason."""
    words = shlex.split(verb.example)
    return words[: words.index("--reason")]


def tuner_or_none(world: World):
    return world.tuner() if "checkout" in world.state else None


@pytest.fixture
def alone(monkeypatch):
    """The commands of a tuner without Kafka: what is sent, and to which state."""
    world = running(JUDGED)
    sent: list[Command] = []

    def send(_, command: Command, *, timeout_s: float):
        sent.append(command)
        world.send("commands", json.loads(command.to_bytes()), key=b"checkout")
        world.fold()
        return tuner_or_none(world)

    monkeypatch.setattr(verb_commands, "send", send)
    monkeypatch.setattr(
        verb_commands, "read_tuners", lambda *_: {"checkout": TunerView("checkout", world.tuner(), [world.scope()])}
    )
    monkeypatch.setattr("oppertune.streams.operate.commands.connection.require_broker", lambda _: None)
    monkeypatch.setattr(verb_commands, "require_broker", lambda _: None)
    return sent


@each_verb
def test_each_verb_sends_its_command_and_says_its_sentence_or_that_there_is_nothing_to_do(
    verb: Verb, alone, call, tmp_path
):
    target = [word for word in given(verb) if word != "--yes"]
    if verb.word == "apply":
        path = tmp_path / "spec.json"
        path.write_text(json.dumps(spec(heartbeat_s=5, rollout={"enabled": True})))
        target = [str(path)]
    if verb.word == "resume":
        assert call("tuner", "pause", "checkout").code == ExitCode.OK
    if verb.word == "rollback":
        assert call("tuner", "set", "checkout", "pool=20", "--now").code == ExitCode.OK
    alone.clear()
    if verb.asks_first:
        unsure = call("tuner", verb.word, *target)
        assert (unsure.code, alone) == (ExitCode.USAGE, []), "nobody is there to be asked"
        assert "--yes" in unsure.err
    sure = ["--yes"] if verb.asks_first else []
    done = call("tuner", verb.word, *target, *sure, "--author", "ada", "--reason", "why not")
    assert (done.code, done.out) == (ExitCode.OK, verb.said.format(name="checkout") + "\n"), done.err
    assert [(one.kind, one.tuner, one.author, one.reason) for one in alone] == [
        (verb.word, "checkout", "ada", "why not")
    ]
    if verb.not_needed:
        again = call("tuner", verb.word, *target)
        assert (again.code, again.out) == (ExitCode.OK, verb.not_needed.format(name="checkout") + "\n")
        told = json.loads(call("tuner", verb.word, *target, "--json").out)
        assert told == {"tuner": "checkout", "done": "nothing", "incarnation": told["incarnation"], "losses": None}
        assert told["incarnation"] is not None
        assert len(alone) == (1 if verb.word != "apply" else 3), "of a spec, the worker decides"


def test_a_hold_takes_its_end_as_a_length_or_a_point_in_time(alone, call, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 10**15)
    assert call("tuner", "freeze", "checkout", "--for", "2h").code == ExitCode.OK
    assert call("tuner", "freeze", "checkout", "--until", "2100-01-31T08:00Z").code == ExitCode.OK
    assert [command.until_ms for command in alone] == [10**9 + 7_200_000, 4_105_065_600_000]
    both = call("tuner", "freeze", "checkout", "--for", "2h", "--until", "2100-01-31T08:00Z")
    assert (both.code, "give one" in both.err) == (ExitCode.USAGE, True)
    assert call("tuner", "kill", "checkout", "--until", "tomorrow").code == ExitCode.USAGE
    assert len(alone) == 2
