"""Each option repairs the weakness of the original algorithm that it is for, and the default still has it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from narrowing import number
from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.bluefin import BlueFin
from oppertune.algorithms.exponential_weights import ExponentialWeights
from oppertune.algorithms.exponential_weights_slates import ExponentialWeightsSlates
from oppertune.algorithms.hybrid_solver import RECOMMENDED, HybridSolver
from oppertune.algorithms.shared.running_statistics import RunningStatistics
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.errors import InvalidArgument
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

REALS = [Real(f"x{i}", 0.3, 0.0, 1.0) for i in range(3)]
SWITCHES = [Integer(f"on{i}", 0, 0, 1) for i in range(5)]
LETTERS = [Categorical(f"c{i}", "a", ("a", "b", "c", "d")) for i in range(2)]
SPREAD = {"scale": "spread", "explore": 0.25}
BOTH = pytest.mark.parametrize("cls", [ExponentialWeights, ExponentialWeightsSlates])

CASES: dict[str, tuple[str, Sequence[ValueType], Mapping[str, Any]]] = {
    "one-point": ("bluefin", [*REALS, *SWITCHES], {"baseline": "mean", "min_levels": 0.5, "edges": True}),
    "two-point": (
        "bluefin",
        [*REALS, *SWITCHES],
        {"feedback": 2, "normalise": "spread", "min_levels": 1, "edges": True, "optimizer": "sgd"},
    ),
    "joint": ("exponential_weights", LETTERS, {**SPREAD, "share": 0.01}),
    "joint-many": (
        "exponential_weights",
        [*LETTERS, *(Categorical(f"d{i}", "1", tuple("1234")) for i in range(3))],
        SPREAD,
    ),
    "slates": ("exponential_weights_slates", [*LETTERS, Categorical("n", "1", ("1", "2"))], {**SPREAD, "share": 0.01}),
    "hold": (
        "hybrid_solver",
        [*LETTERS, *REALS],
        {"numerical_algorithm_args": {"feedback": 2}, "hold_categories": True},
    ),
    "recommended": ("hybrid_solver", [*LETTERS, *REALS, *SWITCHES], RECOMMENDED),
}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def make(request):
    algorithm, parameters, arguments = request.param
    return lambda seed: create_tuning_instance(parameters, algorithm, {**arguments, "random_seed": seed})


class TestOptionsKeepTheContract(AlgorithmConformance):
    pass


def point(request):
    return np.array(list(request.prediction.values()), dtype=float)


def play(algorithm, reward, rounds):
    """Rounds with a reward of the point played; returns the points."""
    points = []
    for t in range(rounds):
        request = algorithm.ask()
        points.append(point(request))
        algorithm.tell(request.id, reward(points[-1], t))
    return np.array(points)


def bowl(x, _):
    return 1 - float(((x - 0.6) ** 2).sum())


# ---- bluefin --------------------------------------------------------------------------------------------------------


def test_with_a_baseline_constant_rewards_move_nothing():
    """Fault 34: a constant reward of 0.5 moved the centre over the whole box."""
    centres = {
        baseline: [BlueFin(REALS, baseline=baseline, random_seed=seed) for seed in range(5)]
        for baseline in ("none", "mean")
    }
    for algorithm in [*centres["none"], *centres["mean"]]:
        play(algorithm, lambda *_: 0.5, 200)
    assert all(algorithm.centre.tolist() == pytest.approx([0.3] * 3) for algorithm in centres["mean"])
    assert np.std([algorithm.centre for algorithm in centres["none"]]) > 0.1


@pytest.mark.parametrize(
    "repaired",
    [{"baseline": "mean"}, {"feedback": 2, "normalise": "spread", "optimizer": "sgd"}],
    ids=["one-point", "two-point"],
)
def test_adding_a_number_to_all_rewards_changes_nothing(repaired):
    """Faults 34 and 35."""

    def last(offset, arguments):
        algorithm = BlueFin(REALS, random_seed=1, **arguments)
        return play(algorithm, lambda x, t: bowl(x, t) + offset, 200)[-1]

    assert last(10.0, repaired) == pytest.approx(last(0.0, repaired), abs=1e-6)
    as_defined = {k: v for k, v in repaired.items() if k not in {"baseline", "normalise"}}
    assert np.abs(last(10.0, as_defined) - last(0.0, as_defined)).max() > 0.02


def test_the_unit_of_the_rewards_does_not_matter_either():
    centres = []
    for unit in (1.0, 1000.0):
        algorithm = BlueFin(REALS, feedback=2, normalise="spread", optimizer="sgd", random_seed=1)
        play(algorithm, lambda x, t, unit=unit: unit * bowl(x, t), 100)
        centres.append(algorithm.centre)
    assert centres[0] == pytest.approx(centres[1])


def test_a_baseline_finds_the_optimum_that_one_point_feedback_does_not():
    def miss(**arguments):
        algorithms = [BlueFin(REALS, random_seed=seed, **arguments) for seed in range(5)]
        for algorithm in algorithms:
            play(algorithm, bowl, 500)
        return np.mean([np.abs(algorithm.centre - 0.6).max() for algorithm in algorithms])

    assert 2 * miss(baseline="mean") < 0.2 < miss()


def test_with_few_levels_the_two_halves_differ():
    """Fault 32: two levels, centre 0.1: all pairs were the identical configuration."""

    def identical(**arguments):
        algorithm = BlueFin(SWITCHES, feedback=2, delta=0.1, random_seed=1, **arguments)
        plays = [point(algorithm.ask()) for _ in range(400)]
        return np.mean([(a == b).all() for a, b in zip(plays[::2], plays[1::2], strict=True)])

    assert identical() == 1
    assert identical(min_levels=0.5) < 0.8


def test_switches_far_from_their_best_are_found():
    def found(**arguments):
        algorithms = [BlueFin(SWITCHES, feedback=2, random_seed=seed, **arguments) for seed in range(5)]
        return np.mean(
            [play(algorithm, lambda x, _: float(x.sum()), 300)[-50:].sum(axis=1) for algorithm in algorithms]
        )

    assert found() < 2.5
    assert found(min_levels=0.5) > 4


def test_coordinates_that_are_played_farther_away_have_their_gradient_divided_by_it(monkeypatch):
    algorithm = BlueFin([*REALS[:1], Integer("n", 5, 0, 10)], feedback=2, delta=0.02, min_levels=1, random_seed=1)
    plus, minus = algorithm.ask(), algorithm.ask()
    probe = next(iter(algorithm._probes.values()))
    u = probe["direction"]
    difference = {name: number(x) - number(minus.prediction[name]) for name, x in plus.prediction.items()}
    assert difference["x0"] == pytest.approx(2 * 0.02 * u[0])
    assert difference["n"] == round(2 * 0.1 * u[1] * 10)
    pair = next(iter(algorithm._probes))
    learned: list[Any] = []
    monkeypatch.setattr(algorithm, "_ascend", learned.append)
    algorithm.tell(plus.id, 1.0)
    algorithm.tell(minus.id, 0.5)
    assert pair not in algorithm._probes
    # g_i = n D u_i / (2 delta_i), D = (1 - 0.5) / 1
    assert learned[0] == pytest.approx(2 * 0.5 * u / (2 * np.array([0.02, 0.1])))


@pytest.mark.parametrize("arguments", [{"feedback": 2}, {"baseline": "mean"}], ids=["two-point", "one-point"])
def test_an_optimum_at_the_edge_is_reached(arguments):
    """Fault 33: the centre stayed delta away."""

    def centre(**more):
        algorithm = BlueFin(REALS, random_seed=1, **arguments, **more)
        points = play(algorithm, lambda x, _: -float(x.sum()), 400)
        assert points.min() >= 0
        return algorithm.centre.max()

    assert centre() >= 0.1
    assert centre(edges=True) < 0.02


def test_a_pair_measured_at_the_same_time_by_two_instances_does_not_see_the_load_change():
    centres = []
    for load in (0.0, 5.0):
        algorithm = BlueFin(REALS, feedback=2, normalise="spread", random_seed=1)
        for t in range(150):
            plus, minus = algorithm.ask(), algorithm.ask()  # both are open, and measured under the same load
            for request in (minus, plus):
                algorithm.tell(request.id, bowl(point(request), t) + load * np.sin(t / 5))
        centres.append(algorithm.centre)
    assert centres[0] == pytest.approx(centres[1])
    assert centres[0] == pytest.approx([0.6] * 3, abs=0.1)


# ---- exponential weights --------------------------------------------------------------------------------------------


@BOTH
def test_neither_level_nor_unit_of_the_rewards_changes_what_is_drawn(cls):
    """Fault 15: the scale used the smallest reward only, one round late."""

    def drawn(factor, offset, **arguments):
        algorithm = cls(LETTERS, random_seed=1, **arguments)
        found = []
        for _ in range(100):
            request = algorithm.ask()
            found.append(request.prediction)
            algorithm.tell(request.id, factor * (request.prediction["c0"] == "b") + offset)
        return found

    assert drawn(1, 0, **SPREAD) == drawn(1024, -64, **SPREAD)
    assert drawn(1, 0) != drawn(1024, -64)


def test_one_reward_makes_no_arm_certain():
    """Fault 14: with 64 arms, a first reward of 0.5 gave an arm a weight of 0.98."""

    def largest(**arguments):
        parameters = [Categorical(f"c{i}", "a", ("a", "b", "c", "d")) for i in range(3)]
        algorithm = ExponentialWeights(parameters, random_seed=1, **arguments)
        found = []
        for reward in (0.5, 0.4, 0.6):
            algorithm.tell(algorithm.ask().id, reward)
            found.append(algorithm.weights.p.max())
        return max(found)

    assert largest() > 0.9
    assert largest(scale="spread") < 0.05


@BOTH
def test_an_arm_that_becomes_the_best_is_found_again(cls):
    """Fault 36: nothing was forgotten, so a change was not followed."""

    def late(**arguments):
        algorithm = cls([LETTERS[0]], random_seed=1, **arguments)
        noise = 0.05 * np.random.default_rng(1).normal(size=1000)
        means, played = [0.3, 0.5, 0.4, 0.8], []
        for t in range(1000):
            request = algorithm.ask()
            played.append("abcd".index(request.prediction["c0"]))
            algorithm.tell(request.id, (means if t < 500 else means[::-1])[played[-1]] + noise[t])
        return played[-100:].count(0)

    assert late(**SPREAD, share=0.001) > 80
    assert late(**SPREAD) < 20
    assert late() < 20


@BOTH
def test_explore_is_a_factor_of_the_share_of_uniform_draws(cls):
    def deltas(explore):
        algorithm = cls([LETTERS[0]], random_seed=1, explore=explore)
        weights = algorithm.weights if cls is ExponentialWeights else algorithm.weights[0]
        for _ in range(99):
            algorithm.tell(algorithm.ask().id, 0.5)
        assert weights.mixed() == pytest.approx((1 - weights.delta) * weights.p + weights.delta / 4)
        return weights.delta

    assert deltas(1) == pytest.approx(0.2)
    assert deltas(0.25) == pytest.approx(0.05)
    assert deltas(0) == 0


# ---- what both are made of ------------------------------------------------------------------------------------------


def test_one_absurd_reward_carries_neither_mean_nor_spread_away():
    running = RunningStatistics(50)
    rng = np.random.default_rng(1)
    for x in rng.normal(3, 1, size=200):
        running.add(float(x))
    running.add(1e308)
    assert running.mean == pytest.approx(3, abs=0.5)
    assert running.spread == pytest.approx(0.8, abs=0.3)
    for x in rng.normal(300, 1, size=500):
        running.add(float(x))
    assert running.mean == pytest.approx(300, abs=1), "but a level that stays is followed"
    opposite = RunningStatistics(5)
    assert np.isfinite([opposite.add(1e308), opposite.add(-1e308), opposite.spread, opposite.mean]).all()


def test_numbers_that_are_all_equal_have_no_spread_and_no_deviation():
    running = RunningStatistics(50)
    assert [running.scaled(2.5) for _ in range(5)] == [0.0] * 5
    assert running.scaled(3.0) == 1.0


@pytest.mark.parametrize("algorithm", ["one-point", "two-point", "joint", "slates"])
def test_one_absurd_reward_stops_no_learning(algorithm):
    name, parameters, arguments = CASES[algorithm]
    tuner = create_tuning_instance(parameters, name, {**arguments, "random_seed": 2})
    state = []
    for t in range(60):
        request = tuner.ask()
        score = sum(x if isinstance(x, float | int) else x == "b" for x in request.prediction.values())
        tuner.tell(request.id, -1e300 if t == 20 else float(score))
        learner: Any = tuner.get_state()["learner"]
        state.append(str(learner.get("centre", learner.get("weights"))))
    assert len(set(state[30:])) > 10


# ---- hybrid ---------------------------------------------------------------------------------------------------------


def categories(request):
    return [request.prediction[c.name] for c in LETTERS]


def hybrid(**arguments):
    return HybridSolver(
        [*LETTERS, *REALS], numerical_algorithm_args={"feedback": 2}, random_seed=1, hold_categories=True, **arguments
    )


def test_both_halves_of_a_pair_are_played_with_the_same_categories():
    """Fault 37."""
    algorithm = hybrid()
    a, b = Context({"job": "a"}), Context({"job": "b"})
    firsts = [algorithm.ask(context) for context in (a, b, a, b)[:2]]
    seconds = [algorithm.ask(context) for context in (a, b)]
    assert [categories(r) for r in firsts] == [categories(r) for r in seconds]
    pairs = [(categories(algorithm.ask()), categories(algorithm.ask())) for _ in range(10)]
    assert all(one == other for one, other in pairs)
    assert len({tuple(one) for one, _ in pairs}) > 3, "each pair has a draw of its own"
    drawn_each = HybridSolver([*LETTERS, *REALS], numerical_algorithm_args={"feedback": 2}, random_seed=1)
    pairs = [(categories(drawn_each.ask()), categories(drawn_each.ask())) for _ in range(10)]
    assert any(one != other for one, other in pairs)


def test_an_abandoned_half_is_asked_again_with_its_categories_and_an_abandoned_pair_is_not():
    algorithm = hybrid()
    plus, minus = algorithm.ask(), algorithm.ask()
    algorithm.tell(plus.id, 0.5)
    algorithm.abandon(minus.id)
    again = algorithm.ask()
    assert again.prediction == minus.prediction
    algorithm.tell(again.id, 0.1)
    assert algorithm.categorical_tuning_instance.weights.t == 2
    drawn = set()
    for _ in range(10):
        request = algorithm.ask()
        drawn.add(tuple(categories(request)))
        algorithm.abandon(request.id)
    assert len(drawn) > 3


def test_without_pairs_or_categories_to_hold_nothing_changes():
    cases: list[tuple[Sequence[ValueType], dict[str, Any] | None]]
    cases = [([*LETTERS, *REALS], {}), (REALS, {"feedback": 2}), (LETTERS, None)]
    for parameters, arguments in cases:
        solvers = [
            HybridSolver(parameters, numerical_algorithm_args=arguments, random_seed=1, hold_categories=hold)
            for hold in (True, False)
        ]
        assert len({str([solver.ask().prediction for _ in range(6)]) for solver in solvers}) == 1


def test_the_recommended_arguments_have_less_regret_than_the_documented_ones():
    def regret(arguments):
        total = 0.0
        for seed in range(3):
            algorithm = HybridSolver([*LETTERS, *REALS, *SWITCHES], random_seed=seed, **arguments)
            for _ in range(300):
                request = algorithm.ask()
                c0, c1, *x = request.prediction.values()
                reward = 0.25 * (c0 == "c") + 0.25 * (c1 == "d") + 0.5 - 0.1 * float(((np.array(x) - 0.9) ** 2).sum())
                algorithm.tell(request.id, reward)
                total += 1 - reward
        return total / 900

    readme = {"categorical_algorithm": "exponential_weights_slates", "numerical_algorithm_args": {"feedback": 2}}
    assert regret(RECOMMENDED) < 0.85 * regret(readme)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (BlueFin, {"baseline": "median"}),
        (BlueFin, {"baseline": ["mean"]}),
        (BlueFin, {"normalise": "range"}),
        (BlueFin, {"min_levels": -0.1}),
        (BlueFin, {"min_levels": 1.1}),
        (BlueFin, {"edges": 1}),
        (ExponentialWeights, {"scale": "max"}),
        (ExponentialWeights, {"explore": 1.5}),
        (ExponentialWeightsSlates, {"explore": -0.1}),
        (ExponentialWeightsSlates, {"share": 1.0}),
        (HybridSolver, {"hold_categories": "yes"}),
    ],
)
def test_options_outside_their_range_are_refused(cls, arguments):
    with pytest.raises(InvalidArgument, match=next(iter(arguments))):
        cls(REALS if cls is BlueFin else LETTERS, **arguments)
