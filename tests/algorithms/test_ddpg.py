# ruff: noqa: E402 - where the extra is missing, all of this is skipped before anything of it is imported

import random
import subprocess
import sys

import numpy as np
import orjson
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'oppertune-streams[torch]'")

from oppertune.algorithms.ddpg import DDPG
from oppertune.algorithms.ddpg.actor_critic import _PENALTY, ActorCritic
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.errors import InvalidArgument, InvalidArgumentType, InvalidParameter, StateMismatch
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

PARAMETERS = (
    Integer("pool", 20, 5, 100, 5),
    Categorical("mode", "b", ("a", "b", "c")),
    Categorical("only", "x", ("x",)),
    Real("ratio", 0.95, 0.1, 0.95),
    Real("grid", 0.3, 0.0, 1.0, 0.1),
    Integer("big", 0, -(2**53), 2**53),
    Real("rate", 0.1, 1e-6, 1.0, log=True),
)
JOB = Integer("job", 0, 0, 3)
X = [Real("x", 0.5, 0.0, 1.0)]


def ddpg(parameters=PARAMETERS, state_config=(JOB,), **arguments):
    quick = {"learn_loop_count": 3, "initial_random_steps": 5, "random_seed": 1}
    return DDPG(parameters, state_config, **{**quick, **arguments})


def tell(algorithm, rewards, context=None):
    for reward in rewards:
        algorithm.tell(algorithm.ask(context).id, reward)


def learned(algorithm):
    return orjson.dumps(algorithm.get_state()["learner"])


ARGUMENTS = {
    "mixed": {},
    "at-once-without-state": {"state_config": (), "initial_random_steps": 0, "scale_rewards": False},
    "small-buffer": {"buffer_size": 4, "gamma": 1.0, "epsilon": 0.5},
    "constant": {"parameters": PARAMETERS[2:3], "initial_random_steps": 0},
}


class TestConformance(AlgorithmConformance):
    contexts = (Context(), Context({"job": 1}), Context({"job": 2}))

    @pytest.fixture(params=ARGUMENTS.values(), ids=list(ARGUMENTS))
    def make(self, request):
        return lambda seed: ddpg(**{**request.param, "random_seed": seed})


# ---- the networks ----------------------------------------------------------------------------------------------------


def test_a_step_is_that_of_autograd_and_of_torchs_adamw():
    n_features, groups, gamma, lr, tau = 2, (1, 3, 1, 2), 0.7, 0.01, 0.1
    rng = np.random.default_rng(1)
    networks = ActorCritic(n_features, groups, 8, lr=lr, tau=tau, rng=rng)
    n_actions = sum(groups)
    table = rng.random((20, 2 * n_features + n_actions + 2))
    table[:, n_features + n_actions + 1] = gamma * (rng.random(20) < 0.5)
    batches = rng.integers(20, size=(5, 6))

    def leaves(layers):
        return [layer.clone().requires_grad_() for layer in layers]

    actor, critic = leaves(networks.actor.layers), leaves(networks.critic.layers)
    slow_actor, slow_critic = leaves(networks.actor.slow), leaves(networks.critic.slow)
    optimizers = [torch.optim.AdamW(theta, lr=lr, foreach=False) for theta in (actor, critic)]

    def f(theta, x):
        return torch.relu(x @ theta[0] + theta[1]) @ theta[2] + theta[3]

    def mu(theta, s):
        parts = f(theta, s).split(groups, 1)
        return torch.cat([p.sigmoid() if p.shape[1] == 1 else p.softmax(1) for p in parts], 1)

    def step(optimizer, theta, loss):
        for layer, gradient in zip(theta, torch.autograd.grad(loss, theta), strict=True):
            layer.grad = gradient
        optimizer.step()

    for rows in batches:
        s, a, r, d, s_next = torch.from_numpy(table[rows]).split((n_features, n_actions, 1, 1, n_features), 1)
        with torch.no_grad():
            y = r + d * f(slow_critic, torch.cat((s_next, mu(slow_actor, s_next)), 1))
        step(optimizers[1], critic, ((y - f(critic, torch.cat((s, a), 1))) ** 2).mean())
        charge = _PENALTY * f(actor, s).square().sum(1, keepdim=True) / 2
        step(optimizers[0], actor, -(f(critic, torch.cat((s, mu(actor, s)), 1)) - charge).mean())
        with torch.no_grad():
            for slow, fast in zip(slow_actor + slow_critic, actor + critic, strict=True):
                slow.copy_(tau * fast + (1 - tau) * slow)

    networks.learn(table, batches)
    found = (networks.actor.layers, networks.critic.layers, networks.actor.slow, networks.critic.slow)
    for mine, theirs in zip(found, (actor, critic, slow_actor, slow_critic), strict=True):
        for layer, expected in zip(mine, theirs, strict=True):
            assert torch.allclose(layer, expected, rtol=1e-9, atol=1e-12)


def test_an_actor_that_is_very_sure_still_has_an_action():
    networks = ActorCritic(1, (1, 2), 4, lr=0.01, tau=0.1, rng=np.random.default_rng(1))
    networks.actor.layers[3].copy_(torch.tensor([-1e4, 1e4, 1e4]))
    assert networks.act(np.zeros(1)) == pytest.approx([0, 0.5, 0.5])


def test_results_do_not_depend_on_the_number_of_threads():
    script = """
import torch
from oppertune.algorithms.ddpg import DDPG
from oppertune.core.values import Real

def outcome(threads):
    torch.set_num_threads(threads)
    algorithm = DDPG(
        [Real("x", 0.5, 0.0, 1.0), Real("y", 0.5, 0.0, 1.0)], [], hidden_width=128, batch_size=64, learn_loop_count=10,
        initial_random_steps=0, random_seed=1,
    )
    for reward in (0.1, 0.7, -0.3, 0.2):
        algorithm.tell(algorithm.ask(request_id="r").id, reward)
    return algorithm.get_state()

assert outcome(1) == outcome(4)
"""
    # In a process of its own: the call changes how MKL uses threads for good, whatever number is set again.
    subprocess.run([sys.executable, "-c", script], check=True)


# ---- seeds -----------------------------------------------------------------------------------------------------------


def test_the_seed_decides_everything_and_global_generators_nothing():
    before = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002 - to see it unused
    algorithms = [ddpg(random_seed=seed) for seed in (1, 1, 2)]
    assert learned(algorithms[0]) == learned(algorithms[1]) != learned(algorithms[2])
    for algorithm in algorithms:
        tell(algorithm, [0.1, 0.7, -0.3] * 4)
    assert learned(algorithms[0]) == learned(algorithms[1])
    after = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


# ---- states and actions ----------------------------------------------------------------------------------------------


def test_a_state_has_features_of_every_kind_as_values_or_dictionaries():
    features = [
        Integer("load", 15, 10, 20),
        Categorical("region", "us", ("eu", "us", "asia")).to_dict(),
        Real("share", 0.5, 0.0, 2.0).to_dict(),
        Integer("fixed", 3, 3, 3),
    ]
    algorithm = ddpg(X, features)
    tell(algorithm, [1.0])
    tell(algorithm, [1.0], Context({"load": 20, "region": "asia", "share": 1.5, "more": None}))
    tell(algorithm, [1.0], Context({"load": 10, "region": "eu", "share": 99}))
    declared, inside, outside = algorithm._table()[:, :5]
    assert declared == pytest.approx([0.5, 0, 1, 0, 0.25])
    assert inside == pytest.approx([1 - 0.5 / 11, 0, 0, 1, 0.75]), "scaled by the feature's own bounds"
    assert outside == pytest.approx([0.5 / 11, 1, 0, 0, 1]), "a number outside is taken as the bound"


@pytest.mark.parametrize("data", [{}, {"job": "1"}, {"job": None}, {"job": True}])
def test_a_state_that_is_not_as_declared_is_refused_and_changes_nothing(data):
    algorithm = ddpg(X, [JOB])
    request = algorithm.ask()
    before = orjson.dumps(algorithm.get_state())
    with pytest.raises(InvalidArgument, match="job"):
        algorithm.ask(Context(data))
    with pytest.raises(InvalidArgument, match="job"):
        algorithm.tell(request.id, 1.0, {"next_state": data})
    assert orjson.dumps(algorithm.get_state()) == before


def test_an_unknown_category_or_a_next_state_that_is_none_is_refused():
    algorithm = ddpg(X, [Categorical("region", "eu", ("eu", "us"))])
    for region in ("mars", 1, 7):
        with pytest.raises(InvalidArgument, match="region"):
            algorithm.ask(Context({"region": region}))
    with pytest.raises(InvalidArgumentType, match="dictionary"):
        algorithm.tell(algorithm.ask().id, 1.0, {"next_state": "eu"})


def test_what_is_learned_is_what_was_played():
    parameters = [Integer("n", 100, 100, 200, 10), Categorical("c", "b", ("a", "b")), Real("r", 5.0, 2.0, 6.0)]
    algorithm = ddpg(parameters, [], initial_random_steps=3, noise=0.3)
    played = [algorithm.ask() for _ in range(3)]
    for request in reversed(played):
        algorithm.tell(request.id, float(request.prediction["n"]))
    played = [*reversed(played), *(algorithm.ask() for _ in range(3))]
    for request in played[3:]:
        algorithm.tell(request.id, float(request.prediction["n"]))
    for request, action in zip(played, algorithm._table()[:, :4], strict=True):
        n, c, r = request.prediction.values()
        expected = [((n - 100) / 10 + 0.5) / 11, float(c == "a"), float(c == "b"), (r - 2) / 4]
        assert action == pytest.approx(expected, abs=1e-6)


def test_the_first_draws_are_uniform_over_integers_ends_included():
    algorithm = ddpg([Integer("n", 0, 0, 2)], [], initial_random_steps=10**6)
    counts = np.bincount([algorithm.ask().prediction["n"] for _ in range(600)])
    assert counts.min() > 150


def test_a_configuration_that_was_not_asked_for_is_learned():
    algorithm = ddpg(X, [JOB], initial_random_steps=1)
    algorithm.observe({"x": 0.25}, 2.0, Context({"job": 3}))
    assert algorithm._replay.rows[0] == pytest.approx([3.5 / 4, 0.25, 0, 3.5 / 4])
    assert algorithm.recommend() != {"x": 0.5}


# ---- rounds ----------------------------------------------------------------------------------------------------------


def test_the_actor_plays_after_exactly_the_stated_number_of_rewards():
    algorithm = ddpg(X, [], initial_random_steps=4, epsilon=0.0, noise=0.0)
    for _ in range(4):
        assert algorithm.recommend() == {"x": 0.5}, "no model yet"
        assert abs(algorithm.ask().prediction["x"] - 0.5) > 1e-3
        tell(algorithm, [1.0])
    assert algorithm.recommend() != {"x": 0.5}
    assert algorithm.ask().prediction == algorithm.recommend()


def test_a_sequence_ends_the_first_draws_by_its_rewards_not_its_length():
    algorithm = ddpg(X, [], initial_random_steps=2)
    ids = [algorithm.predict().request_id for _ in range(3)]
    algorithm.store_reward(ids[1], 1.0)
    algorithm.set_reward()
    assert algorithm.recommend() == {"x": 0.5}
    tell(algorithm, [1.0])
    assert algorithm.recommend() != {"x": 0.5}


def test_epsilon_decays_with_rewards_and_not_with_predictions():
    algorithm = ddpg(X, [], epsilon=0.4, epsilon_decay=0.5, epsilon_decay_frequency=3)
    tell(algorithm, [1.0] * 3)
    for _ in range(20):
        algorithm.ask()
    assert algorithm.epsilon == 0.2
    tell(algorithm, [1.0] * 2)
    assert algorithm.epsilon == 0.2
    tell(algorithm, [1.0])
    assert algorithm.epsilon == 0.1


def test_epsilon_is_the_share_of_uniform_draws_and_noise_the_spread_of_the_others():
    def spread(**arguments):
        algorithm = ddpg(X, [], initial_random_steps=1, **arguments)
        tell(algorithm, [1.0])
        mu = algorithm.recommend()["x"]
        return np.array([algorithm.ask().prediction["x"] - mu for _ in range(400)])

    assert spread(epsilon=0.0, noise=0.0).std() == 0
    assert spread(epsilon=0.0, noise=0.1).std() == pytest.approx(0.1, rel=0.15)
    assert np.mean(spread(epsilon=0.3, noise=0.0) != 0) == pytest.approx(0.3, abs=0.07)


# ---- sequences -------------------------------------------------------------------------------------------------------


def jobs(algorithm, columns):
    return (algorithm._replay.rows[:, columns] * 4 - 0.5).tolist()


def test_the_next_state_is_the_one_told_else_that_of_the_next_request_else_none():
    algorithm = ddpg(X, [JOB], gamma=0.9)
    ids = [algorithm.predict(Context({"job": job}, id="run")).request_id for job in (0, 1, 2, 3)]
    algorithm.store_reward(ids[0], 1.0)
    algorithm.store_reward(ids[1], 2.0, {"next_state": {"job": 0}})
    algorithm.store_reward(ids[3], 3.0)
    algorithm.set_reward(context_id="run")
    assert algorithm.iteration == 1
    assert algorithm._replay.rewards.tolist() == [1.0, 2.0, 3.0], "what has no reward is skipped"
    assert jobs(algorithm, [0, 3]) == [[0, 1], [1, 0], [3, 3]]
    assert algorithm._table()[:, 3] == pytest.approx([0.9, 0.9, 0.0]), "nothing follows the last one"
    request = algorithm.ask(Context({"job": 2}))
    algorithm.tell(request.id, 4.0, {"next_state": {"job": 1}})
    assert jobs(algorithm, [0, 3])[-1] == [2, 1]
    assert algorithm._table()[-1, 3] == 0.9


def test_a_later_prediction_does_not_take_over_a_stored_reward():
    algorithm = ddpg(X, [])
    algorithm.store_reward(algorithm.predict().request_id, 1.0)
    algorithm.predict()
    algorithm.set_reward()
    assert algorithm._replay.rewards.tolist() == [1.0]


@pytest.mark.parametrize(("gamma", "climbs"), [(0.0, False), (0.9, True)])
def test_gamma_makes_it_give_up_a_reward_now_for_a_larger_one_later(gamma, climbs):
    parameter = [Categorical("way", "stay", ("stay", "climb"))]
    place = Categorical("place", "start", ("start", "low", "high"))
    algorithm = ddpg(
        parameter, [place], gamma=gamma, tau=0.05, lr=0.01, learn_loop_count=20, initial_random_steps=30, epsilon=0.3
    )
    for _ in range(25):
        first = algorithm.predict(Context({"place": "start"}, id="run"))
        climbed = first.prediction["way"] == "climb"
        second = algorithm.predict(Context({"place": "high" if climbed else "low"}, id="run"))
        algorithm.store_reward(first.request_id, 0.0 if climbed else 1.0)
        algorithm.store_reward(second.request_id, 4.0 if climbed else 0.0)
        algorithm.set_reward(context_id="run")
    way = algorithm.recommend(Context({"place": "start"}))["way"]
    assert (way == "climb") is climbs


# ---- learning --------------------------------------------------------------------------------------------------------


def contextual(optimum, rounds, reward=lambda r: r, **arguments):
    parameters = [*X, Categorical("c", "a", ("a", "b", "c"))]
    algorithm = ddpg(parameters, [JOB], **{"lr": 0.003, "learn_loop_count": 60, **arguments})
    rewards = []
    for t in range(rounds):
        job = t % 2
        request = algorithm.ask(Context({"job": 3 * job}))
        x, c = request.prediction.values()
        rewards.append(-abs(x - optimum[job]) - 0.3 * (c != "ac"[job]))
        algorithm.tell(request.id, reward(rewards[-1]))
    recommended = [tuple(algorithm.recommend(Context({"job": 3 * job})).values()) for job in (0, 1)]
    return recommended, np.mean(rewards[-20:])


def test_it_computes_on_one_thread_and_leaves_the_process_as_it_was(monkeypatch):
    """On a machine whose cores are all taken, two threads took five to ten times as long."""
    threads = []

    def noted(method):
        def called(*args):
            threads.append((method.__name__, torch.get_num_threads()))
            return method(*args)

        return called

    for method in (ActorCritic.act, ActorCritic.learn):
        monkeypatch.setattr(ActorCritic, method.__name__, noted(method))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        tell(ddpg(initial_random_steps=0), (0.1, 0.2, 0.3))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {("act", 1), ("learn", 1)}


@pytest.mark.parametrize("seed", [1, 3])
def test_it_learns_the_configuration_of_each_state(seed):
    recommended, mean = contextual((0.2, 0.8), 60, random_seed=seed)
    assert [c for _, c in recommended] == ["a", "c"]
    assert [x for x, _ in recommended] == pytest.approx([0.2, 0.8], abs=0.15)
    assert mean > -0.25, "uniform draws have -0.54"


def test_the_scale_and_offset_of_rewards_make_no_difference():
    def outcome(reward, **arguments):
        return contextual((0.2, 0.8), 12, reward, learn_loop_count=30, **arguments)

    plain = outcome(lambda r: r)
    assert outcome(lambda r: 2.0**60 * r) == plain
    assert outcome(lambda r: 2.0**-60 * r) == plain
    shifted, _ = outcome(lambda r: 1e4 * r - 1e6)
    assert [x for x, _ in shifted] == pytest.approx([x for x, _ in plain[0]], abs=1e-3)
    assert outcome(lambda r: 2.0**60 * r, scale_rewards=False) != plain


def test_a_few_failures_do_not_end_learning():
    script = random.Random(6)
    _, mean = contextual((0.2, 0.8), 60, lambda r: -1e6 if script.random() < 0.05 else r, random_seed=6)
    assert mean > -0.25, "scaled by their standard deviation, all others look alike: -0.85"


def test_rewards_that_are_all_zero_are_learned():
    algorithm = ddpg(X, [])
    for _ in range(10):
        algorithm.store_reward(algorithm.predict().request_id, 0.0)
        algorithm.set_reward()
    assert algorithm.iteration == 10


@pytest.mark.parametrize("scale_rewards", [True, False])
def test_huge_rewards_leave_every_weight_finite(scale_rewards):
    algorithm = ddpg(X, [JOB], scale_rewards=scale_rewards, initial_random_steps=0, gamma=1.0)
    for reward in (1e308, -1e308, 1e308, 5e-324, 0.0, -1e-300):
        request = algorithm.ask()
        algorithm.tell(request.id, reward, {"next_state": {"job": 1}})
    for network in (algorithm._networks.actor, algorithm._networks.critic):
        assert torch.isfinite(network._numbers).all()


# ---- the state -------------------------------------------------------------------------------------------------------


def test_a_restored_learner_goes_on_to_the_bit_with_open_requests_and_moments():
    original, restored = ddpg(random_seed=1), ddpg(random_seed=2)
    tell(original, [0.3, 0.1, 0.9, -0.2, 0.5, 0.8], Context({"job": 2}))
    open_ = [original.ask(Context({"job": job})) for job in range(4)]
    restored.set_state(orjson.loads(orjson.dumps(original.get_state())))
    for algorithm in (original, restored):
        for request in reversed(open_):
            algorithm.tell(request.id, 0.5, {"next_state": {"job": 3}})
        tell(algorithm, [0.3, 0.6])
    assert original._networks.critic._steps > 0
    assert original.get_state() == restored.get_state()


def test_the_state_is_small_and_bounded():
    parameters: list[ValueType] = [Categorical(f"c{i}", "a", tuple("abcd")) for i in range(4)]
    parameters += [Integer(f"i{i}", 10, 0, 20) for i in range(3)]
    parameters += [Real(f"r{i}", 0.5, 0.0, 1.0) for i in range(3)]
    algorithm = DDPG(parameters, [JOB], learn_loop_count=0, random_seed=1)
    tell(algorithm, np.linspace(0, 1, 500).tolist())
    size = len(orjson.dumps(algorithm.get_state()))
    assert size < 112_000
    tell(algorithm, np.linspace(0, 1, 50).tolist())
    assert abs(len(orjson.dumps(algorithm.get_state())) - size) < 100
    assert algorithm._replay.rewards[:50].tolist() == np.linspace(0, 1, 50).tolist(), "the oldest make room"


@pytest.mark.parametrize(
    "other", [{"hidden_width": 8}, {"buffer_size": 3}, {"state_config": [JOB, Integer("k", 0, 0, 1)]}]
)
def test_the_state_of_another_shape_is_refused_and_changes_nothing(other):
    algorithm, source = ddpg(**other), ddpg()
    tell(source, [0.5] * 6)
    before = learned(algorithm)
    with pytest.raises(StateMismatch, match="learned with"):
        algorithm.set_state(source.get_state())
    assert learned(algorithm) == before


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": 1.1},
        {"epsilon_decay": -0.1},
        {"epsilon_decay_frequency": 0},
        {"hidden_width": 0},
        {"batch_size": 2.5},
        {"initial_random_steps": -1},
        {"gamma": 1.5},
        {"tau": 0.0},
        {"lr": 0.0},
        {"learn_loop_count": True},
        {"noise": -0.1},
        {"buffer_size": 0},
        {"scale_rewards": 1},
        {"state_config": "job"},
        {"state_config": JOB.to_dict()},
        {"state_config": None},
    ],
    ids=str,
)
def test_an_argument_outside_its_range_is_refused(wrong):
    with pytest.raises(InvalidArgument):
        ddpg(**wrong)


def test_features_must_be_parameters_of_different_names():
    with pytest.raises(InvalidParameter, match="job"):
        ddpg(X, [JOB, JOB])
    with pytest.raises(InvalidParameter, match="type"):
        ddpg(X, [{"name": "job"}])
