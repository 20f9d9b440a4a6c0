"""Every shipped algorithm keeps to the contract, with every kind of parameter and argument that changes its course."""

import random

import pytest

from oppertune.algorithms.all import ALGORITHMS, create_tuning_instance
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.values import Categorical, Integer, Real

CATEGORIES = (
    Categorical("mode", "b", ("a", "b", "c")),
    Categorical("only", "x", ("x",)),
    Categorical("policy", "lru", ("lru", "lfu")),
)
NUMBERS = (
    Integer("pool", 20, 5, 100, 5),
    Integer("fixed", 3, 3, 3),
    Real("ratio", 0.95, 0.1, 0.95),
    Integer("big", 0, -(2**53), 2**53),
    Real("grid", 0.3, 0.0, 1.0, 0.1),
    Real("tiny", 1e-9, 1e-9, 1e-6),
    Real("still", 1.5, 1.5, 1.5),
    Integer("rows", 100, 1, 10**6, log=True),
    Real("rate", 0.1, 1e-6, 1.0, log=True),
)
MIXED = (NUMBERS[0], CATEGORIES[0], CATEGORIES[1], NUMBERS[2], NUMBERS[4], CATEGORIES[2], NUMBERS[7], NUMBERS[8])
CONSTANT = (CATEGORIES[1], NUMBERS[1], NUMBERS[6])
DECAY = {"eta": 0.25, "delta": 0.5, "eta_decay_rate": 0.5}

CASES = {
    "bluefin": ("bluefin", NUMBERS, {}),
    "bluefin-two-point": ("bluefin", NUMBERS, {"feedback": 2}),
    "bluefin-two-point-sgd": ("bluefin", NUMBERS, {"feedback": 2, "optimizer": "sgd"}),
    "bluefin-decay": ("bluefin", NUMBERS, {"feedback": 2, **DECAY}),
    "bluefin-momentum": ("bluefin", NUMBERS, {"optimizer_args": {"momentum": 0.9}}),
    "bluefin-constant": ("bluefin", NUMBERS[6:7], {"feedback": 2}),
    "exponential_weights": ("exponential_weights", CATEGORIES, {}),
    "exponential_weights-constant": ("exponential_weights", CATEGORIES[1:2], {}),
    "exponential_weights_slates": ("exponential_weights_slates", CATEGORIES, {}),
    "hybrid_solver": ("hybrid_solver", MIXED, {}),
    "hybrid_solver-two-point": ("hybrid_solver", MIXED, {"numerical_algorithm_args": {"feedback": 2}}),
    "hybrid_solver-categories": ("hybrid_solver", CATEGORIES, {"categorical_algorithm": "exponential_weights_slates"}),
    "hybrid_solver-numbers": ("hybrid_solver", NUMBERS, {}),
    "hybrid_solver-random": (
        "hybrid_solver",
        MIXED,
        {"categorical_algorithm": "uniform_random", "numerical_algorithm": "uniform_random"},
    ),
    "hybrid_solver-constant": ("hybrid_solver", CONSTANT, {}),
    "uniform_random": ("uniform_random", MIXED, {}),
    "uniform_random-constant": ("uniform_random", CONSTANT, {}),
    "identity": ("identity", MIXED, {}),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def make(request):
    algorithm, parameters, arguments = request.param
    return lambda seed: create_tuning_instance(parameters, algorithm, {**arguments, "random_seed": seed})


class TestContract(AlgorithmConformance):
    pass


def test_no_shipped_algorithm_is_left_out():
    assert {algorithm for algorithm, _, _ in CASES.values()} == set(ALGORITHMS)


def test_without_a_seed_draws_are_fresh():
    def predictions():
        algorithm = create_tuning_instance(MIXED, "uniform_random", {"random_seed": None})
        return [algorithm.ask().prediction for _ in range(5)]

    assert predictions() != predictions()


def test_neither_python_nor_numpy_global_randomness_is_touched(make):
    before = random.getstate()
    algorithm = make(1)
    for _ in range(5):
        algorithm.tell(algorithm.ask().id, 0.5)
    assert random.getstate() == before
