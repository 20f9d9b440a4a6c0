"""Made-up systems, which the numbers of the surrogate learner were chosen by. How good is it there?

Each system has 4 to 16 parameters of mixed kinds. The logarithm of its performance is a sum of main effects (of very
different sizes; of numbers: saturating, with an optimum inside, or a step), some effects of pairs, and perhaps cliffs,
where a choice makes everything many times slower. The reward is throughput or latency, scaled between its 1st and 99th
percentile and cut there. q = (best - reward) / (best - median): 0 is the best configuration, 1 the median one.

Each run has 200 rounds and starts at a configuration drawn at random. ``mean q`` is over all rounds (what a live system
pays) and over the systems geometrically, because a cliff may cost hundreds of medians; ``worse`` is the share of rounds
worse than the median configuration; ``last q`` is over the last 20 rounds. Late rewards are told after 10 more asks;
noise has 5 % of the range of the rewards. A world that changes is turned round after half of the rounds: the low end of
each range is then what the high end was, and each category what its neighbour was.

Run: python benchmarks/made_up.py [--quick] [--json] [--systems N] [--seeds N]. Without --quick it writes
docs/benchmarks/made_up.md. Takes some ten minutes.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.hybrid_solver import RECOMMENDED
from oppertune.core.values import Categorical, Integer, ParameterValue, Real, ValueType

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "made_up.md"
ROUNDS = 200

Point: TypeAlias = NDArray[np.float64]
Effect: TypeAlias = Callable[[float], float]

LEARNERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "uniform_random": ("uniform_random", {}),
    "hybrid_solver": ("hybrid_solver", {}),
    "hybrid_solver, recommended": ("hybrid_solver", RECOMMENDED),
    "auto": ("auto", {}),
}


class Condition(NamedTuple):
    """What a run is played under."""

    name: str
    delay: int = 0
    noise: float = 0.0
    changes: bool = False


CONDITIONS = (
    Condition("–"),
    Condition("rewards 10 rounds late", delay=10),
    Condition("5 % noise", noise=0.05),
    Condition("the world changes", changes=True),
    Condition("it changes, 5 % noise", noise=0.05, changes=True),
)


class Kind(NamedTuple):
    """Of a parameter: levels of a category or an integer, 0 for a real."""

    categorical: bool
    levels: int


class System:
    """A made-up system; the seed decides everything about it."""

    def __init__(self, seed: int) -> None:
        self._rng = rng = np.random.default_rng(7000 + seed)
        share = rng.random()
        self.kinds = [self._kind(share) for _ in range(int(rng.integers(4, 17)))]
        n = len(self.kinds)
        sizes = np.exp(rng.normal(0, 1.2, n))
        sizes /= np.sqrt((sizes**2).sum())
        self._main = [(float(size), self._effect(kind)) for size, kind in zip(sizes, self.kinds, strict=True)]
        self._pairs = []
        for _ in range(int(rng.integers(0, n // 2 + 1))):
            a, b = (int(i) for i in rng.choice(n, 2, replace=False))
            size = float(np.sqrt(sizes[a] * sizes[b]) * rng.choice([-1, 1]) * rng.uniform(0.3, 1.2))
            self._pairs.append((a, b, self._effect(self.kinds[a]), self._effect(self.kinds[b]), size))
        where = [int(rng.integers(n)) for _ in range(int(rng.choice([0, 0, 1, 2])))]
        self._cliffs = [(a, self._side(self.kinds[a]), float(rng.uniform(1.5, 5))) for a in where]
        self._latency = bool(rng.random() < 0.5)
        self._starts = self._points(4000)
        performance = np.array([self._performance(point) for point in self._starts])
        self._low, self._high = (float(x) for x in np.percentile(performance, [1, 99]))
        self.median = float(np.median(self._reward(performance)))
        best = max(self._climbed(self._starts[i], float(performance[i])) for i in np.argsort(-performance)[:5])
        self.best = float(self._reward(np.array([best]))[0])

    def parameters(self, start: int) -> list[ValueType]:
        """The parameters, declared at one of 4,000 random configurations."""
        named = enumerate(zip(self.kinds, self._starts[start].tolist(), strict=True))
        return [self._parameter(f"p{i:02d}", kind, x) for i, (kind, x) in named]

    def q(self, reward: float) -> float:
        """How far a reward is from the best, in medians."""
        return (self.best - reward) / (self.best - self.median)

    def reward(self, prediction: Mapping[str, ParameterValue], *, turned: bool = False) -> float:
        """The reward of a configuration, before or after the world was turned round."""
        point = np.zeros(len(self.kinds))
        for i, (kind, x) in enumerate(zip(self.kinds, prediction.values(), strict=True)):
            if kind.categorical:
                point[i] = (int(str(x)[1:]) + turned) % kind.levels
            else:
                share = float(x) / max(kind.levels - 1, 1)
                point[i] = 1 - share if turned else share
        return float(self._reward(np.array([self._performance(point)]))[0])

    def _reward(self, performance: Point) -> Point:
        scaled: Point = np.clip((performance - self._low) / (self._high - self._low), 0, 1)
        return scaled

    def _performance(self, x: Point) -> float:
        log = sum(size * effect(x[i]) for i, (size, effect) in enumerate(self._main))
        log += sum(size * first(x[a]) * second(x[b]) for a, b, first, second, size in self._pairs)
        log -= sum(size for a, side, size in self._cliffs if side(x[a]))
        return float(-np.exp(-log) if self._latency else np.exp(log))

    def _kind(self, share: float) -> Kind:
        rng = self._rng
        if rng.random() < share * 0.9:
            return Kind(categorical=True, levels=2 if rng.random() < 0.8 else int(rng.integers(3, 6)))
        return Kind(categorical=False, levels=int(rng.integers(3, 21)) if rng.random() < 0.6 else 0)

    def _effect(self, kind: Kind) -> Effect:
        rng = self._rng
        if kind.categorical:
            table = rng.normal(size=kind.levels)
            table -= table.mean()
            table /= np.abs(table).max()
            return lambda x: float(table[int(x)])
        shape, sign = int(rng.integers(3)), float(rng.choice([-1, 1]))
        centre, width = float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.15, 0.6))
        if shape == 0:
            return lambda x: sign * 2 * float(np.tanh(x / width) / np.tanh(1 / width) - 0.5)
        if shape == 1:
            return lambda x: 1 - 2 * min(1.0, ((x - centre) / max(centre, 1 - centre)) ** 2)
        return lambda x: sign * float(np.tanh((x - centre) / (0.3 * width)))

    def _side(self, kind: Kind) -> Callable[[float], bool]:
        rng = self._rng
        if kind.categorical:
            bad = int(rng.integers(kind.levels))
            return lambda x: x == bad
        edge, low = float(rng.uniform(0.05, 0.35)), bool(rng.random() < 0.5)
        return lambda x: x < edge if low else x > 1 - edge

    def _points(self, n: int) -> Point:
        rng, columns = self._rng, []
        for kind in self.kinds:
            if not kind.levels:
                columns.append(rng.random(n))
            else:
                drawn = rng.integers(kind.levels, size=n)
                columns.append(drawn if kind.categorical else drawn / (kind.levels - 1))
        points: Point = np.array(columns, dtype=np.float64).T
        return points

    def _climbed(self, point: Point, height: float) -> float:
        """The performance that changing one parameter at a time leads to."""
        point = point.copy()
        for _ in range(3):
            for i, kind in enumerate(self.kinds):
                values = np.arange(kind.levels) if kind.categorical else np.linspace(0, 1, kind.levels or 11)
                for x in values.tolist():
                    kept, point[i] = point[i], x
                    reached = self._performance(point)
                    height, point[i] = (reached, x) if reached > height else (height, kept)
        return height

    def _parameter(self, name: str, kind: Kind, x: float) -> ValueType:
        if kind.categorical:
            return Categorical(name, f"v{int(x)}", tuple(f"v{i}" for i in range(kind.levels)))
        if kind.levels:
            return Integer(name, round(x * (kind.levels - 1)), 0, kind.levels - 1)
        return Real(name, x, 0.0, 1.0)


def play(system: System, learner: str, seed: int, condition: Condition) -> NDArray[np.float64]:
    """The q of each round."""
    name, args = LEARNERS[learner]
    tuning = create_tuning_instance(system.parameters(seed), name, {**args, "random_seed": seed})
    rng = np.random.default_rng(9000 + seed)
    q, waiting = [], []
    for t in range(ROUNDS):
        request = tuning.ask()
        reward = system.reward(request.prediction, turned=condition.changes and t >= ROUNDS // 2)
        q.append(system.q(reward))
        waiting.append((request.id, reward + condition.noise * float(rng.normal())))
        if len(waiting) > condition.delay:
            tuning.tell(*waiting.pop(0))
    return np.array(q)


def row(learner: str, systems: list[System], seeds: int, condition: Condition) -> dict[str, Any]:
    """The figures of a learner."""
    runs = np.array([[play(system, learner, seed, condition) for seed in range(seeds)] for system in systems])

    def typical(q: NDArray[np.float64]) -> float:
        return float(np.exp(np.log(np.maximum(q.mean(axis=(1, 2)), 1e-3)).mean()))

    figures = {"q": typical(runs), "worse": float((runs > 1 + 1e-9).mean()), "last": typical(runs[:, :, -20:])}
    return {"learner": learner, "condition": condition.name, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small system and seed: only to see that it runs")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--systems", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    systems = [System(seed) for seed in ([14] if options.quick else range(options.systems))]
    rows = []
    for learner in LEARNERS:
        for condition in CONDITIONS[:1] if options.quick else CONDITIONS:
            print(f"{learner}, {condition.name} ...", file=sys.stderr, flush=True)
            rows.append(row(learner, systems, 1 if options.quick else options.seeds, condition))
    lines = ["| learner | condition | mean q | worse | last q |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| {r['learner']} | {r['condition']} | {r['q']:.3f} | {r['worse']:.1%} | {r['last']:.3f} |" for r in rows
    ]
    print("\n".join(lines))
    if not options.quick:
        about = (__doc__ or "").split("\n\n")
        made = f"{options.systems} systems, {options.seeds} seeds; {datetime.now(tz=UTC):%Y-%m-%d}, "
        made += f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}. "
        made += "Made by `python benchmarks/made_up.py`."
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text("# Made-up systems\n\n" + "\n\n".join([*about[:3], made]) + "\n\n" + "\n".join(lines) + "\n")
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
