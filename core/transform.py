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
from collections.abc import Callable

from .errors import InvalidArgument
from .values import Categorical, Integer, ParameterValue, Real, ValueType


class ValueTransformer:
    """The transformation of one parameter.

    Attributes:
        value: The parameter in its own units.
        transformed: The parameter as algorithms see it: same name, transformed bounds and declared value.
        inverse_transform: The legal value that ``y`` stands for; what is outside the transformed bounds is brought back
            inside. Raises ``InvalidArgument`` where ``y`` is NaN, of the wrong type, or an unknown category.
    """

    __slots__ = ("inverse_transform", "transformed", "value")

    def __init__(self, value: ValueType) -> None:
        self.value = value
        self.transformed = _transformed(value)
        self.inverse_transform: Callable[[ParameterValue], ParameterValue] = _inverse(value, self.transformed)

    def transform(self, x: ParameterValue) -> ParameterValue:
        """A legal value in transformed units.

        Raises:
            InvalidArgument: ``x`` is not a legal value of the parameter.
        """
        if not self.value.contains(x):
            raise InvalidArgument(f"{x!r} is not a legal value of {self.value.name}")
        return _transform(self.value, x)


# The inverses are made once for each parameter, with what they need at hand: they are called for each value of each
# prediction. Each begins with the case that algorithms make most.


def _inverse(value: ValueType, transformed: ValueType) -> Callable[[ParameterValue], ParameterValue]:
    if isinstance(value, Categorical):
        return _inverse_category(value)
    if isinstance(transformed, Integer):
        return _inverse_on_grid(value, transformed)
    return _inverse_share(value, transformed)


def _inverse_category(value: Categorical) -> Callable[[ParameterValue], ParameterValue]:
    known = frozenset(value.categories)

    def inverse(y: ParameterValue) -> str:
        return y if type(y) is str and y in known else value.snap(y)

    return inverse


def _inverse_on_grid(value: Integer | Real, transformed: Integer) -> Callable[[ParameterValue], ParameterValue]:
    if value.is_constant:
        return lambda y: (transformed.snap(y), value.min)[1]  # what is no number is refused even here
    if isinstance(value, Real):
        return lambda y: value.at(transformed.snap(y))
    low, step, n = value.min, value.step, transformed.max

    def inverse(y: ParameterValue) -> int:
        if type(y) is float and 0 <= y <= n:
            return low + round(y) * step
        return value.at(transformed.snap(y))

    return inverse


def _inverse_share(value: Integer | Real, transformed: ValueType) -> Callable[[ParameterValue], ParameterValue]:
    low, high, width, plain = value.min, value.max, value.max - value.min, not value.log
    declared = float(transformed.val)
    log_low, log_high = _log_ends(value) if value.log else (0.0, 0.0)

    def inverse(y: ParameterValue) -> int | float:
        share = y if type(y) is float and 0 < y < 1 else float(transformed.cast(y))
        # The ends and the declared value come back exactly; what is computed may miss them in the last place.
        if share <= 0 or share >= 1:
            return low if share <= 0 else high
        if share == declared:
            return value.val
        if plain:
            x = share * width + low  # never below low, whatever is rounded
            return min(x, high)
        return value.snap(math.exp(log_low + share * (log_high - log_low)))

    return inverse


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
