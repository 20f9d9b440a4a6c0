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
    "streams/broker/error_codes.py": "librdkafka's error codes: public by its documentation, read in this one place",
}
"""Modules that adapt another library. (Faust's adapter, streams/worker/transport.py, overrides a private method, but
touches no private name: tests/worker/test_faust_pins.py pins what it overrides.)"""

KNOWN = {
    "algorithms/bayesian_optimization.py": "Optuna's sampler has no public way to judge by the expected reward",
    "streams/client/client.py": "the hook after a fork acts on the client's own class, from outside of it",
    "streams/client/following.py": "compares with another object of its own class",
}
"""Those that are still there: take a line off when its module needs it no more."""


def touched(source: str) -> list[str]:
    """Private names of others in a module: read or written as attributes, or imported."""
    tree = ast.parse(source)
    own = {"self", "cls"} | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            holder = ast.unparse(node.value)
            if holder not in own | {"super()"}:
                found.append(f"{holder}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            found += [f"from {node.module} import {name.name}" for name in node.names if _is_private(name.name)]
    return [name for name in found if not _is_public(name)]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_public(name: str) -> bool:
    return name in PUBLIC or name.replace(" ", ".").rpartition(".")[2] in PUBLIC


def everything() -> dict[str, list[str]]:
    files = {file.relative_to(ROOT).as_posix(): file for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return {name: names for name, file in sorted(files.items()) if (names := touched(file.read_text()))}


def test_no_module_touches_a_private_name_of_another() -> None:
    strangers = {name: names for name, names in everything().items() if name not in ALLOWED | KNOWN}
    assert not strangers


def test_the_tables_are_no_longer_than_needed() -> None:
    assert not ((ALLOWED | KNOWN).keys() - everything().keys()), "repaired: take them off the table"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("client._go_on()", ["client._go_on"]),
        ("x.y._z = 1", ["x.y._z"]),
        ("from .other import _helper, public", ["from other import _helper"]),
        ("self._a, cls._b, super()._c, x.__dict__, os._exit(1), pair._replace(a=1)", []),
        ("class A:\n    def f(self): return A._g", []),
    ],
)
def test_what_is_touched_is_found(source: str, names: list[str]) -> None:
    assert touched(source) == names
