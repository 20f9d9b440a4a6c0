"""Parameters: what can be tuned, within which bounds, on which step.

Three kinds: :class:`Categorical` (one of a few names), :class:`Integer` and :class:`Real` (numbers between bounds, with
a ``step`` on a grid counted from ``min``). All are immutable, compare by their fields, and are valid once constructed.
The definitions follow OPPerTune 0.2.0 (microsoft/OPPerTune, ``oppertune.core.values``).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Context as DecimalContext
from decimal import Decimal
from typing import ClassVar, Generic, Self, TypeAlias, TypeVar

import numpy as np

from .errors import InvalidArgument, InvalidArgumentType, InvalidParameter, InvalidParameterType

ParameterValue: TypeAlias = str | int | float
"""One parameter's value in a configuration: a category, an integer or a real."""

T = TypeVar("T", str, int, float)

PythonType: TypeAlias = type[str] | type[int] | type[float]

_INTEGER_LIMIT = 2**63 - 1
"""Larger integers do not survive JSON writers such as orjson, nor 64-bit clients."""

SWITCH = ("off", "on")
"""The categories of a parameter that is on or off."""

_LOG_INTEGER_LIMIT = 10**12
"""On a logarithmic scale in double precision, larger integers are no longer told from their neighbours."""

_EXACT = DecimalContext(prec=40, traps=[])
"""Decimal arithmetic for grids. Our own, so that no setting of the host service changes a configuration."""


def _is_number(x: object) -> bool:
    """Whether ``x`` is a Python or numpy number. Truth values are not: ``True`` for a pool size is a mistake."""
    return isinstance(x, int | float | np.integer | np.floating) and not isinstance(x, bool)


def _as_number(x: object, what: str) -> int | float:
    """``x`` as a plain Python number, integers exactly. Raises InvalidArgumentType or, for NaN, InvalidArgument."""
    if isinstance(x, int | np.integer) and not isinstance(x, bool):
        return int(x)
    if not isinstance(x, float | np.floating):
        raise InvalidArgumentType(f"{what} must be a number, not {type(x).__name__}")
    number = float(x)
    if math.isnan(number):
        raise InvalidArgument(f"{what} must be a number, not NaN")
    return number


def _whole(x: object) -> int | None:
    """``x`` as a Python integer if it is a whole number, else None."""
    if isinstance(x, int | np.integer):
        return int(x)
    return int(x) if isinstance(x, float | np.floating) and math.isfinite(x) and x == int(x) else None


class Value(ABC, Generic[T]):
    """A parameter: its name, its declared value, and which values are legal.

    Attributes:
        name: Name, unique within a tuning instance.
        val: Declared (initial) value.
        type: Name of the kind, as written in dictionaries: ``categorical``, ``integer`` or ``real``.
        dtype: Python type of its values.
    """

    __slots__ = ()

    type: ClassVar[str]
    dtype: ClassVar[PythonType]
    name: str
    val: T

    @abstractmethod
    def cast(self, x: ParameterValue) -> T:
        """``x`` as a value of this kind, neither clipped to the bounds nor put on the step."""

    @abstractmethod
    def contains(self, x: object) -> bool:
        """Whether ``x`` is a legal value: of the right type, inside the bounds, on the step. Never raises."""

    @abstractmethod
    def snap(self, x: ParameterValue) -> T:
        """The legal value nearest to ``x``.

        Raises:
            InvalidArgument: ``x`` has no nearest legal value: it is NaN, of the wrong type, or an unknown category.
        """

    @property
    @abstractmethod
    def is_constant(self) -> bool:
        """Whether there is only one legal value."""

    def to_dict(self) -> dict[str, object]:
        """All fields, JSON-safe, and ``"type"``; a ``log`` that is false is left out, as of old."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # each kind is a dataclass
        if not given.get("log"):
            given.pop("log", None)
        return {"type": self.type} | given

    @classmethod
    def from_dict(cls, d: Mapping[str, object]) -> Self:
        """The parameter that :meth:`to_dict` describes; fields with a default may be left out.

        Raises:
            InvalidParameter: A field is missing or unknown, the type is another's, or the definition is wrong.
        """
        given = dict(d)
        if given.pop("type", cls.type) != cls.type:
            raise InvalidParameter(f"{d['type']!r} is not the type of {cls.__name__}, {cls.type!r}")
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(map(repr, given.keys() - known.keys())):
            raise InvalidParameter(f"{cls.__name__} has no field {', '.join(unknown)}")
        try:
            return cls(**given)
        except TypeError as error:
            if isinstance(error, InvalidParameter):
                raise
            missing = [name for name in known if name not in given and name not in {"step", "log"}]
            raise InvalidParameter(f"{cls.__name__} lacks the field {', '.join(missing)}") from error


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidParameterType(f"name must be a string, not {type(name).__name__}")


@dataclass(frozen=True, slots=True)
class Categorical(Value[str]):
    """One of a few named choices, without an order.

    Attributes:
        name: Name of the parameter.
        val: Declared value, one of ``categories``.
        categories: The legal values, at least one, no two equal. Stored as a tuple.

    Raises:
        InvalidParameter: Empty or repeated categories, or ``val`` is none of them.
        InvalidParameterType: A field has the wrong type; a plain string is not a sequence of categories.
    """

    type: ClassVar[str] = "categorical"
    dtype: ClassVar[PythonType] = str

    name: str
    val: str
    categories: Sequence[str]

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not isinstance(self.val, str):
            raise InvalidParameterType(f"{self.name}: val must be a string, not {type(self.val).__name__}")
        if isinstance(self.categories, str) or not isinstance(self.categories, Sequence):
            raise InvalidParameterType(f"{self.name}: categories must be a list or tuple of strings")
        for category in self.categories:
            if not isinstance(category, str):
                raise InvalidParameterType(f"{self.name}: each category must be a string, {category!r} is not")
        # str(): numpy's strings are strings too, but JSON writers refuse them.
        object.__setattr__(self, "val", str(self.val))
        object.__setattr__(self, "categories", tuple(map(str, self.categories)))
        if self.val not in self.categories:
            raise InvalidParameter(f"{self.name}: val {self.val!r} is not one of the categories {self.categories}")
        if len(set(self.categories)) != len(self.categories):
            raise InvalidParameter(f"{self.name}: categories must differ from each other: {self.categories}")

    @classmethod
    def switch(cls, name: str, *, val: bool) -> "Categorical":
        """Something that is on or off: a category of two, ``off`` and ``on``."""
        return cls(name, "on" if val else "off", SWITCH)

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return len(self.categories)

    @property
    def is_constant(self) -> bool:
        """Whether there is only one category."""
        return len(self.categories) == 1

    def cast(self, x: ParameterValue) -> str:
        """A category by its name, or by its index (negative ones count from the end).

        Raises:
            InvalidArgument: No such category.
            IndexError: The index is outside.
        """
        if isinstance(x, str):
            self.encoded_value(x)
            return str(x)
        if not isinstance(x, int | np.integer) or isinstance(x, bool):
            raise InvalidArgumentType(f"{self.name}: a category is a name or an index, not {type(x).__name__}")
        return self.categories[x]

    def encoded_value(self, category: str | None = None) -> int:
        """Index of a category, or of the declared value.

        Raises:
            InvalidArgument: No such category.
        """
        try:
            return self.categories.index(self.val if category is None else category)
        except ValueError:
            raise InvalidArgument(f"{self.name}: {category!r} is not one of the categories {self.categories}") from None

    def category(self, i: int) -> str:
        """The category at an index."""
        return self.categories[i]

    def contains(self, x: object) -> bool:
        """Whether ``x`` is one of the categories."""
        return isinstance(x, str) and x in self.categories

    def snap(self, x: ParameterValue) -> str:
        """``x`` itself, a category by name or index: names have no nearest neighbour."""
        return self.cast(x)

    def to_dict(self) -> dict[str, object]:
        """All fields, JSON-safe, and ``"type"``."""
        return {"type": self.type, "name": self.name, "val": self.val, "categories": list(self.categories)}


@dataclass(frozen=True, slots=True)
class Integer(Value[int]):
    """A whole number between bounds, on a step counted from ``min``.

    Attributes:
        name: Name of the parameter.
        val: Declared value.
        min: Smallest legal value, at least -2^63 + 1.
        max: Largest legal value, at most 2^63 - 1.
        step: Distance of neighbouring legal values, at least 1. Divides ``val - min`` and ``max - val``.
        log: Learners see it on a logarithmic scale: 1 to 10 is as far as 10 to 100. Needs a ``min`` of at least 1, a
            ``max`` of at most 10^12, and no step.

    Raises:
        InvalidParameter: ``min <= val <= max`` or the step is violated, or there can be no such logarithmic scale.
        InvalidParameterType: A number is not whole.
    """

    type: ClassVar[str] = "integer"
    dtype: ClassVar[PythonType] = int

    name: str
    val: int
    min: int
    max: int
    step: int = 1
    log: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        for name in ("val", "min", "max", "step"):
            x = getattr(self, name)
            if not _is_number(x) or _whole(x) is None:
                raise InvalidParameterType(f"{self.name}: {name} must be a whole number, not {x!r}")
            object.__setattr__(self, name, int(x))
            if abs(int(x)) > _INTEGER_LIMIT:
                raise InvalidParameter(f"{self.name}: {name} must be within ±(2^63 - 1), not {x!r}")
        if not self.min <= self.val <= self.max:
            raise InvalidParameter(f"{self.name}: min <= val <= max is violated: {self.min}, {self.val}, {self.max}")
        if self.step < 1:
            raise InvalidParameter(f"{self.name}: step must be at least 1, not {self.step}")
        if (self.val - self.min) % self.step:
            raise InvalidParameter(f"{self.name}: val - min must be a multiple of the step {self.step}")
        if (self.max - self.val) % self.step:
            raise InvalidParameter(f"{self.name}: max - val must be a multiple of the step {self.step}")
        _check_log(self)
        if self.log and self.max > _LOG_INTEGER_LIMIT:
            raise InvalidParameter(f"{self.name}: log needs a max of {_LOG_INTEGER_LIMIT:.0e} at most, not {self.max}")

    @property
    def n_steps(self) -> int:
        """N, the number of steps from ``min`` to ``max``: there are N + 1 legal values."""
        return (self.max - self.min) // self.step

    @property
    def is_constant(self) -> bool:
        """Whether ``min`` and ``max`` are equal."""
        return self.min == self.max

    def at(self, k: int) -> int:
        """The legal value ``k`` steps above ``min``, for k in 0..N."""
        return self.min + k * self.step

    def cast(self, x: ParameterValue) -> int:
        """``x`` rounded to a whole number, half to even; not clipped, not put on the step.

        Raises:
            InvalidArgument: ``x`` is no number, NaN or infinite.
        """
        number = _as_number(x, self.name)
        if math.isinf(number):
            raise InvalidArgument(f"{self.name} must be finite, not {number}")
        return round(number)

    def contains(self, x: object) -> bool:
        """Whether ``x`` is a whole number (1.0 counts) inside the bounds and on the step."""
        if not _is_number(x):
            return False
        number = _whole(x)
        return number is not None and self.min <= number <= self.max and (number - self.min) % self.step == 0

    def snap(self, x: ParameterValue) -> int:
        """The legal value nearest to ``x``; of two, the one an even number of steps above ``min``.

        Raises:
            InvalidArgument: ``x`` is no number, or NaN.
        """
        number = _as_number(x, self.name)
        if number <= self.min:
            return self.min
        if number >= self.max:
            return self.max
        if isinstance(number, int):
            k, rest = divmod(number - self.min, self.step)
            k += 2 * rest > self.step or (2 * rest == self.step and k % 2 == 1)
        else:
            k = round((number - self.min) / self.step)
        return self.at(min(k, self.n_steps))


@dataclass(frozen=True, slots=True)
class Real(Value[float]):
    """A number between bounds; with a step, on a grid counted from ``min``.

    Grid values are what a person would write: 0.3, not 0.1 + 0.2. They are computed in decimal from the shortest
    notation of ``min`` and ``step``, and the last one is ``max``, so none is ever outside.

    Attributes:
        name: Name of the parameter.
        val: Declared value; on a grid, stored as the grid's own number.
        min: Smallest legal value.
        max: Largest legal value.
        step: Distance of neighbouring legal values, above 0; None means that every number between is legal.
        log: Learners see it on a logarithmic scale: 0.1 to 1 is as far as 1 to 10. Needs ``min`` above 0, and no step.

    Raises:
        InvalidParameter: ``min <= val <= max`` or the step is violated, a number is not finite, or there can be no such
            logarithmic scale.
        InvalidParameterType: A field is no number.
    """

    type: ClassVar[str] = "real"
    dtype: ClassVar[PythonType] = float

    name: str
    val: float
    min: float
    max: float
    step: float | None = None
    log: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_name(self.name)
        for name in ("val", "min", "max", "step"):
            x = getattr(self, name)
            if name == "step" and x is None:
                continue
            if not _is_number(x):
                raise InvalidParameterType(f"{self.name}: {name} must be a number, not {x!r}")
            try:
                number = float(x)
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise InvalidParameter(f"{self.name}: {name} must be finite, not {x!r}")
            object.__setattr__(self, name, number)
        if not self.min <= self.val <= self.max:
            raise InvalidParameter(f"{self.name}: min <= val <= max is violated: {self.min}, {self.val}, {self.max}")
        if math.isinf(self.max - self.min):
            raise InvalidParameter(f"{self.name}: max - min must be finite")
        if self.step is not None:
            self._check_grid(self.step)
        _check_log(self)

    def _check_grid(self, step: float) -> None:
        if step <= 0:
            raise InvalidParameter(f"{self.name}: step must be above 0, not {step}")
        if self.n_steps == 0 and self.max > self.min:  # of so large a step the tolerance is wider than the bounds
            raise InvalidParameter(f"{self.name}: step {step} is larger than max - min")
        if self._tolerance(step) > step / 4:
            raise InvalidParameter(f"{self.name}: step {step} is too fine for floating point at these bounds")
        if abs(self._grid(self.n_steps, step) - self.max) > self._tolerance(step):
            raise InvalidParameter(f"{self.name}: max - min must be a multiple of the step {step}")
        if not self.contains(self.val):
            raise InvalidParameter(f"{self.name}: val - min must be a multiple of the step {step}")
        object.__setattr__(self, "val", self.snap(self.val))

    def _tolerance(self, step: float) -> float:
        """How far from a grid value a number may be and still count as it: rounding of the last places only."""
        return max(1e-9 * step, 4 * math.ulp(max(abs(self.min), abs(self.max))))

    def _grid(self, k: int, step: float) -> float:
        return float(_EXACT.fma(Decimal(k), Decimal(repr(step)), Decimal(repr(self.min))))

    @property
    def n_steps(self) -> int:
        """N, the number of steps from ``min`` to ``max``; 0 where there is no step."""
        return 0 if self.step is None else round((self.max - self.min) / self.step)

    @property
    def is_constant(self) -> bool:
        """Whether ``min`` and ``max`` are equal."""
        return self.min == self.max

    def at(self, k: int) -> float:
        """The legal value ``k`` steps above ``min``, for k in 0..N.

        Raises:
            InvalidArgument: The parameter has no step.
        """
        if self.step is None:
            raise InvalidArgument(f"{self.name} has no step")
        return self.max if k >= self.n_steps else self._grid(k, self.step)

    def cast(self, x: ParameterValue) -> float:
        """``x`` as a float; not clipped, not put on the step.

        Raises:
            InvalidArgument: ``x`` is no number, or NaN.
        """
        return float(_as_number(x, self.name))

    def contains(self, x: object) -> bool:
        """Whether ``x`` is a number inside the bounds and, up to rounding of its last places, on the step."""
        if not isinstance(x, int | float | np.integer | np.floating) or isinstance(x, bool):
            return False
        if not self.min <= x <= self.max:
            return False
        if self.step is None:
            return True
        k = round((float(x) - self.min) / self.step)
        return abs(float(x) - self.at(k)) <= self._tolerance(self.step)

    def snap(self, x: ParameterValue) -> float:
        """The legal value nearest to ``x``.

        Raises:
            InvalidArgument: ``x`` is no number, or NaN.
        """
        number = _as_number(x, self.name)
        if number <= self.min:
            return self.min
        if number >= self.max:
            return self.max
        if self.step is None:
            return float(number)
        return self.at(round((float(number) - self.min) / self.step))


def _check_log(value: "Integer | Real") -> None:
    if not isinstance(value.log, bool):
        raise InvalidParameterType(f"{value.name}: log must be true or false, not {value.log!r}")
    if value.log and value.min <= 0:
        raise InvalidParameter(f"{value.name}: log needs a min above 0, not {value.min}")
    if value.log and value.step not in {None, 1}:
        raise InvalidParameter(f"{value.name}: log does not go with a step, here {value.step}")


ValueType: TypeAlias = Categorical | Integer | Real
"""Any parameter."""

_KINDS: Mapping[str, type[Categorical] | type[Integer] | type[Real]] = {k.type: k for k in (Categorical, Integer, Real)}


def to_value(x: ValueType | Mapping[str, object]) -> ValueType:
    """A parameter from its dictionary; a parameter is returned as it is.

    Raises:
        InvalidParameter: The dictionary's ``type`` is missing or unknown, or its definition is wrong.
        InvalidParameterType: ``x`` is neither.
    """
    if isinstance(x, Categorical | Integer | Real):
        return x
    if not isinstance(x, Mapping):
        raise InvalidParameterType(f"a parameter is a Categorical, Integer, Real or dictionary, not {type(x).__name__}")
    kind = _KINDS.get(str(x.get("type")))
    if kind is None:
        raise InvalidParameter(f"a parameter's type is one of {', '.join(_KINDS)}, not {x.get('type')!r}")
    return kind.from_dict(x)


def to_dict(x: ValueType | Mapping[str, object]) -> dict[str, object]:
    """The dictionary of a parameter; a dictionary is returned as a copy."""
    return x.to_dict() if isinstance(x, Categorical | Integer | Real) else dict(x)
