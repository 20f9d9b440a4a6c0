"""The fields of a context that the tree may split by, as numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...core.errors import InvalidArgument, InvalidArgumentType, InvalidContext

Scalar: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AutoScopeFeature:
    """A field of the context that the tree may split by.

    Attributes:
        name: Name of the field.
        values: What it may be, at least two; each is an input of its own (one-hot). None for a number, taken as it is:
            scale it to about 1, because splits start out small.

    Raises:
        InvalidArgument: No name, or fewer than two values, or one twice.
    """

    name: str
    values: Sequence[Scalar] | None = None

    def __post_init__(self) -> None:
        name: object = self.name
        given: object = self.values
        if not isinstance(name, str) or not name:
            raise InvalidArgumentType(f"a feature's name must be text, not {name!r}")
        if given is None:
            return
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise InvalidArgumentType(f"the values of feature {name!r} must be a list, not {given!r}")
        values = tuple(given)
        if not all(isinstance(x, str | int | float) for x in values):
            raise InvalidArgumentType(f"the values of feature {name!r} must be text, numbers or truth values")
        if len(values) < 2 or len({(type(x), x) for x in values}) < len(values):
            raise InvalidArgument(f"feature {name!r} needs two different values or more, not {values!r}")
        object.__setattr__(self, "values", values)

    @property
    def inputs(self) -> list[str]:
        """Names of its inputs to the tree."""
        return [self.name] if self.values is None else [f"[{self.name} = {x}]" for x in self.values]

    def encode(self, x: object) -> list[float]:
        """Its inputs for a value of the field.

        Raises:
            InvalidContext: The value is none that it may be.
        """
        if self.values is None:
            if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
                raise InvalidContext(f"feature {self.name!r} must be a number, not {x!r}")
            return [float(x)]
        found = [float(type(x) is type(value) and x == value) for value in self.values]
        if not any(found):
            known = ", ".join(map(repr, self.values))
            raise InvalidContext(f"feature {self.name!r} must be one of {known}, not {x!r}")
        return found


def checked_features(features: Iterable[AutoScopeFeature | Mapping[str, Any]]) -> tuple[AutoScopeFeature, ...]:
    """The features of a tree, from what a caller gave for them.

    Raises:
        InvalidArgument: There are none, two have the same name, or one is wrong.
    """
    if isinstance(features, str | Mapping):
        raise InvalidArgumentType("features must be a list of features")
    make: Callable[..., AutoScopeFeature] = AutoScopeFeature
    try:
        checked = tuple(f if isinstance(f, AutoScopeFeature) else make(**f) for f in features)
    except TypeError as error:
        if isinstance(error, InvalidArgumentType):
            raise
        raise InvalidArgument(f"a feature has a name, and perhaps values: {error}") from error
    if not checked or len({f.name for f in checked}) < len(checked):
        raise InvalidArgument("AutoScope needs one feature or more, of different names")
    return checked
