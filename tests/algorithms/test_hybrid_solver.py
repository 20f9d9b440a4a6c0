import pytest

from narrowing import number
from oppertune.algorithms.hybrid_solver import HybridSolver
from oppertune.core.errors import InvalidArgument, StateMismatch, UnknownAlgorithm
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

PARAMETERS: list[ValueType] = [
    Integer("n", 100, 100, 900, 100),
    Categorical("c", "a", ("a", "b")),
    Real("x", 0.5, -1.0, 1.0),
]


def parts(algorithm):
    """The learner of the categories and that of the numbers, where there are both."""
    categories, numbers = algorithm.categorical_tuning_instance, algorithm.numerical_tuning_instance
    assert categories is not None
    assert numbers is not None
    return categories, numbers


def test_any_context_may_be_given():
    """Fault 9: with a context, set_reward raised."""
    algorithm = HybridSolver(PARAMETERS, random_seed=1)
    context = Context({"job": 1})
    algorithm.predict(context)
    algorithm.set_reward(0.5, context.id)
    assert algorithm.iteration == 1


def test_both_parts_learn_every_reward_and_keep_no_requests():
    algorithm = HybridSolver(PARAMETERS, random_seed=1)
    requests = [algorithm.ask() for _ in range(4)]
    categories, numbers = parts(algorithm)
    for part in (categories, numbers):
        assert part.get_tuning_requests() == []
    for request in reversed(requests):
        algorithm.tell(request.id, 0.5)
    assert categories.weights.t == 4
    assert numbers.iteration == 4


def test_the_two_points_of_a_pair_stay_within_one_context():
    algorithm = HybridSolver(PARAMETERS, numerical_algorithm_args={"feedback": 2}, random_seed=1)
    a, b = Context({"job": "a"}), Context({"job": "b"})
    plus, _, minus = algorithm.ask(a), algorithm.ask(b), algorithm.ask(a)
    assert (number(plus.prediction["x"]) + number(minus.prediction["x"])) / 2 == pytest.approx(0.5)


def test_an_abandoned_half_is_asked_again():
    algorithm = HybridSolver(PARAMETERS, numerical_algorithm_args={"feedback": 2}, random_seed=1)
    plus, minus = algorithm.ask(), algorithm.ask()
    algorithm.tell(plus.id, 0.5)
    algorithm.abandon(minus.id)
    again = algorithm.ask()
    assert (again.prediction["n"], again.prediction["x"]) == (minus.prediction["n"], minus.prediction["x"])


def test_a_random_seed_seeds_both_parts_apart_and_their_own_arguments_win():
    seeded = [HybridSolver(PARAMETERS, random_seed=5) for _ in range(2)]
    first, second = [a.ask().prediction for a in seeded]
    assert first == second
    categories, numbers = parts(seeded[0])
    assert categories._random_seed != numbers._random_seed
    own = HybridSolver(PARAMETERS, numerical_algorithm_args={"random_seed": 3}, random_seed=5)
    own_categories, own_numbers = parts(own)
    assert own_numbers._random_seed == 3
    assert own_categories._random_seed == categories._random_seed


def test_a_part_that_remembers_what_it_played_recommends_the_best_of_it():
    algorithm = HybridSolver(
        PARAMETERS, numerical_algorithm="uniform_random", categorical_algorithm="uniform_random", random_seed=1
    )
    rewards = {}
    for _ in range(20):
        request = algorithm.ask()
        reward = number(request.prediction["n"]) / 900 + number(request.prediction["x"]) / 10
        algorithm.tell(request.id, reward)
        rewards[reward] = request.prediction
    best = rewards[max(rewards)]
    recommended = algorithm.recommend()
    assert recommended["n"] == best["n"]
    assert recommended["x"] == pytest.approx(best["x"], abs=1e-15)


def test_it_learns_categories_and_numbers_together():
    algorithm = HybridSolver(
        PARAMETERS,
        categorical_algorithm="exponential_weights_slates",
        numerical_algorithm_args={"feedback": 2},
        random_seed=3,
    )
    for _ in range(800):
        request = algorithm.ask()
        n, c, x = request.prediction.values()
        algorithm.tell(
            request.id, (c == "b") * 0.1 + 0.5 - ((number(n) - 700) / 800) ** 2 / 4 - (number(x) + 0.5) ** 2 / 8
        )
    best = algorithm.recommend()
    assert best["c"] == "b"
    assert best["n"] in {600, 700, 800}
    assert best["x"] == pytest.approx(-0.5, abs=0.25)


def test_a_state_of_other_parts_is_refused_and_changes_nothing():
    state = HybridSolver(PARAMETERS).get_state()
    other = HybridSolver(PARAMETERS, categorical_algorithm="exponential_weights_slates", random_seed=1)
    other.ask(request_id="r")
    before = other.get_state()
    with pytest.raises(StateMismatch):
        other.set_state(state)
    assert other.get_state() == before


def test_mistakes_in_the_parts_are_named():
    with pytest.raises(UnknownAlgorithm, match="nonsense"):
        HybridSolver(PARAMETERS, numerical_algorithm="nonsense")
    with pytest.raises(InvalidArgument, match="speed"):
        HybridSolver(PARAMETERS, numerical_algorithm_args={"speed": 1})
