"""Holds: what an operator's word stops, that nothing else lifts it, and that it says who gave it and why."""

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from oppertune.schemas import TunerState
from oppertune.schemas.state import Hold
from world import SPEC, World, running, spec

MODE, POOL = SPEC["parameters"][:2]
TUNED = spec(
    parameters=[MODE, POOL],
    algorithm={"name": "auto", "args": {"random_seed": 3}},
    rollout={"enabled": True, "every": 4, "turns": 1},
)
HOLDS = ["pause", "freeze", "observe", "kill"]
STATUS = {"pause": "paused", "freeze": "frozen", "observe": "observing", "kill": "killed"}


def better_fast(values: dict[str, Any]) -> float:
    return 0.9 if values["mode"] == "fast" else 0.1


def tuned(rounds: int = 24) -> World:
    """A world whose incumbent is not the declared one."""
    world = running(TUNED)
    world.play(rounds, better_fast)
    assert world.scope().incumbent.values["mode"] == "fast", "nothing was confirmed: the test would show nothing"
    return world


def hold_of(world: World) -> Hold:
    """What holds the tuner: something must."""
    hold = world.tuner().hold
    assert hold is not None
    return hold


def told(world: World, kind: str, **more: Any) -> None:
    world.command(kind, **more)
    world.fold()


def detail(world: World) -> str:
    return dict(world.letters[-1].headers)["detail"].decode()


# -- what each means


@pytest.mark.parametrize(
    ("kind", "runs", "measured"),
    [
        ("pause", "the incumbent", False),
        ("freeze", "the incumbent", True),
        ("observe", "the incumbent", True),
        ("kill", "what was declared", False),
    ],
)
def test_each_hold_says_what_instances_run_and_whether_it_is_measured(kind, runs, measured):
    world = tuned()
    incumbent = world.scope().incumbent.values
    told(world, kind)
    record = world.config()
    assert record.status == STATUS[kind]
    assert record.incumbent.values == ({"mode": "slow", "pool": 10} if runs == "what was declared" else incumbent)
    assert [(arm.kind, arm.values) for arm in record.arms] == ([("baseline", incumbent)] if measured else [])
    assert world.scope().incumbent.values == incumbent, "what was found is kept"
    if measured:
        world.play(9, better_fast)
        assert {(r.kind, r.outcome) for r in world.rounds[-9:]} == {("baseline", "measured")}
        assert world.config().incumbent.values == incumbent
    told(world, "resume")
    world.play(9, better_fast)
    assert "explore" in {r.kind for r in world.rounds[-9:]}
    assert world.config().status in {"tuning", "rolling"}
    assert world.config().incumbent.values == world.scope().incumbent.values


@pytest.mark.parametrize("kind", HOLDS)
def test_what_is_tried_ends_with_a_hold_and_its_learner_is_told_nothing(kind):
    world = running(TUNED)
    world.measured("a", 0.5)
    world.fold()
    assert world.config().arms[0].kind == "explore"
    told(world, kind)
    [closed] = world.rounds
    assert (closed.kind, closed.outcome, closed.told) == ("explore", "skipped", None)
    assert closed.why.startswith("the tuner ")


def test_a_roll_out_under_way_ends_with_a_hold_and_begins_anew():
    world = running(TUNED)
    while world.config().arms[0].kind != "candidate":
        world.play(1, better_fast)
    told(world, "freeze")
    world.play(6, 0.95)
    assert world.scope().rollout is None
    assert not world.scope().incumbent.confirmed, "rewards of the incumbent alone promote nothing"


def test_what_an_operator_proposed_begins_anew_after_a_hold_whichever_turn_was_played():
    for turns in (1, 2):
        world = running(TUNED)
        world.play(1, better_fast)
        told(world, "set", values={"pool": 42}, author="ada")
        world.play(turns, 0.5)
        assert world.scope().rollout is not None
        told(world, "freeze")
        proposal = world.scope().proposal
        assert proposal is not None
        assert (proposal.values["pool"], proposal.by) == (42, "ada")


def test_a_context_that_appears_under_a_hold_tries_nothing():
    world = World()
    world.apply(TUNED | {"context": {"features": [{"name": "region"}]}})
    told(world, "freeze")
    world.here(context={"region": "eu"})
    world.fold()
    [scope] = [key.partition("/")[2] for key in world.configs if "/" in key]
    assert (world.config(scope).status, [arm.kind for arm in world.config(scope).arms]) == ("frozen", ["baseline"])


def test_a_spec_may_only_observe_and_is_let_go_by_another():
    world = World()
    world.apply(TUNED | {"mode": "observe"})
    world.here()
    world.fold()
    world.play(9, better_fast)
    assert {r.kind for r in world.rounds} == {"baseline"}
    assert (world.config().status, world.tuner().hold) == ("observing", None)
    world.apply(TUNED)
    world.fold()
    assert world.config().status == "tuning"
    world.play(6, better_fast)
    assert "explore" in {r.kind for r in world.rounds}
    world.apply(TUNED | {"mode": "observe"})
    world.fold()
    assert [arm.kind for arm in world.config().arms] == ["baseline"], "what was tried is withdrawn at once"


# -- how it ends, and how not


def test_a_hold_keeps_who_gave_it_why_since_when_and_until():
    world = running(TUNED)
    told(world, "freeze", author="ada", reason="errors since noon", until_ms=world.now_ms + 60_000)
    assert hold_of(world) == Hold(
        kind="frozen", by="ada", reason="errors since noon", since_ms=world.now_ms, until_ms=world.now_ms + 60_000
    )


@pytest.mark.parametrize("kind", HOLDS)
def test_a_hold_ends_by_itself_in_partition_time(kind):
    world = running(TUNED)
    told(world, kind, until_ms=world.now_ms + 20_000)
    world.here()
    world.wait(19)
    assert hold_of(world).kind
    assert world.config().status == STATUS[kind]
    world.here()
    world.wait(2)
    assert world.tuner().hold is None
    assert world.config().status == "tuning"
    assert world.replayed().state == world.state


def test_a_hold_without_an_end_lasts():
    world = running(TUNED)
    told(world, "pause")
    for _ in range(100):
        world.wait(3600)
    assert hold_of(world).kind == "paused"


@pytest.mark.parametrize("kind", HOLDS)
@pytest.mark.parametrize("how", ["edited in place", "edited anew", "reset", "restarted", "suspended"])
def test_only_resume_its_end_and_delete_lift_a_hold(kind, how):
    world = running(TUNED | {"algorithm": {"name": "explosive"}} if how == "suspended" else TUNED)
    if how == "suspended":
        world.play(3)
        assert world.tuner().suspended is not None
    told(world, kind, author="ada")
    if how == "edited in place":
        world.apply(TUNED | {"heartbeat_s": 5.0})
    elif how == "edited anew":
        world.apply(TUNED | {"parameters": [POOL]})
    elif how == "reset":
        world.command("reset")
    elif how == "suspended":
        world.apply(TUNED)
    world.fold()
    world.restore()
    world.here()
    world.fold()
    assert (hold_of(world).by, world.tuner().suspended) == ("ada", None)
    assert world.config().status == STATUS[kind]
    assert {arm.kind for arm in world.config().arms} <= {"baseline"}
    told(world, "resume")
    assert world.tuner().hold is None
    assert world.config().status == "tuning"


def test_a_tuner_of_the_same_name_begins_without_the_hold_of_the_one_that_was_deleted():
    world = running(TUNED)
    told(world, "freeze")
    told(world, "delete")
    world.apply(TUNED)
    world.fold()
    assert world.tuner().hold is None


# -- twice, and where it makes no sense


@pytest.mark.parametrize("kind", HOLDS)
def test_the_same_hold_a_second_time_changes_nothing(kind):
    world = running(TUNED)
    told(world, kind, author="ada", reason="first")
    held, version, rounds = hold_of(world), world.config().version, len(world.rounds)
    world.now_ms += 5000
    told(world, kind, author="bob", reason="second")
    assert (hold_of(world), world.config().version, len(world.rounds)) == (held, version, rounds)
    assert not world.letters


def test_another_end_is_another_hold():
    world = running(TUNED)
    told(world, "freeze", author="ada", until_ms=world.now_ms + 60_000)
    told(world, "freeze", author="bob")
    assert (hold_of(world).by, hold_of(world).until_ms) == ("bob", None), "it lasts until it is resumed, as bob said"


def test_one_hold_takes_the_place_of_another():
    world = tuned()
    told(world, "kill")
    told(world, "freeze")
    assert world.config().incumbent.values["mode"] == "fast"
    assert [arm.kind for arm in world.config().arms] == ["baseline"]
    told(world, "pause")
    assert world.config().arms == []
    assert world.rounds[-1].why == "the tuner was paused"


def test_what_makes_no_sense_is_refused_with_a_sentence_and_changes_nothing():
    world = running(TUNED)
    before = world.state["checkout"]
    told(world, "resume")
    assert detail(world) == "nothing holds the tuner: there is nothing to resume"
    told(world, "freeze", until_ms=world.now_ms)
    assert detail(world).startswith("its end is not ahead")
    assert world.letter_reasons() == ["makes_no_sense"] * 2
    assert world.dispositions("commands") == {"applied": 1, "refused": 2}
    assert world.state["checkout"] == before


def test_what_a_command_cannot_have_makes_it_no_command():
    world = running(TUNED)
    wrong: list[dict[str, Any]] = [{"version": 1}, {"scope": ""}, {"now": True}, {"values": {"pool": 1}}, {"spec": {}}]
    for more in wrong:
        told(world, "freeze", **more)
    told(world, "pin")
    told(world, "unpin", parameters=[])
    assert world.letter_reasons() == ["invalid"] * 7
    assert world.tuner().hold is None


# -- earlier records


def test_a_pause_of_an_earlier_version_is_taken_over_as_a_hold_and_no_more_written_as_before():
    world = running(TUNED)
    told(world, "pause")
    record = orjson.loads(world.state["checkout"])
    assert "paused" not in record
    del record["hold"]
    world.state["checkout"] = orjson.dumps(record | {"paused": True})
    world.restore()
    world.here()
    world.fold()
    assert world.config().arms == []
    told(world, "pin", values={"pool": 20})
    hold = hold_of(world)
    assert (hold.kind, hold.by, hold.since_ms) == ("paused", "unknown", world.tuner().applied_ms)
    told(world, "resume")
    assert world.config().status == "tuning"
    assert TunerState.from_bytes(orjson.dumps(record | {"paused": False})).hold is None


# -- whatever happens

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([*HOLDS, "resume", "reset", "rollback"]), st.just(None)),
        st.tuples(st.sampled_from(HOLDS), st.integers(1, 40)),
        st.tuples(st.sampled_from(["play", "wait", "apply", "restart"]), st.integers(1, 12)),
    ),
    max_size=10,
)


def end_of(world: World, before: int | None, what: str, number: int | None) -> int | None:
    """Do a step; the end of the hold that must stand then, 0 for one without, ``None`` for no hold."""
    if what == "play":
        for _ in range(number or 0):
            if world.config().arms:
                world.play(1, better_fast)
    elif what == "wait":
        world.wait(number or 0)
    elif what == "apply":
        world.apply(TUNED | {"heartbeat_s": 10.0 + (number or 0)})
    elif what == "restart":
        world.restore()
    else:
        until_ms = world.now_ms + number * 1000 if number else None
        known = len(world.scope().versions)
        told(world, what, **({"until_ms": until_ms} if until_ms else {}))
        if what in HOLDS:
            return until_ms or 0
        if what == "resume" or (what == "rollback" and len(world.scope().versions) > known):
            return None if what == "resume" else 0
    return before


@settings(max_examples=25)
@given(steps=STEPS)
def test_whatever_is_commanded_nothing_is_tried_while_a_hold_stands_and_a_replay_says_the_same(steps):
    world = running(TUNED)
    held: int | None = None
    for what, number in steps:
        held = end_of(world, held, what, number)
        world.here()
        world.fold(read_to_end=True)
        if held and held <= world.now_ms:
            held = None
        assert (world.tuner().hold is None) == (held is None), what
        if held is not None:
            assert {arm.kind for arm in world.config().arms} <= {"baseline"}
            assert world.config().status in STATUS.values()
    assert world.replayed().state == world.state
