"""``oppertune tuner init``: a tuner spec to begin with, from a list of parameters, or by asking."""

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from rich.prompt import Prompt

from ....core.errors import CommandFailed
from ....schemas.base import TUNER_NAME, explain
from ....schemas.spec import Parameter, Term, TunerSpec
from ..console import err
from ..exit_codes import ExitCode
from .file import check_spec
from .short_forms import FORMS, parse_parameter
from .template import commented_spec

STDOUT = Path("-")

_Checked = TypeVar("_Checked")


def init(
    name: str,
    parameters: Sequence[str],
    term: Mapping[str, object],
    *,
    output: Path | None = None,
    force: bool = False,
) -> tuple[TunerSpec, Path]:
    """Write a commented spec; where there are no parameters and standard input is a terminal, ask for what is missing.

    Args:
        name: The tuner's name; may be empty only where it can be asked for.
        parameters: In short form (:data:`FORMS`).
        term: What is better, fields of :class:`~oppertune.schemas.spec.Term`; ``None`` and missing ones are defaulted.
        output: The file, or :data:`STDOUT`; default: the name and ``.yaml``, in this folder.
        force: Write over a file that is there.

    Returns:
        The spec, and where it was written.

    Raises:
        CommandFailed: Something is missing or not sound, or the file is there or cannot be written.
    """
    asks = not parameters and sys.stdin.isatty()
    if not parameters and not asks:
        raise CommandFailed(f"what is tuned? Give each parameter as --parameter FORM\n{FORMS}", ExitCode.USAGE)
    if asks and not name:
        folder = Path.cwd().name.lower()
        name = _ask("the tuner's name", _named, folder if _is_name(folder) else "")
    name = _named(name)
    output = output or Path(f"{name}.yaml")
    if output != STDOUT and output.exists() and not force:
        raise CommandFailed(f"{output} is there already: name another --output, or --force", ExitCode.USAGE)
    given = {field: value for field, value in term.items() if value is not None}
    if asks:
        tuned = _ask_parameters()
        given = _ask_term(given)
    else:
        tuned = [parse_parameter(text) for text in parameters]
    text = commented_spec(name, tuned, _term(given), shlex.quote(str(output)) if output != STDOUT else "FILE")
    spec, _ = check_spec(text, "the spec")
    if output == STDOUT:
        sys.stdout.write(text)
        return spec, output
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CommandFailed(f"cannot write {output}: {error.strerror or error}", ExitCode.USAGE) from error
    return spec, output


def _named(name: str) -> str:
    if not _is_name(name):
        said = f"{name!r} is no name for a tuner" if name else "the tuner needs a name"
        raise CommandFailed(f"{said}: 1 to 100 of a-z, 0-9 and . _ -, the first a letter or digit", ExitCode.USAGE)
    return name


def _is_name(name: str) -> bool:
    return re.fullmatch(TUNER_NAME, name) is not None


def _term(given: Mapping[str, object]) -> Term:
    """What is better; by default less of the 95th percentile of ``latency_ms``, or a larger mean."""
    aggregate = "mean" if given.get("goal") == "maximize" else "p95"
    try:
        return Term.model_validate({"metric": "latency_ms", "aggregate": aggregate, "goal": "minimize"} | dict(given))
    except ValidationError as error:
        raise CommandFailed(f"no such objective: {explain(error)}", ExitCode.USAGE) from error


def _ask(question: str, check: Callable[[str], _Checked], default: str = "") -> _Checked:
    """Ask until the answer is good. On stderr: standard output may be the spec."""
    while True:
        answer = Prompt.ask(question, console=err, default=default, show_default=bool(default))
        try:
            return check(answer.strip())
        except CommandFailed as error:
            err.print(str(error), highlight=False, soft_wrap=True)


def _ask_parameters() -> list[Parameter]:
    err.print(f"parameters, one at a time, such as\n{FORMS}", highlight=False, soft_wrap=True)
    asked: list[Parameter] = []

    def check(text: str) -> Parameter | None:
        if asked and not text:
            return None
        parameter = parse_parameter(text)
        if any(parameter.name == one.name for one in asked):
            raise CommandFailed(f"{parameter.name} is there already", ExitCode.USAGE)
        return parameter

    while (one := _ask("another parameter, or Enter" if asked else "a parameter", check)) is not None:
        asked.append(one)
    return asked


def _ask_term(given: Mapping[str, object]) -> dict[str, object]:
    asked = dict(given)
    for field, question in _QUESTIONS.items():
        if field not in asked:
            asked[field] = _ask(question, partial(_term_field, asked, field), str(getattr(_term(asked), field)))
    return asked


def _term_field(asked: Mapping[str, object], field: str, answer: str) -> object:
    return getattr(_term({**asked, field: answer}), field)


_QUESTIONS = {
    "metric": "the metric that says how well the app does",
    "goal": "minimize or maximize it",
    "aggregate": "of all its measurements in a round: mean, p95, max, rate, ...",
    "scale": "a usual value of that",
}
