"""What do the options of the documented learners buy? Mean regret with each on and off.

Each row plays one learner on one problem over several seeds. Rewards are in [0, 1] with normal noise of 0.05; regret is
how far the true mean reward of what was played is below the best one. ``all`` is the mean over all rounds, ``last``
over the last tenth, both as mean ± standard deviation over the seeds. ``equal`` is the share of successive pairs of
rounds whose configurations were the same (for two-point feedback: pairs that carry no signal).

The options were tuned on the problems (a) and (c) and where those change at half. Problem (b) shares the table of (c).
The problems "drawn anew" are a different one for each seed. No number was tuned on them; but they decided, with 50
seeds more, that hold_categories is not recommended (less regret on (b), no less or slightly more here).

Run: python benchmarks/options.py [--quick] [--json] [--only WORD]. Without --quick or --only it writes
docs/benchmarks/options.md. Takes about two minutes.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, pstdev
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.hybrid_solver import RECOMMENDED
from oppertune.core.values import Categorical, Integer, ParameterValue, Real, ValueType

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "options.md"
BEST, SPAN, NOISE = 0.85, 0.75, 0.05
CATEGORIES = ("a", "b", "c", "d")

Configuration: TypeAlias = Mapping[str, ParameterValue]
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A space and the true mean reward of a configuration in a round, at best 0.85.

    Attributes:
        name: Name in the table.
        parameters: The space.
        rounds: Rounds of a run.
        reward: Configuration and share of the run behind us, in [0, 1), to the mean reward.
        offset: Added to what the learner is told.
    """

    name: str
    parameters: list[ValueType]
    rounds: int
    reward: Callable[[Configuration, float], float]
    offset: float = 0.0


def numbers(count: int, levels: int | None = None) -> list[ValueType]:
    if levels is None:
        return [Real(f"p{i}", 0.1, 0.0, 1.0) for i in range(count)]
    return [Integer(f"p{i}", 0, 0, levels - 1) for i in range(count)]


def point(c: Configuration, width: float = 1.0) -> Numbers:
    return np.array([float(x) for x in c.values()]) / width


def bowl(name: str, optimum: Numbers, *, offset: float = 0.0, levels: int | None = None) -> Problem:
    """Five numbers, a quadratic bowl; with 0.1 at the start everywhere."""
    worst = float((np.maximum(optimum, 1 - optimum) ** 2).sum())
    width = 1.0 if levels is None else levels - 1.0
    reward = lambda c, _: BEST - SPAN * float(((point(c, width) - optimum) ** 2).sum()) / worst  # noqa: E731
    return Problem(name, numbers(5, levels), 1000, reward, offset)


OPTIMUM = np.array([0.70, 0.25, 0.60, 0.40, 0.80])


def slopes(start: float) -> Problem:
    """Five reals, each best at 1."""
    parameters: list[ValueType] = [Real(f"p{i}", start, 0.0, 1.0) for i in range(5)]
    reward = lambda c, _: BEST - SPAN * float((1 - point(c)).mean())  # noqa: E731
    return Problem(f"five reals, best at an edge each, from {start}", parameters, 1000, reward)


def moving() -> Problem:
    first, second = OPTIMUM, 1 - OPTIMUM
    worst = float((np.maximum(first, second) ** 2).sum())

    def reward(c: Configuration, share: float) -> float:
        return BEST - SPAN * float(((point(c) - (first if share < 0.5 else second)) ** 2).sum()) / worst

    return Problem("five reals, optimum moves at half", numbers(5), 1000, reward)


def tables() -> tuple[Numbers, Numbers]:
    """Problem (b)'s reward of three categories of four, the first two of which interact; and a permutation of it."""
    rng = np.random.default_rng(20240401)
    a, b, c, w = rng.random(4), rng.random(4), rng.random(4), 1.5 * rng.random((4, 4))
    table = a[:, None, None] + b[None, :, None] + c[None, None, :] + w[:, :, None]
    table = (table - table.min()) / (table.max() - table.min())
    return table, np.random.default_rng(5).permutation(table.ravel()).reshape(table.shape)


TABLE, OTHER = tables()
CHOICES: list[ValueType] = [Categorical(f"c{i}", "a", CATEGORIES) for i in range(3)]


def chosen(c: Configuration) -> tuple[int, ...]:
    return tuple(CATEGORIES.index(str(c[f"c{i}"])) for i in range(3))


def choices(name: str, *, offset: float = 0.0, moves: bool = False) -> Problem:
    def reward(c: Configuration, share: float) -> float:
        table = OTHER if moves and share >= 0.5 else TABLE
        return BEST - SPAN * (1 - float(table[chosen(c)]))

    return Problem(name, CHOICES, 2000 if moves else 1000, reward, offset)


TARGETS = [[2, 15, 6, 0.2, 0.7], [8, 4, 2, 0.8, 0.3], [5, 10, 4, 0.5, 0.5], [7, 18, 1, 0.35, 0.85]]
WIDTHS = np.array([10.0, 20.0, 8.0, 1.0, 1.0])


def mixed() -> Problem:
    """Problem (b): three categories of four, three integers, two reals, which act on each other."""

    def reward(c: Configuration, _: float) -> float:
        k = chosen(c)
        x = np.array([float(c[name]) for name in ("i0", "i1", "i2", "r0", "r1")])
        d = (x - TARGETS[k[2]]) / WIDTHS
        near = max(0.0, 1 - (float((d**2).sum()) + 0.8 * float(d[0] * d[3])) / 1.6)
        return BEST - SPAN * (1 - 0.5 * float(TABLE[k]) - 0.5 * near)

    parameters: list[ValueType] = [*CHOICES, *(Integer(f"i{i}", 0, 0, m) for i, m in enumerate((10, 20, 8)))]
    return Problem(
        "categories and numbers (b)", parameters + [Real(f"r{i}", 0.1, 0.0, 1.0) for i in range(2)], 1000, reward
    )


def anew(seed: int) -> Problem:
    """Categories and numbers of random sizes, a random table with interactions, and a random bowl that it shifts."""
    rng = np.random.default_rng(70_000 + seed)
    sizes = rng.integers(2, 6, size=3)
    chosen_of = [[f"v{i}" for i in range(size)] for size in sizes]
    a, b, c = sizes
    table = rng.random((a, b, c)) + rng.random((a, 1, 1)) + rng.random((1, b, 1)) + rng.random((1, 1, c))
    table = (table - table.min()) / (table.max() - table.min())
    widths = np.array([*rng.integers(1, 13, size=3), 1, 1], dtype=np.float64)
    optima = rng.random((c, 5))
    optima[:, :3] = np.round(optima[:, :3] * widths[:3]) / widths[:3]

    def reward(played: Configuration, _: float) -> float:
        k = tuple(names.index(str(played[f"c{i}"])) for i, names in enumerate(chosen_of))
        x = np.array([float(played[f"x{i}"]) for i in range(5)]) / widths
        near = 1 - float(((x - optima[k[2]]) ** 2).mean())
        return BEST - SPAN * (1 - 0.5 * float(table[k]) - 0.5 * near)

    parameters: list[ValueType] = [Categorical(f"c{i}", "v0", names) for i, names in enumerate(chosen_of)]
    parameters += [Integer(f"x{i}", 0, 0, int(widths[i])) for i in range(3)]
    parameters += [Real(f"x{i}", 0.1, 0.0, 1.0) for i in (3, 4)]
    return Problem("categories and numbers, drawn anew", parameters, 1000, reward)


@dataclass(frozen=True)
class Row:
    problem: Problem | Callable[[int], Problem]
    label: str
    algorithm: str
    arguments: Mapping[str, Any]
    figures: dict[str, list[float]] = field(default_factory=dict)

    def of(self, seed: int) -> Problem:
        """The problem of a seed."""
        return self.problem if isinstance(self.problem, Problem) else self.problem(seed)

    @property
    def name(self) -> str:
        """Name of the problem."""
        return self.of(0).name


def rows() -> list[Row]:
    two, sgd = {"feedback": 2}, {"feedback": 2, "optimizer": "sgd"}
    learned = {"scale": "spread", "explore": 0.25, "share": 0.001}
    found: list[Row] = []

    def add(problem: Problem | Callable[[int], Problem], algorithm: str, *cases: Mapping[str, Any]) -> None:
        for arguments in cases:
            label = ", ".join(f"{k}={v}" for k, v in _flat(arguments)) or "defaults"
            found.append(Row(problem, label, algorithm, arguments))

    for offset in (0.0, 10.0):
        five = bowl(f"five reals (a){' + 10' if offset else ''}", OPTIMUM, offset=offset)
        add(five, "bluefin", {}, {"baseline": "mean"}, two, {**two, "edges": True})
        add(five, "bluefin", sgd, {**sgd, "normalise": "spread"})
    add(moving(), "bluefin", {}, {"baseline": "mean"}, two)
    for levels in (2, 3, 4, 6, 11):
        best = np.round(OPTIMUM * (levels - 1)) / (levels - 1)
        add(bowl(f"five integers of {levels}", best, levels=levels), "bluefin", two, {**two, "min_levels": 0.5})
    for start in (0.1, 0.5):
        both = ({"edges": False}, {"edges": True})
        add(slopes(start), "bluefin", *({**two, **e} for e in both), *({"baseline": "mean", **e} for e in both))
    for problem in (choices("64 combinations (c)"), choices("64 combinations (c) + 10", offset=10.0)):
        for algorithm in ("exponential_weights", "exponential_weights_slates"):
            add(problem, algorithm, {}, {"scale": "spread"}, {"scale": "spread", "explore": 0.25}, learned)
    for algorithm in ("exponential_weights", "exponential_weights_slates"):
        moved = choices("64 combinations, table changes at half", moves=True)
        add(moved, algorithm, {}, {"scale": "spread"}, {"scale": "spread", "explore": 0.25}, learned, {"share": 0.001})
    slates = {"categorical_algorithm": "exponential_weights_slates"}
    readme = {**slates, "numerical_algorithm_args": two}
    held = {"hold_categories": True}
    for problem in (mixed(), anew):
        add(
            problem,
            "hybrid_solver",
            {},
            {"numerical_algorithm_args": two},
            {"numerical_algorithm_args": two, **held},
            readme,
            {**readme, **held},
            {**readme, "categorical_algorithm_args": learned},
            {**readme, "categorical_algorithm_args": learned, **held},
            {**slates, "numerical_algorithm_args": {"baseline": "mean"}, "categorical_algorithm_args": learned},
            {**slates, "numerical_algorithm_args": {**two, "edges": True}, "categorical_algorithm_args": learned},
            RECOMMENDED,
        )
    return found


def _flat(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [pair for k, v in arguments.items() for pair in (_flat(v) if isinstance(v, Mapping) else [(k, v)])]


def play(row: Row, seed: int, rounds: int | None = None) -> tuple[float, float, float]:
    """Mean regret of all rounds, of the last tenth, and the share of pairs that were equal."""
    problem = row.of(seed)
    rounds = rounds or problem.rounds
    learner = create_tuning_instance(problem.parameters, row.algorithm, {**row.arguments, "random_seed": seed})
    noise = NOISE * np.random.default_rng(10_000 + seed).normal(size=rounds)
    regret, played = [], []
    for t in range(rounds):
        request = learner.ask()
        reward = problem.reward(request.prediction, t / rounds)
        regret.append(BEST - reward)
        played.append(request.prediction)
        learner.tell(request.id, min(max(reward + noise[t], 0.0), 1.0) + problem.offset)
    pairs = list(zip(played[::2], played[1::2], strict=False))
    return mean(regret), mean(regret[-max(1, rounds // 10) :]), mean(a == b for a, b in pairs)


def table(done: list[Row]) -> str:
    lines = ["| problem | learner | options | all | last | equal |", "|---|---|---|---:|---:|---:|"]
    for row in done:
        figures = [f"{mean(row.figures[k]):.3f} ± {pstdev(row.figures[k]):.3f}" for k in ("all", "last")]
        equal = f"{mean(row.figures['equal']):.0%}"
        lines.append(f"| {row.name} | {row.algorithm} | {row.label} | {' | '.join([*figures, equal])} |")
    return "\n".join(lines)


def page(done: list[Row], seeds: int) -> str:
    made = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, numpy {np.__version__}"
    text = (__doc__ or "").split("\n\nRun:")[0].strip().split("\n\n", 1)
    return (
        f"# Options, on and off\n\n{text[0]}\n\n{text[1]}\n\n"
        f"{seeds} seeds; {made}, {platform.machine()}. Made by `python benchmarks/options.py`.\n\n{table(done)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seeds and 40 rounds, to see that it runs")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="rows whose problem or learner contains this")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    seeds = 2 if options.quick else options.seeds
    selected = [row for row in rows() if options.only in f"{row.name} {row.algorithm} {row.label}"]
    done: list[Row] = []
    try:
        for row in selected:
            runs = [play(row, seed, 40 if options.quick else None) for seed in range(seeds)]
            row.figures.update(zip(("all", "last", "equal"), map(list, zip(*runs, strict=True)), strict=True))
            done.append(row)
            print(f"{len(done)} of {len(selected)}: {row.name}, {row.label}", file=sys.stderr, flush=True)
    finally:
        print(table(done))
        if options.json:
            figures = [
                {"problem": r.name, "algorithm": r.algorithm, "options": r.label}
                | {k: mean(v) for k, v in r.figures.items()}
                for r in done
            ]
            print(json.dumps({"seeds": seeds, "quick": options.quick, "rows": figures}))
    if not (options.quick or options.only):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(done, seeds))


if __name__ == "__main__":
    main()
