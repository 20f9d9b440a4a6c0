"""Tuner specs from files: YAML or JSON, with errors that name the place."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ....core.errors import CommandFailed, InvalidArgument, MissingExtra, OppertuneError, UnknownAlgorithm
from ....schemas.spec import TunerSpec
from ...processor import learners, reward
from ..exit_codes import ExitCode
from ..text import printable
from .notation import Unclear, Written, not_finite, read
from .problems import named, read_otherwise, refused


def read_spec(path: Path, *, alone: bool = False) -> tuple[TunerSpec, dict[str, Any]]:
    """Read and check a spec file; JSON is YAML too.

    Args:
        path: The file.
        alone: No worker will be asked: what is not installed here is refused.

    Returns:
        The spec, and its contents as written.

    Raises:
        CommandFailed: The file cannot be read, or is not a spec.
    """
    name = printable(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {name}: {error.strerror or error}", ExitCode.INVALID) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{name} is neither YAML nor JSON: it is no text in UTF-8", ExitCode.INVALID) from error
    return check_spec(text, name, alone=alone)


def check_spec(text: str, path: str, *, alone: bool = False) -> tuple[TunerSpec, dict[str, Any]]:
    """Check the text of a spec, as :func:`read_spec` does; ``path`` names it in errors."""
    try:
        written = read(text)
    except Unclear as error:
        raise _invalid(path, error.problems) from error
    if not isinstance(written.data, dict):
        raise CommandFailed(f"{path} holds no spec: a mapping with name and parameters is expected", ExitCode.INVALID)
    if (place := not_finite(written.data)) is not None:
        raise _invalid(path, [f"{written.where(place)}: {named(place)}is not a finite number, which JSON cannot hold"])
    try:
        spec = TunerSpec.model_validate(written.data)
    except ValidationError as error:
        raise _invalid(path, refused(written, error)) from error
    if problems := read_otherwise(written, spec):
        raise _invalid(path, problems)
    if problem := _not_to_run(written, spec, alone=alone):
        raise _invalid(path, [problem])
    return spec, written.data


def not_checked(spec: TunerSpec) -> str:
    """What of a sound spec can only be checked elsewhere, in a sentence; empty where all of it was."""
    try:
        learners.try_out(learners.decided(spec), 0)
    except MissingExtra as error:
        return f"the arguments of its algorithm are not checked: {error}"
    return ""


def _not_to_run(written: Written, spec: TunerSpec, *, alone: bool) -> str:
    """Why no worker could run a spec; empty where one could, or one that has more installed might."""
    if alone and spec.objective.function is not None:
        try:
            reward.find_function(spec.objective.function)
        except InvalidArgument as error:
            return f"{written.where(('objective', 'function'))}: {error}{_ELSEWHERE}"
    try:
        learners.try_out(learners.decided(spec), 0)
    except MissingExtra:
        return ""
    except UnknownAlgorithm as error:
        return f"{written.where(('algorithm', 'name'))}: {error}{_ELSEWHERE}" if alone else ""
    except OppertuneError as error:
        name = spec.algorithm.name
        return f"{written.where(('algorithm', 'args'))}: {'' if name in str(error) else f'algorithm {name}: '}{error}"
    return ""


_ELSEWHERE = " (Where it is installed with the workers only, leave out --dry-run: they check it, too.)"


def _invalid(path: str, problems: list[str]) -> CommandFailed:
    shown, more = problems[:_SHOWN], len(problems) - _SHOWN
    lines = [*shown, f"and {more} more"] if more > 0 else shown
    return CommandFailed("\n  ".join([f"{path} is not a valid tuner spec:", *lines]), ExitCode.INVALID)


_SHOWN = 20
"""Problems: a screen of them."""
