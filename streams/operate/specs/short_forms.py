"""Parameters in short, as they are given on a command line: ``pool_size=10:1..100``."""

import math
import re
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from ....core.errors import CommandFailed
from ....schemas.base import explain
from ....schemas.spec import Parameter
from ..exit_codes import ExitCode

FORMS = """\
  pool_size=10:1..100                an integer, 10 now, from 1 to 100
  timeout_ms=1000:100..5000/100:ms   on a grid, 100, 200, 300, ..., and in a unit
  ratio=0.5:0..1                     a real, as one of its numbers has a point
  rate=0.1:0.001..1:log              learned on a logarithmic scale
  policy=lru:lru,lfu,fifo            one of a few names
  compression=on                     on or off
  threads=4:1..32:restart            the app must restart for another value"""
"""How parameters are given in short, an example of each form: for help and errors."""

_PARAMETER: TypeAdapter[Parameter] = TypeAdapter(Parameter)
_SWITCHES = {"off": False, "on": True, "false": False, "true": True}


def parse_parameter(text: str) -> Parameter:
    """A parameter from its short form, NAME=VALUE:CHOICES and what else there is to say of it (:data:`FORMS`).

    Raises:
        CommandFailed: It has none of the forms, or is not sound.
    """
    name, _, rest = text.partition("=")
    val, *further = rest.split(":")
    try:
        if val in _SWITCHES and set(further) <= {"restart"}:
            fields: dict[str, object] = {"type": "switch", "val": _SWITCHES[val]}
        else:
            fields = _choices(val, further.pop(0) if further else "")
        parameter = _PARAMETER.validate_python({"name": name} | fields | _further(further))
        parameter.to_value()
    except ValidationError as error:
        raise _no_parameter(text, explain(error)) from error
    except ValueError as error:
        raise _no_parameter(text, str(error)) from error
    return parameter


def _no_parameter(text: str, problem: str) -> CommandFailed:
    return CommandFailed(f"parameter {text!r}: {problem}. It may look like\n{FORMS}", ExitCode.USAGE)


def _choices(val: str, choices: str) -> dict[str, object]:
    """Type, declared value and bounds."""
    if not val or not choices:
        raise ValueError("its value now, and what it may be, are missing")
    low, dots, above = choices.partition("..")
    if not dots or "," in choices:
        return {"type": "categorical", "val": val, "categories": choices.split(",")}
    high, slash, step = above.partition("/")
    given = {"val": val, "min": low, "max": high} | ({"step": step} if slash else {})
    numbers = {field: _number(text) for field, text in given.items()}
    whole = all(isinstance(number, int) for number in numbers.values())
    return {"type": "integer" if whole else "real", **numbers}


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number


def _further(words: Sequence[str]) -> dict[str, object]:
    """Scale, restart and unit, in any order."""
    given: dict[str, object] = {}
    for word in words:
        one = {word: True} if word in {"log", "restart"} else {"unit": word}
        if not word or one.keys() & given.keys():
            raise ValueError(f"{':'.join(['', *words])} is not :log, :restart and one unit, at most once each")
        given |= one
    return given
