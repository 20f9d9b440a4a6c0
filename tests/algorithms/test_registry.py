import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any, cast

import pytest

from extras import skip_without_extra
from narrowing import registry_entries
from oppertune.algorithms import all as registry
from oppertune.algorithms.all import ALGORITHMS, create_tuning_instance, get_algorithm_class
from oppertune.algorithms.hybrid_solver import HybridSolver
from oppertune.algorithms.identity import Identity
from oppertune.core.errors import (
    InvalidArgument,
    InvalidParameterType,
    MissingExtra,
    UnknownAlgorithm,
)
from oppertune.core.values import Categorical, Real

REAL = Real("x", 0.5, 0.0, 1.0)


class Mine(Identity):
    pass


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_registered_name_has_its_class(name):
    skip_without_extra(name)
    cls = get_algorithm_class(name)
    assert cls.__name__.lower() == name.replace("_", "")
    assert ALGORITHMS[name] is cls


def test_the_default_is_the_hybrid_solver():
    assert type(create_tuning_instance([REAL])) is HybridSolver


def test_an_unknown_name_is_a_key_error_that_lists_the_known_ones():
    with pytest.raises(UnknownAlgorithm, match=r"^no algorithm is named 'x'; there are auto, ") as caught:
        create_tuning_instance([REAL], "x")
    assert isinstance(caught.value, KeyError)


def test_the_originals_names_are_all_there():
    original = "autoscope bayesian_optimization bluefin ddpg exponential_weights exponential_weights_slates hopt"
    assert {*original.split(), "hybrid_solver", "identity", "slates", "uniform_random"} <= set(ALGORITHMS)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("ddpg", "torch", "torch"),
        ("hopt", "optuna", "optuna"),
        ("bayesian_optimization", "optuna", "bayes"),
        ("bayesian_optimization", "torch", "bayes"),
    ],
)
def test_the_heavy_ones_name_their_extra_where_it_is_missing(name, package, extra):
    code = f"""
import sys
sys.modules[{package!r}] = None
from oppertune.algorithms.all import ALGORITHMS, get_algorithm_class
from oppertune.core.errors import MissingExtra
try:
    get_algorithm_class({name!r})
except MissingExtra as error:
    assert error.extra == {extra!r}, error.extra
else:
    raise SystemExit("it was loaded")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hopt_runs_on_what_its_extra_brings():
    code = """
import sys
for package in ("torch", "scipy", "greenlet"):
    sys.modules[package] = None
from oppertune.algorithms.all import create_tuning_instance
from oppertune.core.values import Categorical, Integer, Real
space = [Integer("a", 4, 1, 16), Real("r", 0.5, 0.0, 1.0), Categorical("c", "x", ("x", "y"))]
for algo in ("tpe", "anneal", "rand"):
    learner = create_tuning_instance(space, "hopt", {"random_seed": 1, "algo": algo})
    for _ in range(30):
        asked, _ = learner.predict()
        learner.set_reward(-abs(asked["r"] - 0.2))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_algorithm_whose_packages_are_missing_names_the_extra(monkeypatch):
    lacking = registry._Shipped(".no_such_module", "X", extra="torch")
    monkeypatch.setitem(registry_entries(), "lacking", lacking)
    with pytest.raises(MissingExtra, match=r"oppertune-streams\[torch\]") as caught:
        get_algorithm_class("lacking")
    assert caught.value.extra == "torch"


@pytest.mark.parametrize(
    "arguments", [{"speed": 1}, {"eta": "fast"}, {"optimizer_args": 5}, {"parameters": []}, {"feedback": None}]
)
def test_arguments_that_an_algorithm_does_not_take_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        create_tuning_instance([REAL], "bluefin", arguments)


def test_parameters_that_an_algorithm_does_not_tune_are_refused():
    with pytest.raises(InvalidParameterType, match="Integer, Real"):
        create_tuning_instance([Categorical("c", "a", ("a", "b"))], "bluefin")


def test_a_process_can_add_its_own():
    ALGORITHMS["mine"] = Mine
    try:
        assert type(create_tuning_instance([REAL], "mine")) is Mine
    finally:
        del ALGORITHMS["mine"]
    with pytest.raises(InvalidArgument):
        ALGORITHMS["mine"] = cast("Any", dict)


@pytest.fixture
def installed(monkeypatch):
    points = [
        EntryPoint("theirs", f"{__name__}:Mine", registry.ENTRY_POINTS),
        EntryPoint("no_algorithm", "math:pi", registry.ENTRY_POINTS),
        EntryPoint("bluefin", "no_such_module:Thief", registry.ENTRY_POINTS),
    ]
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    monkeypatch.setattr(sys.modules[__name__], "Mine", Mine, raising=False)
    monkeypatch.setattr(registry, "entry_points", lambda group, name: [p for p in points if p.name == name])


def test_installed_entry_points_are_found_by_name_alone(installed):
    assert get_algorithm_class("theirs") is Mine
    assert get_algorithm_class("bluefin").__name__ == "BlueFin", "a shipped name can't be taken over"
    with pytest.raises(UnknownAlgorithm, match="no Algorithm"):
        get_algorithm_class("no_algorithm")
    with pytest.raises(UnknownAlgorithm):
        get_algorithm_class("math:pi")


def test_looking_at_the_registry_loads_no_algorithm():
    code = (
        "import sys; from oppertune.algorithms.all import ALGORITHMS; assert 'bluefin' in ALGORITHMS; len(ALGORITHMS);"
        "assert 'oppertune.algorithms.bluefin' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
