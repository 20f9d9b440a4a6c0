import ast
import builtins
import importlib
import inspect
import re
from pathlib import Path

import pytest

from oppertune.core import errors

ROOT = Path(__file__).parents[2]
CLASSES = {name: c for name, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}
STANDARD = {name for name, c in vars(builtins).items() if inspect.isclass(c) and issubclass(c, BaseException)}


def drawn():
    """The tree at the head of the module: by name its parent, the class of the standard library beside it, its path."""
    found: dict[str, tuple[str | None, str | None, str | None]] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        if not (match := re.match(r"    ([│ ├└─]*)(\w+)(?: \((\w+)\))?(?:.*\((streams/\S+\.py)\))?", line)):
            continue
        depth = len(match[1]) // 4
        path = [*path[:depth], match[2]]
        if match[2] not in STANDARD:
            found[match[2]] = (path[depth - 1] if depth else None, match[3], match[4])
    return found


def exceptions():
    """Every exception class that the packages define, by name: where it stands. Read, not imported: extras may lack."""
    bases, places = {}, {}
    for package in ("core", "algorithms", "schemas", "streams"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = {base.rpartition(".")[2] for base in map(ast.unparse, node.bases)}
                    places[node.name] = file.relative_to(ROOT).as_posix()
    known: set[str] = set()
    while more := {name for name, of in bases.items() if of & (STANDARD | known)} - known:
        known |= more
    return {name: places[name] for name in known}


def test_every_error_is_in_the_tree_at_the_head_of_the_module_under_its_parent():
    tree = drawn()
    assert {name for name, (_, _, path) in tree.items() if path is None} == CLASSES.keys()
    for name, (parent, standard, path) in tree.items():
        module = errors if path is None else importlib.import_module("oppertune." + path[:-3].replace("/", "."))
        bases = [base.__name__ for base in getattr(module, name).__bases__]
        assert bases == [b for b in (parent or "Exception", standard) if b], name


def test_every_exception_of_every_package_is_in_the_tree_with_its_place():
    assert exceptions() == {name: path or "core/errors.py" for name, (_, _, path) in drawn().items()}


@pytest.mark.parametrize("name", sorted(name for name, c in CLASSES.items() if "__init__" not in vars(c)))
def test_an_error_prints_its_message_as_it_is(name):
    assert str(CLASSES[name]("what to do")) == "what to do"


def test_a_missing_extra_says_what_to_install():
    error = errors.MissingExtra("the algorithm 'ddpg'", "torch")
    assert "pip install 'oppertune-streams[torch]'" in str(error)
    assert isinstance(error, ImportError)
