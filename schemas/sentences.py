"""What is wrong with a field, in our words: those of the library that checks records are not for people who write them.

Nothing of the value is shown: a record may be somebody else's, and of any size.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_Context = Mapping[str, Any]
Place = tuple[int | str, ...]
"""Where in a record: names of fields, and numbers in lists from 0."""


def sentences_by_place(problems: Iterable[ErrorDetails]) -> dict[Place, str]:
    """Problems as sentences, by place; where a field may be one of several things, what it may be in one sentence."""
    found = list(problems)
    places = {problem["loc"] for problem in found}
    said: dict[Place, dict[str, None]] = {}
    for problem in found:
        said.setdefault(_place(problem["loc"], places), {})[sentence(problem)] = None
    return {place: ", or ".join(sentences) for place, sentences in said.items()}


def _place(loc: Place, places: Collection[Place]) -> Place:
    """A place without the names that pydantic gives to the things that a field may be."""
    plain = tuple(part for part in loc if not (isinstance(part, str) and _CHOICE.fullmatch(part)))
    beside = (*loc[:-1], "constrained-float")
    return plain[:-1] if loc and loc[-1] in {"bool", "int"} and beside in places else plain


_CHOICE = re.compile(r"constrained-\w+|[\w-]+\[.*\]")


def sentence(problem: ErrorDetails) -> str:
    """A problem that pydantic found, as a sentence: what the field must be."""
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        return str(context["error"])
    said = _SENTENCES.get(problem["type"])
    return said(context) if said is not None else "cannot be used as it is"


def _always(said: str) -> Callable[[_Context], str]:
    return lambda _: said


def _limit(words: str, name: str) -> Callable[[_Context], str]:
    return lambda context: words.format(_number(context[name]))


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _size(words: str, name: str, of: str, many: str) -> Callable[[_Context], str]:
    return lambda context: f"must have {words} {context[name]} {of if context[name] == 1 else many}"


_TRUTH = _always("must be true or false")
_WHOLE = _always("must be a whole number")
_NUMBER = _always("must be a number")
_TEXT = _always("must be text")
_LIST = _always("must be a list")
_FIELDS = _always("must be fields with values")

_SENTENCES: Mapping[str, Callable[[_Context], str]] = {
    "missing": _always("is missing"),
    "extra_forbidden": _always("is no field that is known here"),
    "none_required": _always("must be empty"),
    "json_invalid": lambda context: f"Invalid JSON: {context['error']}",
    "json_type": _always("must be JSON"),
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_unicode": _always("must be text in UTF-8"),
    "string_pattern_mismatch": lambda context: f"must be of the pattern {context['pattern']}",
    "string_too_short": _size("at least", "min_length", "character", "characters"),
    "string_too_long": _size("at most", "max_length", "character", "characters"),
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": _always("is too large a number"),
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _always("must be a finite number"),
    "greater_than": _limit("must be above {}", "gt"),
    "greater_than_equal": _limit("must be at least {}", "ge"),
    "less_than": _limit("must be below {}", "lt"),
    "less_than_equal": _limit("must be at most {}", "le"),
    "too_short": _size("at least", "min_length", "entry", "entries"),
    "too_long": _size("at most", "max_length", "entry", "entries"),
    "literal_error": lambda context: f"must be {context['expected']}",
    "union_tag_invalid": lambda context: f"must be of the type {context['expected_tags'].replace(', ', ' or ')}",
    "union_tag_not_found": lambda context: f"has no {context['discriminator'].strip(chr(39))}",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _FIELDS,
    "mapping_type": _FIELDS,
    "model_type": _FIELDS,
    "model_attributes_type": _FIELDS,
}
"""By pydantic's word for the kind of problem."""
