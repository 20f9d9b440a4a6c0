import pytest

from narrowing import number, open_requests
from oppertune.algorithms.identity import Identity
from oppertune.algorithms.uniform_random import UniformRandom
from oppertune.core.errors import InvalidArgument
from oppertune.core.types import Context, PredictionType
from oppertune.core.values import Categorical, Integer, Real, ValueType

PARAMETERS: list[ValueType] = [
    Integer("n", 50, 0, 100, 10),
    Real("g", 0.5, 0.0, 1.0, 0.25),
    Real("x", 0.0, -1.0, 1.0),
    Categorical("c", "a", ("a", "b")),
]


def test_random_configurations_honour_the_step_and_reach_every_value():
    """Fault 27: an Integer 0..100 with step 10 gave 17."""
    algorithm = UniformRandom(PARAMETERS, random_seed=1)
    seen = [algorithm.ask().prediction for _ in range(500)]
    assert {s["n"] for s in seen} == set(range(0, 101, 10))
    assert {s["g"] for s in seen} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {s["c"] for s in seen} == {"a", "b"}
    assert min(number(s["x"]) for s in seen) < -0.9 < 0.9 < max(number(s["x"]) for s in seen)


def test_random_configurations_are_spread_over_a_logarithmic_scale():
    """Evenly in the logarithm: on the plain scale, one draw in a thousand would be in the lower half of the decades."""
    rows, rate = Integer("rows", 100, 1, 10**6, log=True), Real("rate", 0.1, 1e-6, 1.0, log=True)
    algorithm = UniformRandom((rows, rate), random_seed=1)
    seen = [algorithm.ask().prediction for _ in range(1000)]
    assert 450 < sum(number(s["rate"]) < 1e-3 for s in seen) < 550
    assert 450 < sum(number(s["rows"]) < 1000 for s in seen) < 600


def test_the_best_mean_reward_of_a_context_is_recommended_there():
    algorithm = UniformRandom(PARAMETERS, random_seed=1)
    a, b = Context({"job": "a"}), Context({"job": "b"})
    for context, sign in ((a, 1), (b, -1)):
        for _ in range(10):
            request = algorithm.ask(context)
            algorithm.tell(request.id, sign * number(request.prediction["x"]))
    assert number(algorithm.recommend(a)["x"]) > 0.5
    assert number(algorithm.recommend(b)["x"]) < -0.5
    assert algorithm.recommend()["x"] == 0.0


@pytest.mark.parametrize("cls", [Identity, UniformRandom])
def test_rewards_are_taken_in_any_form_even_without_a_prediction(cls):
    algorithm = cls(PARAMETERS)
    algorithm.set_reward(0.5)
    algorithm.set_reward()
    algorithm.predict()
    algorithm.set_reward()
    response = algorithm.predict()
    algorithm.store_reward(response.request_id, 0.5)
    algorithm.set_reward()
    assert algorithm.iteration == 4
    assert algorithm.get_tuning_requests() == []


@pytest.mark.parametrize("cls", [Identity, UniformRandom])
def test_predicting_without_ever_answering_forgets_the_oldest(cls):
    algorithm = cls(PARAMETERS)
    open_requests(algorithm).limit = 5
    ids = [algorithm.predict().request_id for _ in range(12)]
    assert [request.id for request in algorithm.get_tuning_requests()] == ids[-5:]


def test_identity_is_the_declared_configuration():
    algorithm = Identity(PARAMETERS)
    assert algorithm.ask().prediction == algorithm.recommend() == {"n": 50, "g": 0.5, "x": 0.0, "c": "a"}


def test_what_another_asked_for_can_be_told_to_those_who_can_take_it():
    algorithm = UniformRandom(PARAMETERS, random_seed=1)
    best: PredictionType = {"n": 10, "g": 0.25, "x": 0.125, "c": "b"}
    algorithm.observe(best, 1.0)
    assert algorithm.recommend() == best
    with pytest.raises(InvalidArgument):
        algorithm.observe({**best, "n": 17}, 1.0)
