"""From a configuration that was received to one that the app can run: pure functions."""

from dataclasses import dataclass

from .parameters import Parameters, Values


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration inside the app's own bounds.

    Attributes:
        values: Every parameter of the app, and no other.
        problems: What was wrong with what was asked for, one sentence each.
    """

    values: Values
    problems: tuple[str, ...] = ()


def resolve_arm(parameters: Parameters, arm: Values, incumbent: Values) -> Values:
    """A configuration that is tried, taken whole: every parameter of the app, and no other.

    What the app has and the arm lacks stays as the app declares it, in all arms alike. What the app lacks must be as in
    the incumbent: then all arms run alike there, too.

    Args:
        parameters: The app's.
        arm: What is to be tried.
        incumbent: The incumbent as it was received.

    Raises:
        ValueError: The app cannot run it: no part of the configuration is run.
    """
    illegal = [_illegal(n, arm[n]) for n in parameters.declared if n in arm and not parameters.legal(n, arm[n])]
    lacked = [f"{n}={x!r:.100} is of a parameter that this app lacks" for n, x in _changes(arm, incumbent, parameters)]
    if illegal or lacked:
        raise ValueError("; ".join(illegal + lacked))
    return resolve_each(parameters, arm).values


def resolve_each(parameters: Parameters, asked: Values) -> Resolved:
    """A configuration taken value by value: what is missing or outside the app's own bounds is defaulted."""
    values, problems = {}, []
    for name, declared in parameters.declared.items():
        values[name] = declared
        if name not in asked:
            continue
        if parameters.legal(name, asked[name]):
            values[name] = parameters.cast(name, asked[name])
        else:
            problems.append(_illegal(name, asked[name]))
    return Resolved(values, tuple(problems))


def not_shared(parameters: Parameters, asked: Values) -> list[str]:
    """Which parameters app and spec do not share, and what becomes of them: sentences."""
    said = [
        f"{name} is not in the spec: it runs as declared, {declared!r}"
        for name, declared in parameters.declared.items()
        if name not in asked
    ]
    lacks = [name for name in asked if name not in parameters.declared]
    if lacks:
        said.append(
            f"this app lacks {', '.join(lacks)} of the spec: while an instance lacks it, it stays as in the incumbent"
        )
    return said


def _changes(arm: Values, incumbent: Values, parameters: Parameters) -> list[tuple[str, object]]:
    """What an arm changes of the incumbent that the app lacks."""
    return [(n, x) for n, x in arm.items() if n not in parameters.declared and incumbent.get(n) != x]


def _illegal(name: str, value: object) -> str:
    return f"{name}={value!r:.100} is not legal in this app"
