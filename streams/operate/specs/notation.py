"""YAML and JSON as they are written: what readers of YAML do not all read alike is refused, with its place. Pure.

YAML 1.1, which most libraries still read, takes ``1:30`` for 90, ``0644`` for 420 and ``no`` for false, and ``1e-4``
for text; YAML 1.2 and JSON do not. And a key that is given twice counts once, whichever comes last. In a spec, such a
line is a typing error or a misunderstanding: bounds that nobody meant would be tried on real traffic.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Place: TypeAlias = tuple[int | str, ...]
"""Where in the data: keys, and numbers in lists from 0."""

MAX_NODES: Final = 1_000_000
"""Several times as many as the largest spec has: aliases of aliases could multiply for ever."""


class Unclear(Exception):  # noqa: N818 - what is wrong is what it is written like
    """What is written cannot be read, or not only in one way.

    Attributes:
        problems: A sentence each, with its line and column.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Written:
    """What a text holds.

    Attributes:
        data: Mappings, lists, text, numbers, truth values and ``None``.
        root: The same as YAML's nodes, which know where they stand.
    """

    data: Any
    root: Node | None

    def where(self, place: Place, *, key: bool = False) -> str:
        """``line 3, column 5`` of what stands at a place, or of its key; of what is around it, where there is none."""
        node = self.root
        if node is None:
            return "line 1, column 1"
        mark = node.start_mark
        for number, part in enumerate(place):
            found = _child(node, part)
            if found is None:
                break
            named, node = found
            last = number == len(place) - 1
            mark = named.start_mark if key and last and named is not None else node.start_mark
        return _at(mark)


def read(text: str) -> Written:
    """Read a text in YAML or JSON.

    Raises:
        Unclear: It is neither, or holds what means something else to another reader.
    """
    is_json, data = _json(text)
    try:
        # What JSON takes for blanks are tabs, too, and none is inside its texts.
        loader = yaml.SafeLoader(text.replace("\t", " ") if is_json else text)
        root = loader.get_single_node()
        problems = [] if root is None else list(_problems(root, is_json=is_json))
        if not problems and not is_json:
            data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise Unclear([_unreadable(error)]) from error
    except yaml.YAMLError as error:
        raise Unclear(["it holds a character that is not allowed in YAML, such as a control character"]) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise Unclear(["it is nested too deeply, or holds a number that cannot be"]) from error
    if problems:
        raise Unclear(problems)
    return Written(data, root)


def means_itself(text: str) -> bool:
    """Whether a text without quotes is read as itself by all readers of YAML that can read it."""
    return _reading_11(text) == _reading_12(text) or text in _SWITCH


def _json(text: str) -> tuple[bool, Any]:
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _problems(root: Node, *, is_json: bool) -> Iterator[str]:
    """All that is unclear, in the order in which it stands there."""
    seen, left = 0, [root]
    while left:
        node = left.pop()
        seen += 1
        if seen > MAX_NODES:
            yield "it has too many parts: aliases of aliases multiply"
            return
        if isinstance(node, ScalarNode):
            if not is_json:
                yield from _scalar(node)
        elif node.tag not in {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}:
            yield f"{_at(node.start_mark)}: {_short(node.tag)} is no mark that is known here: leave it away"
        elif isinstance(node, SequenceNode):
            left.extend(reversed(node.value))
        elif isinstance(node, MappingNode):
            yield from _keys(node, is_json=is_json)
            left.extend(value for _, value in reversed(node.value))


def _keys(node: MappingNode, *, is_json: bool) -> Iterator[str]:
    first: dict[str, ScalarNode] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            yield f"{_at(key.start_mark)}: a list or mapping is no name of a field"
            continue
        if not is_json and key.tag != "tag:yaml.org,2002:merge":
            unclear = list(_scalar(key))
            yield from unclear
            if not unclear and key.tag != "tag:yaml.org,2002:str":
                yield f"{_at(key.start_mark)}: {_short(key.value)} is no name of a field: as text it is {_quoted(key)}"
        if (before := first.setdefault(key.value, key)) is not key:
            where, first_at = _at(key.start_mark), _at(before.start_mark)
            yield f"{where}: {_short(key.value)} is given twice, first in {first_at}: keep one"


def _scalar(node: ScalarNode) -> Iterator[str]:
    """What is unclear of one word; makes text of on and off, which they are to a switch and to readers of YAML 1.2."""
    place, plain = _at(node.start_mark), node.style is None
    implied = _implied(node.value, plain=plain)
    if node.tag not in {implied, "tag:yaml.org,2002:str" if node.value in _SWITCH else implied}:
        yield f"{place}: {_short(node.tag)} is no mark that is known here: leave it away, and quote what is text"
        return
    if not plain:
        return
    if node.value in _SWITCH:
        node.tag = "tag:yaml.org,2002:str"
        return
    old, new = _reading_11(node.value), _reading_12(node.value)
    if old == new:
        return
    meant = list(dict.fromkeys(said for reading in (old, new) if (said := _unmistakably(reading, node.value))))
    yield (
        f"{place}: {_short(node.value)} is not read alike by all readers of YAML:"
        f" write {', or '.join(meant) + ', or ' if meant else ''}{_quoted(node)} for the text"
    )


_SWITCH: Final = {"on", "off"}

# -- readings: how a reader takes a word without quotes, as a kind and what it comes to

_Reading: TypeAlias = tuple[str, object]

_RESOLVER: Final = yaml.SafeLoader("")
_CONSTRUCTOR: Final = yaml.constructor.SafeConstructor()


def _implied(word: str, *, plain: bool) -> str:
    """The tag that PyYAML gives to a word, without quotes or in quotes."""
    return str(_RESOLVER.resolve(ScalarNode, word, (plain, not plain)))  # type: ignore[no-untyped-call] # has no types


def _reading_11(word: str) -> _Reading:
    """As PyYAML does, and with it most readers."""
    tag = _implied(word, plain=True).removeprefix("tag:yaml.org,2002:")
    if tag in {"int", "float"}:
        try:
            node = ScalarNode(tag, word)
            number = _CONSTRUCTOR.construct_yaml_int(node) if tag == "int" else _CONSTRUCTOR.construct_yaml_float(node)
        except ValueError:  # 0x_ matches its pattern
            return "text", word
        return "number", str(number)
    if tag == "bool":
        return "truth", word.lower() in {"true", "yes", "on"}
    return {"null": "nothing", "str": "text"}.get(tag, tag), word


def _reading_12(word: str) -> _Reading:
    """As the core schema of YAML 1.2 says: JSON's, with a few more ways to write the same."""
    for pattern, read in _CORE.items():
        if re.fullmatch(pattern, word):
            return read(word)
    return "text", word


_CORE: Final[Mapping[str, Callable[[str], _Reading]]] = {
    r"|~|null|Null|NULL": lambda word: ("nothing", word),
    r"true|True|TRUE|false|False|FALSE": lambda word: ("truth", word.lower() == "true"),
    r"[-+]?[0-9]+": lambda word: ("number", str(int(word))),
    r"0o[0-7]+|0x[0-9a-fA-F]+": lambda word: ("number", str(int(word, 0))),
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?": lambda word: ("number", str(float(word))),
    r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)": lambda word: ("number", str(float(word.replace(".", "")))),
}
"""Patterns of words, and what they are read as."""


def _unmistakably(reading: _Reading, word: str) -> str:
    """How to write what one reader takes a word for, so that all do; empty for text, which can be quoted."""
    kind, value = reading
    if kind == "truth":
        return "true" if value else "false"
    if kind != "number":
        return ""
    found = re.fullmatch(r"([-+]?)([0-9]*)(\.?)([0-9]*)[eE]([-+]?)([0-9]+)", word)
    if found is None:
        return str(value)
    sign, whole, _, part, power, exponent = found.groups()
    return f"{sign}{whole or '0'}.{part or '0'}e{power or '+'}{exponent}"


# -- words for people


def _quoted(node: ScalarNode) -> str:
    return json.dumps(node.value, ensure_ascii=False)


def _short(word: str) -> str:
    return word.removeprefix("tag:yaml.org,2002:") if len(word) <= 60 else f"{word[:60]}..."


def _at(mark: Any) -> str:  # noqa: ANN401 - yaml.Mark has no types
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _unreadable(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = _at(mark) if mark is not None else "somewhere"
    problem = f"{error.problem}"
    if "\\t" in problem:
        return f"{place}: a tab does not indent in YAML: write blanks"
    if isinstance(error, yaml.composer.ComposerError):
        if "single document" in f"{error.context}":
            return f"{place}: a second document begins: a file holds one spec"
        return f"{place}: an alias names what is not there, or an anchor is there twice"
    return (
        f"{place}: this can be neither YAML nor JSON: here or before, a quote, bracket, comma or colon is missing or"
        " too many, or a line is not indented as its neighbours"
    )


def not_finite(value: object, place: Place = ()) -> Place | None:
    """The place of the first number that is not finite; ``None`` where all are."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for key, one in below if (found := not_finite(one, (*place, key))) is not None), None)


def _child(node: Node, part: int | str) -> tuple[Node | None, Node] | None:
    """Key and value of a part of a node; a list's parts have no keys."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None
