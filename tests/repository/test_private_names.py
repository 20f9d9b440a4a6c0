"""No module touches a private name of another one, but where a line below says why."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "algorithms", "schemas", "streams")

PUBLIC = {
    "_PredictResponse": "the contract's word for a prediction, as the original library spells it",
    "_TuningRequest": "the contract's word for a request, as the original library spells it",
    "_asdict": "a public method of every NamedTuple",
    "_replace": "a public method of every NamedTuple",
    "os._exit": "a public function of the standard library",
}
"""Names that begin with an underscore and are public all the same."""

ALLOWED = {
    "streams/broker/leaving.py": "there is no public name for running the interpreter's exit functions",
    "streams/broker/error_codes.py": "librdkafka's error codes: public by its documentation, read in this one place",
    "algorithms/bayesian_optimization.py": "Optuna's sampler cannot be told otherwise to judge by the expected reward",
}
"""Modules that adapt another library. (Faust's adapter, streams/worker/transport.py, overrides a private method, but
touches no private name: tests/worker/test_faust_pins.py pins what it overrides.)"""


def touched(source: str) -> list[str]:
    """Private names of others in a module: read or written as attributes, or imported."""
    tree = ast.parse(source)
    own = _defined(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            holder = ast.unparse(node.value)
            if holder not in {"self", "cls", "super()"} and node.attr not in own:
                found.append(f"{holder}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            found += [f"from {node.module} import {name.name}" for name in node.names if _is_private(name.name)]
    return [name for name in found if not _is_public(name)]


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module gives to functions and attributes of its own."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return names


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_public(name: str) -> bool:
    return name in PUBLIC or name.replace(" ", ".").rpartition(".")[2] in PUBLIC


def everything() -> dict[str, list[str]]:
    files = {file.relative_to(ROOT).as_posix(): file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return {name: names for name, file in sorted(files.items()) if (names := touched(file.read_text()))}


def test_no_module_touches_a_private_name_of_another() -> None:
    strangers = {name: names for name, names in everything().items() if name not in ALLOWED}
    assert not strangers


def test_the_table_is_no_longer_than_needed() -> None:
    assert not (ALLOWED.keys() - everything().keys()), "repaired: take them off the table"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("client._go_on()", ["client._go_on"]),
        ("x.y._z = 1", ["x.y._z"]),
        ("from .other import _helper, public", ["from other import _helper"]),
        ("self._a, cls._b, super()._c, x.__dict__, os._exit(1), pair._replace(a=1)", []),
        ("class A:\n    def __eq__(self, other): return other._x\n    def set(self): self._x = 1", []),
        ("class A:\n    def __eq__(self, other): return other._x", ["other._x"]),
    ],
)
def test_what_is_touched_is_found(source: str, names: list[str]) -> None:
    assert touched(source) == names
