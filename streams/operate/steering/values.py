"""Values of parameters as they are given on a command line: ``pool_size=20``."""

import math
from collections.abc import Sequence

from ....core.errors import CommandFailed
from ....core.values import SWITCH
from ....core.words import did_you_mean
from ....schemas.spec import CategoricalParameter, IntegerParameter, Parameter, SwitchParameter, TunerSpec
from ..exit_codes import ExitCode

_SAID_OTHERWISE = {"true": SWITCH[True], "false": SWITCH[False]}


def parse_values(spec: TunerSpec, words: Sequence[str]) -> dict[str, str | int | float]:
    """Values by parameter, of the types that the spec says. Whether they are legal, the worker judges.

    Raises:
        CommandFailed: A word is not ``NAME=VALUE``, or there is no such parameter, or its value is of another type.
    """
    parameters = {parameter.name: parameter for parameter in spec.parameters}
    found: dict[str, str | int | float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name in found:
            problem = "is no NAME=VALUE" if not equals else f"names {name} a second time"
            raise CommandFailed(f"{word!r} {problem}", ExitCode.USAGE)
        if name not in parameters:
            raise CommandFailed(
                f"tuner {spec.name} has no parameter {name!r}{did_you_mean(name, parameters)}", ExitCode.USAGE
            )
        found[name] = _value(parameters[name], text)
    return found


def _value(parameter: Parameter, text: str) -> str | int | float:
    if isinstance(parameter, SwitchParameter):
        return _SAID_OTHERWISE.get(text, text)
    if isinstance(parameter, CategoricalParameter):
        return text
    whole = isinstance(parameter, IntegerParameter)
    try:
        number: int | float = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        kind = "a whole number" if whole else "a number"
        raise CommandFailed(f"{parameter.name} takes {kind}, not {text!r}", ExitCode.USAGE)
    return number
