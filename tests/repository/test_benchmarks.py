"""The benchmarks: they run, their problems are what they say, and what is stopped shows what it has."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from oppertune.core.values import Categorical, Integer, ParameterValue, Real
from oppertune.streams.operate.simulation.system import quality

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGES = ROOT / "docs" / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a script as it is imported beside the others."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))  # regret.py sets them for its processes
    yield import_module
    for name in ("pages", "problems", "regret", "tails", "made_up", "options", "rollout", "stream", "evidence"):
        sys.modules.pop(name, None)


def run(script, *options, **environment):
    command = [sys.executable, BENCHMARKS / script, "--quick", "--json", *options]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, json.loads(done.stdout.splitlines()[-1])


def written():
    return {page: page.stat().st_mtime_ns for page in PAGES.iterdir()}


# ---- they run -------------------------------------------------------------------------------------------------------


def test_every_benchmark_is_run_here_and_has_a_page():
    programs = {path.stem for path in BENCHMARKS.glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert programs == set(re.findall(r' = run\("(\w+)\.py"', Path(__file__).read_text()))
    assert programs == {page.stem for page in PAGES.glob("*.md")}


def test_latency_measures_every_row():
    before = written()
    _, found = run("latency.py")
    assert not found["stopped"]
    not_run = {row["name"] for row in found["rows"] if "us" not in row}
    assert not_run == {"exponential_weights K=4^10"}, "the original could not either"
    assert all(row["ratio"] > 0 for row in found["rows"] if "original_us" in row)
    assert written() == before


def test_regret_plays_every_competitor_under_every_condition(benchmark):
    before = written()
    done, found = run("regret.py")
    assert not found["stopped"]
    assert found["failed"] == {}
    played = {name.split(" | ")[0] for name in found["mean_regret"]}
    assert played == set(benchmark("regret").COMPETITORS)
    for title in ("problem (a)", "problem (b)", "problem (c)", "systems\n", "10 rounds late", "5 % noise", "optimum"):
        assert title in done.stdout
    assert written() == before


def test_tails_plays_every_learner_and_both_kinds_of_contexts(benchmark):
    before = written()
    done, found = run("tails.py", "--processes", "2")
    assert {row["learner"] for row in found["rows"]} == set(benchmark("tails").LEARNERS)
    assert len(found["contexts"]) == 8
    assert "| needle |" in done.stdout
    assert "| 2 alike |" in done.stdout
    assert "| 8 opposite |" in done.stdout
    assert written() == before


def test_made_up_systems_are_played_by_every_learner(benchmark):
    before = written()
    _, found = run("made_up.py")
    assert {row["learner"] for row in found["rows"]} == set(benchmark("made_up").LEARNERS)
    assert written() == before


def test_rollout_plays_a_fleet_of_every_experiment(benchmark, tmp_path):
    before, kept = written(), tmp_path / "kept"
    done, found = run("rollout.py", "--processes", "2", "--keep", str(kept))
    rollout = benchmark("rollout")
    assert found["played"] == found["runs"] == len(rollout.EXPERIMENTS)
    assert found["faster"] > 1
    for title in rollout.TITLES.values():
        assert f"## {title}" in done.stdout
    kept.write_text(kept.read_text() + '[{"experiment": "eq')
    again, found = run("rollout.py", "--keep", str(kept))
    assert found["played"] == 0, "it goes on where it was stopped"
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]
    assert written() == before


def test_a_measured_system_is_the_same_to_simulations_and_benchmarks(benchmark):
    problems, rollout = benchmark("problems"), benchmark("rollout")
    for name in ("llvm", "hsqldb", "redis"):
        problem = problems.Measured(name)
        parameters = problem.parameters(0)
        system = rollout.measured_system(name, parameters, problem.names)
        rng = np.random.default_rng(0)
        for _ in range(50):
            row = problem.rows[int(rng.integers(len(problem.rows)))].tolist()
            played = {
                of[0]: problems._parameter(*of).val for of in zip(problem.names, problem.levels, row, strict=True)
            }
            q = quality(system, system.effect(played).cost)
            assert q == pytest.approx(problem.regret(played), abs=1e-6)


def test_what_was_never_withdrawn_waited_for_ever(benchmark):
    rollout = benchmark("rollout")
    usual = {"bad_arms": 10, "to_withdrawal": [1.0] * 8 + [3.0], "exposures_s": []}
    assert rollout._bad([usual]) == ["10", "90%", "1.0", "3.0", "—", "—"]
    assert rollout._bad([{**usual, "to_withdrawal": [1.0] * 4}]) == ["10", "40%", "—", "—", "—", "—"]
    case = rollout.Case("not of this version", 1, None, "≤ 1 %", needs="no such field")
    assert not case.possible
    assert rollout.row("equal", case, []) == ["not of this version", "—", "≤ 1 %", "—", "—", "—"]


def test_options_plays_every_row(benchmark):
    before = written()
    done, found = run("options.py")
    rows = benchmark("options").rows()
    assert [(row["algorithm"], row["options"]) for row in found["rows"]] == [(r.algorithm, r.label) for r in rows]
    assert all(0 <= row["all"] <= 1 for row in found["rows"])
    assert f"| {rows[-1].name} | {rows[-1].algorithm} | {rows[-1].label} |" in done.stdout
    assert written() == before


def test_evidence_judges_every_case_and_each_hour_is_the_same_again(benchmark):
    before = written()
    done, found = run("evidence.py")
    evidence = benchmark("evidence")
    assert not found["stopped"]
    cases = {(case.title, name) for case in (evidence.EQUAL, *evidence.WORSE) for name in case.watched}
    assert {(row["case"], row["guardrail"]) for row in found["rows"]} == cases
    assert {row["units"] for row in found["rows"]} == {4, 20}
    assert all(None in row["intervals"] or row["case"] != "equal" for row in found["rows"])
    twice = next(r for r in found["rows"] if (r["units"], r["case"], r["guardrail"]) == (20, "2x p95", "p95 strict"))
    assert None not in twice["intervals"]
    assert "| 20, 2 | default | " in done.stdout
    assert run("evidence.py")[1] == found
    assert written() == before


def test_client_measures_every_row():
    before = written()
    done, found = run("client.py")
    head, _, *rows = done.stdout.splitlines()[:-1]
    assert head == "| what | cost |"
    assert len(rows) == len(found)
    assert found.pop("import_threads") >= 0, "numpy has none on a single core"
    assert min(found.values()) > 0
    assert found["python_threads"] == 1, "all that talks to Kafka is on one thread"
    assert written() == before


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)  # a deadline for a busy machine: workers are started four times
def test_stream_measures_every_learner_and_plain_faust(benchmark, kafka):
    before = written()
    done, found = run("stream.py", OPPERTUNE_TEST_BOOTSTRAP=kafka)
    stream = benchmark("stream")
    assert [row["learner"] for row in found["rows"]] == list(stream.LEARNERS)
    for row in found["rows"]:
        assert (row["events"], row["rounds"]) == (stream.QUICK.events, stream.QUICK.rounds)
        assert row["times_faust"] == pytest.approx(row["events_per_s"] / found["faust_events_per_s"])
        assert row["cpu_s_per_100k_events"] > 0
        assert 0 < row["latency_p50_ms"] <= row["latency_p90_ms"] <= row["latency_p99_ms"] <= row["latency_max_ms"]
        assert f"| {row['learner']} | " in done.stdout
    assert "| plain Faust | " in done.stdout
    there = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert [topic for topic in there if "idiom" in topic] == [], "what was made on someone's Kafka is deleted"
    assert written() == before


def test_stopped_it_prints_what_it_has_and_writes_no_page(tmp_path):
    before = written()
    command = [sys.executable, str(BENCHMARKS / "regret.py"), "--json", "--only", "uniform_random", "--seeds", "100"]
    with subprocess.Popen(
        [*command, "--rounds", "300", "--keep", str(tmp_path / "runs")], stdout=-1, stderr=-1, text=True
    ) as process:
        try:
            assert process.stderr is not None
            process.stderr.read(1)  # the first run is over
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "stopped" in err
    assert "Traceback" not in err
    found = json.loads(out.splitlines()[-1])
    assert found["stopped"]
    assert found["mean_regret"]
    assert 0 < len((tmp_path / "runs").read_text().splitlines()) < found["runs"]
    assert "| uniform_random |" in out
    assert written() == before


# ---- what they play -------------------------------------------------------------------------------------------------


def configuration(system, row):
    """A row of a measured table as a prediction."""
    values = {}
    for p, levels, x in zip(system.parameters(0), system.levels, row.tolist(), strict=True):
        kinds: dict[type, Callable[[float], ParameterValue]] = {
            Categorical: str,
            Integer: levels.tolist().index,
            Real: float,
        }
        values[p.name] = kinds[type(p)](x)
    return values


@pytest.mark.parametrize("name", ["hsqldb", "llvm", "postgresql", "redis", "storm_wordcount"])
def test_a_measured_system_answers_as_its_table(benchmark, name):
    system = benchmark("problems").Measured(name)
    best, worst = system.rewards.argmax(), system.rewards.argmin()
    assert system.regret(configuration(system, system.rows[best])) == 0
    for i in (0, worst, len(system.rows) - 1):
        assert system.reward(configuration(system, system.rows[i])) == system.rewards[i]
    assert len(np.unique(system.rows, axis=0)) == len(system.rows), "one row for a configuration"
    assert np.median([(system.best - r) / (system.best - system.median) for r in system.rewards]) == pytest.approx(1)
    assert (system.rewards.min(), system.rewards.max()) == (0, 1)
    kinds = [2 if isinstance(p, Categorical) else 12 if isinstance(p, Integer) else 13 for p in system.parameters(0)]
    assert kinds == [2 if len(x) == 2 else 12 if len(x) <= 12 else 13 for x in system.levels]


def test_less_is_better_where_a_table_says_so_and_a_workload_that_was_lost_is_its_first(benchmark):
    system = benchmark("problems").Measured("postgresql")
    assert len(system.rows) == 864
    lines = (line.split(",") for line in _unpacked("postgresql"))
    goal = next(lines).index("Performance-")
    first: dict[tuple[float, ...], float] = {}
    for line in lines:
        first.setdefault(tuple(map(float, line[:goal] + line[goal + 1 :])), float(line[goal]))
    order = np.argsort([first[tuple(row)] for row in system.rows.tolist()])
    assert (np.diff(system.rewards[order]) <= 0).all()


def test_rewards_are_scaled_between_the_1st_and_99th_percentile_and_two_goals_are_averaged(benchmark):
    def scaled(x):
        low, high = np.quantile(x, 0.01), np.quantile(x, 0.99)
        return np.minimum(np.maximum((x - low) / (high - low), 0), 1)

    for name, signs in (("llvm", {"PERF-": -1}), ("storm_wordcount", {"Throughput+": 1, "Latency-": -1})):
        head, *lines = (line.split(",") for line in _unpacked(name))
        columns = dict(zip(head, np.array(lines, float).T, strict=True))
        expected = np.mean([scaled(sign * columns[goal]) for goal, sign in signs.items()], axis=0)
        expected = scaled(expected) if len(signs) > 1 else expected
        assert benchmark("problems").Measured(name).rewards == pytest.approx(expected)


def _unpacked(name):
    return gzip.decompress((BENCHMARKS / "data" / f"{name}.csv.gz").read_bytes()).decode().split()


def test_a_configuration_that_is_not_in_the_table_stands_for_the_nearest_row(benchmark):
    system = benchmark("problems").Measured("redis")
    near = configuration(system, system.rows[7])
    name, levels = next((n, x) for n, x in zip(system.names, system.levels, strict=True) if len(x) > 12)
    others = system.levels[system.names.index(name)]
    gap = np.diff(others).min()
    near[name] += 0.01 * gap if near[name] < levels[-1] else -0.01 * gap
    assert system.reward(near) == system.rewards[7]


def test_the_declared_configuration_is_a_row_that_the_seed_draws(benchmark):
    system = benchmark("problems").Measured("storm_wordcount")
    declared = [{p.name: p.val for p in system.parameters(seed)} for seed in range(10)]
    assert declared[3] == {p.name: p.val for p in system.parameters(3)}
    assert len({tuple(d.values()) for d in declared}) > 5
    rows = [configuration(system, row) for row in system.rows]
    assert all(d in rows for d in declared)


@pytest.mark.parametrize(("key", "best", "moved"), [("a", 0.85, 0.85), ("b", 0.85, 0.85), ("c", 0.85, 0.85)])
def test_the_optimum_of_a_synthetic_problem_is_known_and_moves(benchmark, key, best, moved):
    problems = benchmark("problems")
    problem = problems.SYNTHETIC[key]()
    at = [optimum(problems, turned) for turned in (False, True)]
    assert problem.reward(at[0]) == pytest.approx(best)
    problem.moved = True
    assert problem.reward(at[0]) < best - 0.05
    assert problem.reward(at[1]) == pytest.approx(moved)
    assert problem.regret(at[1]) == pytest.approx(0)


def optimum(problems, moved):
    """The best configuration of all three problems."""
    bowl = problems.Quadratic.optimum
    found = {f"p{i}": x for i, x in enumerate((1 - bowl if moved else bowl).tolist())}
    table = problems.Choices.table[::-1, ::-1, ::-1] if moved else problems.Choices.table
    chosen = [int(i) for i in np.unravel_index(table.argmax(), table.shape)]
    found |= {f"c{i}": problems.CATEGORIES[k] for i, k in enumerate(chosen)}
    i0, i1, i2, r0, r1 = problems.Mixed.targets[chosen[2]].tolist()
    return found | {"i0": int(i0), "i1": int(i1), "i2": int(i2), "r0": r0, "r1": r1}


DECLARED: dict[str, ParameterValue] = {
    "journal_mode": "DELETE",
    "synchronous": "FULL",
    "cache_size_kib": 2000,
    "mmap_size_mib": 0,
    "temp_store": "DEFAULT",
    "wal_autocheckpoint": 1000,
    "rows_per_transaction": "1",
}


def test_a_24th_of_the_demo_s_space_is_fast_and_another_one_after_the_turn(benchmark):
    tails = benchmark("tails")
    first = DECLARED | {"journal_mode": "WAL", "synchronous": "NORMAL"}
    second = DECLARED | {"journal_mode": "PERSIST", "rows_per_transaction": "16"}
    assert tails.gain(DECLARED) == 0
    assert [tails.gain(first), tails.gain(second, turned=True)] == [tails.FAST, tails.FAST]
    assert (
        max(
            tails.gain(second),
            tails.gain(first, turned=True),
            *(tails.gain(DECLARED | x) for x in ({"journal_mode": "WAL"}, {"synchronous": "NORMAL"})),
        )
        < 0.3
    )
    space = [
        {"journal_mode": j, "synchronous": s, "rows_per_transaction": r}
        for j in tails.JOURNAL
        for s in ("NORMAL", "FULL")
        for r in tails.ROWS
    ]
    assert [sum(tails.is_fast(c, turned=turned) for c in space) / len(space) for turned in (False, True)] == [
        1 / 24
    ] * 2


def test_figures_of_tails_are_counted_from_the_turn_and_over_the_seeds(benchmark):
    tails = benchmark("tails")
    family = tails.Family("turned", turned=True)

    def run_of(first, alarms, recommended):
        fast = np.zeros(300, bool)
        fast[first : first + 5] = True
        return tails.Played(fast, np.where(np.arange(300) < 100, 9.0, 1.0), np.full(300, recommended), alarms)

    found = tails.figures(
        family, "auto", [run_of(109, [50, 102], True), run_of(129, [104], False), run_of(0, [], True)]
    )
    assert (found["first"], found["first_p95"], found["never"]) == (30, None, 1)
    assert (found["left"], found["found"]) == (1, 2)
    assert found["rounds_per_alarm"] == 300
    assert found["to_alarm"] == [5, None]
    assert found["cost"] == found["cost_worst"] == 1


# ---- how they play --------------------------------------------------------------------------------------------------


class Recorder:
    """Plays the declared configuration, and keeps in which order it was asked and told."""

    last: ClassVar["Recorder"]

    def __init__(self, parameters, *args):
        self.declared, self.script, self.rewards, self.asked = {p.name: p.val for p in parameters}, [], [], 0
        Recorder.last = self

    def ask(self):
        self.asked += 1
        self.script.append(f"ask {self.asked}")
        return self.asked, self.declared

    def tell(self, of, reward):
        self.script.append(f"tell {of}")
        self.rewards.append(reward)

    def recommend(self):
        return self.declared


def test_a_late_reward_comes_after_as_many_more_rounds(benchmark, monkeypatch):
    regret = benchmark("regret")
    monkeypatch.setattr(regret, "Ours", Recorder)
    regret.play(regret.Job("auto", "a", 0, 4, delay=2))
    assert Recorder.last.script == ["ask 1", "ask 2", "ask 3", "tell 1", "ask 4", "tell 2"]


def test_noise_is_told_and_not_counted(benchmark, monkeypatch):
    regret = benchmark("regret")
    monkeypatch.setattr(regret, "Ours", Recorder)
    played, _ = regret.play(regret.Job("auto", "llvm", 0, 300, noise=0.05))
    assert len(set(played)) == 1
    assert np.std(Recorder.last.rewards) == pytest.approx(0.05, rel=0.2)


def test_the_optimum_moves_at_half_of_the_rounds(benchmark, monkeypatch):
    regret = benchmark("regret")
    monkeypatch.setattr(regret, "Ours", Recorder)
    played, _ = regret.play(regret.Job("auto", "a", 0, 6, switch=True))
    assert len(set(played[:3])) == len(set(played[3:])) == 1
    assert played[2] != played[3]


def test_the_incumbent_is_the_play_with_the_highest_reward_seen(benchmark, monkeypatch):
    regret = benchmark("regret")
    seen = []

    class Wanderer(Recorder):
        def ask(self):
            self.declared = dict.fromkeys(self.declared, (self.asked * 0.37) % 1)
            return super().ask()

    monkeypatch.setattr(regret, "Ours", Wanderer)
    for seed in range(5):
        played, _ = regret.play(regret.Job("auto", "a", seed, 50))
        seen = Recorder.last.rewards
        assert regret.incumbent(played, seed) == played[np.argmax(seen)]


def test_a_competitor_that_fails_says_why_and_costs_no_other_its_results(benchmark, monkeypatch):
    regret = benchmark("regret")
    monkeypatch.setattr(regret, "COMPETITORS", {**regret.COMPETITORS, "broken": ("no such algorithm", {})})
    assert "no such algorithm" in regret.attempt(regret.Job("broken", "a", 0, 3))
    assert len(regret.attempt(regret.Job("identity", "a", 0, 3))[0]) == 3


@pytest.mark.parametrize("stopped", [False, True])
def test_a_page_is_written_by_a_full_run_that_was_not_stopped(benchmark, monkeypatch, tmp_path, capsys, stopped):
    regret = benchmark("regret")

    def finished(todo, _):
        for i, job in enumerate(todo):
            if stopped and i == 4:
                raise KeyboardInterrupt
            yield job, (np.linspace(1, 0, job.rounds), 0.0)

    monkeypatch.setattr(regret, "finished", finished)
    monkeypatch.setattr(regret, "stop_on_signals", lambda: None)
    monkeypatch.setattr(regret, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["regret.py", "--seeds", "2"])
    with pytest.raises(SystemExit) as ended:
        regret.main()
    assert ended.value.code == int(stopped)
    assert {page.name for page in tmp_path.iterdir()} == (set() if stopped else {"regret.md", "regret.png"})
    assert "| auto | 2 | 0.950±0.000 |" in capsys.readouterr().out


PAGE_OF_TWO = """# Regret

About. Made by `python benchmarks/regret.py`.

## One

| algorithm | seeds |
| --- | ---: |
| auto | 0.5 |
| slates | 0.7 |

## Two

| algorithm | seeds |
| --- | ---: |
| auto | 0.6 |
"""


def test_rows_of_what_was_changed_are_renewed_and_the_page_says_so(benchmark):
    regret = benchmark("regret")
    found = "## One\n\n| algorithm | seeds |\n| --- | ---: |\n| auto | 0.1 |\n\n## Two\n\n| auto | 0.2 |"
    text = regret.renewed(PAGE_OF_TWO, found, "2026-11-27")
    expected = PAGE_OF_TWO.replace("0.5", "0.1").replace("0.6", "0.2").rstrip("\n")
    note = "regret.py`. Renewed on 2026-11-27 (`--renew`), the others being as before: auto."
    assert text.rstrip("\n") == expected.replace("regret.py`.", note)
    with pytest.raises(SystemExit, match="no rows for slates"):
        regret.renewed(PAGE_OF_TWO, "## Two\n\n| slates | 0.1 |", "2026-11-27")
    with pytest.raises(SystemExit, match="other columns"):
        regret.renewed(PAGE_OF_TWO, "## One\n\n| algorithm | seeds | worst |\n| auto | 0.1 | 0.2 |", "2026-11-27")


def test_a_system_left_out_is_left_out_of_no_mean(benchmark):
    regret = benchmark("regret")
    results = regret.Results()
    for name, tables in (("auto", ("llvm", "redis")), ("slates", ("llvm",))):
        for t in tables:
            results.add(regret.Job(name, t, 0, 2), (np.array([0.25, 0.25]) if t == "llvm" else np.ones(2), 0.5))
    head, _, auto, slates = regret.measured_page(results).splitlines()
    assert head == "| algorithm | seeds | llvm | redis | all | p90 | worst | > 1 | last 50 | recommended |"
    cells = "0.250 (0.25, 0.25) | 1.000 (1.00, 1.00) | 0.500 | 0.50 | 0.50 | 0.0% | 0.500 | 0.500"
    assert auto == f"| auto | 1 | {cells} |", "means over tables are geometric"
    assert slates == "| slates | 1 | 0.250 (0.25, 0.25) | – | – | – | – | – | – | – |"


def test_the_tail_is_of_the_mean_regret_of_seeds(benchmark):
    regret = benchmark("regret")
    runs = np.array([[i / 10, i / 10 + 0.2] for i in range(11)])
    assert regret._tail(runs) == pytest.approx((1.0, 1.1))


def test_runs_that_were_kept_are_read_again_but_not_one_cut_off(benchmark, tmp_path):
    regret = benchmark("regret")
    jobs = [regret.Job("identity", "a", seed, 3, delay=1) for seed in range(2)]
    for job in jobs:
        regret.keep(tmp_path / "runs", job, regret.play(job))
    text = (tmp_path / "runs").read_text()
    (tmp_path / "runs").write_text(text[:-10])
    kept = regret.read(tmp_path / "runs")
    assert list(kept) == jobs[:1]
    assert kept[jobs[0]][0] == pytest.approx(regret.play(jobs[0])[0], abs=1e-6)
