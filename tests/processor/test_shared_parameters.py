"""Parameters that apps and spec do not share: held for the whole scope, never credited otherwise, always named."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.schemas.keys import is_partitions
from oppertune.schemas.spec import TunerSpec
from oppertune.schemas.state import Producer, TunerState
from oppertune.streams.processor import shared_parameters
from oppertune.streams.processor.tuner import Tuner
from world import SPEC, World, spec

ALL = [p["name"] for p in SPEC["parameters"]]
CONFIRMING = {"enabled": True, "every": 6, "turns": 1}


def started(algorithm="surrogate", **changes):
    world = World()
    world.apply(spec(algorithm={"name": algorithm}, **changes))
    world.fold()
    return world


def reward(values):
    return 0.5 + 0.3 * (values["mode"] == "fast") - abs(values["ratio"] - 0.8) / 3


def play(world, rounds, *instances):
    """Rounds that all instances run and the last measures; returns what they ran."""
    played = []
    for _ in range(rounds):
        arm = world.config().arms[0]
        played.append(dict(arm.values))
        for instance in instances:
            world.here(instance, request_id=arm.request_id)
        world.measured(instances[-1], [reward(arm.values)] * 3)
        world.fold()
    return played


@pytest.mark.parametrize("algorithm", ["surrogate", "auto", "hybrid_solver", "hopt", "uniform_random"])
def test_while_an_instance_lacks_one_it_stays_as_in_the_incumbent_and_the_others_are_tuned(algorithm):
    world = started(algorithm)
    world.here("old", parameters=["pool", "ratio"])
    world.here("new", parameters=ALL)
    world.fold()
    held = play(world, 25, "new", "old")
    assert {values["mode"] for values in held} == {"slow"}
    assert len({values["ratio"] for values in held}) > 5
    world.here("old", leaving=True)
    world.fold()
    free = play(world, 25, "new")
    assert {values["mode"] for values in free} == {"slow", "fast"}
    assert [r.outcome for r in world.rounds] == 50 * ["measured"]
    assert world.letters == []


def test_what_the_learner_is_told_is_of_what_ran():
    world = started()
    world.here("old", parameters=["pool", "ratio"])
    world.fold()
    ran = play(world, 30, "old")
    records = {key: value for key, value in world.state.items() if not is_partitions(key)}
    known = [one.prediction for one in Tuner.decode(records).learners.of("").observations()]
    assert known
    assert all({**one, "ratio": 0} in [{**values, "ratio": 0} for values in ran] for one in known)


def test_a_recommendation_that_changes_what_is_lacked_is_not_played():
    world = started(rollout=CONFIRMING)
    world.here("new", parameters=ALL)
    world.fold()
    while world.scope().rollout is None or world.scope().rollout.values["mode"] == "slow":
        play(world, 1, "new")
    world.here("old", parameters=["pool", "ratio"])
    play(world, 1, "new", "old")
    assert world.scope().rollout is None
    judged = []
    for _ in range(40):
        assert world.config().arms[0].values["mode"] == world.config().incumbent.values["mode"]
        judged += [world.scope().rollout.values["mode"]] if world.scope().rollout is not None else []
        play(world, 1, "new", "old")
    assert set(judged) == {"slow"}


def test_who_says_nothing_has_all():
    world = started()
    world.here("any")
    world.fold()
    assert {values["mode"] for values in play(world, 25, "any")} == {"slow", "fast"}
    assert all(r.not_shared is None for r in world.rounds)


def test_of_a_boot_that_is_gone_nothing_is_held():
    world = started()
    world.here("a", boot="1", seq=0, parameters=["pool"])
    world.here("a", boot="2", seq=0, parameters=ALL)
    world.fold()
    assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {"mode": "slow", "ratio": 0.5}
    world.here("a", boot="1", seq=1, leaving=True)
    world.fold()
    assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {}


def test_it_is_named_in_rounds_and_dead_letters():
    world = started()
    world.here("old", parameters=["pool", "ratio", "cache"])
    world.fold()
    play(world, 1, "old")
    assert world.rounds[-1].not_shared == [
        "mode is not tuned, it stays slow: the app lacks it in old",
        "cache is not in the spec, it runs as the app declares it: in old",
    ]
    world.measured("old", values_hash="0" * 16)
    world.fold()
    [letter] = world.letters
    assert dict(letter.headers)["detail"].endswith(b"its app lacks mode; its app has besides the spec's cache")


def test_an_added_parameter_waits_for_the_last_instance_and_a_removed_one_for_none():
    world = started()
    for instance in ("a", "b"):
        world.here(instance, parameters=ALL)
    world.fold()
    play(world, 3, "a", "b")
    added = {"name": "cache", "type": "categorical", "val": "lru", "categories": ["lru", "arc"]}
    more = spec(algorithm={"name": "surrogate"}, parameters=[*SPEC["parameters"], added])
    world.apply(more)
    world.fold()
    assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {"cache": "lru"}
    assert {values["cache"] for values in play(world, 10, "a", "b")} == {"lru"}
    for instance in ("a", "b"):
        assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {"cache": "lru"}
        world.here(instance, parameters=[*ALL, "cache"])
        world.fold()
    assert {values["cache"] for values in play(world, 20, "a", "b")} == {"lru", "arc"}
    world.apply(spec(algorithm={"name": "surrogate"}))  # removed from the spec first: all apps still have it
    world.fold()
    assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {}
    play(world, 1, "a", "b")
    assert world.rounds[-1].not_shared == ["cache is not in the spec, it runs as the app declares it: in a, b"]


@given(st.sets(st.sampled_from("abcdef")), st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1))
def test_what_is_known_of_a_boot_outlives_edits(has, edits):
    """As if it had said so again after each."""
    old, boot = of(edits[0]), Producer()
    shared_parameters.rebase(old, old, [boot])
    assert boot == Producer(), "who said nothing is not known after an edit either"
    shared_parameters._set(old, boot, has)
    for names in edits[1:]:
        new = of(names)
        shared_parameters.rebase(old, new, [boot])
        assert shared_parameters.of_boot(new, boot) == (sorted(names - has), sorted(has - names))
        old = new


def of(names):
    some = SPEC["parameters"][1]
    edited = TunerSpec.model_validate(spec(parameters=[{**some, "name": name} for name in sorted(names)]))
    return TunerState(v=1, tuner=edited.name, spec=edited, incarnation=0, author="test", applied_ms=0)


@pytest.mark.parametrize("deadlines", [{}, {"on_inactive": "fail"}], ids=["skip", "fail"])
def test_a_request_that_nobody_ran_for_lack_of_a_parameter_tells_the_learner_nothing(deadlines):
    """Not at its deadline either, where another instance is here that does not run it."""
    world = started("hybrid_solver", deadlines=deadlines)
    world.here("new", parameters=ALL)
    world.fold()
    while world.config().arms[0].values["mode"] == "slow":
        play(world, 1, "new")
    tried = world.config().arms[0]
    for _ in range(16):
        world.here("new")
        world.here("old", parameters=["pool", "ratio"], refused_id=tried.request_id, refused_why="lacks mode")
        world.fold(read_to_end=True)
        world.now_ms += 5_000
    [closed] = [r for r in world.rounds if r.request_id == tried.request_id]
    assert (closed.outcome, closed.told, closed.why) == ("skipped", None, "refused by old: lacks mode")
    assert world.scope().refused == 0


def test_thousands_of_boots_that_lack_and_have_much_cost_little_state():
    names = [f"parameter_with_a_long_name_{i}" for i in range(200)]
    some = SPEC["parameters"][1]
    world = World()
    world.apply(spec(parameters=[{**some, "name": name} for name in names], algorithm={"name": "uniform_random"}))
    world.fold()
    for i in range(1000):
        world.here(f"instance-{i}", parameters=[f"another_{i}_{j}" for j in range(30)])
    world.fold()
    bare = len(orjson.dumps(["x" * 50] * 200))
    assert len(world.state["checkout/"]) < 300 * 1000 + bare
    assert len(world.tuner().besides or ()) == shared_parameters.MOST_BESIDES


def test_features_that_change_with_the_parameters_leave_nothing_stale():
    feature = {"features": [{"name": "zone", "values": ["a"]}]}
    world = started(context=feature)
    world.here("old", context={"zone": "a"}, parameters=ALL)
    world.fold()
    added = {"name": "cache", "type": "categorical", "val": "lru", "categories": ["lru", "arc"]}
    world.apply(spec(algorithm={"name": "surrogate"}, parameters=[*SPEC["parameters"], added]))
    world.fold()
    world.here("new", parameters=[*ALL, "cache"])
    world.fold()
    world.measured("old", [0.5])
    world.fold()
    assert "old" in world.scope().presence
    assert shared_parameters.held(world.tuner(), world.scope(), world.now_ms) == {"cache": "lru"}
