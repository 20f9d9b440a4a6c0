"""From a configuration that was received to one that the app can run: pure functions."""

from dataclasses import dataclass

from ...schemas.configs import Configuration
from ...schemas.keys import values_hash
from .parameters import Parameters, Values


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration inside the app's own bounds.

    Attributes:
        values: Every parameter of the app, and no other.
        exact: Each has the value that was asked for.
        problems: What was wrong with what was asked for, one sentence each.
    """

    values: Values
    exact: bool
    problems: tuple[str, ...] = ()


def resolve_arm(parameters: Parameters, arm: Values) -> Resolved:
    """An exploring configuration, taken whole.

    What it lacks is defaulted, which is a problem; what the app does not know is ignored, which is none.

    Raises:
        ValueError: A value is outside the app's own bounds: no part of the configuration is run.
    """
    if illegal := [_illegal(n, arm[n]) for n in parameters.declared if n in arm and not parameters.legal(n, arm[n])]:
        raise ValueError("; ".join(illegal))
    return resolve_each(parameters, arm)


def resolve_each(parameters: Parameters, asked: Values) -> Resolved:
    """A configuration taken value by value: what is missing or outside the app's own bounds is defaulted."""
    values, problems = {}, []
    for name, declared in parameters.declared.items():
        if name in asked and parameters.legal(name, asked[name]):
            values[name] = parameters.cast(name, asked[name])
            continue
        values[name] = declared
        problems.append(_illegal(name, asked[name]) if name in asked else f"{name} is missing: {declared!r} is run")
    return Resolved(values, exact=not problems, problems=tuple(problems))


def effective_hash(asked: Configuration, resolved: Resolved) -> str:
    """The hash that measurements carry: the one asked for only where it was run, so that others are never credited."""
    return asked.hash if resolved.exact else values_hash(resolved.values)


def _illegal(name: str, value: object) -> str:
    return f"{name}={value!r:.100} is not legal in this app"
