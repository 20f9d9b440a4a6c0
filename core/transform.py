"""Between a parameter's own units and the units that algorithms work in.

============================  =====================================  ==========================================
parameter                     transformed                            ``inverse_transform(y)``
============================  =====================================  ==========================================
Categorical                   itself                                 y
constant Integer or Real      Integer 0..0                           min
Integer                       Integer 0..N, N = (max - min) / step   round(y) steps above min
Real without step             Real in [0, 1]                         y (max - min) + min
Real with step                Integer 0..N                           round(y) steps above min
Real, log                     Real in [0, 1]                         min (max / min)^y
Integer, log                  Real in [0, 1]                         round(a (b / a)^y), a = min - ½, b = max + ½
============================  =====================================  ==========================================

Whatever ``y`` is, the inverse is a legal value: inside the bounds and on the step. Rounding is half to even. On a
logarithmic scale each integer n has the share of the scale from n - ½ to n + ½, the first and the last one included.
"""

import math
from typing import Any

from .errors import InvalidArgument
from .values import Categorical, Integer, ParameterValue, Real, ValueType

_CATEGORIES, _INTEGERS, _REALS = "categories", "integers", "reals"


class ValueTransformer:
    """The transformation of one parameter.

    Attributes:
        value: The parameter in its own units.
        transformed: The parameter as algorithms see it: same name, transformed bounds and declared value.
    """

    __slots__ = ("_common", "transformed", "value")

    def __init__(self, value: ValueType) -> None:
        self.value = value
        self.transformed = _transformed(value)
        self._common = _common(value)

    def transform(self, x: ParameterValue) -> ParameterValue:
        """A legal value in transformed units.

        Raises:
            InvalidArgument: ``x`` is not a legal value of the parameter.
        """
        value: Any = self.value
        if type(x) is float and self._common is _REALS and value.min <= x <= value.max:
            share: float = (x - value.min) / (value.max - value.min)
            return share
        if type(x) is int and self._common is _INTEGERS and value.min <= x <= value.max:
            k, rest = divmod(x - value.min, value.step)
            if not rest:
                return int(k)
        if self._common is _CATEGORIES and type(x) is str and x in value.categories:
            return x
        if not self.value.contains(x):
            raise InvalidArgument(f"{x!r} is not a legal value of {self.value.name}")
        return _transform(self.value, x)

    def inverse_transform(self, y: ParameterValue) -> ParameterValue:
        """The legal value that ``y`` stands for; what is outside the transformed bounds is brought back inside.

        Raises:
            InvalidArgument: ``y`` is NaN, of the wrong type, or an unknown category.
        """
        common = self._commonly(y)
        if common is not None:
            return common
        value, transformed = self.value, self.transformed
        if isinstance(value, Categorical):
            return value.snap(y)
        if isinstance(transformed, Integer):
            k = transformed.snap(y)
            return value.min if value.is_constant else value.at(k)
        return self._at(value, float(transformed.cast(y)))

    def _at(self, value: Integer | Real, share: float) -> int | float:
        """The value at a share of a continuous scale."""
        # The ends and the declared value come back exactly; what is computed may miss them in the last place.
        if share <= 0 or share >= 1:
            return value.min if share <= 0 else value.max
        if share == self.transformed.val:
            return value.val
        if not value.log:
            return value.snap(share * (value.max - value.min) + value.min)
        low, high = _log_ends(value)
        return value.snap(math.exp(low + share * (high - low)))

    def _commonly(self, y: ParameterValue) -> ParameterValue | None:
        """What :meth:`inverse_transform` says of plain values of common parameters, in a third of the time."""
        value: Any = self.value
        if type(y) is float:
            if self._common is _INTEGERS and 0 <= y <= value.n_steps:
                return int(value.min + round(y) * value.step)
            if self._common is _REALS and 0 < y < 1 and y != self.transformed.val:
                x: float = y * (value.max - value.min) + value.min
                return min(max(x, float(value.min)), float(value.max))
        elif self._common is _CATEGORIES and y in value.categories:
            return y
        return None


def _common(value: ValueType) -> str | None:
    """The kind of what is transformed in every round; plain Python values of these kinds take the short way."""
    if isinstance(value, Categorical):
        return _CATEGORIES
    if value.is_constant or value.log:
        return None
    if isinstance(value, Integer):
        return _INTEGERS
    return _REALS if value.step is None else None


def _log_ends(value: Integer | Real) -> tuple[float, float]:
    """Where a logarithmic scale begins and ends."""
    margin = 0.5 if isinstance(value, Integer) else 0.0
    return math.log(value.min - margin), math.log(value.max + margin)


def _transform(value: ValueType, x: ParameterValue) -> ParameterValue:
    if isinstance(value, Categorical):
        return value.cast(x)
    number = value.cast(x)
    if value.is_constant:
        return 0
    if value.log:
        low, high = _log_ends(value)
        # Bounds that differ in the last place may have the same logarithm.
        return min(max((math.log(number) - low) / (high - low), 0.0), 1.0) if high > low else 0.0
    if isinstance(value, Integer):
        return (int(number) - value.min) // value.step
    if value.step is None:
        return (number - value.min) / (value.max - value.min)
    return round((number - value.min) / value.step)


def _transformed(value: ValueType) -> ValueType:
    if isinstance(value, Categorical):
        return value
    if not value.is_constant and (value.log or (isinstance(value, Real) and value.step is None)):
        return Real(value.name, float(_transform(value, value.val)), 0.0, 1.0)
    k = _transform(value, value.val)
    n = 0 if value.is_constant else value.n_steps
    return Integer(value.name, int(k), 0, n)
