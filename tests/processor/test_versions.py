"""Versions: who made a configuration the incumbent, when and why; the way back; values set and pinned by hand."""

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from oppertune.algorithms.base import Observation
from oppertune.core.types import generate_context_id
from oppertune.schemas import ScopeState
from oppertune.schemas.keys import is_partitions
from oppertune.schemas.spec import TunerSpec
from oppertune.schemas.state import MAX_VERSIONS
from oppertune.streams.processor import edit, learners
from oppertune.streams.processor.tuner import Tuner
from world import SPEC, World, running, spec

MODE, POOL = SPEC["parameters"][:2]
TUNED = spec(
    parameters=[MODE, POOL],
    algorithm={"name": "auto", "args": {"random_seed": 3}},
    rollout={"enabled": True, "every": 4, "turns": 1},
)
REGIONS = TUNED | {"context": {"features": [{"name": "region"}]}}
EU, US = (generate_context_id({"region": region}) for region in ("eu", "us"))


def better_fast(values: dict[str, Any]) -> float:
    return 0.9 if values["mode"] == "fast" else 0.1


def told(world: World, kind: str, **more: Any) -> None:
    world.now_ms += 10
    world.command(kind, **more)
    world.fold()


def detail(world: World) -> str:
    return dict(world.letters[-1].headers)["detail"].decode()


def numbers(world: World, scope: str = "") -> list[int]:
    return [version.number for version in world.scope(scope).versions]


def pools(world: World, scope: str = "") -> list[object]:
    return [version.values["pool"] for version in world.scope(scope).versions]


def standing(world: World) -> Tuner:
    return Tuner.decode({key: value for key, value in world.state.items() if not is_partitions(key)})


def known(world: World) -> list[Observation]:
    """What the learner was told."""
    return standing(world).learners.of("").observations()


def by_hand(*values: int) -> World:
    """A world whose incumbent was set by hand, time and again."""
    world = running(TUNED)
    for pool in values:
        told(world, "set", values={"pool": pool}, now=True, author="ada", reason=f"pool {pool}")
    return world


def regions() -> World:
    world = World()
    world.apply(REGIONS)
    world.here("a", context={"region": "eu"})
    world.here("b", context={"region": "us"})
    world.fold()
    return world


# -- history


def test_the_declared_values_are_the_first_version_by_who_applied_them():
    world = World()
    world.apply(TUNED, author="ada", reason="to begin with")
    world.fold()
    [first] = world.scope().versions
    assert (first.number, first.values, first.by, first.reason) == (
        1, {"mode": "slow", "pool": 10}, "ada", "to begin with",
    )  # fmt: skip
    assert (first.since_ms, first.gain) == (world.now_ms, None)


def test_what_is_confirmed_is_a_version_by_the_learner_with_its_gain():
    world = running(TUNED)
    while not world.scope().incumbent.confirmed:
        world.play(1, better_fast)
    version = world.scope().versions[-1]
    assert (version.number, version.by, version.since_ms) == (2, "learner", world.now_ms)
    assert version.gain == pytest.approx(0.8)
    assert version.reason == f"rolled out by round {world.scope().incumbent.since_round}"
    assert version.hash == world.scope().incumbent.hash


def test_a_record_without_versions_is_taken_over_with_its_incumbent_as_one():
    world = running(TUNED)
    declared = orjson.loads(world.state["checkout/"])
    while not world.scope().incumbent.confirmed:
        world.play(1, better_fast)
    confirmed = orjson.loads(world.state["checkout/"])
    for record, number, by in ((declared, 1, "unknown"), (confirmed, 2, "learner")):
        del record["versions"]
        [version] = ScopeState.from_bytes(orjson.dumps(record)).versions
        assert (version.number, version.by, version.values) == (number, by, record["incumbent"]["values"])
    world.state["checkout/"] = orjson.dumps(confirmed)
    world.restore()
    told(world, "set", values={"pool": 77}, now=True)
    told(world, "rollback", version=2)
    assert numbers(world) == [2, 3, 4]
    assert world.scope().incumbent.values == confirmed["incumbent"]["values"]


# -- rollback


def test_a_rollback_goes_back_to_the_version_before_and_holds_until_it_is_resumed():
    world = by_hand(20, 30)
    told(world, "rollback", author="bob", reason="errors")
    assert pools(world) == [10, 20, 30, 20]
    newest, hold = world.scope().versions[-1], world.tuner().hold
    assert (newest.number, newest.by, newest.reason, newest.restores) == (4, "bob", "back to version 2: errors", 2)
    assert hold is not None
    assert (hold.kind, hold.by, hold.reason) == ("observe", "bob", "errors")
    record = world.config()
    assert (record.status, record.incumbent.values["pool"], record.arms[0].kind) == ("observing", 20, "baseline")


def test_a_second_rollback_changes_nothing_and_after_resume_the_next_goes_further_back():
    world = by_hand(20, 30)
    told(world, "rollback")
    before, version = world.state["checkout/"], world.config().version
    told(world, "rollback")
    assert (world.state["checkout/"], world.config().version, world.letters) == (before, version, [])
    told(world, "resume")
    told(world, "rollback")
    assert pools(world) == [10, 20, 30, 20, 10], "what was undone is not done again"
    told(world, "resume")
    told(world, "rollback")
    assert detail(world).startswith("there is no version before this one to go back to")
    assert pools(world) == [10, 20, 30, 20, 10]


def test_a_rollback_to_a_version_by_its_number_and_twice():
    world = by_hand(20, 30, 40)
    told(world, "rollback", version=1)
    told(world, "rollback", version=1)
    assert pools(world) == [10, 20, 30, 40, 10]
    told(world, "rollback", version=3)
    assert pools(world) == [10, 20, 30, 40, 10, 30]
    told(world, "rollback", version=9)
    assert detail(world) == "there is no version 9 to go back to; there are: 1, 2, 3, 4, 5, 6"


def test_a_rollback_leaves_what_holds_the_tuner_but_its_end():
    world = by_hand(20, 30)
    told(world, "freeze", author="ada")
    told(world, "rollback", author="bob")
    hold = world.tuner().hold
    assert hold is not None
    assert (hold.kind, hold.by, pools(world)[-1]) == ("frozen", "ada", 20)
    told(world, "freeze", author="ada", until_ms=world.now_ms + 60_000)
    told(world, "rollback", author="bob", version=1)
    hold = world.tuner().hold
    assert hold is not None
    assert (hold.kind, hold.by, hold.until_ms, pools(world)[-1]) == ("frozen", "bob", None, 10)


def test_the_learner_is_told_nothing_of_a_rollback_and_goes_on_where_it_was():
    world = running(TUNED)
    world.play(24, better_fast)
    before = known(world)
    told(world, "rollback", version=1)
    assert (known(world), world.rounds[-1].told) == (before, None)
    told(world, "resume")
    world.play(12, better_fast)
    assert world.scope().incumbent.values["mode"] == "fast", "what it knew brings it back"


def test_versions_are_a_contexts_own_and_a_hold_is_the_tuners():
    world = regions()
    told(world, "set", values={"pool": 20}, now=True, scope=EU)
    told(world, "rollback")
    assert detail(world) == "versions are a context's own, and there are 2 contexts: name one"
    told(world, "rollback", scope="nowhere")
    assert "has no context 'nowhere'" in detail(world)
    told(world, "rollback", scope=EU)
    assert (pools(world, EU), pools(world, US)) == ([10, 20, 10], [10])
    assert {world.config(scope).status for scope in (EU, US)} == {"observing"}
    assert [arm.kind for arm in world.config(US).arms] == ["baseline"]


def test_a_version_that_is_not_legal_any_more_is_no_way_back():
    world = by_hand(90, 20)
    world.apply(TUNED | {"parameters": [MODE, POOL | {"max": 50}]})
    told(world, "rollback", version=2)
    assert detail(world) == "version 2 is not legal under the spec any more"
    assert world.tuner().hold is None


# -- over edits, resets, and at the bound


def test_history_goes_on_over_an_edit_and_a_reset():
    world = by_hand(20)
    told(world, "apply", spec=TUNED | {"algorithm": {"name": "uniform_random"}})
    assert pools(world) == [10, 20], "the incumbent stays, and is no new version"
    told(world, "apply", spec=TUNED | {"parameters": [MODE, POOL, SPEC["parameters"][2]]}, author="bob")
    assert [(v.number, v.by, v.reason) for v in world.scope().versions[2:]] == [(3, "bob", "the spec was edited")]
    told(world, "reset", author="eve", reason="new hardware")
    assert [(v.number, v.by, v.reason) for v in world.scope().versions[3:]] == [
        (4, "eve", "the tuner was reset: new hardware")
    ]
    assert pools(world) == [10, 20, 20, 10]


@settings(max_examples=20)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(1, 100)),
            st.tuples(st.just("rollback"), st.one_of(st.none(), st.integers(1, 60))),
            st.tuples(st.sampled_from(["reset", "resume", "edit", "play", "pin", "unpin"]), st.integers(1, 9)),
        ),
        min_size=30,
        max_size=80,
    )
)
def test_a_number_is_never_used_twice_and_the_newest_version_is_the_incumbent(steps):
    world = running(TUNED)
    seen: dict[int, str] = {}
    for what, number in steps:
        if what == "set":
            told(world, "set", values={"pool": number}, now=True)
        elif what == "rollback":
            told(world, "rollback", **({"version": number} if number else {}))
        elif what == "edit":
            told(world, "apply", spec=TUNED | {"algorithm": {"name": "auto", "args": {"random_seed": number}}})
        elif what == "play":
            world.play(number, better_fast)
        elif what == "pin":
            told(world, "pin", values={"pool": number})
        elif what == "unpin":
            told(world, "unpin", parameters=["pool"])
        else:
            told(world, what)
        scope = world.scope()
        known = numbers(world)
        assert known == sorted(set(known))
        assert len(known) <= MAX_VERSIONS
        assert scope.versions[-1].hash == scope.incumbent.hash
        for version in scope.versions:
            assert seen.setdefault(version.number, version.hash) == version.hash
        pinned = world.tuner().pins
        assert all(scope.incumbent.values[name] == pin.value for name, pin in pinned.items())
        assert all(arm.values[name] == pin.value for arm in world.config().arms for name, pin in pinned.items())
    assert world.replayed().state == world.state


def test_only_the_last_versions_are_remembered():
    world = by_hand(*range(20, 60))
    assert numbers(world) == list(range(10, 42))


# -- values by hand


def test_values_that_are_set_now_are_the_incumbent_and_others_stay():
    world = running(TUNED)
    world.play(24, better_fast)
    told(world, "set", values={"pool": 42}, now=True, author="ada", reason="load test")
    version = world.scope().versions[-1]
    assert (version.values, version.by, version.reason, version.gain) == (
        {"mode": "fast", "pool": 42}, "ada", "load test", None,
    )  # fmt: skip
    assert world.config().incumbent.values == {"mode": "fast", "pool": 42}
    assert world.rounds[-1].why == "ada changed the incumbent", "what was measured beside another one says nothing"
    before = world.config().version
    told(world, "set", values={"pool": 42}, now=True, author="bob")
    assert (world.config().version, world.scope().versions[-1].by) == (before, "ada")


@pytest.mark.parametrize(("reward", "won"), [(0.9, True), (0.1, False)])
def test_values_that_are_proposed_are_judged_next_and_win_or_not(reward, won):
    world = running(TUNED)
    told(world, "set", values={"pool": 42}, author="ada", reason="load test")
    told(world, "set", values={"pool": 42}, author="bob")
    proposal = world.scope().proposal
    assert proposal is not None
    assert (proposal.values["pool"], proposal.by) == (42, "ada")
    world.play(3, lambda values: reward if values["pool"] == 42 else 0.5)
    assert [(r.kind, (r.values or {})["pool"]) for r in world.rounds[1:]] == [("candidate", 42), ("baseline", 10)]
    assert world.scope().proposal is None
    newest = world.scope().versions[-1]
    assert (newest.by, newest.reason, newest.values["pool"]) == (("ada", "load test", 42) if won else ("test", "", 10))
    if won:
        assert newest.gain == pytest.approx(0.4)


def test_a_proposal_waits_while_the_tuner_is_held_and_is_judged_then():
    world = running(TUNED)
    told(world, "freeze")
    told(world, "set", values={"pool": 42})
    world.play(3, 0.5)
    assert {r.kind for r in world.rounds[1:]} == {"baseline"}
    told(world, "resume")
    world.play(3, lambda values: values["pool"] / 100)
    assert world.scope().incumbent.values["pool"] == 42


def test_an_operators_proposal_is_judged_even_where_the_target_is_achieved():
    world = running(TUNED | {"target": {"reward": 0.5, "rounds": 1}})
    while not world.scope().achieved:
        world.play(1, better_fast)
    told(world, "set", values={"pool": 42})
    world.play(3, lambda values: 0.99 if values["pool"] == 42 else 0.9)
    assert world.scope().incumbent.values["pool"] == 42


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("set", {"values": {"pool": 101}}, "pool=101 is not legal: it is a whole number from 1 to 100"),
        ("set", {"values": {"pool": 1.5}, "now": True}, "pool=1.5 is not legal: it is a whole number from 1 to 100"),
        ("pin", {"values": {"mode": "warp"}}, "mode=warp is not legal: it is one of slow, fast"),
        ("pin", {"values": {"pol": 5}}, "the spec has no parameter 'pol'; it has mode, pool"),
        ("unpin", {"parameters": ["pol"]}, "the spec has no parameter 'pol'; it has mode, pool"),
        ("set", {"values": {"pool": 5}, "scope": "x"}, "the tuner has no context 'x'"),
    ],
)
def test_what_is_not_legal_is_refused_with_a_sentence_and_changes_nothing(kind, given, said):
    world = running(TUNED)
    before = dict(world.state)
    told(world, kind, **given)
    assert (detail(world), world.letter_reasons()) == (said, ["makes_no_sense"])
    assert {k: v for k, v in world.state.items() if not is_partitions(k)} == {
        k: v for k, v in before.items() if not is_partitions(k)
    }


def test_a_spec_that_judges_nothing_takes_no_proposal():
    world = running(TUNED | {"rollout": {"enabled": False}})
    told(world, "set", values={"pool": 42})
    assert detail(world).startswith("the spec does not judge candidates")
    told(world, "set", values={"pool": 42}, now=True)
    assert world.scope().incumbent.values["pool"] == 42


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("set", {"values": {"pool": 5}}),
        ("pin", {"values": {"pool": 5}}),
        ("unpin", {"parameters": ["pool"]}),
        ("rollback", {}),
    ],
)
def test_nothing_is_changed_by_hand_in_a_tuner_that_is_suspended_but_it_can_be_killed(kind, more):
    world = running(TUNED | {"algorithm": {"name": "explosive"}})
    world.play(3)
    told(world, kind, **more)
    assert detail(world) == "the tuner is suspended: mend the cause and resume it first, or kill it"
    told(world, "kill")
    assert world.config().incumbent.values == {"mode": "slow", "pool": 10}
    told(world, "resume")
    assert (world.tuner().suspended, world.tuner().hold) == (None, None)


# -- pins


def test_a_pinned_value_is_everywhere_at_once_and_in_all_that_is_tried():
    world = running(TUNED)
    told(world, "pin", values={"pool": 20}, author="ada", reason="40 connections")
    assert world.rounds[-1].outcome == "skipped"
    assert world.config().incumbent.values["pool"] == 20
    world.play(16, better_fast)
    assert {(r.values or {})["pool"] for r in world.rounds[1:]} == {20}
    assert {(r.values or {})["mode"] for r in world.rounds[1:]} == {"slow", "fast"}, "the others are tuned on"
    pin = world.tuner().pins["pool"]
    assert (pin.value, pin.by, pin.reason) == (20, "ada", "40 connections")
    second = world.scope().versions[1]
    assert (second.values["pool"], second.by, second.reason) == (20, "ada", "40 connections")
    told(world, "unpin", parameters=["pool"])
    assert (world.tuner().pins, world.scope().incumbent.values["pool"]) == ({}, 20)
    world.play(16, better_fast)
    assert len({(r.values or {})["pool"] for r in world.rounds[17:]}) > 1


def test_the_learner_is_told_what_really_ran_under_a_pin():
    world = running(TUNED)
    told(world, "pin", values={"pool": 20})
    world.play(6, better_fast)
    assert {seen.prediction["pool"] for seen in known(world)} == {20}


def test_a_pin_a_second_time_changes_nothing():
    world = running(TUNED)
    told(world, "pin", values={"pool": 20}, author="ada")
    before = (world.tuner().pins, world.config().version, numbers(world))
    told(world, "pin", values={"pool": 20}, author="bob")
    assert (world.tuner().pins, world.config().version, numbers(world)) == before
    told(world, "unpin", parameters=["pool"])
    told(world, "unpin", parameters=["pool"])
    assert not world.letters


def test_a_pin_of_all_contexts_is_in_those_that_appear_later_and_one_of_a_context_in_it_alone():
    world = World()
    world.apply(REGIONS)
    world.here("a", context={"region": "eu"})
    world.fold()
    told(world, "pin", values={"pool": 20})
    world.here("b", context={"region": "us"})
    world.fold()
    told(world, "pin", values={"mode": "fast"}, scope=US)
    assert world.config().incumbent.values["pool"] == 20, "what an unknown context runs"
    assert world.config(EU).incumbent.values == {"mode": "slow", "pool": 20}
    assert [(arm.values["mode"], arm.values["pool"]) for arm in world.config(US).arms] == [("fast", 20)]
    told(world, "unpin", parameters=["pool"], scope=US)
    assert detail(world) == "pool is pinned in all contexts: unpin it in all of them"
    told(world, "unpin", parameters=["pool", "mode"])
    assert (world.tuner().pins, world.scope(US).pins) == ({}, {})


def test_a_value_against_a_pin_is_refused_and_a_rollback_keeps_the_pin():
    world = by_hand(30)
    told(world, "pin", values={"pool": 20})
    told(world, "set", values={"pool": 30}, now=True)
    assert detail(world) == "pool is pinned to another value: unpin it first"
    told(world, "set", values={"mode": "fast"}, now=True)
    told(world, "rollback", version=2)
    assert world.scope().incumbent.values == {"mode": "slow", "pool": 20}


def test_a_pin_outlives_an_edit_and_a_reset_as_long_as_it_is_legal_and_its_loss_is_announced():
    world = running(TUNED)
    told(world, "pin", values={"pool": 20})
    told(world, "reset")
    assert world.config().incumbent.values["pool"] == 20
    told(world, "apply", spec=TUNED | {"parameters": [MODE, POOL | {"max": 50}]})
    assert world.config().incumbent.values["pool"] == 20
    narrow = TUNED | {"parameters": [MODE, POOL | {"max": 15}]}
    tuner = standing(world)
    lost = edit.losses(tuner, learners.decided_as(TunerSpec.model_validate(narrow), tuner.spec))
    assert "the value to which pool is pinned is not legal any more: it is tuned again" in lost
    told(world, "apply", spec=narrow)
    assert (world.tuner().pins, world.config().incumbent.values["pool"]) == ({}, 10)
