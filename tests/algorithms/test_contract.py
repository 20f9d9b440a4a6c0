"""Every shipped algorithm keeps to the contract, with every kind of parameter and argument that changes its course."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson
import pytest

from extras import skip_without_extra
from narrowing import number
from oppertune.algorithms.all import ALGORITHMS, create_tuning_instance
from oppertune.algorithms.hybrid_solver import RECOMMENDED
from oppertune.algorithms.testing import CONTEXTS, KINDS, AlgorithmConformance, assert_legal
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

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
MANY = tuple(Real(f"x{i}", 0.5, 0.0, 1.0) for i in range(61))
JOB = Integer("job", 1, 0, 3).to_dict()
DECAY = {"eta": 0.25, "delta": 0.5, "eta_decay_rate": 0.5}

Case: TypeAlias = tuple[str, Sequence[ValueType], dict[str, Any]]
"""An algorithm's name, its parameters, its arguments."""

CASES: dict[str, Case] = {
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
    "hybrid_solver-recommended": ("hybrid_solver", MIXED, dict(RECOMMENDED)),
    "slates": ("slates", MIXED, {}),
    "auto-many": ("auto", MANY, {}),
}
SLOW: dict[str, Case] = {
    "auto": ("auto", MIXED, {"features": ["job"]}),
    "bayesian_optimization": ("bayesian_optimization", MIXED[:2], {"optimizer_args": {"n_initial_points": 10}}),
    "ddpg": ("ddpg", MIXED, {"state_config": [JOB], "learn_loop_count": 2, "initial_random_steps": 4}),
    "hopt": ("hopt", MIXED, {}),
    "surrogate": ("surrogate", MIXED, {}),
}
CONTEXTUAL: dict[str, Case] = {
    "autoscope": ("autoscope", NUMBERS, {"features": [{"name": "job", "values": None}]}),
    "autoscope-mixed": ("autoscope", MIXED, {"features": [{"name": "job", "values": None}], "height": 2}),
}


NEEDED: dict[str, dict[str, Any]] = {
    "autoscope": {"features": [{"name": "job"}]},
    "ddpg": {"state_config": [JOB], "learn_loop_count": 2},
}
"""Arguments that an algorithm cannot do without, or would be slow."""


def making(case):
    algorithm, parameters, arguments = case
    skip_without_extra(algorithm)
    return lambda seed: create_tuning_instance(parameters, algorithm, {**arguments, "random_seed": seed})


class TestContract(AlgorithmConformance):
    @pytest.fixture(params=CASES.values(), ids=list(CASES))
    def make(self, request):
        return making(request.param)


class TestContractOfSlowLearners(AlgorithmConformance):
    steps = 12

    @pytest.fixture(params=SLOW.values(), ids=list(SLOW))
    def make(self, request):
        return making(request.param)


class TestContractOfContextualLearners(AlgorithmConformance):
    contexts = CONTEXTS[1:]  # without a context they have nothing to go by

    @pytest.fixture(params=CONTEXTUAL.values(), ids=list(CONTEXTUAL))
    def make(self, request):
        return making(request.param)


class TestTwentyThousandRounds:
    contexts, long_rounds = CONTEXTS, 20_000
    test_they_neither_drift_nor_grow = AlgorithmConformance.test_many_rounds_neither_let_it_drift_nor_grow

    @pytest.fixture(params=["bluefin-two-point", "exponential_weights", "exponential_weights_slates"])
    def make(self, request):
        return making(CASES[request.param])


def test_no_shipped_algorithm_is_left_out():
    assert {algorithm for algorithm, _, _ in [*CASES.values(), *SLOW.values(), *CONTEXTUAL.values()]} == set(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_one_parameter_of_any_kind_or_a_constant_is_enough(name):
    skip_without_extra(name)
    context, arguments = Context({"job": 1}), {**NEEDED.get(name, {}), "random_seed": 1}
    for parameter in (*KINDS, *CONSTANT):
        if not isinstance(parameter, ALGORITHMS[name].capabilities.supported_parameter_types):
            continue
        algorithm = create_tuning_instance([parameter], name, arguments)
        for reward in (0.5, -3.0, 0.5, 1e9):
            algorithm.tell(algorithm.ask(context).id, reward)
            assert_legal(algorithm, algorithm.recommend(context))
        open_one = algorithm.ask(context)
        assert_legal(algorithm, open_one.prediction)
        restored = create_tuning_instance([parameter], name, arguments)
        restored.set_state(orjson.loads(orjson.dumps(algorithm.get_state())))
        for one in (algorithm, restored):
            one.tell(open_one.id, 1.0)
        assert algorithm.ask(context).prediction == restored.ask(context).prediction


def test_without_a_seed_draws_are_fresh():
    def predictions():
        algorithm = create_tuning_instance(MIXED, "uniform_random", {"random_seed": None})
        return [algorithm.ask().prediction for _ in range(5)]

    assert predictions() != predictions()


# ---- learning at any scale -------------------------------------------------------------------------------------------

MODE = Categorical("mode", "a", ("a", "b", "c"))
LEVEL = Real("level", 0.1, 0.0, 1.0)
SPREAD = {"scale": "spread", "explore": 0.25}
LEARNERS: dict[str, tuple[ValueType, dict[str, Any], int]] = {
    "bluefin": (LEVEL, {"feedback": 2, "normalise": "spread", "eta": 0.05}, 200),
    "exponential_weights": (MODE, SPREAD, 200),
    "exponential_weights_slates": (MODE, SPREAD, 200),
    "slates": (MODE, {}, 200),
    "surrogate": (LEVEL, {}, 24),
    "hopt": (MODE, {}, 60),
}
SCALES = {
    "tiny": lambda f: 1e-9 * f,
    "huge": lambda f: 1e9 * f,
    "negative": lambda f: f - 1000.0,
    "hugely negative": lambda f: 1e9 * (f - 1.0),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_from_rewards_of_any_scale(name, scale):
    skip_without_extra(name)
    parameter, arguments, rounds = LEARNERS[name]
    algorithm = create_tuning_instance([parameter], name, {**arguments, "random_seed": 1})
    played: list[float] = []
    for _ in range(rounds):
        request = algorithm.ask()
        value = request.prediction[parameter.name]
        played.append(float(value == "c") if parameter is MODE else 1 - abs(number(value) - 0.8))
        algorithm.tell(request.id, scale(played[-1]))
    late = played[-rounds // 4 :]
    by_chance = 1 / 3 if parameter is MODE else 0.66
    assert sum(late) / len(late) > by_chance + 0.15
