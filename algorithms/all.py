"""The registry: which algorithms there are, and how to make a tuning instance of one by name.

``ALGORITHMS`` maps the names of shipped algorithms to their classes, and loads a class's module when it is looked up: a
heavy dependency of one costs nothing to users of another. To add one, write its module and a line in ``_SHIPPED``.

Algorithms of other distributions are found by name among their installed entry points::

    [project.entry-points."oppertune.algorithms"]
    my_algorithm = "my_package.my_module:MyAlgorithm"

Nothing but an installed entry point's own target is ever imported: a name that comes in by a topic chooses among what
the operator has installed, and no more.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from ..core.errors import (
    InvalidArgument,
    InvalidArgumentType,
    MissingExtra,
    OppertuneError,
    UnknownAlgorithm,
)
from ..core.values import ValueType
from ..core.words import did_you_mean
from .base import Algorithm

ENTRY_POINTS = "oppertune.algorithms"
"""Group of entry points by which other distributions offer algorithms."""


class _Shipped(NamedTuple):
    module: str
    name: str
    extra: str | None = None  # the extra whose packages the module imports


_SHIPPED: Mapping[str, _Shipped] = {
    "auto": _Shipped(".auto", "Auto"),
    "autoscope": _Shipped(".autoscope", "AutoScope"),
    "bayesian_optimization": _Shipped(".bayesian_optimization", "BayesianOptimization", "bayes"),
    "bluefin": _Shipped(".bluefin", "BlueFin"),
    "ddpg": _Shipped(".ddpg", "DDPG", "torch"),
    "exponential_weights": _Shipped(".exponential_weights", "ExponentialWeights"),
    "exponential_weights_slates": _Shipped(".exponential_weights_slates", "ExponentialWeightsSlates"),
    "hopt": _Shipped(".hopt", "HOpt", "optuna"),
    "hybrid_solver": _Shipped(".hybrid_solver", "HybridSolver"),
    "identity": _Shipped(".identity", "Identity"),
    "slates": _Shipped(".slates", "Slates"),
    "surrogate": _Shipped(".surrogate", "Surrogate"),
    "uniform_random": _Shipped(".uniform_random", "UniformRandom"),
}


class _Registry(MutableMapping[str, type[Algorithm]]):
    """Classes by name, loaded on look-up. Iterating loads nothing."""

    def __init__(self, shipped: Mapping[str, _Shipped]) -> None:
        self._entries: dict[str, _Shipped | type[Algorithm]] = dict(shipped)

    def __getitem__(self, name: str) -> type[Algorithm]:
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownAlgorithm(
                f"no algorithm is named {name!r}; there are {', '.join(self._entries)}"
                f"{did_you_mean(name, self._entries)}"
            )
        if isinstance(entry, type):
            return entry
        try:
            module = import_module(entry.module, __package__)
        except ImportError as error:
            if entry.extra is None:
                raise
            raise MissingExtra(f"the algorithm {name!r}", entry.extra) from error
        found: type[Algorithm] = getattr(module, entry.name)
        return found

    def __setitem__(self, name: str, algorithm: type[Algorithm]) -> None:
        if not issubclass(algorithm, Algorithm):
            raise InvalidArgumentType(f"an algorithm is a subclass of Algorithm, not {algorithm!r}")
        self._entries[name] = algorithm

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


ALGORITHMS: MutableMapping[str, type[Algorithm]] = _Registry(_SHIPPED)
"""Class by name: the shipped algorithms, and what this process has added (``ALGORITHMS["mine"] = MyAlgorithm``)."""


def get_algorithm_class(name: str) -> type[Algorithm]:
    """The class of an algorithm, shipped or installed.

    Raises:
        UnknownAlgorithm: There is none of this name.
        MissingExtra: It needs packages that are not installed.
    """
    if name not in ALGORITHMS:
        for entry_point in entry_points(group=ENTRY_POINTS, name=name):
            loaded = entry_point.load()
            if not (isinstance(loaded, type) and issubclass(loaded, Algorithm)):
                raise UnknownAlgorithm(f"the entry point {name!r} of {ENTRY_POINTS} is no Algorithm: {loaded!r}")
            return loaded
    return ALGORITHMS[name]


def create_tuning_instance(
    parameters: Iterable[ValueType | Mapping[str, object]],
    algorithm: str = "hybrid_solver",
    algorithm_args: Mapping[str, Any] | None = None,
) -> Algorithm:
    """A tuning instance by the name of its algorithm.

    Args:
        parameters: What to tune.
        algorithm: Name of the algorithm.
        algorithm_args: Its arguments, besides the parameters.

    Raises:
        UnknownAlgorithm: There is none of this name.
        InvalidArgument: It does not take these arguments.
        InvalidParameter: It does not take these parameters.
    """
    cls = get_algorithm_class(algorithm)
    arguments = dict(algorithm_args or {})
    _check_names(cls, algorithm, arguments)
    try:
        return cls(parameters, **arguments)
    except OppertuneError:
        raise
    except TypeError as error:  # an argument of a type that the constructor did not expect
        raise InvalidArgument(f"algorithm {algorithm!r}: {error}") from error


def _check_names(cls: type[Algorithm], algorithm: str, arguments: Mapping[str, Any]) -> None:
    """That arguments are those of an algorithm, and none that it needs is missing."""
    _, *taken = inspect.signature(cls).parameters.values()  # the first is for what is tuned
    named = {p.name: p for p in taken if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    passes_on = any(p.kind is p.VAR_KEYWORD for p in taken)
    for name in arguments:
        if name not in named and not passes_on:
            has = f"it has {', '.join(named)}" if named else "it has none"
            raise InvalidArgument(f"algorithm {algorithm!r} has no argument {name!r}; {has}{did_you_mean(name, named)}")
    if missing := [name for name, p in named.items() if p.default is p.empty and name not in arguments]:
        raise InvalidArgument(f"algorithm {algorithm!r} needs the argument {', '.join(missing)}")
