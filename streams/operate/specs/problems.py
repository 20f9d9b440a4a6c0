"""What is wrong with a spec, a sentence each, with the line and column in its file. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ....core.values import SWITCH
from ....core.words import did_you_mean
from ....schemas.sentences import sentences_by_place
from ....schemas.spec import TunerSpec
from .notation import Place, Written


def refused(written: Written, error: ValidationError) -> list[str]:
    """What the model of a spec refuses."""
    found = error.errors(include_url=False)
    meant: dict[Place, str] = {}
    unknown = set()
    for problem in found:
        place, fields = _in_file(problem["loc"])
        if problem["type"] == "extra_forbidden":
            unknown.add(place)
        meant.setdefault(place, _meant(problem, fields))
        problem["loc"] = place
    return [
        f"{written.where(place, key=place in unknown)}: {named(place)}{said}{meant.get(place, '')}"
        for place, said in sentences_by_place(found).items()
    ]


def read_otherwise(written: Written, spec: TunerSpec) -> list[str]:
    """What the model reads otherwise than it is written, such as text where a number is expected."""
    where = written.where
    return [
        f"{where(place)}: {named(place)}is written {_word(given)}, and would be read as {_word(meant)}: write that"
        for place, given, meant in _differences(written.data, spec.model_dump(), ())
    ]


def named(place: Place) -> str:
    """A place as it begins a sentence: ``parameters.0.min: ``."""
    return f"{'.'.join(map(str, place))}: " if place else ""


def _in_file(loc: Place) -> tuple[Place, list[str]]:
    """A problem's place as the file has it, and the fields that there are beside it.

    The model names the kind of a parameter where there are several, as if it were a field.
    """
    models: list[type[BaseModel]] = [TunerSpec]
    fields: list[str] = []
    place: list[int | str] = []
    for part in loc:
        kinds = [model for model in models if len(models) > 1 and part in get_args(_kind(model))]
        if kinds:
            models = kinds
            continue
        place.append(part)
        if isinstance(part, str):
            fields = list(dict.fromkeys(name for model in models for name in model.model_fields))
            models = [m for model in models if part in model.model_fields for m in _models(_annotation(model, part))]
    return tuple(place), fields


def _kind(model: type[BaseModel]) -> object:
    return _annotation(model, "type") if "type" in model.model_fields else None


def _annotation(model: type[BaseModel], field: str) -> object:
    return model.model_fields[field].annotation


def _models(annotation: object) -> list[type[BaseModel]]:
    """The models that a field may be of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _meant(problem: ErrorDetails, fields: list[str]) -> str:
    """What may have been meant by a field or a word that there is not."""
    context = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        return did_you_mean(str(problem["loc"][-1]), fields)
    if problem["type"] == "union_tag_invalid":
        return did_you_mean(str(context["tag"]), _WORD.findall(context["expected_tags"]))
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        return did_you_mean(problem["input"], _WORD.findall(context["expected"]))
    return ""


_WORD = re.compile("'([^']*)'")


def _differences(given: Any, read: Any, place: Place) -> Iterator[tuple[Place, object, object]]:  # noqa: ANN401 - JSON
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from _differences(value, read[name], (*place, name))
    elif isinstance(given, list) and isinstance(read, list):
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from _differences(one, other, (*place, number))
    elif not _same(given, read):
        yield place, given, read


def _same(given: object, read: object) -> bool:
    """Whether a value is what was written: 1 and 1.0 are one number, true is none; on and off are as good as true."""
    if isinstance(given, bool) != isinstance(read, bool):
        return (given, read) in _SWITCHED or (read, given) in _SWITCHED
    return given == read


_SWITCHED = tuple(zip(SWITCH, (False, True), strict=True))


def _word(value: object) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 60 else f"{said[:60]}..."
