"""What slates promise beyond the contract."""

import numpy as np
import orjson
import pytest

from narrowing import open_requests
from oppertune.algorithms.slates import Slates
from oppertune.core.errors import InvalidArgument
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real

MODE = Categorical("mode", "a", ("a", "b c|d:1", "e"))
RATIO = Real("ratio", 0.0, 0.0, 1.0)
BIG = Integer("big", 0, 0, 10**6)


def play(instance, rounds, reward, context=None):
    seen = []
    for _ in range(rounds):
        request = instance.ask(context)
        seen.append(reward(request.prediction))
        instance.tell(request.id, seen[-1])
    return seen


def test_it_learns_every_slot_from_one_reward():
    instance = Slates([MODE, RATIO, BIG], random_seed=1)
    play(instance, 400, lambda c: (c["mode"] == "e") - abs(c["ratio"] - 0.7) - abs(c["big"] / 1e6 - 0.3))
    best = instance.recommend()
    assert best["mode"] == "e"
    assert best["ratio"] == pytest.approx(0.7, abs=0.15)
    assert best["big"] == pytest.approx(3e5, abs=1.5e5)


def test_contexts_learn_their_own_and_names_with_blanks_and_bars_are_only_names():
    instance = Slates([MODE], random_seed=1)
    for _ in range(150):
        for kind, best in (("x |y", "b c|d:1"), ("z", "e")):
            play(instance, 1, lambda c, best=best: float(c["mode"] == best), Context({"kind": kind}))
    assert instance.recommend(Context({"kind": "x |y"}))["mode"] == "b c|d:1"
    assert instance.recommend(Context({"kind": "z"}))["mode"] == "e"


def test_what_exploring_finds_counts_more_than_what_is_played_all_the_time():
    instance = Slates([MODE], random_seed=1)
    greedy = instance.ask()
    metadata = {"actions": [0], "probabilities": [0.9]}
    request = next(iter(open_requests(instance)))
    steps = []
    for probability in (0.9, 0.05):
        other = Slates([MODE], random_seed=1)
        play(other, 2, lambda c: float(c["mode"] == "a"))
        before = other._values[0][0].copy()
        request.metadata = {**metadata, "probabilities": [probability]}
        other.learn(request.rewarded(5.0))
        steps.append(float(np.abs(other._values[0][0] - before).max()))
    assert steps[1] > 3 * steps[0] > 0
    assert greedy.prediction


def test_integers_have_a_bounded_number_of_levels_with_both_ends():
    played = {Slates([BIG], random_seed=seed, epsilon=1.0).ask().prediction["big"] for seed in range(400)}
    assert len(played) == 20
    assert {0, 10**6} <= played


def test_epsilon_is_the_share_of_uniform_draws_and_comes_from_the_originals_arguments_too():
    assert Slates([MODE]).epsilon == 0.1
    assert Slates([MODE], vw_args={"arg_str": "--slates --epsilon 0.3 --power_t 0", "quiet": True}).epsilon == 0.3
    always = Slates([MODE], epsilon=0.0, random_seed=1)
    play(always, 60, lambda c: float(c["mode"] == "a"))
    assert {always.ask().prediction["mode"] for _ in range(20)} == {always.recommend()["mode"]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_discretized_values": 1},
        {"epsilon": 1.5},
        {"vw_args": {"arg_str": "--slates --epsilon x"}},
        {"vw_args": {"arg_str": "--slates --cb_type dr"}},
        {"vw_args": {"workspace": 1}},
    ],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        Slates([RATIO], **arguments)


def test_one_absurd_reward_does_not_carry_the_values_away():
    instance = Slates([MODE], random_seed=1)
    reward = {"a": 0.1, "b c|d:1": 0.9, "e": 0.2}
    play(instance, 100, lambda c: reward[c["mode"]])
    instance.tell(instance.ask().id, -1e300)
    assert np.mean(play(instance, 150, lambda c: reward[c["mode"]])[-50:]) > 0.75


def test_the_state_is_bounded_however_many_contexts_come():
    instance = Slates([MODE, RATIO], random_seed=1)
    for i in range(1200):
        play(instance, 1, lambda c: c["ratio"], Context({"job": i}))
    assert len(instance._values) == 16
    assert len(orjson.dumps(instance.get_state())) < 60_000
