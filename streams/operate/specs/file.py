"""Tuner specs from files: YAML or JSON, with errors that name the place."""

import math
from pathlib import Path
from typing import Any

import orjson
import yaml
from pydantic import ValidationError

from ....core.errors import CommandFailed, InvalidInput, OppertuneError
from ....schemas.base import explain
from ....schemas.spec import TunerSpec
from ...processor import learners
from ..exit_codes import ExitCode


def read_spec(path: Path) -> tuple[TunerSpec, dict[str, Any]]:
    """Read and check a spec file; JSON is YAML too.

    Returns:
        The spec, and its contents as written.

    Raises:
        CommandFailed: The file cannot be read, or is not a spec.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror or error}", ExitCode.INVALID) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path} is neither YAML nor JSON: {error}", ExitCode.INVALID) from error
    return check_spec(text, str(path))


def check_spec(text: str, path: str) -> tuple[TunerSpec, dict[str, Any]]:
    """Check the text of a spec, as :func:`read_spec` does; ``path`` names it in errors."""
    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandFailed(f"{path} is neither YAML nor JSON: {error}", ExitCode.INVALID) from error
    if not isinstance(written, dict):
        raise CommandFailed(f"{path} holds no spec: a mapping with name and parameters is expected", ExitCode.INVALID)
    try:
        orjson.dumps(written, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError as error:  # YAML has dates, and keys that are no text
        raise CommandFailed(f"{path} holds what JSON cannot: {error}. Put it in quotes", ExitCode.INVALID) from error
    if place := _not_finite(written):
        raise CommandFailed(f"{path} holds what JSON cannot: {place} is not a finite number", ExitCode.INVALID)
    try:
        spec = TunerSpec.model_validate(written)
    except ValidationError as error:
        problems = explain(error, limit=20).replace("; ", "\n  ")
        raise CommandFailed(f"{path} is not a valid tuner spec:\n  {problems}", ExitCode.INVALID) from error
    _try_learner(path, spec)
    return spec, written


def _try_learner(path: str, spec: TunerSpec) -> None:
    """Make the learner as a worker would. One that is not installed here may be installed there: the worker tells."""
    try:
        learners.try_out(learners.decided(spec), 0)
    except InvalidInput as error:
        raise CommandFailed(f"{path}: algorithm {spec.algorithm.name}: {error}", ExitCode.INVALID) from error
    except OppertuneError:
        return


def _not_finite(value: object, place: str = "") -> str:
    """The place of the first number that is not finite, empty where all are."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else place
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for key, one in below if (found := _not_finite(one, f"{place}.{key}".lstrip(".")))), "")
