"""What the learners on Optuna promise beyond the contract."""

import logging

import numpy as np
import optuna
import orjson
import pytest
from optuna.samplers import GPSampler

from oppertune.algorithms.bayesian_optimization import BayesianOptimization
from oppertune.algorithms.hopt import HOpt
from oppertune.core.errors import InvalidArgument
from oppertune.core.values import Categorical, Integer, Real

# Neither in the order of the alphabet, nor of the same ranges: the original mixed them up.
PARAMETERS = (Real("z", 1.0, 0.0, 10.0), Integer("a", 100, 100, 1000, 100), Categorical("m", "x", ("x", "y")))


def play(instance, rounds, reward):
    seen = []
    for _ in range(rounds):
        request = instance.ask()
        seen.append(reward(request.prediction))
        instance.tell(request.id, seen[-1])
    return seen


def goodness(c):
    return -abs(c["z"] - 7) / 10 - abs(c["a"] - 800) / 900 - 0.3 * (c["m"] == "x")


@pytest.mark.parametrize("algo", ["tpe", "anneal"])
def test_it_learns_and_values_are_of_their_own_parameter(algo):
    instance = HOpt(PARAMETERS, algo, random_seed=1)
    seen = play(instance, 70, goodness)
    assert np.mean(seen[-20:]) > np.mean(seen[:20]) + 0.15
    assert instance.recommend()["m"] == "y"
    assert instance.iteration == 70


def test_random_draws_are_on_every_step_and_no_better_later():
    instance = HOpt(PARAMETERS, "rand", random_seed=1)
    played = [instance.ask().prediction for _ in range(200)]
    assert {c["a"] for c in played} == set(range(100, 1001, 100))


def test_bayesian_optimization_learns_and_recommends_the_likely_best():
    instance = BayesianOptimization(PARAMETERS, {"n_initial_points": 5}, random_seed=1)
    seen = play(instance, 16, goodness)
    assert max(seen[5:]) > -0.2
    assert goodness(instance.recommend()) > -0.25


def test_open_requests_count_and_are_forgotten_with_their_answer():
    instance = HOpt(PARAMETERS, random_seed=1)
    play(instance, 25, goodness)
    asked = [instance.ask() for _ in range(5)]
    assert len(instance._open) == len(instance._waiting(None)) == 5
    instance.abandon(asked[0].id)
    for request in asked[1:]:
        instance.tell(request.id, 0.0)
    assert not instance._open


def test_the_memory_is_bounded():
    instance = HOpt(PARAMETERS, "rand", random_seed=1)
    seen = play(instance, 250, goodness)
    assert instance._rewards.tolist() == seen[-100:]
    assert len(orjson.dumps(instance.get_state())) < 20_000


def test_a_host_that_uses_optuna_hears_nothing_of_ours_and_all_of_its_own(caplog):
    logger = logging.getLogger("optuna")
    logger.addHandler(caplog.handler)
    try:
        play(HOpt(PARAMETERS, random_seed=1), 22, goodness)
        assert not caplog.records
        optuna.create_study()
        assert "A new study created" in caplog.text
    finally:
        logger.removeHandler(caplog.handler)


def test_what_is_used_of_optunas_own_sampler_is_still_there():
    assert callable(GPSampler._optimize_acqf)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (HOpt, {"algo": "atpe"}),
        (HOpt, {"fmin_args": {"max_evals": 3}}),
        (BayesianOptimization, {"optimizer_args": {"dimensions": []}}),
        (BayesianOptimization, {"optimizer_args": {"n_initial_points": 0}}),
    ],
)
def test_arguments_that_mean_nothing_here_are_refused(cls, arguments):
    with pytest.raises(InvalidArgument):
        cls(PARAMETERS, **arguments)
