"""What a configuration does: a table of measurements, or a function over the spec's parameters. Pure.

A configuration's *cost* says how many times longer a request takes than with the declared values: they cost 1, less is
better. A metric that is to be maximised is divided by it.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ....core.errors import CommandFailed, InvalidArgument
from ....core.transform import ValueTransformer
from ....core.values import SWITCH, Categorical, ParameterValue, ValueType
from ....schemas.keys import values_hash
from ..exit_codes import ExitCode
from ..text import printable

Values = Mapping[str, ParameterValue]
Point = NDArray[np.float64]

USUAL_ERRORS = 0.005
"""Share of requests that fail whatever is run."""


class Effect(NamedTuple):
    """What a configuration does to an instance that runs it.

    Attributes:
        cost: Times as long as with the declared values, above 0.
        errors: Share of requests that fail, 0 to 1.
        crashes: Probability that the process ends within an interval, 0 to 1.
    """

    cost: float
    errors: float = USUAL_ERRORS
    crashes: float = 0.0


class System(Protocol):
    """What is tuned.

    Attributes:
        best: Smallest cost that is known.
        low: Where quality is 0: of a table its 1st percentile, as in the benchmarks; else the best.
        median: Cost of the median configuration: quality is 1.
        high: Cost at which quality stops counting: far worse ones count as this one.
        breaks_at: From this share of the fleet on, what is not declared takes three times as long; ``None``: never.
    """

    @property
    def breaks_at(self) -> float | None: ...  # noqa: D102 - above
    @property
    def best(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def median(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102

    def effect(self, values: Values) -> Effect:
        """What a configuration does."""


def quality(system: System, cost: float) -> float:
    """Q of a cost: 0 is the best configuration known, 1 the median one; NaN where all are alike.

    As in the benchmarks: (cost - low) / (median - low), the cost cut at ``low`` and ``high``.
    """
    if not system.median > system.low:
        return math.nan
    return (min(max(cost, system.low), system.high) - system.low) / (system.median - system.low)


def turned(parameters: Sequence[ValueType], values: Values) -> dict[str, ParameterValue]:
    """Another optimum: what a range's low end did, its high end does now, and a category what its neighbour did."""
    found = dict(values)
    for parameter in parameters:
        x = values[parameter.name]
        if isinstance(parameter, Categorical):
            found[parameter.name] = parameter.category((parameter.encoded_value(str(x)) + 1) % parameter.n_categories)
        elif not parameter.is_constant:
            transformer = ValueTransformer(parameter)
            low, high = transformer.transformed.min, transformer.transformed.max  # type: ignore[union-attr]
            share = float(transformer.transform(x))
            found[parameter.name] = transformer.inverse_transform(low + high - share)
    return found


# -- functions


class Made:
    """A made-up system: a cost for each point of the space, every parameter scaled to 0 to 1.

    Args:
        parameters: The spec's.
        log_cost: Of points of shape (n, parameters), and which of the columns are categories.
        errors: Share of failing requests of a point; default: as always.
        best_point: Where the cost is smallest, if that is known.
        seed: Of the sample from which the median is computed.
    """

    breaks_at: float | None = None

    def __init__(
        self,
        parameters: Sequence[ValueType],
        log_cost: Callable[[Point], Point],
        *,
        errors: Callable[[Point], float] | None = None,
        best_point: Point | None = None,
        seed: int = 0,
    ) -> None:
        self._transformers = [ValueTransformer(p) for p in parameters]
        self._log_cost, self._errors = log_cost, errors
        self._declared = float(log_cost(self._point({p.name: p.val for p in parameters})[None, :])[0])
        rng = np.random.default_rng([seed, 1])
        sample = np.stack([_drawn(p, rng) for p in parameters], axis=1)
        costs = np.exp(log_cost(sample) - self._declared)
        known = [float(costs.min()), 1.0]
        if best_point is not None:
            known.append(math.exp(float(log_cost(best_point[None, :])[0]) - self._declared))
        self.best = self.low = min(known)
        self.median, self.high = float(np.median(costs)), float(costs.max())

    def effect(self, values: Values) -> Effect:
        """What a configuration does."""
        point = self._point(values)
        cost = math.exp(float(self._log_cost(point[None, :])[0]) - self._declared)
        return Effect(cost, self._errors(point) if self._errors is not None else USUAL_ERRORS)

    def _point(self, values: Values) -> Point:
        return np.array([_share(t, values[t.value.name]) for t in self._transformers], dtype=np.float64)


_SAMPLE = 4_000


def _share(transformer: ValueTransformer, x: ParameterValue) -> float:
    """Where a value stands in its range, 0 to 1; of a category, its index."""
    parameter = transformer.value
    if isinstance(parameter, Categorical):
        return float(parameter.encoded_value(str(x)))
    if parameter.is_constant:
        return 0.0
    return float(transformer.transform(x)) / float(transformer.transformed.max)  # type: ignore[union-attr]


def _drawn(parameter: ValueType, rng: np.random.Generator) -> Point:
    """Places in a parameter's range, at random."""
    if isinstance(parameter, Categorical):
        return rng.integers(parameter.n_categories, size=_SAMPLE).astype(np.float64)
    return rng.random(_SAMPLE)


class _Space:
    """Which columns of a point are categories, an optimum, and effects of categories, drawn by a seed."""

    def __init__(self, parameters: Sequence[ValueType], seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        self.numeric = np.array([not isinstance(p, Categorical) for p in parameters])
        self.optimum = np.array([rng.uniform(0.1, 0.9) for _ in parameters])
        self.tables: dict[int, Point] = {}
        for i, parameter in enumerate(parameters):
            if isinstance(parameter, Categorical):
                table = rng.random(parameter.n_categories)
                table -= table.min()
                self.tables[i] = table / max(float(table.max()), 1e-9)
                self.optimum[i] = float(table.argmin())

    def far(self, points: Point) -> Point:
        """How far points are from the optimum, 0 to 1: the mean over the parameters."""
        off = ((points - self.optimum) / np.maximum(self.optimum, 1 - self.optimum)) ** 2
        for i, table in self.tables.items():
            off[:, i] = table[points[:, i].astype(int)]
        mean: Point = off.mean(axis=1)
        return mean


def _hill(parameters: Sequence[ValueType], seed: int) -> Made:
    space = _Space(parameters, seed)
    return Made(parameters, lambda x: math.log(4) * space.far(x), best_point=space.optimum, seed=seed)


def _needle(parameters: Sequence[ValueType], seed: int) -> Made:
    space = _Space(parameters, seed)

    def log_cost(x: Point) -> Point:
        far = space.far(x)
        cost: Point = math.log(1.1) * far - math.log(2) * np.exp(-far / 0.01)
        return cost

    return Made(parameters, log_cost, best_point=space.optimum, seed=seed)


def _cliff(parameters: Sequence[ValueType], seed: int) -> Made:
    space = _Space(parameters, seed)
    declared = np.array([_share(ValueTransformer(p), p.val) for p in parameters])
    rng = np.random.default_rng([seed, 3])
    beyond = _cliffs_edge(parameters, space, declared, rng)

    def log_cost(x: Point) -> Point:
        cost: Point = math.log(2) * space.far(x) + math.log(5) * beyond(x)
        return cost

    def errors(point: Point) -> float:
        return 0.1 if bool(beyond(point[None, :])[0]) else USUAL_ERRORS

    return Made(parameters, log_cost, errors=errors, best_point=space.optimum, seed=seed)


def _cliffs_edge(
    parameters: Sequence[ValueType], space: _Space, declared: Point, rng: np.random.Generator
) -> Callable[[Point], Point]:
    """Points that fall: an end of one number, on which neither optimum nor declared values are, or one bad category."""
    for i in rng.permutation(len(parameters)).tolist():
        parameter, safe = parameters[i], (space.optimum[i], declared[i])
        if isinstance(parameter, Categorical):
            bad = [c for c in range(parameter.n_categories) if c not in safe]
            if bad:
                category = float(bad[int(rng.integers(len(bad)))])
                return lambda x, i=i, category=category: x[:, i] == category  # type: ignore[misc]
        elif not parameter.is_constant:
            if max(safe) < 0.9:
                edge = (max(safe) + 1) / 2
                return lambda x, i=i, edge=edge: x[:, i] > edge  # type: ignore[misc]
            if min(safe) > 0.1:
                edge = min(safe) / 2
                return lambda x, i=i, edge=edge: x[:, i] < edge  # type: ignore[misc]
    return lambda x: np.zeros(len(x), dtype=bool)


def _flat(parameters: Sequence[ValueType], seed: int) -> Made:
    return Made(parameters, lambda x: np.zeros(len(x)), seed=seed)


FUNCTIONS: Mapping[str, Callable[[Sequence[ValueType], int], Made]] = {
    "hill": _hill,
    "needle": _needle,
    "cliff": _cliff,
    "flat": _flat,
}
"""By name: smooth; all nearly alike but for one small spot; a hill with an end at which all breaks; nothing matters."""


def made(name: str, parameters: Sequence[ValueType], seed: int) -> Made:
    """A built-in system.

    Args:
        name: One of :data:`FUNCTIONS`.
        parameters: The spec's.
        seed: Where its optimum is.

    Raises:
        InvalidArgument: There is none of this name.
    """
    if name not in FUNCTIONS:
        raise InvalidArgument(f"there is no built-in system {name!r}; there are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name](parameters, seed)


@dataclass(frozen=True, slots=True)
class Altered:
    """Nothing matters but whether the declared values are run: for false alarms, and for what is sure to be bad.

    Attributes:
        declared: Hash of the declared values.
        other: What every other configuration does.
        breaks_at: As of every system.
    """

    declared: str
    other: Effect
    breaks_at: float | None = None

    @property
    def best(self) -> float:
        """The cheaper of the two."""
        return min(1.0, self.other.cost)

    @property
    def low(self) -> float:
        """As the best."""
        return self.best

    @property
    def median(self) -> float:
        """As the best: quality says nothing here."""
        return self.best

    @property
    def high(self) -> float:
        """The dearer one."""
        return max(1.0, self.other.cost)

    def effect(self, values: Values) -> Effect:
        """What a configuration does."""
        return Effect(1.0) if values_hash(values) == self.declared else self.other


# -- tables


class Table:
    """A system that was measured: a configuration answers as its row, or as the row nearest to it.

    Each parameter is a column, scaled to 0 to 1. A configuration that is in the table several times has its first row's
    measurements. Of several goals, the cost is the geometric mean of theirs.

    Args:
        parameters: The spec's, each with a column of its name.
        rows: Parameters' columns, numbers, of shape (rows, parameters), in their order.
        goals: By name: what was measured, above 0, and whether less of it is better.
    """

    breaks_at: float | None = None

    def __init__(self, parameters: Sequence[ValueType], rows: Point, goals: Mapping[str, tuple[Point, bool]]) -> None:
        _, first = np.unique(rows, axis=0, return_index=True)
        kept = np.sort(first)
        rows = rows[kept]
        width = np.ptp(rows, axis=0)
        self._names = [p.name for p in parameters]
        self._low, self._width = rows.min(axis=0), np.where(width > 0, width, 1.0)
        self._points = (rows - self._low) / self._width
        self._exact = {tuple(row): i for i, row in enumerate(rows.tolist())}
        logs = [np.log(x[kept]) if less else -np.log(x[kept]) for x, less in goals.values()]
        self._log_costs = np.mean(logs, axis=0)
        declared = float(self._log_costs[self._row({p.name: p.val for p in parameters})])
        self._costs: Point = np.exp(self._log_costs - declared)
        low, high = (float(x) for x in np.percentile(self._costs, [1, 99]))
        self.best, self.low, self.high = float(self._costs.min()), low, high
        self.median = float(np.median(self._costs))

    def effect(self, values: Values) -> Effect:
        """What a configuration does."""
        return Effect(float(self._costs[self._row(values)]))

    def _row(self, values: Values) -> int:
        wanted = [_number(values[name]) for name in self._names]
        if (exact := self._exact.get(tuple(wanted))) is not None:
            return exact
        point = (np.array(wanted) - self._low) / self._width
        return int(((self._points - point) ** 2).sum(axis=1).argmin())


def _number(x: ParameterValue) -> float:
    """A value as tables have it: ``off`` and ``on`` are 0 and 1; a category is the number that it is written as."""
    return float(SWITCH.index(x)) if isinstance(x, str) and x in SWITCH else float(x)


def read_table(path: Path, parameters: Sequence[ValueType]) -> Table:
    """A system from a CSV file: a column per parameter, and goals whose names end in ``+`` or ``-``.

    Args:
        path: The file. Its first line has the names; all else are numbers. ``-``: less is better.
        parameters: The spec's. Columns that are no parameter are left out.

    Raises:
        CommandFailed: It cannot be read, or does not fit the parameters; the message says where.
    """
    name = printable(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = [line for line in csv.reader(file) if line] or [[]]
    except OSError as error:
        raise CommandFailed(f"cannot read {name}: {error.strerror or error}", ExitCode.INVALID) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CommandFailed(f"{name} is no CSV file: {error}", ExitCode.INVALID) from error
    goals = [column for column in head if column[-1:] in {"+", "-"}]
    if not goals or not lines:
        raise CommandFailed(
            f"{name} is no table of a system: its first line names parameters and goals, which end in + or -,"
            " and each further one is a measurement",
            ExitCode.INVALID,
        )
    if missing := [p.name for p in parameters if p.name not in head]:
        columns = ", ".join(printable(column) for column in head if column not in goals)
        raise CommandFailed(
            f"{name} has no column for {', '.join(map(printable, missing))}; it has {columns}", ExitCode.INVALID
        )
    for parameter in parameters:
        _check_categories(parameter, name)
    data = _numbers(lines, head, [p.name for p in parameters] + goals, name)
    rows = data[:, : len(parameters)]
    measured = {g[:-1]: (data[:, len(parameters) + i], g.endswith("-")) for i, g in enumerate(goals)}
    for goal, (column, _) in measured.items():
        if not (column > 0).all():
            raise CommandFailed(f"{name}: {printable(goal)} is not above 0 in every line", ExitCode.INVALID)
    return Table(parameters, rows, measured)


def _check_categories(parameter: ValueType, name: str) -> None:
    if isinstance(parameter, Categorical):
        for category in parameter.categories:
            try:
                _number(category)
            except ValueError:
                raise CommandFailed(
                    f"{name} has numbers, and category {printable(category)!r} of {printable(parameter.name)} is none:"
                    " write categories as the numbers of the table, or use a switch",
                    ExitCode.INVALID,
                ) from None


def _numbers(lines: Sequence[Sequence[str]], head: Sequence[str], wanted: Sequence[str], name: str) -> Point:
    places = [head.index(column) for column in wanted]
    found = []
    for number, line in enumerate(lines, 2):
        try:
            row = [float(line[i]) for i in places]
        except (ValueError, IndexError):
            row = [math.nan]
        if not all(map(math.isfinite, row)):
            raise CommandFailed(f"{name}, line {number}: numbers are expected in {', '.join(wanted)}", ExitCode.INVALID)
        found.append(row)
    return np.array(found, dtype=np.float64)
