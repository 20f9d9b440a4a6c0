"""The learners on Optuna: what they promise beyond the contract, and the mechanisms it rests on."""

# ruff: noqa: E402 - where the extra is missing, all of this is skipped before anything of it is imported

import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'oppertune-streams[bayes]'")
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'oppertune-streams[bayes]'")

from oppertune.algorithms.bayesian_optimization import BayesianOptimization, _improve_on_the_best_mean, _PlugIn, _scaled
from oppertune.algorithms.hopt import HOpt
from oppertune.algorithms.hybrid_solver import HybridSolver
from oppertune.algorithms.shared.optuna_sampler import distributions, suggestion
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.errors import InvalidArgument, StateMismatch
from oppertune.core.values import Categorical, Integer, Real

MODE = Categorical("mode", "a", ("a", "b", "c"))
POOL = Integer("pool", 5, 1, 9, 2)
BIG = Integer("big", 0, -(2**53), 2**53)
RATIO = Real("ratio", 0.95, 0.1, 0.95)
GRID = Real("grid", 0.25, 0.25, 2.25, 0.5)
FIXED = Integer("fixed", 3, 3, 3)
MIXED = (RATIO, MODE, POOL, FIXED, GRID)


def few_initial(parameters, seed, n=3):
    return BayesianOptimization(parameters, {"n_initial_points": n}, random_seed=seed)


def play(learner, rounds, reward, delay=0):
    """The configurations played."""
    played, waiting = [], []
    for _ in range(rounds):
        request = learner.ask()
        played.append(request.prediction)
        waiting.append(request)
        if len(waiting) > delay:
            told = waiting.pop(0)
            learner.tell(told.id, reward(told.prediction))
    return played


def bowl(c):
    return -sum((x - 0.7) ** 2 for x in c.values())


class TestParzen(AlgorithmConformance):
    steps = 30  # the estimator is asked after 20 rewards

    @pytest.fixture
    def make(self):
        return lambda seed: HOpt(MIXED, random_seed=seed)


class TestAnnealing(AlgorithmConformance):
    long_rounds = 800

    @pytest.fixture
    def make(self):
        return lambda seed: HOpt(MIXED, "anneal", random_seed=seed)


class TestGaussianProcess(AlgorithmConformance):
    steps = 5

    @pytest.fixture
    def make(self):
        return lambda seed: few_initial(MIXED, seed)


LEARNERS = {
    "tpe": lambda parameters, seed=1: HOpt(parameters, random_seed=seed),
    "anneal": lambda parameters, seed=1: HOpt(parameters, "anneal", random_seed=seed),
    "rand": lambda parameters, seed=1: HOpt(parameters, "rand", random_seed=seed),
    "gp": lambda parameters, seed=1: few_initial(parameters, seed),
}


@pytest.fixture(params=LEARNERS)
def name(request):
    return request.param


def rounds_of(name):
    """Enough that the model is asked, and not just the random generator."""
    return 6 if name == "gp" else 26


# ---- faults of the original library ----------------------------------------------------------------------------------


def test_values_stay_with_their_parameters_whatever_the_order_of_the_names(name):  # fault 11
    parameters = [Real("z", 5, 0, 10), Real("a", 500, 100, 1000), Categorical("m", "x", ("x", "y"))]
    for c in play(LEARNERS[name](parameters), rounds_of(name), lambda c: -c["z"] - c["a"]):
        assert 0 <= c["z"] <= 10
        assert 100 <= c["a"] <= 1000
        assert c["m"] in ("x", "y")


def test_steps_are_counted_from_the_minimum_and_bounds_are_kept(name):  # fault 12
    odd, grid = {1, 3, 5, 7, 9}, {0.25, 0.75, 1.25, 1.75, 2.25}
    learner = LEARNERS[name]([POOL, GRID, BIG])
    seen = play(learner, rounds_of(name), lambda c: c["pool"] + c["grid"] + c["big"] / 2**53)
    assert {c["pool"] for c in seen} <= odd
    assert {c["grid"] for c in seen} <= grid
    assert all(-(2**53) <= c["big"] <= 2**53 for c in seen)


def test_all_parameters_may_be_constant(name):  # fault 8
    learner = LEARNERS[name]([FIXED])
    play(learner, 3, lambda _: 1.0)
    assert learner.recommend() == {"fixed": 3}


@pytest.mark.parametrize("learner", [HOpt(MIXED, random_seed=1), few_initial(MIXED, 1)], ids=["tpe", "gp"])
def test_the_state_and_with_it_the_time_of_an_ask_are_bounded(learner):
    rng, sizes = np.random.default_rng(1), []
    for _ in range(2):
        for _ in range(400):
            c = {"ratio": float(rng.uniform(0.1, 0.95)), "mode": "a", "pool": 1, "fixed": 3, "grid": 0.25}
            learner.observe(c, float(rng.normal()))
        sizes.append(len(orjson.dumps(learner.get_state())))
    assert sizes[1] < 1.02 * sizes[0] < 60_000
    assert len(learner._rewards) == learner._history


def test_nothing_of_numpy_comes_out(name):
    for c in play(LEARNERS[name](MIXED), rounds_of(name), lambda c: c["ratio"]):
        assert [type(x) for x in c.values()] == [float, str, int, int, float]


# ---- learning -------------------------------------------------------------------------------------------------------

PLANE = [Real("x", 0.1, 0.0, 1.0), Real("y", 0.1, 0.0, 1.0)]


@pytest.mark.parametrize("name", ["tpe", "anneal", "gp"])
def test_it_finds_the_top(name):
    rounds = 16 if name == "gp" else 80
    late = play(LEARNERS[name](PLANE), rounds, bowl)[-10:]
    assert np.median([bowl(c) for c in late]) > -0.03  # by chance -0.25


@pytest.mark.parametrize("name", ["tpe", "anneal", "gp"])
def test_an_integer_is_moved_by_single_steps_however_much_is_known(name):
    learner = LEARNERS[name]([Integer("n", 0, 0, 20)])
    seen = [c["n"] for c in play(learner, 16 if name == "gp" else 120, lambda c: -abs(c["n"] - 13))]
    assert 13 in seen[-10:]


def test_annealing_never_stands_still_between_the_levels():
    learner = HOpt([Integer("n", 0, 0, 3)], "anneal", random_seed=1)
    for _ in range(60):
        learner.observe({"n": 1}, 0.5)
    assert {c["n"] for c in play(learner, 60, lambda _: 0.0)} != {1}  # s is a 7th at most, and a step a third


def test_the_gaussian_process_recommends_by_its_mean_and_not_the_luckiest():
    learner, rng = few_initial(PLANE, 1), np.random.default_rng(1)
    played = play(learner, 14, lambda c: bowl(c) + 0.02 * rng.normal())
    learner.observe({"x": 0.05, "y": 0.05}, 0.03)
    learner.observe({"x": 0.06, "y": 0.04}, -0.9)
    assert bowl(learner.recommend()) > -0.05
    assert learner.recommend() in played


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_open_requests_count(name):
    """The same history and seed, but for what is open: the next ask keeps away from it, or at least differs."""
    learner = LEARNERS[name](PLANE)
    play(learner, rounds_of(name), bowl)
    state = learner.get_state()
    first = learner.ask()
    alone = learner.get_state()["learner"]["_rng"]
    second = learner.ask().prediction
    learner.set_state(state)
    gone = learner.ask()
    learner.abandon(gone.id)
    assert gone.prediction == first.prediction
    assert learner.get_state()["learner"]["_rng"] == alone
    assert learner.ask().prediction != second


def test_many_equal_open_requests_break_nothing():
    learner = few_initial([Categorical("only", "x", ("x", "y"))], 1)
    for request in [learner.ask() for _ in range(5)]:
        learner.tell(request.id, 0.5)
    requests = [learner.ask() for _ in range(6)]
    assert {r.prediction["only"] for r in requests} <= {"x", "y"}


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_what_was_learned_from_elsewhere_counts(name):
    learner = LEARNERS[name]([MODE])
    for _ in range(10):
        for mode, reward in (("a", 0.1), ("b", 1.0), ("c", 0.2)):
            learner.observe({"mode": mode}, reward)
    assert sum(learner.ask().prediction["mode"] == "b" for _ in range(6)) >= 4


def test_categories_by_a_parzen_estimator_and_numbers_by_another_learner():
    learner = HybridSolver(
        [MODE, *PLANE],
        categorical_algorithm="hopt",
        numerical_algorithm_args={"feedback": 2},
        random_seed=1,
        hold_categories=True,  # one ask of the categories has two rewards
    )
    seen = play(learner, 60, lambda c: float(c["mode"] == "b"))
    assert np.mean([c["mode"] == "b" for c in seen[-20:]]) > 0.5


@pytest.mark.parametrize(
    "rewards",
    [[1e300, -1e300, 0.5], [5.0] * 4, [0.0] * 3, [-1e9, -1e9 + 1], [1e-300, 0.0], [-1000.0, 0.7, 0.8, 0.9, 1.0]],
)
def test_rewards_are_brought_to_one_scale(rewards):
    scaled = _scaled(np.array(rewards))
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() < 1e6
    assert (np.diff(scaled[np.argsort(rewards)]) >= 0).all()


def test_a_cliff_leaves_the_difference_of_good_and_best():
    scaled = _scaled(np.array([-1000.0, 0.7, 0.8, 0.9, 1.0]))
    assert (scaled[4] - scaled[3]) / (scaled[4] - scaled[0]) > 0.05


# ---- arguments ------------------------------------------------------------------------------------------------------


def test_first_points_are_played_first_and_arguments_stay_the_callers():
    args: dict[str, Any] = {
        "points_to_evaluate": [{"mode": "c", "pool": 9}, {"pool": 1, "mode": "b", "fixed": 3}],
        "verbose": False,
    }
    learner = HOpt([MODE, FIXED, POOL], fmin_args=args)
    assert learner.iteration == 0
    assert [learner.ask().prediction for _ in range(2)] == [
        {"mode": "c", "fixed": 3, "pool": 9},
        {"mode": "b", "fixed": 3, "pool": 1},
    ]
    assert args["points_to_evaluate"][0] == {"mode": "c", "pool": 9}
    assert len(args) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"algo": "atpe"},
        {"algo": 1},
        {"fmin_args": {"max_evals": 3}},
        {"fmin_args": [1]},
        {"fmin_args": {"points_to_evaluate": [{"mode": "d"}]}},
        {"fmin_args": {"points_to_evaluate": [{}]}},
        {"fmin_args": {"points_to_evaluate": "b"}},
    ],
)
def test_impossible_arguments_of_hopt_are_refused(arguments):
    with pytest.raises(InvalidArgument, match=r"algo must be one of tpe, anneal, rand|fmin_args|points_to_evaluate"):
        HOpt([MODE], **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"dimensions": []},
        {"n_calls": 3},
        {"base_estimator": "RF"},
        {"acq_func": "gp_hedge"},
        {"n_initial_points": 0},
        {"n_initial_points": 1.5},
        [1],
    ],
)
def test_impossible_arguments_of_bayesian_optimization_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        BayesianOptimization([MODE], arguments)


def test_options_of_scikit_optimize_that_say_what_is_done_are_taken():
    args = {"n_random_starts": 4, "base_estimator": "GP", "acq_func": "EI", "initial_point_generator": "random"}
    assert BayesianOptimization([MODE], args).n_initial_points == 4
    assert BayesianOptimization([MODE]).n_initial_points == 10


def test_a_state_of_other_parameters_is_refused(name):
    learner = LEARNERS[name](PLANE)
    state = learner.get_state()
    state["learner"]["_points"]["shape"] = [0, 3]
    with pytest.raises(StateMismatch, match="another number of parameters"):
        learner.set_state(state)


# ---- what is the host's ---------------------------------------------------------------------------------------------


def test_the_hosts_own_studies_log_as_ever_and_we_do_not(caplog):
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.INFO):
            play(LEARNERS["tpe"]([MODE]), 22, lambda _: 0.0)
            play(LEARNERS["gp"]([MODE]), 6, lambda _: 0.0)
            assert caplog.records == []
            optuna.create_study()
            assert "A new study created" in caplog.text
    finally:
        optuna.logging.disable_propagation()
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def test_threads_at_once_leave_the_process_as_it_was():
    """Optuna sets torch's threads and this variable while it computes."""
    with warnings.catch_warnings():
        play(few_initial(PLANE, 0), 5, bowl)  # what Optuna imports when it is needed adds filters as it is imported
    torch.set_num_threads(2)
    before = torch.get_num_threads(), os.environ.get("OPENBLAS_NUM_THREADS"), np.geterr(), list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: play(few_initial(PLANE, seed), 5, bowl), range(4)))
    assert (
        torch.get_num_threads(),
        os.environ.get("OPENBLAS_NUM_THREADS"),
        np.geterr(),
        list(warnings.filters),
    ) == before


def test_what_a_sampler_divides_by_zero_is_no_warning():
    from optuna.samplers import RandomSampler

    class Divides(RandomSampler):
        def sample_independent(self, *args):
            assert np.isnan(np.zeros(1) / np.zeros(1))
            return super().sample_independent(*args)

    assert suggestion(Divides(1), distributions([MODE]), [])["mode"] in MODE.categories


def test_the_parts_of_optuna_that_are_not_public_are_there():
    """If this fails, Optuna has changed what ``_PlugIn`` overrides: see docs/decisions/0011-optuna.md."""
    seen = []

    class Looks(_PlugIn):
        def _optimize_acqf(self, acqf, best_params):
            before = acqf._threshold
            point = super()._optimize_acqf(acqf, best_params)
            seen.append((before, acqf._threshold))
            return point

    told = [({"x": x}, reward) for x, reward in ((0.1, 0.0), (0.5, 1.0), (0.52, -1.0), (0.9, 0.0))]
    assert 0 <= suggestion(Looks(1, explore=True), distributions([PLANE[0]]), told)["x"] <= 1
    (best_reward, best_mean), *_ = seen
    assert best_mean < best_reward


def test_the_private_names_of_optunas_process_mean_what_we_take_them_for():
    """All of them are in ``_improve_on_the_best_mean``: the points played, the process's mean there, and f*."""
    seen = []

    class Looks(_PlugIn):
        def _optimize_acqf(self, acqf, best_params):
            point = _improve_on_the_best_mean(acqf)
            mean, variance = acqf._gpr.posterior(acqf._gpr._X_train)
            seen.append((acqf._gpr._X_train.numpy(), mean.detach().numpy(), acqf._threshold, point))
            assert (variance >= 0).all()
            return point

    points = (0.1, 0.5, 0.52, 0.9)
    trials = [({"x": x}, reward) for x, reward in zip(points, (0.0, 1.0, -1.0, 0.0), strict=True)]
    suggested = suggestion(Looks(1, explore=False), distributions([PLANE[0]]), trials)
    ((played, mean, threshold, point),) = seen
    assert played[:, 0] == pytest.approx(points)
    assert threshold == pytest.approx(mean.max())
    assert point.tolist() == played[mean.argmax()].tolist()
    assert suggested["x"] == pytest.approx(float(point[0]))
