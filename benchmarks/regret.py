"""How much does learning cost? Regret of every algorithm, with Optuna's samplers and random search beside them.

Synthetic problems: 1,000 rounds. ``avg`` is the mean regret of all rounds so far, ``last`` that of the last 50 rounds,
``inc`` that of the play with the highest reward seen, ``best`` the smallest that was played, ``rec`` that of what the
learner recommends at the end; mean ± standard deviation over the seeds. ``p90`` and ``worst`` are of the seeds' mean
regret of all rounds: the 90th percentile, and the largest. The original's figures (OPPerTune 0.2.0, two to five seeds)
stand beside ours. ``auto`` plays ``surrogate`` here: no problem has more than 60 parameters.

Measured systems: 200 rounds. The figure is the mean q of all rounds: 0 would be the best configuration in every round,
1 the median one; behind it the 90th percentile and the worst of the seeds. Over tables, means are geometric, ``p90``
and ``worst`` too. ``> 1`` is the share of rounds worse than the median configuration. Optuna's Gaussian process is told
the declared start and draws two more at random; a round of it takes 0.2 s, so it is played without noise and delay.

A delay of d rounds: the reward of a round is told after d more rounds were asked. Noise of 5 %: rewards, which are in
[0, 1], are told with normal noise of 0.05. A switch: the optimum moves after 500 of 1,000 rounds.

Run: python benchmarks/regret.py [--quick] [--json] [--only WORD,…] [--problems a,redis,…] [--rounds N] [--seeds N]
[--part synthetic|measured|delay|noise|switch] [--processes N] [--keep FILE] [--renew]. A full run of all of it writes
docs/benchmarks/regret.md and its picture; it takes well over an hour on two cores. Stopped, it prints what it has; with
--keep it goes on another time. Where one learner was changed, --only NAME --renew writes its rows into the page, says
so there, and leaves those of the others as they are.
"""

# ruff: noqa: E402 - the environment must be set before numpy is loaded

import argparse
import json
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: processes share the cores already

import numpy as np
from numpy.typing import NDArray
from pages import FOLDER, machine, stop_on_signals, table
from problems import BEST, NOISE, SYNTHETIC, TABLES, Measured, Synthetic

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.hybrid_solver import RECOMMENDED
from oppertune.core.errors import MissingExtra
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, ParameterValue, ValueType

SLATES = {"categorical_algorithm": "exponential_weights_slates"}
TWO_POINT = {"numerical_algorithm_args": {"feedback": 2}}
TWO_POINT_SGD = {"numerical_algorithm_args": {"feedback": 2, "optimizer": "sgd"}}
TREE = {"features": [{"name": "load"}], "height": 1, "leaf_algorithm_args": TWO_POINT_SGD["numerical_algorithm_args"]}
"""Of the one context that there is, as in the original's table."""

COMPETITORS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "auto": ("auto", {}),
    "uniform_random": ("uniform_random", {}),
    "Optuna TPE, default": ("optuna", {"multivariate": True}),
    "Optuna TPE, multivariate=False": ("optuna", {"multivariate": False}),
    "Optuna GP": ("optuna gp", {"n_startup_trials": 3}),
    "identity": ("identity", {}),
    "bluefin (default)": ("bluefin", {}),
    "bluefin 1pt sgd": ("bluefin", {"optimizer": "sgd"}),
    "bluefin 1pt sgd eta=.001": ("bluefin", {"optimizer": "sgd", "eta": 0.001}),
    "bluefin 2pt rmsprop": ("bluefin", {"feedback": 2}),
    "bluefin 2pt sgd": ("bluefin", {"feedback": 2, "optimizer": "sgd"}),
    "bluefin 1pt, baseline": ("bluefin", {"baseline": "mean"}),
    "autoscope h=1 2pt sgd": ("autoscope", TREE),
    "exponential_weights": ("exponential_weights", {}),
    "exponential_weights_slates": ("exponential_weights_slates", {}),
    "hybrid_solver (default)": ("hybrid_solver", {}),
    "hybrid_solver, README": ("hybrid_solver", {**SLATES, **TWO_POINT}),
    "hybrid_solver, README, sgd": ("hybrid_solver", {**SLATES, **TWO_POINT_SGD}),
    "hybrid_solver, recommended": ("hybrid_solver", RECOMMENDED),
    "slates": ("slates", {}),
    "hopt tpe": ("hopt", {}),
    "hopt anneal": ("hopt", {"algo": "anneal"}),
    "bayesian_optimization": ("bayesian_optimization", {}),
    "ddpg": ("ddpg", {"state_config": []}),
}

NOISE_SEED = 10_000
"""Added to a run's seed: rewards are drawn apart from what the learner draws."""

SLOW = {"bayesian_optimization": (3, 100), "ddpg": (3, 100)}
"""Seeds and rounds of those that take too long for more, as in the original's table."""

ALSO_MEASURED: tuple[str, ...] = ("auto", "uniform_random", "Optuna TPE, default", "Optuna TPE, multivariate=False")
ALSO_MEASURED += ("Optuna GP", "hybrid_solver, README", "hybrid_solver, recommended", "slates")
ALSO_MEASURED += ("hopt tpe", "hopt anneal")

ONLY_TABLES = ("Optuna GP",)
"""Played on the measured systems only, without noise and delay: they take too long for more."""

SHOWN = ("auto", "Optuna GP", "Optuna TPE, multivariate=False", "hybrid_solver, README", "uniform_random")
"""In the picture."""

ORIGINAL: Mapping[str, Mapping[str, tuple[float | None, ...]]] = {  # avg at 100, 300, 1,000; last 50, inc, best
    "a": {
        "uniform_random": (0.202, 0.197, 0.195, 0.187, 0.041, 0.010),
        "identity": (0.377, 0.377, 0.377, 0.377, 0.377, 0.377),
        "bluefin (default)": (0.210, 0.196, 0.149, 0.096, 0.089, 0.059),
        "bluefin 1pt sgd": (0.196, 0.195, 0.191, 0.187, 0.036, 0.010),
        "bluefin 1pt sgd eta=.001": (0.295, 0.249, 0.167, 0.107, 0.086, 0.052),
        "bluefin 2pt rmsprop": (0.153, 0.084, 0.036, 0.014, 0.012, 0.001),
        "bluefin 2pt sgd": (0.246, 0.145, 0.058, 0.012, 0.011, 0.002),
        "autoscope h=1 2pt sgd": (0.240, 0.138, 0.054, 0.011, 0.010, 0.001),
        "slates": (0.103, 0.083, 0.063, 0.044, 0.022, 0.004),
        "hopt tpe": (0.121, 0.091, 0.063, 0.055, 0.023, 0.002),
        "hopt anneal": (0.062, 0.044, 0.034, 0.023, 0.022, 0.013),
        "ddpg": (0.091, None, None, 0.056, 0.037, 0.025),
        "bayesian_optimization": (0.100, None, None, 0.041, 0.021, 0.011),
    },
    "b": {
        "uniform_random": (0.374, 0.368, 0.366, 0.369, 0.091, 0.049),
        "identity": (0.488, 0.488, 0.488, 0.488, 0.488, 0.488),
        "hybrid_solver (default)": (0.384, 0.336, 0.266, 0.213, 0.105, 0.060),
        "hybrid_solver, README": (0.344, 0.283, 0.213, 0.169, 0.099, 0.062),
        "hybrid_solver, README, sgd": (0.325, 0.271, 0.216, 0.166, 0.088, 0.067),
        "slates": (0.272, 0.215, 0.160, 0.128, 0.065, 0.033),
        "hopt tpe": (0.276, 0.241, 0.189, 0.174, 0.059, 0.019),
        "hopt anneal": (0.197, 0.146, 0.107, 0.088, 0.084, 0.069),
        "ddpg": (0.372, None, None, 0.363, 0.200, 0.194),
        "bayesian_optimization": (0.240, None, None, 0.196, 0.081, 0.064),
    },
    "c": {
        "uniform_random": (0.361, 0.364, 0.370, 0.370, 0.000, 0.000),
        "identity": (0.250, 0.250, 0.250, 0.250, 0.250, 0.250),
        "exponential_weights": (0.355, 0.298, 0.236, 0.195, 0.000, 0.000),
        "exponential_weights_slates": (0.342, 0.269, 0.180, 0.113, 0.000, 0.000),
        "slates": (0.213, 0.129, 0.077, 0.041, 0.000, 0.000),
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
        self._context = Context({feature["name"]: 1.0 for feature in args.get("features", ())})

    def ask(self) -> tuple[Any, Mapping[str, ParameterValue]]:
        request = self._tuning.ask(self._context)
        return request.id, request.prediction

    def tell(self, of: Any, reward: float) -> None:
        self._tuning.tell(of, reward)

    def recommend(self) -> Mapping[str, ParameterValue]:
        return self._tuning.recommend(self._context)


class Optuna:
    """One of Optuna's samplers, used as its documentation says."""

    def __init__(self, parameters: list[ValueType], name: str, args: Mapping[str, Any], seed: int) -> None:
        import optuna  # noqa: PLC0415 - only where it is played

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        samplers = {"optuna": optuna.samplers.TPESampler, "optuna gp": optuna.samplers.GPSampler}
        sampler = samplers[name](seed=seed, **args)
        self._parameters, self._study = parameters, optuna.create_study(direction="maximize", sampler=sampler)
        if name == "optuna gp":
            self._study.enqueue_trial({p.name: p.val for p in parameters})

    def ask(self) -> tuple[Any, Mapping[str, ParameterValue]]:
        trial = self._study.ask()
        return trial, {p.name: self._suggested(trial, p) for p in self._parameters}

    def tell(self, of: Any, reward: float) -> None:
        self._study.tell(of, reward)

    def recommend(self) -> Mapping[str, ParameterValue]:
        best: Mapping[str, ParameterValue] = self._study.best_params
        return best

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


Run: TypeAlias = tuple[NDArray[np.float64], float]
"""The regret of each round, and of what is recommended at the end."""


def play(job: Job) -> Run:
    """Play a run."""
    problem: Synthetic | Measured = SYNTHETIC[job.problem]() if job.problem in SYNTHETIC else Measured(job.problem)
    if job.noise:
        problem.noise = job.noise
    name, args = COMPETITORS[job.competitor]
    parameters, rng = problem.parameters(job.seed), np.random.default_rng(NOISE_SEED + job.seed)
    learner: Learner = (Optuna if name.startswith("optuna") else Ours)(parameters, name, args, job.seed)
    regret = np.zeros(job.rounds)
    waiting: list[tuple[Any, float]] = []
    for t in range(job.rounds):
        if job.switch and t == job.rounds // 2 and isinstance(problem, Synthetic):
            problem.moved = True
        of, prediction = learner.ask()
        regret[t] = problem.regret(prediction)
        waiting.append((of, problem.seen(prediction, rng)))
        if len(waiting) > job.delay:
            learner.tell(*waiting.pop(0))
    return regret, problem.regret(learner.recommend())


def attempt(job: Job) -> Run | str:
    """Play a run, or say why not: one competitor's fault must not cost the others' results."""
    try:
        return play(job)
    except MissingExtra as error:
        return f"not available: {error}"
    except Exception as error:  # noqa: BLE001 - a competitor's, of any kind
        return f"{type(error).__name__}: {error}"


def finished(todo: list[Job], processes: int) -> Iterator[tuple[Job, Run | str]]:
    """Runs as they are finished. Stopped, it stops its processes."""
    with ProcessPoolExecutor(processes, initializer=_leave_stopping_to_the_parent) as pool:
        jobs_of = {pool.submit(attempt, job): job for job in todo}
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


class Results:
    """Runs by what was played: regrets of shape (seeds, rounds), and of the recommendations."""

    def __init__(self) -> None:
        self._runs: dict[tuple[Any, ...], list[tuple[int, NDArray[np.float64], float]]] = {}

    def add(self, job: Job, run: Run) -> None:
        key = (job.competitor, job.problem, job.delay, job.noise, job.switch)
        self._runs.setdefault(key, []).append((job.seed, *run))

    def of(
        self, competitor: str, problem: str, delay: int = 0, noise: float = 0.0, *, switch: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        runs = sorted(self._runs.get((competitor, problem, delay, noise, switch), []), key=lambda run: run[0])
        return (np.array([r for _, r, _ in runs]), np.array([x for _, _, x in runs])) if runs else None

    def incumbents(self, competitor: str, problem: str) -> NDArray[np.float64]:
        """Regret of the play with the highest reward seen, by seed: what was seen is drawn again."""
        played = self._runs[competitor, problem, 0, 0.0, False]
        return np.array([incumbent(regret, seed) for seed, regret, _ in sorted(played, key=lambda run: run[0])])


def incumbent(regret: NDArray[np.float64], seed: int) -> float:
    """Regret of the play with the highest reward seen in a run of a synthetic problem; the first, of equal ones."""
    noise = np.random.default_rng(NOISE_SEED + seed).normal(0, NOISE, len(regret))
    return float(regret[np.argmax(np.clip(BEST - regret + noise, 0, 1))])


def jobs(options: argparse.Namespace) -> list[Job]:
    """What is to be played."""
    only, problems = _words(options.only), _words(options.problems)
    names = [n for n in COMPETITORS if not only or any(word in n for word in only)]
    long, short = (20, 15) if options.quick else (1000, 200)
    long, short = options.rounds or long, options.rounds or short
    seeds = range(1 if options.quick else options.seeds)
    keys = [k for k in SYNTHETIC if not problems or k in problems]
    tables = [t for t in (TABLES[1:2] if options.quick and not problems else TABLES) if not problems or t in problems]
    conditions = (("measured", 0, 0.0), ("delay", 10, 0.0), ("delay", 100, 0.0), ("noise", 0, 0.05))
    found: list[Job] = []
    for name in names:
        mine = [k for k in keys if name not in ONLY_TABLES and plays(name, k)]
        if options.part in ("all", "synthetic"):
            most_seeds, most = SLOW.get(name, (len(seeds), long))
            most = min(most, 11 if options.quick else long)
            found += [Job(name, k, s, most) for k in mine for s in seeds[:most_seeds]]
        if name not in ALSO_MEASURED:
            continue
        for kind, delay, noise in conditions:
            if options.part in ("all", kind) and delay < short and (kind == "measured" or name not in ONLY_TABLES):
                found += [Job(name, t, s, short, delay, noise) for t in tables for s in seeds]
        if options.part in ("all", "switch"):
            found += [Job(name, k, s, long, switch=True) for k in mine for s in seeds]
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def plays(competitor: str, problem: str) -> bool:
    """Whether it takes the parameters of a synthetic problem."""
    numbers = competitor.startswith(("bluefin", "autoscope"))
    choices = competitor.startswith("exponential")
    return not ((numbers and problem != "a") or (choices and problem != "c"))


def synthetic_page(results: Results, key: str) -> str | None:
    rows = []
    for name in COMPETITORS:
        if (found := results.of(name, key)) is None:
            continue
        regret, recommended = found
        at = [n for n in (100, 300, 1000) if n <= regret.shape[1]]
        row = [name, str(len(regret)), *(_spread(regret[:, :n].mean(axis=1)) for n in at), *["–"] * (3 - len(at))]
        row += [f"{x:.3f}" for x in _tail(regret)]
        row += [_spread(x) for x in (regret[:, -50:].mean(axis=1), results.incumbents(name, key))]
        row += [_spread(regret.min(axis=1)), _spread(recommended)]
        theirs = ORIGINAL[key].get(name)
        row += [" / ".join("–" if x is None else f"{x:.3f}" for x in theirs) if theirs else ""]
        rows.append(row)
    head = ["algorithm", "seeds", "avg 100", "avg 300", "avg 1000", "p90", "worst", "last", "inc", "best", "rec"]
    head += ["original: avg 100 / 300 / 1000 / last / inc / best"]
    return table(head, rows) if rows else None


def switch_page(results: Results) -> str | None:
    rows = []
    for name in COMPETITORS:
        found = [results.of(name, key, switch=True) for key in "abc"]
        if any(f is not None for f in found):
            seeds = min(len(f[0]) for f in found if f is not None)
            rows.append([name, str(seeds), *("–" if f is None else _before_after(f[0]) for f in found)])
    head = ["algorithm", "seeds", "(a) 100 rounds before / after / last", "(b)", "(c)"]
    return table(head, rows) if rows else None


def _before_after(regret: NDArray[np.float64]) -> str:
    half = regret.shape[1] // 2
    parts = (regret[:, half - 100 : half], regret[:, half : half + 100], regret[:, -100:])
    return " / ".join(f"{part.mean():.3f}" for part in parts)


def measured_page(results: Results, delay: int = 0, noise: float = 0.0) -> str | None:
    found = {name: {t: f for t in TABLES if (f := results.of(name, t, delay, noise))} for name in ALSO_MEASURED}
    tables = [t for t in TABLES if any(t in of for of in found.values())]
    rows = []
    for name, of in found.items():
        if not of:
            continue
        row = [name, str(min(len(regret) for regret, _ in of.values()))]
        row += [_with_tail(of[t][0]) if t in of else "–" for t in tables]
        rows.append(row + (_over_tables(list(of.values())) if len(of) == len(tables) else ["–"] * 6))
    head = ["algorithm", "seeds", *tables, "all", "p90", "worst", "> 1", "last 50", "recommended"]
    return table(head, rows) if rows else None


def _tail(regret: NDArray[np.float64]) -> tuple[float, float]:
    """The 90th percentile and the largest of the seeds' mean regret."""
    means = regret.mean(axis=1)
    return float(np.quantile(means, 0.9)), float(means.max())


def _with_tail(regret: NDArray[np.float64]) -> str:
    p90, worst = _tail(regret)
    return f"{regret.mean():.3f} ({p90:.2f}, {worst:.2f})"


def _over_tables(found: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[str]:
    mean = _geometric([float(regret.mean()) for regret, _ in found])
    p90, worst = (_geometric([_tail(regret)[i] for regret, _ in found]) for i in (0, 1))
    worse = np.mean([(regret > 1 + 1e-9).mean() for regret, _ in found])
    last = _geometric([float(regret[:, -50:].mean()) for regret, _ in found])
    recommended = _geometric([float(r.mean()) for _, r in found])
    return [f"{mean:.3f}", f"{p90:.2f}", f"{worst:.2f}", f"{worse:.1%}", f"{last:.3f}", f"{recommended:.3f}"]


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
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(TABLES), figsize=(15, 3.4), layout="constrained")
    for axis, name in zip(axes, TABLES, strict=True):
        for competitor in SHOWN:
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
    options = _arguments()
    todo, kept, results = jobs(options), read(options.keep), Results()
    for job in todo:
        if job in kept:
            results.add(job, kept[job])
    new = [job for job in todo if job not in kept]
    failed, stopped = {}, ""
    stop_on_signals()
    try:
        for i, (job, run) in enumerate(finished(new, options.processes), 1):
            if isinstance(run, str):
                failed[job.competitor] = run
            else:
                results.add(job, run)
                keep(options.keep, job, run)
            print(f"\r{i} of {len(new)} runs", end="", file=sys.stderr, flush=True)
    except (KeyboardInterrupt, BrokenProcessPool) as error:
        stopped = "stopped" if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
        print(f"\n{stopped}; what there is follows", file=sys.stderr)
    print(file=sys.stderr)
    found = page(results)
    print(found)
    print("".join(f"\n{name}: {reason}\n" for name, reason in failed.items()), end="")
    if options.renew and not failed and not stopped:
        renew(results, found)
    complete = options.part == "all" and not (options.only or options.problems or options.rounds or options.quick)
    if complete and not failed and not stopped:
        write(results, found, options.seeds)
    if options.json:
        figures = {"runs": len(todo), "mean_regret": summary(results, todo)}
        print(json.dumps(figures | {"failed": failed, "stopped": bool(stopped)}))
    sys.exit(1 if failed or stopped else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few short runs: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--only", default="", help="competitors whose names contain one of these, by commas")
    parser.add_argument("--problems", "--tables", default="", help="a, b, c or names of tables, by commas")
    parser.add_argument("--part", default="all", choices=("all", "synthetic", "measured", "delay", "noise", "switch"))
    parser.add_argument("--rounds", type=int, help="of every run, instead of 1,000 and 200")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--keep",
        type=Path,
        help="a file of finished runs: those in it are not played again. It does not know when an algorithm changed",
    )
    parser.add_argument("--renew", action="store_true", help="write the rows of what was played into the page")
    options = parser.parse_args()
    if unknown := set(_words(options.problems)) - {*SYNTHETIC, *TABLES}:
        parser.error(f"there is no problem {', '.join(sorted(unknown))}; there are {', '.join((*SYNTHETIC, *TABLES))}")
    return options


def write(results: Results, found: str, seeds: int) -> None:
    """The page, and its picture."""
    FOLDER.mkdir(exist_ok=True)
    picture(results)
    about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
    made = f"{seeds} seeds, but where a row says otherwise ({', '.join(SLOW)}: 100 rounds). "
    made += machine("numpy", "optuna", "torch") + " Made by `python benchmarks/regret.py`."
    curves = "![Mean q so far on the measured systems](regret.png)"
    (FOLDER / "regret.md").write_text(f"# Regret\n\n{about}\n\n{made}\n\n{curves}\n\n{found}\n")


def renew(results: Results, found: str) -> None:
    """Write the rows that were played into the page; the picture where all that it shows were."""
    page_file, when = FOLDER / "regret.md", f"{datetime.now(tz=UTC):%Y-%m-%d}"
    if all(results.of(name, t) is not None for name in SHOWN for t in TABLES):
        picture(results)
    else:
        when += ", but not the picture"
    page_file.write_text(renewed(page_file.read_text(), found, when))


def renewed(text: str, found: str, when: str) -> str:
    """A page in which the rows of what was played are as they were found; it says whose and since when."""
    rows = {}
    for heading, lines in _sections(found):
        rows |= {(heading, _name(line)): line for line in lines if _name(line) in COMPETITORS}
    parts = ["\n".join(rows.pop((heading, _name(x)), x) for x in lines) for heading, lines in _sections(text)]
    if _heads(found) - _heads(text):
        raise SystemExit("the page has other columns: it takes a whole run")
    if rows:
        raise SystemExit(f"the page has no rows for {', '.join(sorted({name for _, name in rows}))}")
    names = sorted({_name(line) for _, lines in _sections(found) for line in lines} & set(COMPETITORS))
    made = "Made by `python benchmarks/regret.py`."
    note = f"{made} Renewed on {when} (`--renew`), the others being as before: {', '.join(names)}."
    return "\n".join(parts).replace(made, note, 1) + "\n"


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """Headings, each with its lines, the heading itself included."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if line.startswith("## "):
            found.append((line, []))
        found[-1][1].append(line)
    return found


def _heads(text: str) -> set[tuple[str, str]]:
    """What the tables have at their heads, by section."""
    return {(heading, line) for heading, lines in _sections(text) for line in lines if _name(line) == "algorithm"}


def _name(line: str) -> str:
    """What a row of a table begins with."""
    return line.split("|")[1].strip() if line.startswith("|") else ""


def keep(file: Path | None, job: Job, run: Run) -> None:
    """Add a run to a file, one line of JSON."""
    if file is not None:
        regret, recommended = run
        with file.open("a") as lines:
            lines.write(json.dumps([asdict(job), [round(x, 6) for x in regret.tolist()], recommended]) + "\n")


def read(file: Path | None) -> dict[Job, Run]:
    """The runs in a file. A line that was cut off when a run was killed is left out, and its run played again."""
    found = {}
    for line in file.read_text().splitlines() if file is not None and file.exists() else []:
        try:
            job, regret, recommended = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[Job(**job)] = (np.array(regret), recommended)
    return found


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
