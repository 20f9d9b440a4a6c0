"""Checks of what callers hand in: parameters, contexts, rewards, and the arguments of learners."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ...core.errors import (
    InvalidArgument,
    InvalidArgumentType,
    InvalidParameter,
    InvalidParameterType,
    InvalidReward,
)
from ...core.requests import NO_CONTEXT
from ...core.types import Context, RewardType
from ...core.values import ValueType, to_value


def checked_number(
    name: str,
    x: object,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    up_to: float = math.inf,
    below: float = math.inf,
) -> float:
    """A finite number of an argument, as a float.

    Raises:
        InvalidArgument: It is outside its range.
        InvalidArgumentType: It is no number.
    """
    if isinstance(x, bool) or not isinstance(x, int | float | np.integer | np.floating):
        raise InvalidArgumentType(f"{name} must be a number, not {x!r}")
    number = float(x)
    if not (math.isfinite(number) and above < number < below and at_least <= number <= up_to):
        limits = {"above": above, "at least": at_least, "at most": up_to, "below": below}
        wanted = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit))
        raise InvalidArgument(f"{name} must be a finite number {wanted}, not {x!r}")
    return number


def checked_choice(name: str, x: object, choices: tuple[str, ...]) -> str:
    """An argument that is one of several words.

    Raises:
        InvalidArgument: It is none of them.
    """
    if not isinstance(x, str) or x not in choices:
        raise InvalidArgument(f"{name} must be one of {', '.join(choices)}, not {x!r}")
    return x


def checked_flag(name: str, x: object) -> bool:
    """An argument that is true or false.

    Raises:
        InvalidArgumentType: It is something else.
    """
    if not isinstance(x, bool):
        raise InvalidArgumentType(f"{name} must be true or false, not {x!r}")
    return x


def checked_count(name: str, x: object, at_least: int, up_to: int | None = None) -> int:
    """A whole number of an argument.

    Raises:
        InvalidArgument: It is outside its range.
        InvalidArgumentType: It is no whole number.
    """
    if isinstance(x, bool) or not isinstance(x, int | np.integer):
        raise InvalidArgumentType(f"{name} must be a whole number, not {x!r}")
    if up_to is not None and not at_least <= x <= up_to:
        raise InvalidArgument(f"{name} must be from {at_least} to {up_to}, not {x}")
    if x < at_least:
        raise InvalidArgument(f"{name} must be at least {at_least}, not {x}")
    return int(x)


def checked_reward(reward: RewardType) -> RewardType:
    """A reward as a Python float.

    Raises:
        InvalidReward: It is not a finite number.
    """
    if type(reward) is float and math.isfinite(reward):
        return reward
    if isinstance(reward, bool) or not isinstance(reward, int | float | np.integer | np.floating):
        raise InvalidReward(f"a reward must be a finite number, not {type(reward).__name__}")
    try:
        number = float(reward)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidReward(f"a reward must be a finite number, not {number}")
    return number


def checked_seed(seed: int | None) -> int | None:
    """A seed as numpy's generators take it.

    Raises:
        InvalidArgument: It is neither None nor a whole number from 0.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InvalidArgumentType(f"random_seed must be a whole number or None, not {seed!r}")
    if seed < 0:
        raise InvalidArgument(f"random_seed must be at least 0, not {seed}")
    return int(seed)


def checked_context(context: Context | None) -> Context:
    """A context, the empty one for None.

    Raises:
        InvalidArgumentType: It is something else.
    """
    if context is None:
        return NO_CONTEXT
    if not isinstance(context, Context):
        raise InvalidArgumentType(f"context must be a Context, not {type(context).__name__}")
    return context


def checked_parameters(
    parameters: Iterable[ValueType | Mapping[str, object]], supported: tuple[type[ValueType], ...], algorithm: str
) -> tuple[ValueType, ...]:
    """The parameters of an instance, from what a caller gave for them.

    Args:
        parameters: Parameters, or their dictionaries.
        supported: Kinds that the algorithm tunes.
        algorithm: Its name, for messages.

    Raises:
        InvalidParameter: There are none, or two have the same name.
        InvalidParameterType: One is of a kind that the algorithm does not tune.
    """
    values = tuple(map(to_value, parameters))
    if not values:
        raise InvalidParameter("an algorithm needs at least one parameter")
    names: set[str] = set()
    for value in values:
        if not isinstance(value, supported):
            kinds = ", ".join(kind.__name__ for kind in supported) or "no parameters"
            raise InvalidParameterType(f"{algorithm} tunes {kinds}; {value.name!r} is {value.type}")
        if value.name in names:
            raise InvalidParameter(f"two parameters are named {value.name!r}")
        names.add(value.name)
    return values
