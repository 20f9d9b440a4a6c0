"""``oppertune simulate``: what it prints, keeps and draws, and how it ends."""

import json
import os
import signal

import pytest
import yaml
from jsonschema import Draft202012Validator

from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import Simulated
from oppertune.streams.operate.simulation.run import Simulation

SPEC = {
    "name": "pools",
    "parameters": [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}],
    "algorithm": {"name": "uniform_random", "args": {"random_seed": 1}},
    "objective": {"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize"}]},
}


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "pools.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)


def test_the_same_command_prints_the_same_bytes_and_what_its_schema_says(call, spec):
    first, second = (call("simulate", spec, "--quick", "--json", "--seed", "5", "--joins", "30") for _ in range(2))
    assert first.code == ExitCode.OK, first.err
    assert first.out == second.out
    told = json.loads(first.out)
    Draft202012Validator(Simulated.model_json_schema(mode="serialization")).validate(told)
    assert told["ended"]
    assert told["hours"] == 0.1
    assert told["rounds"]["measured"] > 5
    assert "virtual seconds a second" in first.err, "how fast it went is no part of what is the same"
    assert call("simulate", spec, "--quick", "--json", "--seed", "6", "--joins", "30").out != first.out


def test_people_read_figures_and_the_incumbent(call, spec):
    done = call("simulate", spec, "--quick")
    assert done.code == ExitCode.OK, done.err
    for part in ("virtual time", "worse than declared", "arms withdrawn", "measured", "incumbent: pool="):
        assert part in done.out


def test_ctrl_c_stops_it_prints_what_there_is_and_it_goes_on(call, spec, tmp_path, monkeypatch):
    whole = call("simulate", spec, "--quick", "--json")
    fold, folds = Simulation._fold, 0

    def fold_and_stop(simulation):
        nonlocal folds
        fold(simulation)
        folds += 1
        if folds == 100:
            os.kill(os.getpid(), signal.SIGINT)

    kept = str(tmp_path / "kept")
    with monkeypatch.context() as patched:
        patched.setattr(Simulation, "_fold", fold_and_stop)
        stopped = call("simulate", spec, "--quick", "--json", "--keep", kept)
    assert stopped.code == ExitCode.OK
    assert stopped.err.strip().startswith("stopped: 0.0")
    told = json.loads(stopped.out)
    assert not told["ended"]
    assert 0 < told["hours"] < 0.1
    assert told["rounds"]["measured"] > 0
    assert call("simulate", spec, "--quick", "--json", "--keep", kept).out == whole.out
    assert call("simulate", spec, "--quick", "--json", "--keep", kept).out == whole.out, "it has ended already"
    assert call("simulate", spec, "--quick", "--seed", "1", "--keep", kept).code == ExitCode.INVALID


def test_it_is_drawn(call, spec, tmp_path):
    picture = tmp_path / "out" / "simulated.png"
    assert call("simulate", spec, "--quick", "--picture", str(picture)).code == ExitCode.OK
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_table_is_what_configurations_do(call, spec, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("pool,Time-\n1,100\n10,50\n100,10\n")
    told = json.loads(call("simulate", spec, "--quick", "--json", "--system", str(table)).out)
    assert told["incumbent_regret"] == 4.0, "the declared 10 takes 5 times as long as the best"
    assert told["mean_quality"] is not None


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--system", "no.csv"], ExitCode.INVALID, "cannot read no.csv"),
        (["--system", "no.csv", "--function", "hill"], ExitCode.USAGE, "name one"),
        (["--instances", "2000"], ExitCode.USAGE, "raise max_instances"),
        (["--function", "valley"], ExitCode.USAGE, "valley"),
        (["--hours", "0"], ExitCode.USAGE, "--hours"),
    ],
)
def test_what_cannot_be_simulated_is_said(call, spec, options, code, said):
    ended = call("simulate", spec, *options)
    assert ended.code == code
    assert said in ended.err
