from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowing import category
from oppertune.algorithms.exponential_weights import MAX_ARMS, ExponentialWeights
from oppertune.algorithms.exponential_weights.exp3 import Exp3, Options
from oppertune.algorithms.exponential_weights.exp3_rows import Exp3Rows
from oppertune.algorithms.exponential_weights_slates import ExponentialWeightsSlates
from oppertune.core.errors import InvalidArgument
from oppertune.core.values import Categorical

FOUR = Categorical("c", "c", ("a", "b", "c", "d"))
BOTH = pytest.mark.parametrize("cls", [ExponentialWeights, ExponentialWeightsSlates])


def weights_of(algorithm):
    return [algorithm.weights] if isinstance(algorithm, ExponentialWeights) else list(algorithm.weights)


@BOTH
def test_the_arm_that_a_request_played_is_the_one_that_is_credited(cls):
    """Fault 16: after predict(A), predict(B), a reward for A went to the arm of B."""
    algorithm = cls([FOUR], random_seed=1)
    requests = [algorithm.ask() for _ in range(8)]
    first = requests[0]
    other = next(r for r in requests if r.prediction != first.prediction)
    algorithm.tell(first.id, 1.0)
    p = dict(zip(FOUR.categories, weights_of(algorithm)[0].p, strict=True))
    assert max(p, key=p.__getitem__) == first.prediction["c"]
    algorithm.tell(other.id, -1.0)
    p = dict(zip(FOUR.categories, weights_of(algorithm)[0].p, strict=True))
    assert min(p, key=p.__getitem__) == other.prediction["c"]


@BOTH
@pytest.mark.parametrize("seed", [0, 1])
def test_negative_rewards_stay_stable_for_thousands_of_rounds(cls, seed):
    """Fault 13: dividing by 1 - p + p' let the sum drift until a draw failed, after about 3,000 rounds."""
    algorithm = cls([FOUR], random_seed=seed)
    for _ in range(6000):
        request = algorithm.ask()
        algorithm.tell(request.id, -0.5 if request.prediction["c"] == "b" else -1.0)
    assert weights_of(algorithm)[0].p.sum() == pytest.approx(1)
    assert algorithm.recommend() == {"c": "b"}


@BOTH
def test_unscaled_rewards_neither_overflow_nor_kill_an_arm_for_ever(cls):
    """Fault 15: r = 1000 raised OverflowError; r = -1000 set an arm's weight to exactly 0."""
    algorithm = cls([FOUR], random_seed=1)
    first = algorithm.ask()
    algorithm.tell(first.id, 1000.0)
    dead = algorithm.ask()
    algorithm.tell(dead.id, -1000.0)
    p = weights_of(algorithm)[0].p
    assert np.isfinite(p).all()
    assert p.min() > 0
    for _ in range(4000):
        request = algorithm.ask()
        algorithm.tell(request.id, 1000.0 if request.prediction == dead.prediction else 0.0)
    assert algorithm.recommend() == dead.prediction, "it can come back"


@given(
    n_arms=st.integers(1, 6),
    rounds=st.lists(
        st.tuples(st.integers(0, 5), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=30
    ),
)
def test_weights_are_probabilities_whatever_finite_rewards_come(n_arms, rounds):
    exp3 = Exp3(n_arms)
    for arm, reward in rounds:
        exp3.learn(arm % n_arms, float(exp3.mixed()[arm % n_arms]), reward)
        assert exp3.p.sum() == pytest.approx(1)
        assert exp3.p.min() > 0
        assert exp3.mixed().sum() == pytest.approx(1)
        assert exp3.eta >= 0


def test_too_many_joint_arms_are_refused_and_the_alternative_named():
    """Fault 38: 20 parameters of 4 categories asked for 8 TiB."""
    parameters = [Categorical(f"c{i}", "a", ("a", "b", "c", "d")) for i in range(20)]
    with pytest.raises(InvalidArgument, match="exponential_weights_slates"):
        ExponentialWeights(parameters)
    assert ExponentialWeights(parameters[:8]).weights.p.shape == (MAX_ARMS,)
    assert len(ExponentialWeightsSlates(parameters).ask().prediction) == 20


def test_the_last_parameter_is_the_fastest_digit_of_a_joint_arm():
    algorithm = ExponentialWeights([Categorical("u", "0", ("0", "1")), Categorical("v", "0", ("0", "1", "2"))])
    assert [tuple(algorithm._combination(arm)[n] for n in "uv") for arm in (0, 1, 3, 5)] == [
        ("0", "0"),
        ("0", "1"),
        ("1", "0"),
        ("1", "2"),
    ]


@BOTH
def test_the_declared_category_is_recommended_until_another_is_better(cls):
    algorithm = cls([FOUR], random_seed=1)
    assert algorithm.recommend() == {"c": "c"}
    request = next(r for r in iter(algorithm.ask, None) if r.prediction["c"] == "a")
    algorithm.tell(request.id, 1.0)
    assert algorithm.recommend() == {"c": "a"}


def test_joint_weights_see_an_interaction_that_slates_cannot():
    parameters = [Categorical("u", "0", ("0", "1")), Categorical("v", "0", ("0", "1"))]
    algorithm = ExponentialWeights(parameters, random_seed=1)
    for _ in range(500):
        request = algorithm.ask()
        u, v = request.prediction["u"], request.prediction["v"]
        algorithm.tell(request.id, {"00": 0.5, "01": 0.0, "10": 0.0, "11": 1.0}[category(u) + category(v)])
    assert algorithm.recommend() == {"u": "1", "v": "1"}


def test_many_arms_draw_what_their_probabilities_say_and_credit_is_by_them():
    exp3, rng = Exp3(1000, Options(explore=0.1)), np.random.default_rng(1)
    played = []
    for _ in range(400):
        arm, probability = exp3.draw(rng)
        assert probability == pytest.approx(float(exp3.mixed()[arm]))
        exp3.learn(arm, probability, 0.01 if arm < 10 else -0.01)
        played.append(arm)
    expected = exp3.mixed()
    draws = np.bincount([exp3.draw(rng)[0] for _ in range(10_000)], minlength=1000) / 10_000
    assert exp3.best(500) == expected.argmax() < 10
    for arms in ([exp3.best(500)], list(set(played)), list(set(range(1000)) - set(played))):
        assert draws[arms].sum() == pytest.approx(expected[arms].sum(), abs=0.02)


def test_one_weight_for_all_unplayed_arms_is_the_same_as_one_each():
    exp3, dense, rng = Exp3(300, Options(share=0.01)), np.full(300, 1 / 300), np.random.default_rng(1)
    for _ in range(500):
        arm, probability = exp3.draw(rng)
        reward = float(rng.random()) - 0.5
        dense[arm] *= np.exp(exp3.eta * reward / probability)
        exp3.learn(arm, probability, reward)
        dense /= dense.sum()
        dense = 0.99 * dense + 0.01 / 300
    assert exp3.p == pytest.approx(dense)


def test_the_state_of_many_arms_grows_with_those_played_and_up_to_a_bound(monkeypatch):
    """The baseline's 3^10 arms; written out they are a megabyte."""
    parameters = [Categorical(f"c{i}", "a", ("a", "b", "c")) for i in range(10)]
    algorithm = ExponentialWeights(parameters, random_seed=1)
    for _ in range(200):
        algorithm.tell(algorithm.ask().id, 0.5)
    assert len(str(algorithm.weights.get_state())) < 10_000
    monkeypatch.setattr("oppertune.algorithms.exponential_weights.exp3._OWN_WEIGHTS", 50)
    exp3, rng = Exp3(59_049), np.random.default_rng(1)
    best, probability = exp3.draw(rng)
    for reward in (1.0, 1.0, *rng.random(300)):
        exp3.learn(best, probability, reward) if reward == 1 else exp3.learn(*exp3.draw(rng), float(reward) / 1e3)
    arms: Any = exp3.get_state()["arms"]
    assert len(arms) == 50
    assert exp3.p.sum() == pytest.approx(1)
    assert exp3.best(0) == best, "what stands out is kept"


def test_learners_in_rows_do_what_each_would_do_by_itself():
    counts = (2, 7, 1, 4)
    rows, single = Exp3Rows(counts), [Exp3(k) for k in counts]
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(200):
        arms, probabilities = rows.draw(rng)
        expected = [learner.draw(same) for learner in single]
        assert arms == [arm for arm, _ in expected]
        reward = arms[1] / 7 - 0.4
        rows.learn(arms, probabilities, reward)
        for learner, (arm, probability) in zip(single, expected, strict=True):
            learner.learn(arm, probability, reward)
    for row, learner in zip(rows, single, strict=True):
        assert row.p == pytest.approx(learner.p, rel=1e-9)
        assert (row.t, row.min_reward, row.eta, row.delta) == (200, learner.min_reward, learner.eta, learner.delta)
