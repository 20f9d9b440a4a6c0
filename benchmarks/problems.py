"""What the benchmarks play: three synthetic problems and five measured systems.

Every problem has ``parameters(seed)``, ``reward(prediction)`` without noise, ``regret(prediction)`` (0 is best), and
``seen(prediction, rng)``, what a learner is told.

The synthetic ones are those that OPPerTune 0.2.0 was measured on: mean reward f in [0.10, 0.85], seen as
clip(f + N(0, 0.05), 0, 1); regret is 0.85 - f.

The measured ones answer like the system did (``data/README.md``). The reward is the goal (of several, the mean of all,
scaled once more), scaled between its 1st and 99th percentile and cut there; regret is q = (best - reward) / (best -
median): 0 is the best configuration of the table, 1 the median one. A parameter with two values is a category, up to
twelve an integer over its values, else a real; a configuration that is not in the table stands for the row nearest to
it, each column scaled to [0, 1]. The declared configuration is a row drawn by the seed.
"""

import csv
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oppertune.core.values import Categorical, Integer, ParameterValue, Real, ValueType

TABLES = ("hsqldb", "llvm", "postgresql", "redis", "storm_wordcount")
DATA = Path(__file__).parent / "data"
CATEGORIES = ("a", "b", "c", "d")
BEST, SPAN, NOISE = 0.85, 0.75, 0.05

Configuration = Mapping[str, ParameterValue]


class Synthetic:
    """What the synthetic problems share."""

    noise = NOISE
    moved = False  # whether the optimum is where it moves to

    def parameters(self, seed: int) -> list[ValueType]:
        raise NotImplementedError

    def reward(self, c: Configuration) -> float:
        raise NotImplementedError

    def regret(self, c: Configuration) -> float:
        return BEST - self.reward(c)

    def seen(self, c: Configuration, rng: np.random.Generator) -> float:
        return float(np.clip(self.reward(c) + rng.normal(0, self.noise), 0, 1))


class Quadratic(Synthetic):
    """(a) Five reals, a quadratic bowl, declared far from its best point. Moved: the best point is mirrored."""

    optimum = np.array([0.70, 0.25, 0.60, 0.40, 0.80])
    worst = float((np.maximum(optimum, 1 - optimum) ** 2).sum())

    def parameters(self, seed: int) -> list[ValueType]:  # noqa: ARG002 - declared the same for all
        return [Real(f"p{i}", val=0.1, min=0.0, max=1.0) for i in range(5)]

    def reward(self, c: Configuration) -> float:
        x = np.array([float(c[f"p{i}"]) for i in range(5)])
        optimum = 1 - self.optimum if self.moved else self.optimum
        return BEST - SPAN * float(((x - optimum) ** 2).sum()) / self.worst


class Choices(Synthetic):
    """(c) Three categories of four; two of them act on each other. Moved: the table is turned round."""

    _rng = np.random.default_rng(20240401)
    _a, _b, _c, _w = _rng.random(4), _rng.random(4), _rng.random(4), 1.5 * _rng.random((4, 4))
    table = _a[:, None, None] + _b[None, :, None] + _c[None, None, :] + _w[:, :, None]
    table = (table - table.min()) / (table.max() - table.min())

    def parameters(self, seed: int) -> list[ValueType]:  # noqa: ARG002
        return [Categorical(f"c{i}", val="a", categories=CATEGORIES) for i in range(3)]

    def reward(self, c: Configuration) -> float:
        return BEST - SPAN * (1.0 - self.share(c))

    def share(self, c: Configuration) -> float:
        i, j, k = (CATEGORIES.index(str(c[f"c{i}"])) for i in range(3))
        table = self.table[::-1, ::-1, ::-1] if self.moved else self.table
        return float(table[i, j, k])


class Mixed(Choices):
    """(b) The categories of (c), three integers and two reals, whose best values depend on a category."""

    targets = np.array([[2, 15, 6, 0.2, 0.7], [8, 4, 2, 0.8, 0.3], [5, 10, 4, 0.5, 0.5], [7, 18, 1, 0.35, 0.85]])
    scale = np.array([10.0, 20.0, 8.0, 1.0, 1.0])

    def parameters(self, seed: int) -> list[ValueType]:
        integers = [Integer(f"i{i}", val=0, min=0, max=int(m)) for i, m in enumerate(self.scale[:3])]
        return [*super().parameters(seed), *integers, *(Real(f"r{i}", val=0.1, min=0.0, max=1.0) for i in range(2))]

    def reward(self, c: Configuration) -> float:
        x = np.array([float(c[name]) for name in ("i0", "i1", "i2", "r0", "r1")]) / self.scale
        off = x - self.targets[CATEGORIES.index(str(c["c2"]))] / self.scale
        far = float((off**2).sum()) + 0.8 * float(off[0] * off[3])
        return BEST - SPAN * (1.0 - 0.5 * self.share(c) - 0.5 * max(0.0, 1.0 - far / 1.6))


class Measured:
    """A measured system."""

    noise = 0.0

    def __init__(self, name: str) -> None:
        with gzip.open(DATA / f"{name}.csv.gz", "rt") as file:
            head, *rows = csv.reader(file)
        data = np.array(rows, dtype=np.float64)
        goals = [i for i, column in enumerate(head) if column[-1] in "+-"]
        columns = [i for i in range(len(head)) if i not in goals and len(np.unique(data[:, i])) > 1]
        _, first = np.unique(data[:, columns], axis=0, return_index=True)
        data = data[np.sort(first)]  # of rows with the same configuration, the first
        scaled = [_scaled(data[:, i] if head[i][-1] == "+" else -data[:, i]) for i in goals]
        self.rewards = scaled[0] if len(scaled) == 1 else _scaled(np.mean(scaled, axis=0))
        self.rows = data[:, columns]
        self.names = [head[i] for i in columns]
        self.levels = [np.unique(column) for column in self.rows.T]
        self._low, self._width = self.rows.min(axis=0), np.ptp(self.rows, axis=0)
        self._points = (self.rows - self._low) / self._width
        self.best, self.median = float(self.rewards.max()), float(np.median(self.rewards))

    def parameters(self, seed: int) -> list[ValueType]:
        row = self.rows[int(np.random.default_rng(500 + seed).integers(len(self.rows)))].tolist()
        return [_parameter(*of) for of in zip(self.names, self.levels, row, strict=True)]

    def reward(self, c: Configuration) -> float:
        values = [
            levels[x] if isinstance(x, int) else float(x) for x, levels in zip(c.values(), self.levels, strict=True)
        ]
        point = (np.array(values) - self._low) / self._width
        return float(self.rewards[int(((self._points - point) ** 2).sum(axis=1).argmin())])

    def regret(self, c: Configuration) -> float:
        return (self.best - self.reward(c)) / (self.best - self.median)

    def seen(self, c: Configuration, rng: np.random.Generator) -> float:
        return self.reward(c) + (float(rng.normal(0, self.noise)) if self.noise else 0.0)


SYNTHETIC: Mapping[str, type[Synthetic]] = {"a": Quadratic, "b": Mixed, "c": Choices}


def _scaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(x, [1, 99])
    scaled: NDArray[np.float64] = np.clip((x - low) / (high - low), 0, 1)
    return scaled


def _parameter(name: str, levels: NDArray[np.float64], declared: float) -> ValueType:
    if len(levels) == 2:
        return Categorical(name, str(declared), tuple(map(str, levels.tolist())))
    if len(levels) <= 12:
        return Integer(name, int(np.searchsorted(levels, declared)), 0, len(levels) - 1)
    return Real(name, declared, float(levels[0]), float(levels[-1]))
