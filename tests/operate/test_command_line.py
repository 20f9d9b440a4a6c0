"""The command line in detail: what each command prints, as text and as JSON, and how it ends. Beside test_cli.py."""

import getpass
import io
import json
import logging
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from confluent_kafka import KafkaError, KafkaException, Producer
from rich.console import Console

from kafkas import ROOT, free_port, unique_prefix, wait_for
from operate.conftest import OPPERTUNE
from oppertune.core.errors import BrokerUnreachable, CommandFailed
from oppertune.schemas import ConfigRecord
from oppertune.schemas.events import Command
from oppertune.schemas.keys import partition_of
from oppertune.streams import worker as worker_package
from oppertune.streams.broker import BrokerSettings, delete_topics, read_table, reading
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import ShownTuner
from oppertune.streams.operate.reading.tuners import TunerView, read_tuners
from oppertune.streams.operate.reporting.tuner_text import list_table, show
from oppertune.streams.operate.steering import send as sending
from oppertune.streams.processor.versions import LEARNER, promote
from oppertune.streams.worker import WorkerSettings
from world import World, spec

SPEC: dict[str, Any] = {
    "name": "pools",
    "parameters": [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}],
    "measurement": {"interval_s": 0.1, "min_samples": 1, "min_duration_s": 0},
}
CATEGORY = {"name": "mode", "type": "categorical", "val": "a", "categories": ["a", "b"]}
PARTITIONS = 4
NOW_MS = 0


@pytest.fixture
def written(tmp_path):
    """Writes a spec, as YAML or as JSON by its suffix."""

    def write(file: str, suffix: str = "yaml", **changes: object) -> str:
        path = tmp_path / f"{file}.{suffix}"
        data = {**SPEC, "name": file, **changes}
        path.write_text(json.dumps(data) if suffix == "json" else yaml.safe_dump(data))
        return str(path)

    return write


def one_line(text: str) -> dict[str, Any]:
    """The one line of JSON that a script gets."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    document: dict[str, Any] = json.loads(text)
    return document


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class TestApply:
    @pytest.mark.parametrize("suffix", ["yaml", "json"])
    def test_a_spec_in_either_notation_is_applied(self, call, served, written, suffix):
        done = call("tuner", "apply", written(f"in-{suffix}", suffix), "--json")
        assert done.code == ExitCode.OK, done.err
        told = one_line(done.out)
        assert told.keys() == {"tuner", "done", "incarnation", "losses"}
        assert (told["tuner"], told["done"]) == (f"in-{suffix}", "applied")
        assert call("tuner", "show", f"in-{suffix}").code == ExitCode.OK

    def test_the_same_again_changes_nothing_and_another_algorithm_starts_anew(self, call, served, written):
        path = written("again")
        first = one_line(call("tuner", "apply", path, "--json").out)["incarnation"]
        assert one_line(call("tuner", "apply", path, "--json").out) == {
            "tuner": "again", "done": "nothing", "incarnation": first, "losses": None,
        }  # fmt: skip
        assert call("tuner", "apply", path).out == "tuner again has this spec already: nothing is changed\n"
        described = written("again", description="mended")
        assert one_line(call("tuner", "apply", described, "--json").out)["incarnation"] == first
        changed = written("again", algorithm={"name": "uniform_random"})
        assert one_line(call("tuner", "apply", changed, "--json").out)["incarnation"] > first

    @pytest.mark.parametrize(
        ("name", "changes", "reason"),
        [
            ("no-algorithm", {"algorithm": {"name": "no_such"}}, "no_such"),
            ("no-function", {"objective": {"function": "no_such"}}, "no_such"),
        ],
    )
    def test_what_a_worker_refuses_is_told_with_its_reason_and_leaves_nothing(
        self, call, served, written, name, changes, reason
    ):
        refused = call("tuner", "apply", written(name, **changes))
        assert refused.code == ExitCode.REFUSED
        assert "refused by the worker: " in refused.err
        assert reason in refused.err
        assert refused.out == ""
        assert call("tuner", "show", name).code == ExitCode.NOT_FOUND

    def test_where_no_worker_answers_the_command_still_waits_for_one(self, call, workerless, written):
        alone = call("tuner", "apply", written("alone"), "--timeout", "0.5", "--json")
        assert alone.code == ExitCode.NO_WORKER
        assert alone.out == "", "no half answer for a script to read"
        assert f"oppertune worker --bootstrap {workerless.bootstrap}" in alone.err
        assert call("tuner", "list").out.startswith("no tuners yet")

    def test_a_dry_run_needs_no_broker_and_says_what_it_could_not_compare(self, call, written, monkeypatch):
        monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", f"127.0.0.1:{free_port()}")
        assert one_line(call("tuner", "apply", written("dry"), "--dry-run", "--json").out) == {
            "tuner": "dry",
            "done": "validated",
            "incarnation": None,
            "losses": None,
        }
        assert "not compared with what stands" in call("tuner", "apply", written("dry"), "--dry-run").out

    def test_what_an_edit_would_lose_is_told_by_a_dry_run_and_wants_a_yes(self, call, served, written):
        other = {"features": [{"name": "zone"}]}
        assert call("tuner", "apply", written("edited", context={"features": [{"name": "region"}]})).code == ExitCode.OK
        fleet = Fleet(served.settings, "edited")
        fleet.here("a", region="eu")
        wait_for(lambda: fleet.config(region="eu"), "the context")
        before = one_line(call("tuner", "show", "edited", "--json").out)["spec"]
        changed = written("edited", context=other)
        [lost] = one_line(call("tuner", "apply", changed, "--dry-run", "--json").out)["losses"]
        assert "other features: 1 of them" in lost
        unsure = call("tuner", "apply", changed)
        assert unsure.code == ExitCode.USAGE
        assert lost in unsure.err
        assert "--yes" in unsure.err
        assert one_line(call("tuner", "show", "edited", "--json").out)["spec"] == before
        assert call("tuner", "apply", changed, "--yes").code == ExitCode.OK
        described = written("edited", context=other, description="mended")
        assert one_line(call("tuner", "apply", described, "--dry-run", "--json").out)["losses"] == []
        assert call("tuner", "apply", described).code == ExitCode.OK

    @pytest.mark.parametrize(
        ("changes", "problems"),
        [
            ({"name": "two words"}, ["name: ", "[a-z0-9]"]),
            ({"parameters": []}, ["parameters: "]),
            ({"colour": 1, "heartbeat_s": -1}, ["colour: ", "heartbeat_s: "]),
            ({"parameters": [SPEC["parameters"][0]] * 2}, ["declared twice: pool"]),
            ({"parameters": [{**SPEC["parameters"][0], "val": 101}]}, ["pool", "101"]),
            ({"parameters": [CATEGORY], "algorithm": {"name": "bluefin"}}, ["bluefin", "mode"]),
            ({"algorithm": {"name": "bluefin", "args": {"feathers": 2}}}, ["bluefin", "feathers"]),
            ({"algorithm": {"args": {"rate": float("nan")}}}, ["algorithm.args.rate"]),
            ({"algorithm": {"args": {"rates": [1.0, float("inf")]}}}, ["algorithm.args.rates.1"]),
        ],
        ids=lambda x: "-".join(x) if isinstance(x, dict) else "",
    )
    def test_each_problem_of_a_spec_is_named_in_full(self, call, written, changes, problems):
        told = call("tuner", "apply", written("wrong", **changes), "--dry-run")
        assert told.code == ExitCode.INVALID
        assert told.out == ""
        for problem in problems:
            assert problem in told.err

    @pytest.mark.parametrize(
        ("text", "quoted"),
        [
            ("algorithm: {args: {since: 2024-01-01}}", '"2024-01-01"'),
            ("algorithm: {args: {1: 2}}", '"1"'),
            ("algorithm: {args: {1e-4: 2}}", '"1e-4"'),
        ],
    )
    def test_what_yaml_can_hold_and_json_cannot_is_not_changed_in_silence(self, call, written, text, quoted):
        path = Path(written("yaml-only"))
        path.write_text(path.read_text() + text)
        told = call("tuner", "apply", str(path), "--dry-run")
        assert told.code == ExitCode.INVALID
        assert f"line {len(path.read_text().splitlines())}, column" in told.err
        assert quoted in told.err

    @pytest.mark.parametrize("content", [b"{", b"just a word", b"[1, 2]", b"", b"\xff\xfe\xff"])
    def test_what_is_no_spec_at_all(self, call, tmp_path, content):
        path = tmp_path / "spec.yaml"
        path.write_bytes(content)
        told = call("tuner", "apply", str(path), "--dry-run")
        assert told.code == ExitCode.INVALID
        assert str(path) in told.err

    @pytest.mark.parametrize("name", ["a[/red].yaml", "a[red].yaml"])
    def test_names_are_printed_as_they_are(self, call, tmp_path, name):
        assert name in call("tuner", "apply", str(tmp_path / name), "--dry-run").err
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(SPEC))
        assert name in call("tuner", "apply", str(path), "--dry-run").out

    @pytest.mark.parametrize("option", ["--author", "--reason"])
    def test_an_option_that_no_record_could_hold(self, call, workerless, written, option):
        told = call("tuner", "apply", written("long"), option, "x" * 2000)
        assert told.code == ExitCode.USAGE
        assert f"{option[2:]}: " in told.err

    def test_a_user_without_a_name(self, call, served, written, monkeypatch):
        def nameless() -> str:
            raise KeyError("getpwuid(): uid not found: 4711")

        monkeypatch.setattr(getpass, "getuser", nameless)
        assert call("tuner", "apply", written("nameless")).code == ExitCode.OK
        assert "by unknown" in call("tuner", "show", "nameless").out

    def test_a_spec_beyond_the_size_of_a_message(self, call, workerless, written):
        many = [f"{'c' * 190}{i:05}" for i in range(1000)]
        parameters = [{**CATEGORY, "name": f"p{i}", "val": many[0], "categories": many} for i in range(20)]
        told = call(
            "tuner", "apply", written("huge", "json", parameters=parameters, algorithm={"name": "uniform_random"})
        )
        assert told.code == ExitCode.INVALID
        assert "too large" in told.err


class TestListShowDelete:
    def test_json_has_the_keys_that_scripts_rely_on(self, call, served, written):
        call("tuner", "apply", written("keys"), "--author", "ada", "--reason", "why not")
        [row] = [r for r in one_line(call("tuner", "list", "--json").out)["tuners"] if r["tuner"] == "keys"]
        named = {"tuner": "keys", "status": "parked", "algorithm": "auto"}
        assert row == named | {"instances": 0, "rounds": 0, "reward": None}
        shown = one_line(call("tuner", "show", "keys", "--json").out)
        assert shown.keys() == set(ShownTuner.model_fields)
        assert shown["spec"]["parameters"][0]["name"] == "pool"
        assert [s["incumbent"]["values"] for s in shown["scopes"]] == [{"pool": 10}]
        assert "by ada: why not" in " ".join(call("tuner", "show", "keys").out.split())
        assert one_line(call("tuner", "delete", "keys", "--yes", "--json").out) == {
            "tuner": "keys",
            "done": "deleted",
            "incarnation": None,
            "losses": None,
        }

    def test_a_list_for_people(self, call, served, written):
        call("tuner", "apply", written("listed"))
        listed = call("tuner", "list").out
        assert "status" in listed
        assert re.search(r"listed\W+parked\W+auto", listed)

    @pytest.mark.parametrize("command", ["show", "delete"])
    @pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
    def test_an_unknown_tuner(self, call, served, command, flags):
        told = call("tuner", command, "nobody", *flags)
        assert told.code == ExitCode.NOT_FOUND
        assert told.out == ""
        assert "nobody" in told.err
        assert "oppertune tuner list" in told.err

    def test_deleted_is_deleted_and_can_be_applied_again(self, call, served, written):
        path = written("phoenix")
        call("tuner", "apply", path)
        assert call("tuner", "delete", "phoenix", "--yes").code == ExitCode.OK
        assert call("tuner", "delete", "phoenix").code == ExitCode.NOT_FOUND
        assert "phoenix" not in call("tuner", "list", "--json").out
        assert call("tuner", "apply", path).code == ExitCode.OK

    def test_a_tuner_in_contexts_shows_each_with_what_was_measured(self, call, served, written):
        fleet = Fleet(served.settings, "regions")
        features = [{"name": "region", "values": ["eu", "us"]}]
        assert call("tuner", "apply", written("regions", context={"features": features})).code == ExitCode.OK
        fleet.here("a", region="eu")
        wait_for(lambda: fleet.measure("a", 1, 0.5, region="eu"), "round 1")
        wait_for(lambda: fleet.round(region="eu") == 2, "round 2")
        [scope] = one_line(call("tuner", "show", "regions", "--json").out)["scopes"]
        assert scope["context"] == {"region": "eu"}
        assert (scope["round"], scope["last_reward"], [i["instance"] for i in scope["instances"]]) == (2, 0.5, ["a"])
        shown = call("tuner", "show", "regions").out
        for part in ("tuning", "context region=eu", "round 2", "instances: 1", "last reward 0.5", "pool=10 (declared)"):
            assert part in shown

    def test_a_suspended_tuner_says_why_while_its_neighbour_goes_on(self, call, served, written):
        bad, good = neighbours()
        call("tuner", "apply", written(bad, algorithm={"name": "explosive", "args": {"fuse": 2}}))
        call("tuner", "apply", written(good))
        fleets = {name: Fleet(served.settings, name) for name in (bad, good)}
        for fleet in fleets.values():
            fleet.here("a")
        for round_ in (1, 2):
            for fleet in fleets.values():
                wait_for(partial(fleet.measure, "a", round_, 0.5), f"round {round_} of {fleet.tuner}")
        wait_for(lambda: (c := fleets[bad].config()) is not None and c.status == "suspended", "the suspension")
        shown = call("tuner", "show", bad)
        assert shown.code == ExitCode.OK
        assert "suspended: RuntimeError: boom" in shown.out
        assert "at metrics offset" in shown.out
        assert "waiting for: suspended; mend the cause, then: oppertune tuner resume" in " ".join(shown.out.split())
        assert "instances: 1 present (a)" in shown.out
        told = one_line(call("tuner", "show", bad, "--json").out)
        assert told["status"] == "suspended"
        assert told["suspended"]["reason"] == "RuntimeError: boom"
        wait_for(lambda: fleets[good].measure("a", 3, 0.5), "the neighbour to go on")
        wait_for(lambda: fleets[good].round() == 4, "the neighbour's next round")
        statuses = {r["tuner"]: r["status"] for r in one_line(call("tuner", "list", "--json").out)["tuners"]}
        assert (statuses[bad], statuses[good]) == ("suspended", "tuning")
        assert call("tuner", "apply", written(bad), "--yes").code == ExitCode.OK, "another algorithm is the way out"
        assert "boom" not in call("tuner", "show", bad).out

    def test_reading_needs_no_worker(self, call, workerless):
        assert call("tuner", "list", "--json").out == '{"tuners":[]}\n'
        assert call("tuner", "show", "any").code == ExitCode.NOT_FOUND


def neighbours() -> tuple[str, str]:
    names = [f"neighbour-{i}" for i in range(20)]
    partition = partition_of(names[0], PARTITIONS)
    return names[0], next(n for n in names[1:] if partition_of(n, PARTITIONS) == partition)


class Fleet:
    """A tuner's apps, as a plain producer and a reader of configs."""

    def __init__(self, settings: BrokerSettings, tuner: str) -> None:
        self.tuner = tuner
        self._settings = settings
        self._producer = Producer(settings.producer())

    def _send(self, topic: str, event: dict[str, Any]) -> None:
        value = orjson.dumps({"v": 1, "tuner": self.tuner, **event})
        self._producer.produce(self._settings.topic(topic), value, self.tuner)
        assert self._producer.flush(10) == 0

    def here(self, instance: str, **context: str) -> None:
        self._send("contexts", {"id": f"{instance} is here", "instance": instance, "context": context or None})

    def config(self, **context: str) -> ConfigRecord | None:
        [table] = read_table(self._settings, "configs", [partition_of(self.tuner, PARTITIONS)]).values()
        records = [ConfigRecord.from_bytes(v) for k, v in table.items() if k.split("/")[0] == self.tuner]
        return next((r for r in records if (r.context or {}) == context), None)

    def round(self, **context: str) -> int:
        config = self.config(**context)
        return config.arms[0].round if config is not None and config.arms else 0

    def measure(self, instance: str, round_: int, reward: float, **context: str) -> bool:
        """Send one measurement of a round, once it is open."""
        config = self.config(**context)
        if config is None or not config.arms or config.arms[0].round != round_:
            return False
        arm = config.arms[0]
        event = {"id": f"{instance} {round_}", "instance": instance, "scope": config.scope, "round": round_}
        asked = {"arm": arm.arm, "request_id": arm.request_id, "values_hash": arm.hash}
        measured = {"interval_s": 0.1, "active_for_s": 1, "metrics": {"reward": reward}}
        self._send("metrics", event | asked | measured)
        return True


class TestOnAnyTerminal:
    @staticmethod
    def printed(renderable, width: int) -> str:
        file = io.StringIO()
        Console(file=file, width=width, color_system=None).print(renderable)
        return file.getvalue()

    @staticmethod
    def view(**changes) -> TunerView:
        world = World()
        world.apply(spec(rollout={"enabled": False}, **changes), author="grace", reason="to see [it] wrap")
        world.here()
        world.fold()
        world.play(2, 0.25)
        return TunerView("checkout", world.tuner(), [world.scope()])

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_a_tuner_fits_the_width_and_loses_nothing(self, width):
        view = self.view()
        printed = self.printed(show(view, {}, NOW_MS), width)
        assert max(map(len, printed.splitlines())) <= width
        words = " ".join(printed.split())
        for part in ("tuner checkout tuning", "to see [it] wrap", "round 3, explore; rounds: 2 measured", "1 present"):
            assert part in words
        assert "incumbent: mode=slow, pool=10, ratio=0.5" in words
        block = printed[printed.index("no context") :].splitlines()[1:]
        assert all(line.startswith("  ") for line in block), "what wraps stays in its block"

    def test_where_the_incumbent_is_from(self):
        view = self.view()
        assert "ratio=0.5 (declared)" in self.printed(show(view, {}, NOW_MS), 100)
        values: dict[str, str | int | float] = {"mode": "fast", "pool": 20, "ratio": 0.123456789}
        promote(view.scopes[0], values, by=LEARNER, reason="", now_ms=NOW_MS, reward=0.75)
        shown = self.printed(show(view, {}, NOW_MS), 100)
        assert "incumbent: mode=fast, pool=20, ratio=0.123457 (reward 0.75, since round 3)" in shown

    @pytest.mark.parametrize("width", [50, 80])
    def test_a_list_fits_the_width_with_its_numbers(self, width):
        printed = self.printed(list_table({"checkout": self.view()}, NOW_MS), width)
        assert max(map(len, printed.splitlines())) <= width
        assert re.search(r"checkout +tuning +hybrid_so", printed)

    def test_units_are_shown(self):
        parameter = {**SPEC["parameters"][0], "unit": "MiB"}
        assert "pool=10 MiB" in self.printed(show(self.view(parameters=[parameter]), {}, NOW_MS), 100)

    def test_a_scope_that_cannot_be_read_is_said_though_the_tuner_can(self):
        view = self.view()
        view.unreadable = "checkout/eu: ValidationError"
        shown = self.printed(show(view, {}, NOW_MS), 100)
        assert "cannot be read: checkout/eu: ValidationError" in shown
        assert "incumbent" in shown

    def test_a_tuner_without_its_own_record(self):
        view = TunerView("lost", None, self.view().scopes)
        assert "record of the tuner itself is missing" in self.printed(show(view, {}, NOW_MS), 100)
        assert re.search(r"lost\W+unreadable", self.printed(list_table({"lost": view}, NOW_MS), 100))


class TestABrokerThatIsNotThere:
    def test_it_is_named_with_what_to_do_within_seconds(self, call):
        where = f"127.0.0.1:{free_port()}"
        began = time.monotonic()
        told = call("topics", "check", "-b", where)
        assert time.monotonic() - began < 50  # some 5 s
        assert told.code == ExitCode.UNREACHABLE
        assert where in told.err
        assert "--bootstrap or OPPERTUNE_BOOTSTRAP" in told.err

    @pytest.mark.parametrize(
        "code", [KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError.TOPIC_AUTHORIZATION_FAILED]
    )
    def test_one_that_fails_on_the_way_is_no_trace(self, workerless, monkeypatch, code):
        def failing(*_, **__):
            raise KafkaException(KafkaError(code))

        delete = Command(v=1, id="1", kind="delete", tuner="any", author="test")
        monkeypatch.setattr(reading, "start_of_last", failing)
        with pytest.raises(BrokerUnreachable, match=re.escape(KafkaError(code).str())):
            read_tuners(workerless, "any")
        monkeypatch.setattr(sending, "_publish", failing)
        with pytest.raises(BrokerUnreachable, match=re.escape(workerless.bootstrap)):
            sending.send(workerless, delete, timeout_s=1)

    @pytest.mark.parametrize("arguments", [["-b", " "], ["--prefix", "a b"]])
    def test_settings_that_cannot_be(self, call, arguments):
        told = call("tuner", "list", *arguments)
        assert told.code == ExitCode.USAGE
        assert arguments[0].replace("-b", "--bootstrap") in told.err

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ("sasl_password=hunter2", "set OPPERTUNE_SASL_PASSWORD"),
            ("ssl_ca", "takes NAME=VALUE"),
            ("ssl_sa=x", "did you mean ssl_ca"),
        ],
    )
    def test_settings_by_name_take_no_secrets_and_no_typing_errors(self, call, given, said):
        told = call("tuner", "list", "--set", given)
        assert told.code == ExitCode.USAGE
        assert said in " ".join(re.sub("[│\n]", " ", told.err).split())
        assert "hunter2" not in told.err


class TestWorker:
    @pytest.fixture(autouse=True)
    def levels(self):
        """The command sets the levels of its process, which here is the tests'."""
        loggers = [logging.getLogger(name) for name in ("faust", "mode", "aiokafka", "kafka", "oppertune.kafka")]
        before = [one.level for one in loggers]
        yield
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)

    def test_without_a_broker_it_ends_with_a_sentence(self, call, caplog, monkeypatch):
        monkeypatch.setattr(worker_package, "WorkerSettings", partial(WorkerSettings, start_timeout_s=1.0))
        where = f"127.0.0.1:{free_port()}"
        assert call("worker", "-b", where).code == 69
        assert f"no Kafka broker answers at {where}" in caplog.text
        assert "--bootstrap" in caplog.text

    def test_a_service_of_kubernetes_does_not_end_it(self, call, monkeypatch, caplog):
        monkeypatch.setattr(worker_package, "WorkerSettings", partial(WorkerSettings, start_timeout_s=0.5))
        monkeypatch.setenv("OPPERTUNE_HEALTH_PORT", "tcp://10.0.0.1:8080")
        assert call("worker", "-b", f"127.0.0.1:{free_port()}").code == 69
        assert "OPPERTUNE_HEALTH_PORT is ignored" in caplog.text
        monkeypatch.setenv("OPPERTUNE_HEALTH_PORT", "http")
        told = call("worker", "-b", "127.0.0.1:1")
        assert told.code == ExitCode.USAGE
        assert "a port is a number from 1 to 65535, not 'http'" in told.err

    @pytest.mark.kafka
    def test_without_topics_it_ends_naming_the_command_that_makes_them(self, call, caplog, kafka):
        prefix = unique_prefix()
        assert call("worker", "-b", kafka, "--prefix", prefix).code == 78
        assert f"oppertune topics create --bootstrap {kafka} --prefix {prefix}" in caplog.text

    def test_a_level_that_is_none(self, call):
        told = call("worker", "--log-level", "loud")
        assert told.code == ExitCode.USAGE
        assert "debug" in plain(told.err)

    def test_libraries_are_quiet(self, served):
        log = served.log.read_text()
        assert " INFO oppertune.streams.worker" in log
        assert not re.search(r" (INFO|DEBUG) (faust|mode|aiokafka|kafka|oppertune\.kafka)\b", log)


class TestBroker:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
    def test_it_serves_until_it_is_told_to_stop(self, call, number):
        arguments = [*OPPERTUNE, "broker", "--json", "--prefix", "mine."]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as broker:
            try:
                assert broker.stdout is not None
                told = json.loads(broker.stdout.readline())
                assert told.keys() == {"bootstrap", "prefix"}
                listed = call("tuner", "list", "--json", "--embedded", "-b", told["bootstrap"], "--prefix", "mine.")
                assert listed.out == '{"tuners":[]}\n'
                broker.send_signal(number)
                assert broker.wait(5) == 0
                assert broker.stdout.read() == ""
            finally:
                broker.kill()


@pytest.mark.kafka
class TestTopics:
    @pytest.fixture
    def where(self, kafka):
        settings = BrokerSettings(bootstrap=kafka, prefix=unique_prefix())
        yield ["-b", kafka, "--prefix", settings.prefix]
        delete_topics(settings)

    def test_missing_topics_are_problems_and_then_created(self, call, where):
        missing = call("topics", "check", "--json", *where)
        assert missing.code == ExitCode.TOPICS
        assert len(one_line(missing.out)["problems"]) == 8
        assert "topics create" in missing.err
        assert call("tuner", "list", *where).code == ExitCode.TOPICS
        created = one_line(call("topics", "create", "--partitions", "1", "--json", *where).out)
        assert created.keys() == {"created", "problems"}
        assert (len(created["created"]), created["problems"]) == (8, [])
        assert call("topics", "create", "--partitions", "1", *where).out == "created: nothing, all are there\n"
        assert call("topics", "check", *where).out == "all topics are as they must be\n"
        assert one_line(call("topics", "check", "--json", *where).out) == {"problems": []}

    def test_apply_without_topics_publishes_nothing(self, call, kafka, written):
        told = call("tuner", "apply", written("topicless"), "-b", kafka, "--prefix", unique_prefix())
        assert told.code == ExitCode.TOPICS
        assert "topics create" in told.err

    def test_adopting_what_is_no_source(self, call, kafka):
        assert call("topics", "adopt", "rounds", "-b", kafka).code == ExitCode.USAGE


class TestHelp:
    def test_it_loads_nothing_heavy_even_to_the_end(self):
        code = "from oppertune.streams.operate.main import app; app(sys.argv[1:], standalone_mode=False)"
        code = f"import atexit, sys; atexit.register(lambda: print('loaded:', *sys.modules)); {code}"
        for arguments in (["--help"], ["worker", "--help"], ["demo", "--help"], ["tuner", "apply", "--help"]):
            printed = subprocess.run(
                [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=30
            ).stdout
            loaded = printed.partition("loaded:")[2].split()
            assert loaded
            assert not {"faust", "aiokafka", "matplotlib", "pyarrow"} & set(loaded)

    def test_no_command_is_help(self, call):
        told = call()
        assert told.code == ExitCode.USAGE
        assert "oppertune demo" in plain(told.out + told.err)

    def test_an_unknown_command_is_a_usage_error(self, call):
        assert call("tune").code == ExitCode.USAGE

    def test_the_program_itself_is_installed(self):
        program = Path(sys.executable).with_name("oppertune")
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30)
        assert re.fullmatch(r"\d+\.\d+\.\d+\n", shown.stdout)

    def test_the_examples_that_need_no_broker_run(self, call):
        assert call("tuner", "apply", str(ROOT / "examples" / "checkout.yaml"), "--dry-run").code == ExitCode.OK
        assert call("--version").code == ExitCode.OK


def test_an_error_of_the_command_line_carries_its_code():
    assert CommandFailed("what to do", ExitCode.REFUSED).code == 6
    assert sorted(ExitCode) == list(range(9))
