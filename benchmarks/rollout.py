"""Is it safe to leave on? Simulated fleets, tuned by the real processor: what arms, guardrails and stages are worth.

Each run is one fleet on a virtual clock, as ``oppertune simulate`` has it: an interval is 10 s, an instance has 100
requests in it, latency is lognormal (σ 0.6) with 1 % Pareto, hosts differ by 15 %, an instance's noise of 10 % lasts,
shocks of 5 % are common to all; a metric event in a hundred is late, one in a hundred lost. "Bad" is slower by more
than 10 %, one point more errors, or crashing. Beside each figure stands what the design's own simulation had, or asks
for (its world was simpler where the tables are concerned). Where this version has not what a row needs, it says "—".

Run: python benchmarks/rollout.py [--quick] [--json] [--only WORD,…] [--scale X] [--write] [--processes N] [--keep
FILE]. Whole, it takes a night, and writes docs/benchmarks/rollout.md; --scale 0.1 has a tenth of the runs in each row.
Stopped, it prints what it has; with --keep it goes on another time.
"""

# ruff: noqa: E402 - the environment must be set before numpy is loaded

import argparse
import csv
import gzip
import json
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: processes share the cores already

import numpy as np
from pages import FOLDER, machine, stop_on_signals, table
from problems import DATA, TABLES, Measured

from oppertune.core.values import ValueType
from oppertune.schemas.keys import values_hash
from oppertune.schemas.spec import TunerSpec
from oppertune.streams.operate.simulation.options import FleetOptions
from oppertune.streams.operate.simulation.report import figures_of
from oppertune.streams.operate.simulation.run import Simulation
from oppertune.streams.operate.simulation.system import Altered, Effect, System, Table

INTERVAL_S = 10.0
MINUTE_H = 1 / 60
Run: TypeAlias = Mapping[str, Any]


class World(NamedTuple):
    """What a run simulates."""

    spec: dict[str, Any]
    system: System
    options: FleetOptions
    hours: float


@dataclass(frozen=True)
class Case:
    """A row of a table.

    Attributes:
        name: In the table.
        runs: How many fleets, at full scale.
        world: From a seed to what is simulated.
        theirs: The design's figure, or what it asks for.
        needs: A field of specs without which the row is left out.
    """

    name: str
    runs: int
    world: Callable[[int], World]
    theirs: str
    needs: str = ""

    @property
    def possible(self) -> bool:
        """Whether this version can play it."""
        return not self.needs or self.needs in TunerSpec.model_fields


@dataclass(frozen=True)
class Job:
    """One run."""

    experiment: str
    case: str
    seed: int
    quick: bool = False


# -- worlds


def five_numbers(seed: int, **changes: Any) -> dict[str, Any]:
    """A spec of five reals for a learner that draws at random, measured for three intervals."""
    parameters = [{"name": f"p{i}", "type": "real", "val": 0.1, "min": 0.0, "max": 1.0} for i in range(5)]
    latency = {"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "scale": 100}
    errors = {"metric": "errors", "aggregate": "mean", "goal": "minimize", "scale": 0.01, "weight": 0.01}
    return {
        "name": "simulated",
        "parameters": parameters,
        "algorithm": {"name": "uniform_random", "args": {"random_seed": seed}},
        "objective": {"terms": [latency, errors]},
        "measurement": {"interval_s": INTERVAL_S, "min_duration_s": 3 * INTERVAL_S},
        **changes,
    }


def altered(
    instances: int, hours: float, other: Effect, *, breaks_at: float | None = None, **more: Any
) -> Callable[[int], World]:
    """A fleet in which all that matters is whether the declared values are run; no instance is an outlier by itself."""
    changes = more.pop("spec", {})
    more = {"outliers": 0.0} | more

    def world(seed: int) -> World:
        spec = five_numbers(seed, **changes)
        declared = values_hash(TunerSpec.model_validate(spec).declared())
        return World(
            spec, Altered(declared, other, breaks_at), FleetOptions(instances=instances, seed=seed, **more), hours
        )

    return world


def away(seed: int) -> World:
    """A fleet whose worker is away for two leases at some moment of an hour: with a gain, so that there are stages."""
    at_h = float(np.random.default_rng([seed, 7]).uniform(0.1, 0.9))
    return altered(50, 1.0, Effect(0.9), away_at_h=at_h, away_s=60.0)(seed)


def measured_system(name: str, parameters: Sequence[ValueType], names: Sequence[str]) -> Table:
    """A measured system as the simulation has it: its parameters as ``problems.py`` has them."""
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
        head, *lines = csv.reader(file)
    data = np.array(lines, dtype=np.float64)
    rows = data[:, [head.index(column) for column in names]]
    for i, parameter in enumerate(parameters):
        if parameter.to_dict()["type"] == "integer":  # over the values, not the values themselves
            rows[:, i] = np.searchsorted(np.unique(rows[:, i]), rows[:, i])
    goals = {column: (data[:, i], column[-1] == "-") for i, column in enumerate(head) if column[-1] in "+-"}
    return Table(parameters, rows, goals)


def on_table(name: str, instances: int, explore: Mapping[str, Any]) -> Callable[[int], World]:
    """A fleet of a measured system, tuned by ``auto`` for 600 intervals."""

    def world(seed: int) -> World:
        problem = Measured(name)
        parameters = problem.parameters(seed)
        written = [{k: v for k, v in p.to_dict().items() if v is not None} for p in parameters]
        spec = {
            **five_numbers(seed),
            "parameters": written,
            "algorithm": {"name": "auto", "args": {"random_seed": seed}},
            "objective": {"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "log": True}]},
            "explore": dict(explore),
        }
        system = measured_system(name, parameters, problem.names)
        return World(spec, system, FleetOptions(instances=instances, seed=seed), 600 * INTERVAL_S / 3600)

    return world


# -- experiments


TEN_MINUTES = 10 * MINUTE_H
NO_TOLERANCE = {"guardrails": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "tolerance": 0.0}]}
SAME, SLOW, FAILING, CRASHING = Effect(1.0), Effect(2.0), Effect(1.0, errors=0.055), Effect(1.0, crashes=0.5)
FEW = {"rate_per_s": 0.5}
POLICIES: Mapping[str, Mapping[str, Any]] = {
    "all at once": {"share": 1.0, "arms": 1},
    "1 arm of 10 %": {"share": 0.1, "arms": 1},
    "4 arms in 10 %": {"share": 0.1, "arms": 4},
}

EXPERIMENTS: Mapping[str, Sequence[Case]] = {
    "equal": [
        Case("4 instances", 400, altered(4, TEN_MINUTES, SAME), "≤ 1 %"),
        Case("20 instances", 1000, altered(20, TEN_MINUTES, SAME), "≤ 1 % (.07 %)"),
        Case("200 instances", 50, altered(200, TEN_MINUTES, SAME), "≤ 1 % (0 of 50)"),
        Case("20, 5 requests per interval", 200, altered(20, TEN_MINUTES, SAME, **FEW), "≤ 1 %"),
        Case("20, each started anew once", 200, altered(20, TEN_MINUTES, SAME, restarts=120), "≤ 1 %"),
        Case("20, one interval in 1,000 an outlier", 200, altered(20, TEN_MINUTES, SAME, outliers=0.001), "—"),
        Case("20, tolerance 0", 1000, altered(20, TEN_MINUTES, SAME, spec=NO_TOLERANCE), "≤ 2 % (.8 %)", "guardrails"),
    ],
    "bad": [
        Case("twice the p95, 8 instances", 100, altered(8, TEN_MINUTES, SLOW), "≤ 2 in 90 %, with rounds before"),
        Case("twice the p95, 20", 100, altered(20, TEN_MINUTES, SLOW), "≤ 2 in 90 %"),
        Case("twice the p95, 200", 20, altered(200, TEN_MINUTES, SLOW), "≤ 2 in 90 %"),
        Case("5 points more errors, 20", 100, altered(20, TEN_MINUTES, FAILING), "≤ 4 in 90 %"),
        Case("half crash in an interval, 200", 20, altered(200, TEN_MINUTES, CRASHING), "1"),
    ],
    "tables": [
        Case(f"{name}, {n} instances, {policy}", 6, on_table(name, n, explore), theirs)
        for n, theirs in ((20, "bad ≤ 1/10, 1 - q ≥ 90 %"), (1000, "bad ≤ 1/30, 1 - q ≥ 95 %"))
        for name in TABLES
        for policy, explore in POLICIES.items()
    ],
    "stages": [
        Case("nothing gained, 200 instances", 100, altered(200, 1.0, SAME), "promoted ≤ 5 %"),
        Case("10 % gained, 200 instances", 20, altered(200, 1.0, Effect(0.9)), "promoted ≥ 95 %"),
        Case("breaks at 25 %, 200", 20, altered(200, 1.0, Effect(0.9), breaks_at=0.2), "never at 95 %"),
    ],
    "together": [
        Case(
            "all slower for 5 minutes, 20 instances", 50,
            altered(20, 0.5, SAME, slump_at_h=10 * MINUTE_H, slump_s=300.0, slump=3.0), "nobody blamed, goes on",
        ),
        Case("worker away for 2 leases, 50 instances", 50, away, "0 stay on trial"),
    ],
}  # fmt: skip
TITLES = {
    "equal": "Equal arms for ten minutes: false alarms",
    "bad": "Arms that are bad: how soon they are withdrawn",
    "tables": "Measured systems for 600 intervals",
    "stages": "Roll-outs",
    "together": "What all suffer, and a worker that is away",
}
HEADS = {
    "equal": ["fleet", "runs", "design", "runs with a false alarm", "arms", "withdrawn"],
    "bad": [
        "arm", "runs", "design: intervals", "bad arms", "withdrawn", "intervals to it, median", "p90",
        "first report to last instance off, median s", "p90",
    ],
    "tables": ["system", "runs", "design", "bad instance-time", "mean q", "final q", "asked", "new incumbents"],
    "stages": ["candidate", "runs", "design", "roll-outs", "promoted", "largest share on trial", "withdrawn"],
    "together": ["what", "runs", "design", "withdrawn", "on trial when the worker came back", "arms measured after"],
}  # fmt: skip


def play(job: Job) -> Run:
    """Play a run."""
    case = next(c for c in EXPERIMENTS[job.experiment] if c.name == job.case)
    spec, system, options, hours = case.world(job.seed)
    if job.quick:
        options, hours = _smaller(options), min(hours, 0.05)
    began = time.perf_counter()
    simulation = Simulation(TunerSpec.model_validate(spec), spec, system, options, hours)
    simulation.run(hours)
    figures = figures_of(simulation)
    arms = [asdict(arm) for arm in simulation.truth.arms.values()]
    slump_end_h = (options.slump_at_h or 0.0) + options.slump_s / 3600
    return {
        **figures.model_dump(include={"bad_share", "mean_quality", "incumbent_quality", "asked", "promotions"}),
        **figures.model_dump(include={"withdrawn", "false_alarms", "rounds"}),
        "arms": len(arms),
        "to_withdrawal": [_intervals(a["broken_ms"] - a["on_ms"]) for a in arms if a["bad"] and a["broken_ms"]],
        "bad_arms": sum(a["bad"] and a["kind"] != "baseline" for a in arms),
        "exposures_s": [ms / 1000 for ms in simulation.truth.exposures_ms()],
        "rollouts": len({a["hash"] for a in arms if a["kind"] == "candidate"}),
        "largest": max((a["share"] for a in arms if a["kind"] == "candidate"), default=0.0),
        "stranded": simulation.stranded,
        "after": sum((a["first_report_ms"] or 0) > slump_end_h * 3_600_000 for a in arms),
        "faster": round(hours * 3600 / (time.perf_counter() - began)),
    }


def _smaller(options: FleetOptions) -> FleetOptions:
    return FleetOptions(**{**asdict(options), "instances": min(options.instances, 8), "away_at_h": None})


def _intervals(ms: float) -> float:
    return ms / 1000 / INTERVAL_S


def row(experiment: str, case: Case, runs: Sequence[Run]) -> list[str]:
    """A line of an experiment's table."""
    if not runs:
        return [case.name, "—", case.theirs, *["—"] * (len(HEADS[experiment]) - 3)]
    return [case.name, str(len(runs)), case.theirs, *_FIGURES[experiment](runs)]


def _equal(runs: Sequence[Run]) -> list[str]:
    alarms = sum(run["false_alarms"] > 0 for run in runs)
    return [f"{alarms / len(runs):.1%}", _sum(runs, "arms"), _sum(runs, "withdrawn")]


def _bad(runs: Sequence[Run]) -> list[str]:
    bad, waited = int(_sum(runs, "bad_arms")), [x for run in runs for x in run["to_withdrawal"]]
    # An arm that was never withdrawn waited for ever.
    waited += [math.inf] * max(bad - len(waited), 0)
    withdrawn = sum(math.isfinite(x) for x in waited)
    exposures = [x for run in runs for x in run["exposures_s"]]
    share = f"{withdrawn / bad:.0%}" if bad else "—"
    return [str(bad), share, *_median_p90(waited), *_median_p90(exposures)]


def _tables(runs: Sequence[Run]) -> list[str]:
    bad, asked, promotions = (np.mean([run[what] for run in runs]) for what in ("bad_share", "asked", "promotions"))
    qualities = [_spread(runs, what) for what in ("mean_quality", "incumbent_quality")]
    return [f"{bad:.3%}", *qualities, f"{asked:.0f}", f"{promotions:.1f}"]


def _stages(runs: Sequence[Run]) -> list[str]:
    rollouts, promoted = int(_sum(runs, "rollouts")), int(_sum(runs, "promotions"))
    share = f"{promoted / rollouts:.1%}" if rollouts else "—"
    return [str(rollouts), share, f"{max(run['largest'] for run in runs):.0%}", _sum(runs, "withdrawn")]


def _together(runs: Sequence[Run]) -> list[str]:
    return [_sum(runs, "withdrawn"), _sum(runs, "stranded"), f"{np.mean([run['after'] for run in runs]):.1f} a run"]


_FIGURES: Mapping[str, Callable[[Sequence[Run]], list[str]]] = {
    "equal": _equal,
    "bad": _bad,
    "tables": _tables,
    "stages": _stages,
    "together": _together,
}


def _sum(runs: Sequence[Run], what: str) -> str:
    return str(sum(run[what] for run in runs))


def _spread(runs: Sequence[Run], what: str) -> str:
    x = np.array([run[what] for run in runs if run[what] is not None])
    return f"{x.mean():.3f}±{x.std() / math.sqrt(len(x)):.3f}" if len(x) else "—"


def _median_p90(x: Sequence[float]) -> list[str]:
    if not x:
        return ["—", "—"]
    found = [sorted(x)[min(math.ceil(q * len(x)), len(x)) - 1] for q in (0.5, 0.9)]
    return [f"{y:.1f}" if math.isfinite(y) else "—" for y in found]


class Results:
    """Runs by case."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Run]] = {}

    def add(self, job: Job, run: Run) -> None:
        self._runs.setdefault((job.experiment, job.case), []).append(run)

    def of(self, experiment: str, case: Case) -> list[Run]:
        return self._runs.get((experiment, case.name), [])


def page(results: Results, experiments: Sequence[str]) -> str:
    """All tables there are results for."""
    parts = []
    for name in experiments:
        rows = [row(name, case, results.of(name, case)) for case in EXPERIMENTS[name]]
        parts.append(f"## {TITLES[name]}\n\n{table(HEADS[name], rows)}")
    return "\n\n".join(parts)


# -- the program


def jobs(options: argparse.Namespace) -> list[Job]:
    """What is to be played: few runs of each case first, so that a run that is stopped says something of all."""
    found = []
    for name in selected(options):
        cases = [c for c in EXPERIMENTS[name] if c.possible]
        for case in cases[:1] if options.quick else cases:
            runs = 1 if options.quick else max(1, round(case.runs * options.scale))
            found += [Job(name, case.name, seed, options.quick) for seed in range(runs)]
    return sorted(found, key=lambda job: job.seed)


def selected(options: argparse.Namespace) -> list[str]:
    """Names of the experiments to play."""
    only = [word for word in options.only.split(",") if word]
    return [name for name in EXPERIMENTS if not only or name in only]


def finished(todo: list[Job], processes: int) -> Iterator[tuple[Job, Run]]:
    """Runs as they are finished. Stopped, it stops its processes."""
    with ProcessPoolExecutor(processes, initializer=_leave_stopping_to_the_parent) as pool:
        jobs_of = {pool.submit(play, job): job for job in todo}
        try:
            for future in as_completed(jobs_of):
                yield jobs_of[future], future.result()
        finally:
            if not all(future.done() for future in jobs_of):
                for child in multiprocessing.active_children():
                    child.terminate()


def _leave_stopping_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def keep(file: Path | None, job: Job, run: Run) -> None:
    """Add a run to a file, one line of JSON."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps([asdict(job), run]) + "\n")


def read(file: Path | None) -> dict[Job, Run]:
    """The runs in a file. A line that was cut off when a run was killed is left out, and its run played again."""
    found = {}
    for line in file.read_text().splitlines() if file is not None and file.exists() else []:
        try:
            job, run = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[Job(**job)] = run
    return found


def main() -> None:
    options = _arguments()
    todo, kept, results = jobs(options), read(options.keep), Results()
    for job in todo:
        if job in kept:
            results.add(job, kept[job])
    new, stopped, faster = [job for job in todo if job not in kept], "", 0
    stop_on_signals()
    try:
        for i, (job, run) in enumerate(finished(new, options.processes), 1):
            results.add(job, run)
            keep(options.keep, job, run)
            faster = run["faster"]
            said = f"{i} of {len(new)} runs; the last, {job.case}: {faster} virtual seconds a second"
            print(f"\r{said:100}", end="", file=sys.stderr, flush=True)
    except (KeyboardInterrupt, BrokenProcessPool) as error:
        stopped = "stopped" if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
        print(f"\n{stopped}; what there is follows", file=sys.stderr)
    print(file=sys.stderr)
    found = page(results, selected(options))
    print(found)
    if options.write or not (options.only or options.quick or stopped):
        write(found, options.only)
    if options.json:
        print(json.dumps({"runs": len(todo), "played": len(new), "faster": faster, "stopped": bool(stopped)}))
    sys.exit(1 if stopped else 0)


def write(found: str, only: str) -> None:
    """The page."""
    FOLDER.mkdir(exist_ok=True)
    about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
    made = f"{machine('numpy')} Made by `python benchmarks/rollout.py`{f', only {only}' if only else ''}."
    (FOLDER / "rollout.md").write_text(f"# Safe roll-out\n\n{about}\n\n{made}\n\n{found}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small fleet of each: only to see that it runs")
    parser.add_argument("--write", action="store_true", help="write the page though only a part was played")
    parser.add_argument("--json", action="store_true", help="what was done as JSON, on the last line")
    parser.add_argument("--only", default="", help=f"experiments by commas: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the runs of each row")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--keep",
        type=Path,
        help="a file of finished runs: those in it are not played again. It does not know when the code changed",
    )
    options = parser.parse_args()
    if unknown := {word for word in options.only.split(",") if word} - EXPERIMENTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    return options


if __name__ == "__main__":
    main()
