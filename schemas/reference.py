"""Write the reference of the tuner spec, docs/spec.md, from its models: ``python -m oppertune.schemas.reference``."""

import sys
from pathlib import Path
from typing import Any

from .spec import TunerSpec

Json = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[1]
_UNBOUNDED = 2**31  # bounds beyond this only keep arithmetic from overflowing: nobody needs to read them

_KINDS = {
    "object": "a mapping",
    "boolean": "`true` or `false`",
    "string": "text",
    "integer": "an integer",
    "number": "a number",
}

_INTRODUCTION = """\
# Tuner spec

What is tuned, how it is measured, and when to stop. Written by people, in YAML or JSON; applied by
`oppertune tuner apply FILE`, checked alone by `oppertune tuner apply FILE --dry-run`. A field that is not listed here
is refused: it is a typing error. Applying the same spec again changes nothing; a changed one keeps what is sound of
what was learned, and the incumbents wherever they are legal.

A spec means what is written. What readers of YAML do not all read alike is refused, with its line and column and what
to write instead: a key that is given twice, `1:30` (90 to some), `0644` (420), `1_000`, `no` and `yes` (truth values),
a date, `1e-4` (text to some: write `1.0e-4`), a number in quotes, `true` for 1. Text that looks like one of these
stands in quotes; `on` and `off` need none. In JSON, numbers may be written as JSON has them.

```yaml title="examples/checkout.yaml"
{example}```

(This page is made from the models in `schemas/spec.py`; `examples/` has more specs.)
"""


def page() -> str:
    """The page as Markdown: a section for each model, in the order in which a spec names them."""
    schema = TunerSpec.model_json_schema()
    models = schema.pop("$defs")
    sections: list[str] = []
    waiting = [("The whole", schema)]
    while waiting:
        heading, model = waiting.pop(0)
        sections.append(_section(heading, model))
        waiting[:0] = [
            (_heading(heading, name, models[below]), models[below])
            for name, part in model["properties"].items()
            for below in _models(part)
        ]
    example = (_ROOT / "examples" / "checkout.yaml").read_text(encoding="utf-8")
    return "\n".join([_INTRODUCTION.format(example=example), *sections])


def _heading(above: str, name: str, model: Json) -> str:
    """Where a spec has it: ``objective.terms``, ``parameters: integer``."""
    kind = model["properties"].get("type", {}).get("const")
    path = name if above == "The whole" else f"{above}.{name}"
    return f"{path}: {kind}" if kind else path


def _section(heading: str, model: Json) -> str:
    lines = [f"## {heading}", "", model["description"].replace("``", "`").split("\n\n")[0], ""]
    lines += ["| field | is | default | meaning |", "|---|---|---|---|"]
    for name, part in model["properties"].items():
        default = "**required**" if name in model.get("required", []) else _default(part.get("default"))
        lines.append(f"| `{name}` | {_words(part)} | {default} | {part.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _models(part: Json) -> list[str]:
    """Names of the models that a field may hold."""
    if "$ref" in part:
        return [str(part["$ref"]).rpartition("/")[2]]
    below = [*part.get("anyOf", []), *part.get("oneOf", []), *([part["items"]] if "items" in part else [])]
    return [name for one in below for name in _models(one)]


def _words(part: Json) -> str:
    """What a field holds, for people."""
    if "$ref" in part:
        return "a mapping, see below"
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " or ".join(dict.fromkeys(_words(one) for one in part[key] if one.get("type") != "null"))
    if "enum" in part or "const" in part:
        return " or ".join(f"`{value}`" for value in part.get("enum") or [part["const"]])
    kind = part.get("type", "")
    if kind == "array":
        return f"a list ({_words(part['items'])})"
    return _KINDS.get(kind, "anything") + _bounds(part)


def _bounds(part: Json) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    low, high = (None if bound is None or abs(bound) > _UNBOUNDED else bound for bound in (low, high))
    if low is not None and high is not None:
        return f", {low:,.10g} to {high:,.10g}"
    if "exclusiveMinimum" in part:
        return f" above {part['exclusiveMinimum']:,.10g}" + (f", up to {high:,.10g}" if high is not None else "")
    return f", {low:,.10g} or more" if low is not None else f", up to {high:,.10g}" if high is not None else ""


def _default(value: object) -> str:
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the page into the file given, by default the one of the docs."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "docs" / "spec.md"
    file.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
