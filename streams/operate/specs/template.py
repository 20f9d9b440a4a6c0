"""A commented tuner spec to begin with: what is given, and all else that it may say. Pure."""

import json
import math
import textwrap
from collections.abc import Sequence

import yaml
from pydantic import BaseModel

from ....core.values import ValueType
from ....schemas.context import ContextSpec
from ....schemas.spec import (
    Deadlines,
    Explore,
    Measurement,
    Objective,
    Parameter,
    RolloutSpec,
    Target,
    Term,
    TunerSpec,
)
from ..text import printable_json
from .notation import means_itself

_WIDTH = 120
"""Columns of the comments: as wide as lines of code usually are."""


def commented_spec(name: str, parameters: Sequence[Parameter], term: Term, file: str) -> str:
    """A tuner spec in YAML: what is given, and all else that it may say, as comments that can be taken away.

    Args:
        name: The tuner's name.
        parameters: What is tuned.
        term: What is better.
        file: Where the spec will be.
    """
    usual = {"low": -2.0, "high": 0.0} if term.goal == "minimize" else {"low": 0.0, "high": 2.0}
    good = -0.5 if term.goal == "minimize" else 1.5  # half of what is usual, or half as much again
    scale_hint = "" if "scale" in term.model_fields_set else "  # add scale: its usual value"
    blocks = [
        _prose(
            f"Tuner {name}: what is tuned, how it is measured, and when to stop.",
            f"Check it:       oppertune tuner apply {file} --dry-run",
            f"Begin to tune:  oppertune tuner apply {file}",
            'A line such as "#target:" says what else there is, with its default or an example. To use it, take away'
            " its #, and those of the lines that are indented below it.",
        ),
        [f"name: {_flow(name)}", f"#description: {_flow('what it is for, and whom to ask')}"],
        [
            *_prose(
                "What is tuned. The value now, val, stays until something better is rolled out. Whatever is inside the"
                " bounds will be tried on real traffic. Each may have a unit, a description, and restart: true where"
                " the app must restart for another value; a number may have a step, or log: true to be learned on a"
                " logarithmic scale."
            ),
            "parameters:",
            *(f"  - {_flow(_fields(parameter))}" for parameter in parameters),
        ],
        [*_about("algorithm"), "#algorithm:", "  #name: auto", "  #args: {}"],
        [
            *_about("context", "An app says it: TunerClient(..., context={...})."),
            "#context:",
            "  #features:",
            f"    #- {_flow({'name': 'region', 'values': ['eu', 'us']})}",
            f"    #- {_flow({'name': 'load', 'bins': [100, 1000]})}  # three: below 100, below 1000, from there on",
            f"  #learner: auto  # {_text(ContextSpec, 'learner')}",
        ],
        [
            *_about(
                "objective",
                "The reward is the sum of weight * aggregate / scale of its terms, with a minus where less is better."
                " The scale is a usual value of the aggregate: it makes the term about 1. In place of the terms there"
                " may be measured: METRIC, a reward that the app computes, or function: NAME, one that is installed"
                " with the worker.",
            ),
            "objective:",
            "  terms:",
            f"    - {_flow(_fields(term))}{scale_hint}",
            f"    #- {_flow({'metric': 'errors', 'aggregate': 'mean', 'goal': 'minimize', 'weight': 10})}",
            f"  #range: {_flow(usual)}  # {_text(Objective, 'range')}",
        ],
        _section("measurement", Measurement(min_duration_s=10), "interval_s", "min_samples", "settle_s"),
        _section("deadlines", Deadlines(activation_s=60, measurement_s=100)),
        _section("explore", Explore()),
        [
            *_about("guardrails"),
            "#guardrails:",
            f"  #- {_flow({'metric': term.metric, 'aggregate': 'p95', 'goal': term.goal, 'tolerance': 0.1})}",
            f"  #- {_flow({'metric': 'errors', 'aggregate': 'share', 'goal': 'minimize', 'limit': 0.2})}",
        ],
        _section("rollout", RolloutSpec()),
        _section("target", Target(reward=good)),
        [
            f"#{field}: {example}  # {_text(TunerSpec, field)}"
            for field, example in {"mode": "auto", "heartbeat_s": 10, "lease_s": 30, "max_instances": 1000}.items()
        ],
        ["# In the app:", *(f"#   {line}".rstrip() for line in app_lines(name, parameters, term))],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def app_lines(name: str, parameters: Sequence[Parameter], term: Term) -> list[str]:
    """What the app says, in Python: the same parameters, where a value is read, where a measurement is recorded."""
    values = [parameter.to_value() for parameter in parameters]
    kinds = sorted({type(value).__name__ for value in values})
    return [
        f"from oppertune.core.values import {', '.join(kinds)}",
        "from oppertune.streams.client import TunerClient",
        "",
        "parameters = [",
        *(f"    {_declaration(value)}," for value in values),
        "]",
        f"with TunerClient({_literal(name)}, parameters) as tuned:",
        f"    value = tuned[{_literal(values[0].name)}]",
        f"    tuned.record({_literal(term.metric)}, 1.0)",
    ]


def _declaration(value: ValueType) -> str:
    given = {k: v for k, v in value.to_dict().items() if k not in {"type", "name"} and (k, v) not in _LEFT_OUT}
    arguments = "".join(f", {k}={v if isinstance(v, bool) else _literal(v)}" for k, v in given.items())
    return f"{type(value).__name__}({_literal(value.name)}{arguments})"


_LEFT_OUT = (("step", 1), ("step", None))


def _literal(value: object) -> str:
    """Text, a number or a list of texts, in Python."""
    return printable_json(json.dumps(value, ensure_ascii=False))


def _section(name: str, example: BaseModel, *written: str) -> list[str]:
    """A section of the spec, a line for each field; those that are not ``written`` are comments."""
    kind = type(example)
    lines = [*_about(name), f"{'' if written else '#'}{name}:"]
    for field, value in example.model_dump().items():
        lines.append(f"  {'' if field in written else '#'}{field}: {_flow(value)}  # {_text(kind, field)}")
    return lines


def _about(field: str, more: str = "") -> list[str]:
    text = _text(TunerSpec, field)
    return _prose(f"{text[0].upper()}{text[1:]}. {more}".rstrip())


def _text(model: type[BaseModel], field: str) -> str:
    """The description of a field: explained once, where it is declared."""
    return model.model_fields[field].description or ""


def _prose(*paragraphs: str) -> list[str]:
    return [f"# {line}" for paragraph in paragraphs for line in textwrap.wrap(paragraph, _WIDTH - 2)]


def _fields(model: BaseModel) -> dict[str, object]:
    """What was given of a model, the least important last."""
    given = model.model_dump(exclude_unset=True)
    return dict(sorted(given.items(), key=lambda item: item[0] in {"log", "unit", "restart"}))


def _flow(value: object) -> str:
    """A value in YAML, on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return printable_json(
        text.split("\n", 1)[0]
    )  # what is not printable is in double quotes, which take JSON's escapes


class _Dumper(yaml.SafeDumper):
    """Puts text into quotes where another reader of YAML would take it for something else, or a terminal obey it."""


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if means_itself(text) and text.isprintable() else '"'
    )


_Dumper.add_representer(str, _represent)
