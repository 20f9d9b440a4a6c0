"""How much does learning cost? Regret of every algorithm, with Optuna's TPE and random search played beside them.

Synthetic problems: 1,000 rounds. ``avg`` is the mean regret of all rounds so far, ``last`` that of the last 50 rounds,
``best`` the smallest that was played, ``rec`` that of what the learner recommends at the end; mean ± standard deviation
over the seeds. The original's figures (OPPerTune 0.2.0, five seeds) stand beside ours.

Measured systems: 200 rounds. The figure is the mean q of all rounds: 0 would be the best configuration in every round,
1 the median one. Over tables, means are geometric. ``worse`` is the share of rounds worse than the median one.

A delay of d rounds: the reward of a round is told after d more rounds were asked. Noise of 5 %: rewards, which are in
[0, 1], are told with normal noise of 0.05. A switch: the optimum moves after 500 of 1,000 rounds.

Run: python benchmarks/regret.py [--quick] [--json] [--only WORD,…] [--part synthetic|measured|delay|noise|switch]
[--seeds N] [--processes N] [--keep FILE]. A full run without --only writes docs/benchmarks/regret.md and its picture;
it takes about an hour on two cores. With --keep it can be stopped and goes on another time.
"""

# ruff: noqa: E402 - the environment must be set before numpy is loaded

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: processes share the cores already

import numpy as np
from numpy.typing import NDArray
from pages import FOLDER, machine, table
from problems import SYNTHETIC, TABLES, Measured, Synthetic

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.hybrid_solver import RECOMMENDED
from oppertune.core.values import Categorical, Integer, ParameterValue, ValueType

SLATES = {"categorical_algorithm": "exponential_weights_slates"}
TWO_POINT = {"numerical_algorithm_args": {"feedback": 2}}

COMPETITORS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "auto": ("auto", {}),
    "uniform_random": ("uniform_random", {}),
    "Optuna TPE, default": ("optuna", {"multivariate": True}),
    "Optuna TPE, multivariate=False": ("optuna", {"multivariate": False}),
    "identity": ("identity", {}),
    "bluefin (default)": ("bluefin", {}),
    "bluefin 1pt sgd": ("bluefin", {"optimizer": "sgd"}),
    "bluefin 2pt rmsprop": ("bluefin", {"feedback": 2}),
    "bluefin 2pt sgd": ("bluefin", {"feedback": 2, "optimizer": "sgd"}),
    "bluefin 1pt, baseline": ("bluefin", {"baseline": "mean"}),
    "exponential_weights": ("exponential_weights", {}),
    "exponential_weights_slates": ("exponential_weights_slates", {}),
    "hybrid_solver (default)": ("hybrid_solver", {}),
    "hybrid_solver, README": ("hybrid_solver", {**SLATES, **TWO_POINT}),
    "hybrid_solver, recommended": ("hybrid_solver", RECOMMENDED),
    "slates": ("slates", {}),
    "hopt tpe": ("hopt", {}),
    "hopt anneal": ("hopt", {"algo": "anneal"}),
    "bayesian_optimization": ("bayesian_optimization", {}),
    "ddpg": ("ddpg", {"state_config": []}),
}

SLOW = {"bayesian_optimization": (3, 100), "ddpg": (3, 100)}
"""Seeds and rounds of those that take too long for more, as in the original's table."""

ALSO_MEASURED = ("auto", "uniform_random", "Optuna TPE, default", "Optuna TPE, multivariate=False")
ALSO_MEASURED += ("hybrid_solver, README", "hybrid_solver, recommended", "slates", "hopt tpe", "hopt anneal")

ORIGINAL = {  # original-baseline.md: avg at 100, 300 and 1,000 rounds, last 50
    "a": {
        "uniform_random": (0.202, 0.197, 0.195, 0.187),
        "identity": (0.377, 0.377, 0.377, 0.377),
        "bluefin (default)": (0.210, 0.196, 0.149, 0.096),
        "bluefin 1pt sgd": (0.196, 0.195, 0.191, 0.187),
        "bluefin 2pt rmsprop": (0.153, 0.084, 0.036, 0.014),
        "bluefin 2pt sgd": (0.246, 0.145, 0.058, 0.012),
        "slates": (0.103, 0.083, 0.063, 0.044),
        "hopt tpe": (0.121, 0.091, 0.063, 0.055),
        "hopt anneal": (0.062, 0.044, 0.034, 0.023),
        "ddpg": (0.091, None, None, 0.056),
        "bayesian_optimization": (0.100, None, None, 0.041),
    },
    "b": {
        "uniform_random": (0.374, 0.368, 0.366, 0.369),
        "identity": (0.488, 0.488, 0.488, 0.488),
        "hybrid_solver (default)": (0.384, 0.336, 0.266, 0.213),
        "hybrid_solver, README": (0.344, 0.283, 0.213, 0.169),
        "slates": (0.272, 0.215, 0.160, 0.128),
        "hopt tpe": (0.276, 0.241, 0.189, 0.174),
        "hopt anneal": (0.197, 0.146, 0.107, 0.088),
        "ddpg": (0.372, None, None, 0.363),
        "bayesian_optimization": (0.240, None, None, 0.196),
    },
    "c": {
        "uniform_random": (0.361, 0.364, 0.370, 0.370),
        "identity": (0.250, 0.250, 0.250, 0.250),
        "exponential_weights": (0.355, 0.298, 0.236, 0.195),
        "exponential_weights_slates": (0.342, 0.269, 0.180, 0.113),
        "slates": (0.213, 0.129, 0.077, 0.041),
    },
}


class Learner(Protocol):
    """What can be asked and told."""

    def ask(self) -> tuple[Any, Mapping[str, ParameterValue]]: ...

    def tell(self, of: Any, reward: float) -> None: ...

    def recommend(self) -> Mapping[str, ParameterValue]: ...


class Ours:
    """One of our algorithms."""

    def __init__(self, parameters: list[ValueType], name: str, args: Mapping[str, Any], seed: int) -> None:
        seeds = {} if name == "identity" else {"random_seed": seed}
        self._tuning = create_tuning_instance(parameters, name, {**args, **seeds})

    def ask(self) -> tuple[Any, Mapping[str, ParameterValue]]:
        request = self._tuning.ask()
        return request.id, request.prediction

    def tell(self, of: Any, reward: float) -> None:
        self._tuning.tell(of, reward)

    def recommend(self) -> Mapping[str, ParameterValue]:
        return self._tuning.recommend()


class Tpe:
    """Optuna's TPE sampler, used as its documentation says."""

    def __init__(self, parameters: list[ValueType], args: Mapping[str, Any], seed: int) -> None:
        import optuna  # noqa: PLC0415 - only where it is played

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, **args)
        self._parameters, self._study = parameters, optuna.create_study(direction="maximize", sampler=sampler)

    def ask(self) -> tuple[Any, Mapping[str, ParameterValue]]:
        trial = self._study.ask()
        return trial, {p.name: self._suggested(trial, p) for p in self._parameters}

    def tell(self, of: Any, reward: float) -> None:
        self._study.tell(of, reward)

    def recommend(self) -> Mapping[str, ParameterValue]:
        return dict(self._study.best_params)

    @staticmethod
    def _suggested(trial: Any, p: ValueType) -> Any:
        if isinstance(p, Categorical):
            return trial.suggest_categorical(p.name, p.categories)
        suggest = trial.suggest_int if isinstance(p, Integer) else trial.suggest_float
        return suggest(p.name, p.min, p.max)


@dataclass(frozen=True)
class Job:
    """One run."""

    competitor: str
    problem: str
    seed: int
    rounds: int
    delay: int = 0
    noise: float = 0.0
    switch: bool = False


def play(job: Job) -> tuple[Job, NDArray[np.float64], float]:
    """The regret of each round, and of what is recommended at the end."""
    problem: Synthetic | Measured = SYNTHETIC[job.problem]() if job.problem in SYNTHETIC else Measured(job.problem)
    if job.noise:
        problem.noise = job.noise
    name, args = COMPETITORS[job.competitor]
    parameters, rng = problem.parameters(job.seed), np.random.default_rng(10_000 + job.seed)
    learner: Learner = Tpe(parameters, args, job.seed) if name == "optuna" else Ours(parameters, name, args, job.seed)
    regret, waiting = np.zeros(job.rounds), []
    for t in range(job.rounds):
        if job.switch and t == job.rounds // 2:
            problem.moved = True
        of, prediction = learner.ask()
        regret[t] = problem.regret(prediction)
        waiting.append((of, problem.seen(prediction, rng)))
        if len(waiting) > job.delay:
            learner.tell(*waiting.pop(0))
    return job, regret, problem.regret(learner.recommend())


class Results:
    """Runs by what was played: regrets of shape (seeds, rounds), and of the recommendations."""

    def __init__(self) -> None:
        self._runs: dict[tuple[Any, ...], list[tuple[int, NDArray[np.float64], float]]] = {}

    def add(self, job: Job, regret: NDArray[np.float64], recommended: float) -> None:
        key = (job.competitor, job.problem, job.delay, job.noise, job.switch)
        self._runs.setdefault(key, []).append((job.seed, regret, recommended))

    def of(
        self, competitor: str, problem: str, delay: int = 0, noise: float = 0.0, *, switch: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        runs = sorted(self._runs.get((competitor, problem, delay, noise, switch), []), key=lambda run: run[0])
        return (np.array([r for _, r, _ in runs]), np.array([x for _, _, x in runs])) if runs else None


def jobs(part: str, only: list[str], seeds: int, *, quick: bool) -> list[Job]:
    names = [n for n in COMPETITORS if not only or any(word in n for word in only)]
    rounds, short = (60, 40) if quick else (1000, 200)
    found: list[Job] = []
    if part in ("all", "synthetic"):
        for name in names:
            n, most = (1, 30) if quick and name in SLOW else SLOW.get(name, (seeds, rounds))
            found += [Job(name, key, s, min(most, rounds)) for key in "abc" for s in range(n) if plays(name, key)]
    tables = TABLES[1:2] if quick else TABLES
    conditions = {"measured": (0, 0.0), "delay": (10, 0.0), "noise": (0, 0.05)}
    for name in names:
        if name not in ALSO_MEASURED:
            continue
        for kind, (delay, noise) in conditions.items():
            if part in ("all", kind):
                found += [Job(name, t, s, short, delay, noise) for t in tables for s in range(seeds)]
        if part in ("all", "delay") and not quick:
            found += [Job(name, t, s, short, 100) for t in tables for s in range(seeds)]
        if part in ("all", "switch"):
            found += [Job(name, k, s, rounds, switch=True) for k in "abc" for s in range(seeds) if plays(name, k)]
    return found


def plays(competitor: str, problem: str) -> bool:
    """Whether it takes the parameters of a synthetic problem."""
    numbers, choices = competitor.startswith("bluefin"), competitor.startswith("exponential")
    return not ((numbers and problem != "a") or (choices and problem != "c"))


def synthetic_page(results: Results, key: str) -> str | None:
    rows = []
    for name in COMPETITORS:
        if (found := results.of(name, key)) is None:
            continue
        regret, recommended = found
        at = [n for n in (100, 300, 1000) if n <= regret.shape[1]]
        row = [name, *(_spread(regret[:, :n].mean(axis=1)) for n in at), *["–"] * (3 - len(at))]
        row += [_spread(regret[:, -50:].mean(axis=1)), _spread(regret.min(axis=1)), _spread(recommended)]
        theirs = ORIGINAL[key].get(name)
        row += [" / ".join("–" if x is None else f"{x:.3f}" for x in theirs) if theirs else ""]
        rows.append(row)
    head = ["algorithm", "avg 100", "avg 300", "avg 1000", "last", "best", "rec", "original: 100 / 300 / 1000 / last"]
    return table(head, rows) if rows else None


def switch_page(results: Results) -> str | None:
    rows = []
    for name in COMPETITORS:
        found = [results.of(name, key, switch=True) for key in "abc"]
        if any(found):
            rows.append([name, *("–" if f is None else _before_after(f[0]) for f in found)])
    head = ["algorithm", "(a) 100 rounds before / after / last", "(b)", "(c)"]
    return table(head, rows) if rows else None


def _before_after(regret: NDArray[np.float64]) -> str:
    half = regret.shape[1] // 2
    parts = (regret[:, half - 100 : half], regret[:, half : half + 100], regret[:, -100:])
    return " / ".join(f"{part.mean():.3f}" for part in parts)


def measured_page(results: Results, delay: int = 0, noise: float = 0.0) -> str | None:
    rows = []
    for name in ALSO_MEASURED:
        found = [f for t in TABLES if (f := results.of(name, t, delay, noise)) is not None]
        if len(found) < len(TABLES):
            continue
        q = [_spread(regret.mean(axis=1), 2) for regret, _ in found]
        worse = np.mean([(regret > 1 + 1e-9).mean() for regret, _ in found])
        last = _geometric([float(regret[:, -20:].mean()) for regret, _ in found])
        recommended = _geometric([float(r.mean()) for _, r in found])
        mean = _geometric([float(regret.mean()) for regret, _ in found])
        rows.append([name, *q, f"{mean:.2f}", f"{worse:.1%}", f"{last:.2f}", f"{recommended:.2f}"])
    head = ["algorithm", *TABLES, "all", "worse", "last 20", "recommended"]
    return table(head, rows) if rows else None


def _geometric(x: list[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(x, 1e-3)))))


def _spread(x: NDArray[np.float64], digits: int = 3) -> str:
    return f"{x.mean():.{digits}f}±{x.std():.{digits}f}"


def page(results: Results) -> str:
    """All tables there are results for."""
    parts = []
    for key, problem in SYNTHETIC.items():
        if found := synthetic_page(results, key):
            about = " ".join((problem.__doc__ or "").split(" Moved:")[0].split())
            parts.append(f"## Synthetic problem {about}\n\n{found}")
    for title, delay, noise in (
        ("Measured systems", 0, 0.0),
        ("Measured systems, rewards 10 rounds late", 10, 0.0),
        ("Measured systems, rewards 100 rounds late", 100, 0.0),
        ("Measured systems, 5 % noise", 0, 0.05),
    ):
        if found := measured_page(results, delay, noise):
            parts.append(f"## {title}\n\n{found}")
    if found := switch_page(results):
        parts.append(f"## The optimum moves after 500 rounds\n\n{found}")
    return "\n\n".join(parts)


def picture(results: Results) -> None:
    """Mean q so far, by round, of some competitors on each measured system."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(TABLES), figsize=(15, 3.4), layout="constrained")
    shown = ("auto", "Optuna TPE, multivariate=False", "Optuna TPE, default", "hybrid_solver, README", "uniform_random")
    for axis, name in zip(axes, TABLES, strict=True):
        for competitor in shown:
            if (found := results.of(competitor, name)) is not None:
                rounds = np.arange(1, found[0].shape[1] + 1)
                axis.plot(rounds, (found[0].cumsum(axis=1) / rounds).mean(axis=0), label=competitor)
        axis.set_title(name)
        axis.set_xlabel("round")
        axis.set_ylim(0, 1.6)
    axes[0].set_ylabel("mean q so far (0 is best)")
    axes[-1].legend(fontsize=7)
    figure.savefig(FOLDER / "regret.png", dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few short runs: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--only", default="", help="competitors whose names contain one of these, by commas")
    parser.add_argument("--part", default="all", choices=("all", "synthetic", "measured", "delay", "noise", "switch"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="a file of finished runs: those in it are not played again")
    options = parser.parse_args()
    only = [word for word in options.only.split(",") if word]
    todo = jobs(options.part, only, 1 if options.quick else options.seeds, quick=options.quick)
    kept = read(options.keep)
    results = Results()
    for job in todo:
        if job in kept:
            results.add(job, *kept[job])
    new = [job for job in todo if job not in kept]
    try:
        with multiprocessing.Pool(options.processes) as pool:
            for i, result in enumerate(pool.imap_unordered(play, new), 1):
                results.add(*result)
                keep(options.keep, *result)
                print(f"\r{i} of {len(new)} runs", end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("\nstopped: what there is follows", file=sys.stderr)
    print(file=sys.stderr)
    print(page(results))
    if not options.quick and not only and options.part == "all":
        FOLDER.mkdir(exist_ok=True)
        picture(results)
        about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
        made = f"{options.seeds} seeds ({', '.join(SLOW)}: 3 seeds and 100 rounds). "
        made += machine("numpy", "optuna", "torch") + " Made by `python benchmarks/regret.py`."
        curves = "![Mean q so far on the measured systems](regret.png)"
        (FOLDER / "regret.md").write_text(f"# Regret\n\n{about}\n\n{made}\n\n{curves}\n\n{page(results)}\n")
    if options.json:
        print(json.dumps({"runs": len(todo), "mean_regret": summary(results, todo)}))


def keep(file: Path | None, job: Job, regret: NDArray[np.float64], recommended: float) -> None:
    """Add a run to a file, one line of JSON."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps([asdict(job), [round(x, 6) for x in regret.tolist()], recommended]) + "\n")


def read(file: Path | None) -> dict[Job, tuple[NDArray[np.float64], float]]:
    """The runs in a file."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    runs = (json.loads(line) for line in lines)
    return {Job(**job): (np.array(regret), recommended) for job, regret, recommended in runs}


def summary(results: Results, todo: list[Job]) -> dict[str, float]:
    """Mean regret of all rounds, by competitor, problem and condition."""
    found = {}
    for job in todo:
        regret = results.of(job.competitor, job.problem, job.delay, job.noise, switch=job.switch)
        condition = f"delay {job.delay}, noise {job.noise}" + (", switch" if job.switch else "")
        if regret is not None:
            found[f"{job.competitor} | {job.problem} | {condition}"] = float(regret[0].mean())
    return found


if __name__ == "__main__":
    main()
