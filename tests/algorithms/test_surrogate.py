"""The surrogate learner and ``auto``: what they promise beyond the contract, and the mechanisms it rests on."""

import math
import random
from typing import Any
from unittest import mock

import numpy as np
import orjson
import pytest

from narrowing import number
from oppertune.algorithms.auto import Auto
from oppertune.algorithms.hybrid_solver import HybridSolver
from oppertune.algorithms.shared.mixed_space import MixedSpace
from oppertune.algorithms.surrogate import Surrogate
from oppertune.algorithms.surrogate.change_detection import ChangeDetector, Reward
from oppertune.algorithms.surrogate.gaussian_process import Data, Hyperparameters, Posterior, Solution, _inverse_root
from oppertune.algorithms.surrogate.history import History, worth_of
from oppertune.algorithms.surrogate.optimism import failure, optimism, repeats
from oppertune.algorithms.surrogate.points import Axes, Points
from oppertune.algorithms.testing import KINDS, some_reward, through_json
from oppertune.core.errors import InvalidArgument
from oppertune.core.types import Context, PredictionType
from oppertune.core.values import Categorical, Integer, Real, ValueType

POOL = Integer("pool", 2, 1, 9)
POLICY = Categorical("policy", "lru", ("lru", "lfu", "fifo"))
RATIO = Real("ratio", 0.2, 0.0, 1.0)
SYSTEM = (POOL, POLICY, RATIO)


def goodness(c):
    """Best at pool 7, lfu, ratio 1, where it is 1; the declared configuration has 0.2."""
    return 1 - abs(c["pool"] - 7) / 12 - 0.3 * (c["policy"] != "lfu") - 0.1 * (1 - c["ratio"]) * (c["policy"] == "lfu")


def play(learner, rounds, reward=goodness, noise=0.0, delay=0, context=None):
    """The rewards without noise, by round."""
    rng, seen, waiting = np.random.default_rng(5), [], []
    for _ in range(rounds):
        request = learner.ask(context)
        seen.append(reward(request.prediction))
        waiting.append((request.id, seen[-1] + noise * rng.normal()))
        if len(waiting) > delay:
            learner.tell(*waiting.pop(0))
    return seen


@pytest.mark.parametrize("learner", [Surrogate, Auto])
def test_the_declared_configuration_is_played_first(learner):
    assert learner(SYSTEM, random_seed=1).ask().prediction == {"pool": 2, "policy": "lru", "ratio": 0.2}


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_configuration_of_numbers_and_categories_with_one_at_the_edge(seed):
    learner = Surrogate(SYSTEM, random_seed=seed)
    seen = play(learner, 60)
    assert max(seen[:30]) > 0.95
    assert np.mean(seen[30:]) > 0.95
    best = learner.recommend()
    assert (best["pool"], best["policy"]) == (7, "lfu")
    assert number(best["ratio"]) > 0.9


def test_with_noise_it_recommends_the_likely_best_not_the_luckiest():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 80, noise=0.05)
    lucky: PredictionType = {"pool": 3, "policy": "fifo", "ratio": 0.5}
    learner.observe(lucky, 0.4)
    learner.observe(lucky, 1.3)
    for _ in range(3):
        learner.observe(lucky, 0.4)
    assert goodness(learner.recommend()) > 0.9


def test_open_requests_count_so_that_many_asks_differ():
    learner = Surrogate(SYSTEM, random_seed=1, units=10, exploration=3.0)
    play(learner, 5)
    asked = [tuple(learner.ask().prediction.values()) for _ in range(10)]
    assert len(set(asked)) >= 9


def test_asks_before_any_reward_are_not_all_near_the_declared_configuration():
    switches = [Categorical.switch(f"s{i}", val=False) for i in range(20)]
    learner = Surrogate(switches, random_seed=1)
    changed = [sum(x == "on" for x in learner.ask().prediction.values()) for _ in range(15)]
    assert changed[0] == 0
    assert max(changed[:3]) <= 3
    assert np.mean(changed[3:]) > 6


def test_with_answers_late_it_still_learns():
    assert np.mean(play(Surrogate(SYSTEM, random_seed=1), 80, delay=10)[40:]) > 0.9


def test_open_requests_beyond_the_units_make_it_less_curious():
    def spread(units):
        learner = Surrogate(SYSTEM, random_seed=1, units=units)
        play(learner, 12)
        return np.mean([goodness(learner.ask().prediction) for _ in range(12)])

    assert spread(1) > spread(12)


def test_a_world_that_changes_is_learned_anew():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 60)
    seen = play(learner, 60, lambda c: 1 - goodness(c))
    assert np.mean(seen[30:]) > 0.75  # of 0.8 at most, and 0 where it was
    assert learner.recommend()["policy"] != "lfu"


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_among_numbers_where_nothing_is_played_twice_a_change_is_found_too(noise):
    numbers = [Real(f"x{i}", 0.5, 0.0, 1.0) for i in range(6)]

    def hill(c, top):
        return 1 - sum((x - top) ** 2 for x in c.values())

    found = 0
    for seed in range(6):
        learner = Surrogate(numbers, random_seed=seed)
        assert np.median(play(learner, 100, lambda c: hill(c, 0.2), noise)[60:]) > 0.9
        seen = play(learner, 80, lambda c: hill(c, 0.8), noise)
        assert np.mean(seen[:2]) < 0
        found += bool(np.median(seen[40:]) > 0.9)
    assert found >= 5, "of 12 seeds, one stayed on a lower hill"


@pytest.mark.parametrize(
    "reward", [goodness, lambda c: -100.0 if c["pool"] > 7 else goodness(c)], ids=["hill", "cliff"]
)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_world_that_stands_still_is_not_forgotten(reward, noise, monkeypatch):
    forgotten = []
    monkeypatch.setattr(History, "forget", lambda _, context: forgotten.append(context))
    play(Surrogate(SYSTEM, random_seed=1), 300, reward, noise)
    assert not forgotten


def test_a_context_that_changes_costs_the_others_nothing():
    learner = Surrogate(SYSTEM, features=["job"], random_seed=1)
    jobs = [Context({"job": job}) for job in ("a", "b")]

    def both(rounds, of_a):
        rewards = (of_a, goodness)
        one_each = [zip(rewards, jobs, strict=True) for _ in range(rounds)]
        return np.array([[play(learner, 1, reward, context=job)[0] for reward, job in each] for each in one_each])

    both(60, goodness)
    seen = both(60, lambda c: 1 - goodness(c))
    assert seen[30:, 0].mean() > 0.7
    assert seen[:, 1].mean() > 0.9


def counted(drops, changes=None, context=()):
    """What is returned for rewards 0, 1, … that fall short by so many standard deviations."""
    changes = ChangeDetector() if changes is None else changes
    answers = [changes.add(context, Reward(np.array([0.5]), i), -z) for i, z in enumerate(drops)]
    return [[int(seen.reward) for seen in answer] for answer in answers]


@pytest.mark.parametrize("drops", [[0, 1e9, 0], [math.inf, 0, 0, math.inf], [1.5] * 9, [-9, 2.9, -9, 2.9, 2.9]])
def test_neither_an_outlier_nor_noise_is_a_change(drops):
    assert not any(counted(drops))


def test_three_large_drops_are_a_change_and_what_came_since_is_kept():
    assert counted([0, 0.5, 3, -8, 3, 5, 4]) == [[], [], [], [], [], [], [4, 5, 6]]


@pytest.mark.parametrize("drops", [[3, 3, 0, 3, 0, 0], [3, 0, 3, 3, 0, 3, 0, 0], [2.3, 2.8, 0.5, 3, 0, 3, 0, 0]])
def test_one_reward_as_expected_says_as_much_as_one_far_below(drops):
    assert not any(counted(drops * 5))


def test_alarms_are_counted_and_a_state_of_before_has_none():
    changes = ChangeDetector()
    counted([3, 3, 3, 0, 3, 3, 3], changes)
    assert changes.alarms == 2
    state = changes.get_state()
    restored = ChangeDetector()
    restored.set_state(state)
    assert restored.alarms == 2
    del state["alarms"]
    restored.set_state(state)
    assert restored.alarms == 0


def test_contexts_are_suspected_apart_and_a_state_remembers_of_what():
    changes = ChangeDetector()
    for _ in range(2):
        assert not any(counted([3], changes, ["a", 1.0]) + counted([3], changes, ["b", 1.0]))
    restored = ChangeDetector()
    restored.set_state(orjson.loads(orjson.dumps(changes.get_state())))
    assert counted([3], restored, ["a", 1.0]) == [[0, 0, 0]]
    assert counted([-9, 3], restored, ["b", 1.0]) == [[], []]
    assert restored.get_state()["sums"] == [2.0]


def test_however_many_contexts_are_suspected_the_state_stays_small():
    changes = ChangeDetector()
    for i in range(500):
        counted([1.5] * 8, changes, [str(i)])
    state: dict[str, Any] = changes.get_state()
    assert len(state["sums"]) == len(state["rewards"]) == 50
    assert not any(counted([3], changes, ["0"]))


def test_a_reward_stands_where_it_stood_among_the_others():
    history = History(1, 10)
    for i, reward in enumerate([-1000.0, 0.3, 0.7, 0.8, 0.9, 1.0]):
        history.add(np.array([i / 10]), [], reward)
    scaled = history.scaled()
    assert [scaled.of(reward, []) for reward in history.mean] == pytest.approx(scaled.z.tolist())
    assert scaled.of(-1e300, []) < scaled.z.min() < scaled.z.max() < scaled.of(1.5, [])


def test_among_rewards_that_are_all_equal_any_other_is_beyond_measure():
    history = History(1, 10)
    for x in (0.0, 0.5, 1.0):
        history.add(np.array([x]), [], 2.0)
    assert [history.scaled().of(reward, []) for reward in (1.9, 2.0, 2.1)] == [-math.inf, 0.0, math.inf]


def test_an_expensive_cliff_leaves_the_difference_of_good_and_best():
    history = History(1, 10)
    for x, reward in [(0.0, -1000.0), (0.2, 0.7), (0.4, 0.8), (0.6, 0.9), (0.8, 1.0)]:
        history.add(np.array([x]), [], reward)
    z = history.scaled().z
    assert z[4] - z[3] > 0.1
    assert abs(z.mean()) < 1e-12
    assert z.std() == pytest.approx(1.0)


@pytest.mark.parametrize("unit", [5e-324, 1e-300, 1e-12, 1e140])
@pytest.mark.parametrize("cliff", [-1.0, -1e9, -1e300])
def test_rewards_of_any_size_are_made_fit_for_the_model(unit, cliff):
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 40, reward=lambda c: cliff if c["pool"] < 5 else goodness(c) * unit)
    if unit > 1e-150 and cliff < -unit:
        assert number(learner.recommend()["pool"]) >= 5


@pytest.mark.parametrize("z", [0.0, 1e-300, 0.5, -3.0, 3.0])
def test_a_reward_within_three_deviations_is_worth_one(z):
    assert worth_of(z) == 1


def test_the_further_off_a_reward_is_the_less_it_is_worth():
    worth = [worth_of(-z) for z in (3.0, 4.0, 6.0, 12.0, 1e300, math.inf)]
    assert worth == sorted(worth, reverse=True)
    assert worth[2] == pytest.approx(0.25)
    assert worth[-1] == worth[-2] > 0
    assert [worth_of(z) for z in (6.0, math.inf)] == [worth[2], worth[-1]]


def test_rewards_that_are_worth_less_are_averaged_as_such():
    history = History(1, 10)
    point = np.array([0.5])
    for reward, worth in ((1.0, 1.0), (3.0, 1.0), (12.0, 0.5)):
        history.add(point, [], reward, worth)
    fade = 1 - 1 / 1000
    n = np.array([fade**2, fade, 0.5])
    assert history.n[0] == pytest.approx(n.sum())
    assert history.mean[0] == pytest.approx(n @ [1.0, 3.0, 12.0] / n.sum(), rel=1e-3)


def test_one_reward_far_off_moves_neither_what_is_recommended_nor_what_is_known_of_it():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 60, noise=0.02)
    best = learner.recommend()
    off = learner.ask()
    learner.tell(off.id, goodness(off.prediction) - 5.0)
    played = learner._history.find(learner._space.encode(learner._transformed(off.prediction)), [])
    assert played is not None
    assert learner._history.mean[played] > goodness(off.prediction) - 0.5, "it would be 2.5 lower after one such reward"
    assert goodness(learner.recommend()) >= goodness(best) - 0.05
    assert learner.alarms == 0


def test_a_first_repeat_that_falls_short_is_neither_suspected_nor_an_outlier():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 15)
    lucky: PredictionType = {"pool": 9, "policy": "fifo", "ratio": 0.9}
    learner.observe(lucky, 3.0)
    learner.observe(lucky, 0.3)
    found = learner._history.find(learner._space.encode(learner._transformed(lucky)), [])
    assert found is not None
    assert learner._history.mean[found] == pytest.approx(0.3, abs=0.3), (
        "the repeat is believed, what was hard to believe is not"
    )
    assert learner._changes.get_state()["sums"] == []


def test_a_full_history_joins_what_is_close_and_keeps_the_count():
    history = History(2, 3)
    for point in ([0.0, 0], [0.5, 0], [0.52, 0], [0.5, 1]):
        history.add(np.array(point), [], point[0])
    assert history.is_over_full
    numbers, categories = history.points.T
    apart = np.abs(np.subtract.outer(numbers, numbers))
    history.make_room(np.exp(-apart), np.equal.outer(categories, categories))
    assert history.points.tolist() == [[0.0, 0.0], [pytest.approx(0.51, abs=1e-3), 0.0], [0.5, 1.0]]
    assert history.n[1] == pytest.approx(2.0, abs=0.01)
    assert not history.is_over_full


def test_a_full_history_of_different_categories_forgets_the_worst_of_the_old():
    history = History(1, 4)
    for point, reward in enumerate([0.9, 0.1, 0.5, 0.6, 0.0]):
        history.add(np.array([float(point)]), [], reward)
    history.make_room(np.ones((5, 5)), np.eye(5, dtype=bool))
    assert history.points[:, 0].tolist() == [0.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("features", [(), ("load", "job")], ids=["alike", "by load and job"])
def test_a_state_restored_at_any_moment_goes_on_to_the_bit(features):
    """Though what follows from it is made anew then: a full memory, contexts of a new range, late answers included."""
    draw = random.Random(7)

    def made():
        return Surrogate(list(KINDS), random_seed=7, history=10, features=features)

    writer, pending = made(), []
    for i in range(90):
        context = Context({"load": draw.choice([1.0, 5.0, draw.random() * i]), "job": draw.choice("abc")})
        pending.append(writer.ask(context))
        reader = made()
        reader.set_state(through_json(writer.get_state()))
        answered = [pending.pop(draw.randrange(len(pending))) for _ in range(len(pending) - draw.randint(0, 3))]
        for request in answered:
            reward = some_reward(request.prediction) + draw.gauss(0, 0.05)
            for instance in (writer, reader):
                instance.tell(request.id, reward)
        assert reader.get_state() == writer.get_state(), f"round {i}"
        assert reader.recommend(context) == writer.recommend(context)


def test_a_state_with_more_than_there_is_room_for_is_read_and_made_to_fit():
    """Of a version that remembered more, or of a larger ``history``."""
    writer = Surrogate(list(KINDS), random_seed=7, history=40)
    for _ in range(60):
        request = writer.ask()
        writer.tell(request.id, some_reward(request.prediction))
    reader = Surrogate(list(KINDS), random_seed=7, history=10)
    reader.set_state(through_json(writer.get_state()))
    assert len(reader.observations()) > 20
    for _ in range(10):
        request = reader.ask()
        reader.tell(request.id, some_reward(request.prediction))
    assert len(reader.observations()) == 10


def test_the_state_stays_small_and_a_round_fast_enough_however_long_it_runs():
    learner = Surrogate([Real(f"x{i}", 0.5, 0, 1) for i in range(4)], random_seed=1, history=20)
    sizes = []
    for _ in range(3):
        play(learner, 40, lambda c: -sum((x - 0.3) ** 2 for x in c.values()), noise=0.01)
        sizes.append(len(orjson.dumps(learner.get_state())))
    assert len(learner._history) == 20
    assert max(sizes) < 8_000


def test_what_is_cheap_in_one_context_and_dear_in_another_hides_nothing():
    history, level = History(1, 20), {"cheap": 0.0, "dear": -1000.0}
    for i in range(5):
        for context, middle in level.items():
            history.add(np.array([i / 4]), [context], middle + i)
    z = history.scaled().z
    assert z[0::2] == pytest.approx(z[1::2])
    assert [history.scaled().of(level[c] + 3, [c]) for c in level] == pytest.approx([z[6], z[6]])


def test_in_each_context_the_declared_configuration_is_the_first():
    learner = Surrogate(SYSTEM, features=["traffic"], random_seed=1)
    declared = {p.name: p.val for p in SYSTEM}
    for traffic in ("low", "high", "none"):
        context = Context({"traffic": traffic})
        assert learner.ask(context).prediction == declared
        for i in range(12):
            request = learner.ask(context)
            learner.tell(request.id, float(i))


def test_a_request_that_is_open_in_another_context_is_not_late():
    def bold(open_in):
        learner = Surrogate(SYSTEM, features=["traffic"], random_seed=1)
        for i in range(30):
            request = learner.ask(Context({"traffic": i % 2}))
            learner.tell(request.id, float(i % 7))
        with mock.patch("oppertune.algorithms.surrogate.surrogate.optimism", wraps=optimism) as seen:
            for traffic in open_in:
                learner.ask(Context({"traffic": traffic}))
        return seen.call_args.args[-1]

    assert [bold(x) for x in ([0], [1, 0], [0, 0], [0, 1, 0, 0])] == [0, 0, 1, 2]


def test_contexts_that_differ_are_learned_apart_and_help_each_other():
    def reward_in(job):
        return lambda c: goodness(c) if job == "big" else goodness({**c, "pool": c["pool"] + 5})

    learner = Surrogate(SYSTEM, features=["job"], random_seed=2)
    big, small = Context({"job": "big"}), Context({"job": "small"})
    for _ in range(40):
        play(learner, 1, reward_in("big"), context=big)
        play(learner, 1, reward_in("small"), context=small)
    assert learner.recommend(big)["pool"] == 7
    assert learner.recommend(small)["pool"] == 2
    assert learner.recommend(small)["policy"] == "lfu"


def test_a_context_that_was_asked_for_and_given_up_confuses_nothing():
    learner = Surrogate(SYSTEM, features=["job"], random_seed=1)
    known, new = Context({"job": "known"}), Context({"job": "new"})
    play(learner, 12, context=known)
    waiting = learner.ask(new)
    learner.ask(known)
    learner.abandon(waiting.id)
    assert learner.ask(new).prediction
    assert learner.recommend(new)
    play(learner, 3, context=new)


def test_contexts_make_no_difference_without_features():
    first, second = Surrogate(SYSTEM, random_seed=1), Surrogate(SYSTEM, random_seed=1)
    for i in range(12):
        one, other = first.ask(), second.ask(Context({"job": i}))
        assert one.prediction == other.prediction
        first.tell(one.id, goodness(one.prediction))
        second.tell(other.id, goodness(other.prediction))


def test_auto_takes_the_surrogate_until_there_are_too_many_parameters():
    many = [Real(f"x{i}", 0.5, 0, 1) for i in range(61)]
    assert type(Auto(many[:60]).chosen) is Surrogate
    assert type(Auto(many).chosen) is HybridSolver
    assert type(Auto([*many[:60], Integer("one", 1, 1, 1)]).chosen) is Surrogate


@pytest.mark.parametrize("arguments", [{"exploration": -1}, {"units": 0}, {"history": 5}, {"features": "job"}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        Surrogate(SYSTEM, **arguments)


def test_no_two_features_or_contexts_confuse_a_state():
    state = Surrogate(SYSTEM, features=["job"], random_seed=1).get_state()
    with pytest.raises(ValueError, match=r"dimension|features"):
        Surrogate(SYSTEM, random_seed=1).set_state(state)


def test_where_all_is_equal_it_looks_everywhere():
    """As a needle of a 24th of the space needs: random search meets it by round 70 in 19 of 20 runs."""
    switches = [Categorical.switch(f"s{i}", val=False) for i in range(4)]
    parameters: list[ValueType] = [*switches, Categorical("c", "x", ("x", "y", "z")), Real("r", 0.5, 0, 1)]

    def met(seed):
        learner = Surrogate(parameters, random_seed=seed)
        for t in range(70):
            request = learner.ask()
            c = request.prediction
            if (c["s0"], c["s1"], c["s2"], c["c"]) == ("on", "off", "on", "z"):
                return t
            learner.tell(request.id, 0.0)
        return 70

    rounds = [met(seed) for seed in range(12)]
    assert sorted(rounds)[-2] < 70, f"met in {rounds}"


def test_a_needle_among_settings_that_do_little_alone_is_found_and_kept():
    """A 24th of the space, though neither of its settings shows the way; random search needs 70 rounds for 95 %."""
    parameters: list[ValueType] = [
        Categorical("journal", "a", ("a", "b", "c", "d")),
        Categorical.switch("fast", val=False),
        Categorical("rows", "4", ("1", "4", "16")),
        Integer("cache", 2, 1, 64),
        Real("share", 0.1, 0, 1),
    ]

    def is_needle(c):
        return c["journal"] == "d" and c["fast"] == "on" and c["rows"] == "1"

    def gain(c):
        return 1.8 if is_needle(c) else 0.1 * (c["journal"] == "d") + 0.1 * (c["fast"] == "on") + 0.05 * c["share"]

    found, kept = [], 0
    for seed in range(8):
        learner = Surrogate(parameters, random_seed=seed)
        seen = play(learner, 110, gain, noise=0.15)
        found.append(next((t for t, reward in enumerate(seen) if reward == 1.8), 110))
        kept += is_needle(learner.recommend())
    assert sorted(found)[-2] < 60, f"first played in {found}"
    assert kept >= 7


def curiosity(*, noise=0.0, rewards=10.0, known=10, in_vain=0.0, repeated=0.0, late=0):
    return optimism(noise, rewards, known, in_vain, repeated, late)


def test_noise_makes_it_curious_until_much_is_known():
    assert curiosity() == 1
    assert curiosity(noise=0.1) > 1.7
    assert curiosity(noise=9.0) < curiosity(noise=9.0, rewards=0.0) == 3
    assert curiosity(noise=9.0, rewards=300.0) < 1.02


def test_looks_in_vain_make_it_sober_but_never_blind():
    looks = [curiosity(in_vain=f) for f in (0, 1, 20, 80, 1e9)]
    assert looks == sorted(looks, reverse=True)
    assert looks[-1] == pytest.approx(0.1)
    assert failure(0.0) == 1 > failure(0.02) == 0.5 > failure(1.0) > 0


def test_repeats_make_it_restless_the_more_the_less_is_known():
    assert curiosity(repeated=20, known=10) == 2 > curiosity(repeated=10, known=100) > 1
    assert curiosity(repeated=0, late=5) < 1
    assert repeats(3.0, known=True) == 4
    assert repeats(4.0, known=False) == 2


def test_what_is_tried_counts_as_in_vain_unless_it_becomes_the_best():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 60)
    before = learner._in_vain
    learner.observe({"pool": 1, "policy": "fifo", "ratio": 0.01}, 0.0)
    after = learner._in_vain
    assert before < after <= before + 1
    learner.observe({"pool": 1, "policy": "fifo", "ratio": 0.01}, 0.0)
    assert learner._in_vain == after, "a repeat is no new look"
    learner.observe({"pool": 1, "policy": "fifo", "ratio": 0.99}, 3.0)
    assert learner._in_vain == 0


def test_a_state_of_before_it_counted_looks_is_read():
    learner = Surrogate(SYSTEM, random_seed=1)
    play(learner, 12)
    state: dict[str, Any] = orjson.loads(orjson.dumps(learner.get_state()))
    for name in ("_in_vain", "_steps_due"):
        del state["learner"][name]
    del state["learner"]["_changes"]["state"]["alarms"]
    restored = Surrogate(SYSTEM, random_seed=2)
    restored.set_state(state)
    assert restored.recommend() == learner.recommend()
    play(restored, 3)


# ---- the parts ------------------------------------------------------------------------------------------------------


def some_coordinates():
    rng = np.random.default_rng(1)
    points = rng.random((40, 3))
    points[:, 1] = rng.integers(0, 3, 40)
    return points


def points_of(coordinates):
    return Points.of(Axes.of(np.array([False, True, False]), np.array([0.0, 3.0, 0.0])), coordinates)


def some_data():
    coordinates = some_coordinates()
    z = np.sin(4 * coordinates[:, 0]) + coordinates[:, 1]
    n = np.random.default_rng(2).integers(1, 4, 40).astype(float)
    return Data(points_of(coordinates), (z - z.mean()) / z.std(), n, 7.0, 0.3)


def kernel_of(hyper, coordinates):
    """The kernel as the module's docstring has it, in double precision."""
    apart = np.abs(coordinates[:, None] - coordinates[None])
    apart[:, :, 1] = apart[:, :, 1] > 0
    w, share, s2 = np.exp(hyper.theta[:3]), 1 / (1 + math.exp(-hyper.theta[3])), math.exp(hyper.theta[4])
    r = np.sqrt(apart**2 @ w)
    smooth = (1 + math.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-math.sqrt(5) * r)
    return s2 * ((1 - share) * smooth + share * np.exp(-apart @ np.sqrt(w)))


def solution_of(hyper, data):
    return Solution.of(hyper.kernel(data.points, data.points), hyper.noise / data.n, data.z)


def log_posterior(hyper, data):
    """Logarithm of the posterior density of the hyperparameters, up to a constant, as the literature has it."""
    covariance = kernel_of(hyper, some_coordinates()) + np.diag(hyper.noise / data.n)
    deviation = (hyper.theta - hyper.prior) / hyper._spread
    fit = data.z @ np.linalg.solve(covariance, data.z) + np.linalg.slogdet(covariance)[1]
    return -0.5 * (fit + data.repeats * math.log(hyper.noise) + data.squares / hyper.noise + deviation @ deviation)


def test_the_gradient_of_the_posterior_is_its_derivative():
    hyper, data = Hyperparameters(3), some_data()
    hyper.theta = hyper.theta + np.linspace(-0.5, 0.5, 6)
    gradient, _ = hyper.gradient(data, data.points.apart())
    start, step = hyper.theta.copy(), 1e-6
    for i in range(6):
        values = []
        for sign in (1, -1):
            hyper.theta = start.copy()
            hyper.theta[i] += sign * step
            values.append(log_posterior(hyper, data))
        assert gradient[i] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-3, abs=1e-3)


def test_fitting_climbs_and_repeats_tell_the_noise():
    noisy, exact = Hyperparameters(3), Hyperparameters(3)
    data = some_data()
    before = log_posterior(noisy, data)
    noisy.fit(data._replace(repeats=100.0, squares=50.0), 40)
    exact.fit(data._replace(repeats=100.0, squares=0.0), 40)
    assert noisy.noise > 0.3
    assert exact.noise < 0.01
    plain = Hyperparameters(3)
    plain.fit(data, 40)
    assert log_posterior(plain, data) > before + 1


def test_what_is_fitted_leaves_the_solution_where_it_came_to():
    hyper, data = Hyperparameters(3), some_data()
    found, there = hyper.fit(data, 3), solution_of(hyper, data)
    assert found.kernel == pytest.approx(there.kernel, abs=1e-6)
    assert found.alpha == pytest.approx(there.alpha, rel=1e-4, abs=1e-4)


def test_the_posterior_meets_exact_rewards_and_doubts_what_is_far():
    hyper, data = Hyperparameters(3), some_data()
    hyper.theta[-1] = math.log(1e-9)
    posterior = Posterior(hyper, data.points, solution_of(hyper, data), data.z, data.n)
    mean, deviation = posterior.mean_and_deviation(data.points)
    assert mean == pytest.approx(data.z, abs=0.01)
    assert deviation.max() < 0.05
    far, doubt = posterior.mean_and_deviation(points_of(np.full((1, 3), 50.0)))
    assert (far[0], doubt[0]) == (pytest.approx(0.0, abs=1e-9), pytest.approx(1.0))


@pytest.mark.parametrize("noise", [1e-3, 0.05, 2.0])
def test_of_a_known_point_the_posterior_tells_without_a_kernel_what_it_tells_with_one(noise):
    hyper, data = Hyperparameters(3), some_data()
    hyper.theta[-1] = math.log(noise)
    posterior = Posterior(hyper, data.points, solution_of(hyper, data), data.z, data.n)
    mean, deviation = posterior.mean_and_deviation(data.points)
    for i in range(40):
        assert posterior.at(i) == pytest.approx((mean[i], deviation[i]), abs=1e-3)


def test_what_all_others_make_of_a_point_is_what_a_posterior_without_it_expects():
    hyper, data, coordinates = Hyperparameters(3), some_data(), some_coordinates()
    others = np.arange(40) != 7
    fewer = data._replace(points=points_of(coordinates[others]), z=data.z[others], n=data.n[others])
    left = Posterior(hyper, fewer.points, solution_of(hyper, fewer), fewer.z, fewer.n)
    mean, deviation = left.mean_and_deviation(points_of(coordinates[7:8]))
    found = Posterior(hyper, data.points, solution_of(hyper, data), data.z, data.n).without(7)
    assert found == pytest.approx((mean[0], deviation[0]), abs=1e-4)


def test_single_precision_and_matrix_products_change_a_kernel_hardly():
    hyper, points = Hyperparameters(3), points_of(some_coordinates())
    hyper.theta = hyper.theta + np.linspace(-0.5, 0.5, 6)
    assert hyper.kernel(points, points) == pytest.approx(kernel_of(hyper, some_coordinates()), abs=1e-6)


def test_a_category_that_was_never_seen_is_like_no_other():
    points = points_of(np.array([[0.5, 0.0, 0.5], [0.5, 3.0, 0.5]]))
    kernel = Hyperparameters(3).kernel(points, points)
    assert kernel[0, 0] == pytest.approx(1.0)
    assert kernel[1, 0] < 0.8


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 77, 150])
def test_the_inverse_root_of_a_covariance_is_its_inverse_root(size):
    a = np.random.default_rng(size).normal(size=(size, size))
    covariance = a @ a.T + 0.1 * np.eye(size)
    root = _inverse_root(covariance)
    assert root @ covariance @ root.T == pytest.approx(np.eye(size), abs=1e-7)
    assert np.triu(root, 1) == pytest.approx(np.zeros((size, size)), abs=1e-12)


def test_neighbours_differ_in_one_to_three_parameters_and_reach_the_edges():
    space = MixedSpace(Surrogate([*SYSTEM, *(Real(f"x{i}", 0.5, 0, 1) for i in range(3))]).params)
    rng = np.random.default_rng(1)
    near = space.neighbours(rng, space.declared[None], 2000)
    changed = (near != space.declared).sum(axis=1)
    assert set(changed.tolist()) - {0} == {1, 2, 3}
    assert (changed == 0).mean() < 0.1, "what moves beyond an edge may come back to where it was"
    assert near.min() == 0.0
    assert {0.0, 1.0} <= set(near[:, 2].tolist())
    assert set(near[:, 1].tolist()) == {0.0, 1.0, 2.0}
    assert all(p.contains(space.decode(x)["pool"]) for x in near for p in [Integer("pool", 1, 0, 8)])
