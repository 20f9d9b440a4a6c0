"""What the app itself declares: its parameters, their values until told otherwise, and what it would refuse."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...core.errors import InvalidParameter, InvalidParameterType
from ...core.values import SWITCH, Categorical, Integer, ParameterValue, Real, ValueType

Values = Mapping[str, ParameterValue]
"""A configuration: every parameter's value by name. Not to be changed."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """A parameter of which the app gives only a default: anything of the same type is legal."""

    name: str
    val: ParameterValue

    def contains(self, x: object) -> bool:
        if isinstance(self.val, str):
            return isinstance(x, str)
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            return False
        return isinstance(self.val, float) or x == int(x)

    def cast(self, x: ParameterValue) -> ParameterValue:
        return type(self.val)(x)


@dataclass(frozen=True, slots=True)
class _Switch:
    """A switch of which the app gives its default as a truth value: it gets truth values, records say on and off."""

    name: str
    val: bool

    def contains(self, x: object) -> bool:
        return isinstance(x, bool) or (isinstance(x, str) and x in SWITCH)

    def cast(self, x: ParameterValue) -> bool:
        return x if isinstance(x, bool) else x == SWITCH[True]


class Parameters:
    """The app's own parameters: the last word on what it runs.

    Args:
        declared: A list of parameters, or a mapping from names to declared values, where only the type is checked. A
            truth value declares a switch, and the app reads truth values. (A switch in a list, a category of two, is
            read as ``"on"`` or ``"off"``, as records have it.)

    Raises:
        InvalidParameter: There is none, or one is declared twice.
        InvalidParameterType: One is neither a parameter nor a string, number or truth value.
    """

    def __init__(self, declared: Iterable[ValueType] | Mapping[str, ParameterValue]) -> None:
        given = [_typed(*item) for item in declared.items()] if isinstance(declared, Mapping) else list(declared)
        self._by_name: dict[str, ValueType | _Typed | _Switch] = {}
        for parameter in given:
            if not isinstance(parameter, Categorical | Integer | Real | _Typed | _Switch):
                raise InvalidParameterType(
                    f"a parameter is a Categorical, Integer or Real, not {type(parameter).__name__};"
                    " or give a mapping from names to declared values"
                )
            if parameter.name in self._by_name:
                raise InvalidParameter(f"parameter {parameter.name!r} is declared twice")
            self._by_name[parameter.name] = parameter
        if not self._by_name:
            raise InvalidParameter("a client needs at least one parameter")
        self.declared: dict[str, ParameterValue] = {name: p.val for name, p in self._by_name.items()}

    def legal(self, name: str, value: object) -> bool:
        """Whether the app would run the value."""
        return self._by_name[name].contains(value)

    def cast(self, name: str, value: ParameterValue) -> ParameterValue:
        """A legal value in the parameter's own Python type."""
        return self._by_name[name].cast(value)


def _typed(name: object, val: object) -> _Typed | _Switch:
    if not isinstance(name, str):
        raise InvalidParameterType(f"a parameter's name is a string, not {type(name).__name__}")
    if isinstance(val, bool):
        return _Switch(name, val)
    if not isinstance(val, str | int | float):
        raise InvalidParameterType(
            f"{name}: a declared value is a string, a number or a truth value, not {type(val).__name__}"
        )
    if isinstance(val, float) and not math.isfinite(val):
        raise InvalidParameter(f"{name}: a declared value must be finite, not {val}")
    return _Typed(name, val)
