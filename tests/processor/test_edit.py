"""An edited spec: what was learned and confirmed stays wherever it is sound, and what does not was announced."""

import copy

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from oppertune.schemas.keys import is_partitions
from oppertune.schemas.spec import TunerSpec
from oppertune.streams.processor import edit, learners
from oppertune.streams.processor.tuner import Tuner
from world import World, running, spec

POOL = {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}
RATIO = {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0}
MODE = {"name": "mode", "type": "categorical", "val": "slow", "categories": ["slow", "fast"]}

BASE = spec(
    parameters=[POOL, RATIO],
    algorithm={"name": "auto", "args": {"random_seed": 3}},
    rollout={"enabled": True, "every": 5, "turns": 1},
)


def gain(values):
    return -abs(float(values.get("pool", 10)) - 60) / 100 - abs(float(values.get("ratio", 0.5)) - 0.3)


def tuned(changed=BASE, rounds=30):
    world = running(changed)
    world.play(rounds, gain)
    assert world.scope().incumbent.confirmed, "nothing was confirmed: the test would show nothing"
    return world


def standing(world):
    return Tuner.decode({key: value for key, value in world.state.items() if not is_partitions(key)})


def announced(world, changed):
    tuner = standing(world)
    return edit.losses(tuner, learners.decided_as(TunerSpec.model_validate(changed), tuner.spec))


def known(world, scope=""):
    tuner = standing(world)
    return [seen.prediction for seen in tuner.learners.of(scope).observations()]


def applied(world, changed):
    world.apply(changed)
    world.fold()
    assert not world.letters, world.letter_reasons()


def with_parameters(*parameters):
    return {**BASE, "parameters": list(parameters)}


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "connections"},
        {"lease_s": 40.0},
        {"heartbeat_s": 12.0},
        {"deadlines": {"measurement_s": 20.0}},
        {"measurement": {"interval_s": 2.0, "min_samples": 4, "min_duration_s": 0}},
        {"max_instances": 2000},
        {"target": {"reward": 5.0}},
        {"rollout": {"enabled": True, "every": 50, "turns": 2}},
        {"parameters": [{**POOL, "unit": "threads", "description": "size", "restart": True}, RATIO]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_says_nothing_of_learning_is_taken_over_and_rounds_go_on(changes):
    world = tuned()
    tuner, scope, before = world.tuner(), world.scope(), known(world)
    changed = BASE | changes
    assert announced(world, changed) == []
    applied(world, changed)
    assert world.tuner().incarnation == tuner.incarnation
    assert world.tuner().spec == TunerSpec.model_validate(changed | {"context": world.tuner().spec.context})
    assert (world.scope().arms, world.scope().incumbent, known(world)) == (scope.arms, scope.incumbent, before)
    assert world.config().version > 0
    world.play(1, gain)
    assert world.rounds[-1].outcome == "measured"


def test_widened_bounds_keep_all_and_narrowed_ones_what_is_inside():
    world = tuned()
    before, incumbent = known(world), world.scope().incumbent
    wider = with_parameters({**POOL, "max": 200}, RATIO)
    assert announced(world, wider) == []
    applied(world, wider)
    assert [c for c in before if c not in known(world)] == []
    assert world.scope().incumbent == incumbent
    narrower = with_parameters({**POOL, "max": incumbent.values["pool"]}, RATIO)
    outside = [c for c in known(world) if c["pool"] > incumbent.values["pool"]]
    assert outside, "all was inside: the test would show nothing"
    [lost] = announced(world, narrower)
    assert lost.startswith(f"{len(outside)} of ")
    applied(world, narrower)
    assert world.scope().incumbent == incumbent
    assert not [c for c in known(world) if c["pool"] > incumbent.values["pool"]]


def test_an_incumbent_outside_of_new_bounds_gives_way_to_the_declared_values_and_that_is_said():
    world = tuned()
    pool = world.scope().incumbent.values["pool"]
    narrow = with_parameters({**POOL, "max": pool - 1}, RATIO)
    assert any(f"pool={pool}" in lost and "not legal any more" in lost for lost in announced(world, narrow))
    applied(world, narrow)
    assert world.scope().incumbent.values == {"pool": 10, "ratio": 0.5}
    assert not world.scope().incumbent.confirmed


def test_an_added_parameter_begins_at_its_declared_value():
    world = tuned()
    before, incumbent = known(world), world.scope().incumbent
    more = with_parameters(POOL, RATIO, MODE)
    assert announced(world, more) == []
    applied(world, more)
    assert world.scope().incumbent.values == incumbent.values | {"mode": "slow"}
    assert (world.scope().incumbent.reward, world.scope().incumbent.confirmed) == (incumbent.reward, True)
    assert [c for c in before if {**c, "mode": "slow"} not in known(world)] == []


def test_of_a_removed_parameter_only_what_ran_with_its_declared_value_is_believed():
    world = tuned(with_parameters(POOL, RATIO, MODE))
    before, incumbent = known(world), world.scope().incumbent
    less = with_parameters(POOL, RATIO)
    assert len(announced(world, less)) == 1
    applied(world, less)
    declared = [c for c in before if c["mode"] == "slow"]
    assert {(c["pool"], c["ratio"]) for c in declared} <= {(c["pool"], c["ratio"]) for c in known(world)}
    assert len(known(world)) == len(declared)
    kept = {name: value for name, value in incumbent.values.items() if name != "mode"}
    assert world.scope().incumbent.values == kept
    assert (world.scope().incumbent.reward is None) == (incumbent.values["mode"] != "slow")


def test_rewards_of_another_objective_teach_nothing_and_the_incumbent_stays():
    world = tuned()
    incumbent = world.scope().incumbent
    other = BASE | {"objective": {"measured": "throughput"}}
    [lost] = announced(world, other)
    assert "another objective" in lost
    applied(world, other)
    assert world.scope().incumbent.values == incumbent.values
    assert world.scope().incumbent.reward is None
    assert known(world) == []
    assert (world.scope().worst_reward, world.scope().last_reward) == (None, None)


@pytest.mark.parametrize(
    ("algorithm", "before"), [("bluefin", "auto"), ("auto", "bluefin")], ids=["cannot learn", "kept nothing"]
)
def test_an_algorithm_that_can_take_nothing_along_says_so(algorithm, before):
    world = tuned(BASE | {"algorithm": {"name": before}}, rounds=60)
    incumbent = world.scope().incumbent
    [lost] = announced(world, BASE | {"algorithm": {"name": algorithm}})
    assert "bluefin" in lost
    assert "what was learned is forgotten" in lost
    applied(world, BASE | {"algorithm": {"name": algorithm}})
    assert world.scope().incumbent == incumbent


def test_another_algorithm_learns_what_is_known():
    world = tuned()
    before = known(world)
    other = BASE | {"algorithm": {"name": "surrogate", "args": {"exploration": 0.5}}}
    assert announced(world, other) == []
    applied(world, other)
    assert {tuple(c.values()) for c in before} == {tuple(c.values()) for c in known(world)}


@pytest.mark.parametrize("features", [True, False], ids=["told apart", "not told apart"])
def test_what_all_contexts_share_goes_along_once(features):
    base = BASE | {
        "context": {"features": [{"name": "region", "values": ["eu", "us"]}], "learner": "shared"},
        "algorithm": {"name": "auto" if features else "hopt"},
    }
    world = World()
    world.apply(base)
    for instance, region in (("a", "eu"), ("b", "us")):
        world.here(instance, context={"region": region})
    world.fold()
    scopes = [key.partition("/")[2] for key in sorted(world.configs) if "/" in key]
    for scope in 4 * scopes:
        told_apart = world.scope(scope).context or {}
        instance = {"eu": "a", "us": "b"}[str(told_apart["region"])]
        world.play(1, gain, instance=instance, scope=scope)
    changed = base | {"algorithm": {"name": "surrogate"}}
    assert announced(world, changed) == []
    tuner = standing(world)
    new = learners.decided_as(TunerSpec.model_validate(changed), tuner.spec)
    carried = [seen for scope in tuner.scopes.values() for seen in edit.observations(tuner, scope, new)]
    assert 0 < len(carried) <= len(world.rounds)
    applied(world, changed)
    assert world.tuner().suspended is None


def test_other_features_forget_the_contexts_and_keep_the_rest():
    features = [{"name": "region", "values": ["eu", "us"]}]
    world = World()
    world.apply(BASE | {"context": {"features": features}})
    world.here(context={"region": "eu"})
    world.fold()
    [lost] = announced(world, BASE | {"context": {"features": [{"name": "zone"}]}})
    assert lost.startswith("contexts are told apart by other features: 1 of them")
    applied(world, BASE | {"context": {"features": [{"name": "zone"}]}})
    assert [key for key in world.state if key.startswith("checkout/")] == ["checkout/"]


@pytest.mark.parametrize("how", ["in place", "anew", "reset"])
def test_a_pause_outlives_an_edit_and_a_reset(how):
    world = tuned()
    world.command("pause")
    if how == "reset":
        world.command("reset")
    else:
        world.apply(BASE | ({"description": "x"} if how == "in place" else {"algorithm": {"name": "bluefin"}}))
    world.fold()
    assert world.tuner().hold is not None
    assert world.config().arms == []
    world.command("resume")
    world.fold()
    assert len(world.config().arms) == 1


def test_a_target_that_is_another_is_judged_anew():
    easy = BASE | {"target": {"reward": -100.0, "rounds": 1}}
    world = running(easy)
    world.play(40, gain)
    assert world.scope().achieved
    applied(world, BASE | {"target": {"reward": 100.0, "rounds": 1}})
    assert not world.scope().achieved
    world.play(3, gain)
    assert {closed.kind for closed in world.rounds[-2:]} != {"baseline"}


EDITS = {
    "description": lambda s: s.update(description=s.get("description", "") + "x"),
    "wider": lambda s: s["parameters"][0].update(max=200),
    "narrower": lambda s: s["parameters"][0].update(max=40),
    "add": lambda s: s["parameters"].append(MODE) if MODE not in s["parameters"] else None,
    "remove": lambda s: s["parameters"].pop() if len(s["parameters"]) > 1 else None,
    "retype": lambda s: s["parameters"].__setitem__(0, {**s["parameters"][0], "type": "real"}),
    "retype back": lambda s: s["parameters"].__setitem__(0, {**s["parameters"][0], "type": "integer"}),
    "objective": lambda s: s.update(objective={"measured": "reward", "range": {"low": -2.0, "high": 0.5}}),
    "objective back": lambda s: s.pop("objective", None),
    "algorithm": lambda s: s.update(algorithm={"name": "uniform_random"}),
    "algorithm back": lambda s: s.update(algorithm={"name": "auto"}),
    "lease": lambda s: s.update(lease_s=s.get("lease_s", 30.0) + 1),
}


def rounded(values):
    return {name: round(x, 6) if isinstance(x, float) else x for name, x in values.items()}


def fits(values, parameter):
    """Legality as a reader of the spec would judge it."""
    x = rounded(values).get(parameter["name"], parameter["val"])
    if parameter["type"] == "categorical":
        return x in parameter["categories"]
    whole = parameter["type"] == "real" or (isinstance(x, int | float) and float(x).is_integer())
    return isinstance(x, int | float) and parameter["min"] <= x <= parameter["max"] and whole


@settings(max_examples=20)
@given(
    edits=st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=5),
    paused=st.booleans(),
    rounds=st.integers(0, 9),
)
def test_whatever_the_edits_what_is_sound_stays_and_what_is_lost_was_announced(edits, paused, rounds):
    world, current = tuned(rounds=16), copy.deepcopy(BASE)
    if paused:
        world.command("pause")
        world.fold()
    for name in edits:
        EDITS[name](current)
        before, seen, lost = world.scope().incumbent, known(world), announced(world, current)
        same_rewards = world.tuner().spec.objective == TunerSpec.model_validate(current).objective
        applied(world, copy.deepcopy(current))
        after = world.scope().incumbent
        if before.confirmed and all(fits(before.values, p) for p in current["parameters"]):
            assert after.confirmed
            kept = {p["name"]: before.values.get(p["name"], p["val"]) for p in current["parameters"]}
            assert rounded(after.values) == rounded(kept)
        elif before.confirmed:
            assert any("not legal any more" in sentence for sentence in lost)
            assert after.values == {p["name"]: p["val"] for p in current["parameters"]}
        there = [rounded(c) for c in known(world)]
        carried = [rounded({p["name"]: c.get(p["name"], p["val"]) for p in current["parameters"]}) for c in seen]
        gone = [c for c in carried if c not in there]
        assert not gone or any("forgotten" in sentence for sentence in lost), f"{name}: {len(gone)} of {len(seen)}"
        assert not (there and not same_rewards), "rewards of another objective were learned"
        assert (world.tuner().hold is not None) == paused
        if not paused:
            world.play(rounds, gain)
    assert world.replayed().state == world.state
