import numpy as np
import pytest

from narrowing import number
from oppertune.algorithms import bluefin
from oppertune.algorithms.bluefin import BlueFin
from oppertune.core.errors import InvalidArgument, StateMismatch
from oppertune.core.types import Context
from oppertune.core.values import Integer, Real

REALS = [Real("x", 0.5, 0.0, 1.0), Real("y", 0.5, 0.0, 1.0)]
A, B = Context({"job": "a"}), Context({"job": "b"})


def point(request):
    return np.array(list(request.prediction.values()))


def two_point(**arguments):
    return BlueFin(REALS, **{"feedback": 2, "random_seed": 1, "optimizer": "sgd", "eta": 0.001, **arguments})


def centre_between(plus, minus):
    return (point(plus) + point(minus)) / 2


def test_the_second_ask_of_a_scope_is_the_other_half_of_the_first():
    algorithm = two_point()
    plus, minus = algorithm.ask(), algorithm.ask()
    assert centre_between(plus, minus) == pytest.approx([0.5, 0.5])
    assert np.linalg.norm(point(plus) - point(minus)) == pytest.approx(2 * algorithm.delta)


@pytest.mark.parametrize("log", [True, False])
def test_a_small_optimum_of_a_wide_range_is_found_on_a_logarithmic_scale_alone(log):
    algorithm = BlueFin([Integer("rows", 100_000, 1, 10**6, log=log)], feedback=2, eta=0.05, random_seed=1)
    for _ in range(200):
        request = algorithm.ask()
        algorithm.tell(request.id, -abs(np.log10(number(request.prediction["rows"]) / 100)))
    assert (30 <= number(algorithm.recommend()["rows"]) <= 300) == log


def test_a_pair_stays_within_one_scope():
    algorithm = two_point()
    plus_a, plus_b = algorithm.ask(A), algorithm.ask(B)
    minus_b, minus_a = algorithm.ask(B), algorithm.ask(A)
    assert centre_between(plus_a, minus_a) == pytest.approx([0.5, 0.5])
    assert centre_between(plus_b, minus_b) == pytest.approx([0.5, 0.5])
    assert np.abs(point(plus_a) - point(plus_b)).max() > 1e-3, "each scope has a direction of its own"


def test_when_both_halves_are_open_a_new_pair_starts_about_the_same_centre():
    algorithm = two_point()
    requests = [algorithm.ask() for _ in range(6)]
    pairs = list(zip(requests[::2], requests[1::2], strict=True))
    assert all(centre_between(*pair) == pytest.approx([0.5, 0.5]) for pair in pairs)
    assert len({tuple(point(plus)) for plus, _ in pairs}) == 3


def test_both_halves_are_played_about_one_centre_even_if_it_moved_between():
    algorithm = two_point()
    plus = algorithm.ask(A)
    for reward in (1.0, 0.0):
        algorithm.tell(algorithm.ask(B).id, reward)
    assert algorithm.iteration == 1
    minus = algorithm.ask(A)
    assert centre_between(plus, minus) == pytest.approx([0.5, 0.5], abs=1e-15)
    assert np.abs(algorithm.centre - 0.5).max() > 1e-4


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_pair_is_learned_when_both_halves_are_told_in_either_order(order):
    algorithm, pair = two_point(), []
    pair = [algorithm.ask(), algorithm.ask()]
    towards = point(pair[0]) - point(pair[1])
    rewards = [1.0, 0.2]
    algorithm.tell(pair[order[0]].id, rewards[order[0]])
    assert algorithm.iteration == 0
    assert algorithm.centre.tolist() == [0.5, 0.5]
    algorithm.tell(pair[order[1]].id, rewards[order[1]])
    assert algorithm.iteration == 1
    # g = n (r+ - r-) / max(|r+|, |r-|) u / (2 delta), and a step of eta g
    assert algorithm.centre - 0.5 == pytest.approx(0.001 * 2 * 0.8 / 0.2 * towards / 0.2)


def test_a_half_that_was_abandoned_is_asked_again_before_anything_new():
    algorithm = two_point()
    plus, minus, _ = algorithm.ask(), algorithm.ask(), algorithm.ask()
    algorithm.tell(plus.id, 0.5)
    algorithm.abandon(minus.id)
    again = algorithm.ask()
    assert again.prediction == minus.prediction
    algorithm.tell(again.id, 0.1)
    assert algorithm.iteration == 1


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("feedback", [1, 2])
def test_directions_abandoned_altogether_are_the_next_asked_for_in_any_scope_in_order_of_drawing(feedback, order):
    algorithm, undisturbed = two_point(feedback=feedback), two_point(feedback=feedback)
    for request in [algorithm.ask(A) for _ in range(3 * feedback)][::order]:
        algorithm.abandon(request.id)
    for _ in range(12):
        request, expected = algorithm.ask(B), undisturbed.ask(B)
        assert request.prediction == expected.prediction
        reward = float(point(request).sum())
        algorithm.tell(request.id, reward)
        undisturbed.tell(expected.id, reward)


def test_one_point_requests_each_learn_from_their_own_direction():
    """Fault 17 of the original: a second ask, then the first answer, was multiplied with the wrong direction."""
    algorithm = BlueFin(REALS, feedback=1, random_seed=1, optimizer="sgd", eta=0.001)
    first, second = algorithm.ask(), algorithm.ask()
    algorithm.tell(first.id, 1.0)
    # g = n r u / delta
    assert algorithm.centre - 0.5 == pytest.approx(0.001 * 2 / 0.1 * (point(first) - 0.5) / 0.1)
    algorithm.tell(second.id, 0.0)


def test_delta_shrinks_with_the_square_root_of_eta_and_every_play_stays_inside():
    """Fault 18: delta was replaced by sqrt(eta), whatever delta was asked for."""
    algorithm = BlueFin(
        [Real("x", 0.0, -5.0, 5.0), Integer("n", 0, 0, 10)], eta=0.5, delta=0.1, eta_decay_rate=0.2, random_seed=3
    )
    for k in range(200):
        assert algorithm.eta == pytest.approx(0.5 / (1 + 0.2 * k))
        assert algorithm.delta == pytest.approx(0.1 * np.sqrt(algorithm.eta / 0.5))
        request = algorithm.ask()
        assert all(p.contains(request.prediction[p.name]) for p in algorithm.parameters)
        algorithm.tell(request.id, -abs(number(request.prediction["x"])))


def test_optimizer_args_without_eta_use_eta_and_with_one_use_theirs():
    """Fault 30: rmsprop fell back to 0.01, and sgd could not be built."""
    assert BlueFin(REALS, eta=0.2, optimizer_args={"alpha": 0.9}).eta == 0.2
    assert BlueFin(REALS, eta=0.2, optimizer="sgd", optimizer_args={}).eta == 0.2
    assert BlueFin(REALS, eta=0.2, optimizer_args={"eta": 0.3}).eta == 0.3


@pytest.mark.parametrize(
    "arguments",
    [
        {"eta": 0},
        {"eta": float("nan")},
        {"eta": "0.1"},
        {"delta": 0},
        {"delta": 0.51},
        {"delta": None},
        {"eta_decay_rate": -0.1},
        {"eta_decay_rate": float("inf")},
        {"feedback": 3},
        {"feedback": True},
        {"feedback": [2]},
        {"optimizer": "adam"},
        {"optimizer": ["sgd"]},
        {"optimizer_args": {"alpha": 1.0}},
        {"optimizer_args": {"beta": 0.5}},
        {"random_seed": -1},
        {"random_seed": 0.5},
    ],
)
def test_arguments_outside_their_range_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        BlueFin(REALS, **arguments)


@pytest.mark.parametrize("feedback", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_rewards_of_any_size_never_make_the_centre_anything_but_a_point_of_the_box(feedback, optimizer):
    algorithm = BlueFin(REALS, feedback=feedback, optimizer=optimizer, delta=1e-6, random_seed=1)
    for reward in (1e308, -1e308, 1e308, 5e-324, 0.0, -5e-324, -1e308, -1e308, 1.0, 2.0):
        algorithm.tell(algorithm.ask().id, reward)
        assert np.isfinite(algorithm.centre).all()
        assert (algorithm.centre >= algorithm.delta).all()
        assert (algorithm.centre <= 1 - algorithm.delta).all()


def test_it_finds_the_optimum_of_a_bowl():
    algorithm = BlueFin(REALS, feedback=2, random_seed=2, eta=0.01, delta=0.1)
    for _ in range(600):
        request = algorithm.ask()
        algorithm.tell(request.id, 1 - float(((point(request) - [0.7, 0.2]) ** 2).sum()))
    assert np.array(list(algorithm.recommend().values())) == pytest.approx([0.7, 0.2], abs=0.1)


def test_half_told_pairs_of_scopes_that_never_return_are_bounded(monkeypatch):
    monkeypatch.setattr(bluefin, "_MOST_WAITING_SCOPES", 10)
    algorithm = two_point()
    for i in range(50):
        algorithm.tell(algorithm.ask(Context({"job": i})).id, 0.5)
    assert len(algorithm._probes) == len(algorithm._waiting) == 10
    minus = algorithm.ask(Context({"job": 49}))
    algorithm.tell(minus.id, 0.1)
    assert algorithm.iteration == 1, "the newest are kept"


def test_nothing_accumulates_in_the_state():
    algorithm = two_point()
    sizes = []
    for i in range(300):
        first, second = algorithm.ask(A), algorithm.ask(B)
        algorithm.tell(second.id, 0.5)
        if i % 3:
            algorithm.tell(first.id, 0.5)
        else:
            algorithm.abandon(first.id)
        sizes.append(len(str(algorithm.get_state())))
    assert max(sizes) < 1.5 * max(sizes[:30])


def test_a_state_of_another_feedback_or_optimizer_is_refused():
    algorithm = two_point()
    algorithm.ask()
    state = algorithm.get_state()
    for other in (two_point(feedback=1), two_point(optimizer="rmsprop")):
        before = other.get_state()
        with pytest.raises(StateMismatch):
            other.set_state(state)
        assert other.get_state() == before
    with pytest.raises(StateMismatch):
        algorithm.set_state(two_point(optimizer="rmsprop").get_state())
