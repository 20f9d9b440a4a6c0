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

from .errors import InvalidArgument
from .values import Categorical, Integer, ParameterValue, Real, ValueType


class ValueTransformer:
    """The transformation of one parameter.

    Attributes:
        value: The parameter in its own units.
        transformed: The parameter as algorithms see it: same name, transformed bounds and declared value.
    """

    __slots__ = ("transformed", "value")

    def __init__(self, value: ValueType) -> None:
        self.value = value
        self.transformed = _transformed(value)

    def transform(self, x: ParameterValue) -> ParameterValue:
        """A legal value in transformed units.

        Raises:
            InvalidArgument: ``x`` is not a legal value of the parameter.
        """
        if not self.value.contains(x):
            raise InvalidArgument(f"{x!r} is not a legal value of {self.value.name}")
        return _transform(self.value, x)

    def inverse_transform(self, y: ParameterValue) -> ParameterValue:
        """The legal value that ``y`` stands for; what is outside the transformed bounds is brought back inside.

        Raises:
            InvalidArgument: ``y`` is NaN, of the wrong type, or an unknown category.
        """
        value, transformed = self.value, self.transformed
        if isinstance(value, Categorical):
            return value.snap(y)
        if isinstance(transformed, Integer):
            k = transformed.snap(y)
            return value.min if value.is_constant else value.at(k)
        share = float(transformed.cast(y))
        # The ends and the declared value come back exactly; what is computed may miss them in the last place.
        if share <= 0 or share >= 1:
            return value.min if share <= 0 else value.max
        if share == transformed.val:
            return value.val
        if not value.log:
            return value.snap(share * (value.max - value.min) + value.min)
        low, high = _log_ends(value)
        return value.snap(math.exp(low + share * (high - low)))


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
        return min(max((math.log(number) - low) / (high - low), 0.0), 1.0)
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
