"""A bad tuner costs itself: it is suspended, its metrics are held, and the others of the partition go on."""

import pytest

from oppertune.schemas.state import Suspension
from world import SPEC, World, spec


def two_tuners() -> World:
    world = World()
    for name, algorithm in (("bad", {"name": "explosive"}), ("good", SPEC["algorithm"])):
        world.apply(spec(name=name, algorithm=algorithm))
        world.here(tuner=name)
    world.fold()
    return world


def suspension(world: World, name: str) -> Suspension:
    """Why a tuner stands still: it must."""
    suspended = world.tuner(name).suspended
    assert suspended is not None
    return suspended


def play(world: World, name: str, reward: float = 0.5) -> None:
    for _ in range(3):
        world.measured("a", reward, tuner=name)


def test_a_learner_that_raises_suspends_its_tuner_and_no_other():
    world = two_tuners()
    for _ in range(3):
        play(world, "bad")
        play(world, "good")
        world.fold()
    assert world.config(name="bad").status == "suspended"
    assert world.config(name="bad").arms == [], "the fleet runs the incumbent"
    suspended = suspension(world, "bad")
    assert suspended.reason == "RuntimeError: boom"
    assert (suspended.topic, suspended.offset) == ("metrics", 14)
    assert world.tuner("good").suspended is None
    assert world.scope(name="good").round == 4
    assert world.letter_reasons() == ["suspended"], "the reward it raised at is held, to be redriven"
    assert world.dispositions() == {"applied": 17, "held": 1}


def test_a_learner_that_raises_as_a_deadline_passes_suspends_its_tuner_and_no_other():
    world = two_tuners()
    play(world, "bad")
    play(world, "bad")
    world.fold()  # the third reward is the last straw: here it is that of a silent round
    for name in ("bad", "good"):
        world.here(tuner=name, request_id=world.config(name=name).arms[0].request_id)
    world.fold()
    world.fall_silent()
    assert world.tuner("bad").suspended is None
    for name in ("bad", "good"):
        world.here(tuner=name)
    world.fold()
    world.here(tuner="bad", request_id=world.config(name="bad").arms[0].request_id)
    world.fold()
    world.fall_silent()
    assert suspension(world, "bad").reason == "RuntimeError: boom"
    assert suspension(world, "bad").topic == "", "no event's fault: time made it raise"
    assert world.tuner("good").suspended is None
    assert world.scope(name="good").round > 1


def test_what_it_learned_before_in_the_same_batch_is_kept_to_the_event():
    world = two_tuners()
    before = world.scope(name="bad")
    play(world, "bad")
    play(world, "good")
    world.fold()
    play(world, "bad")
    world.fold()
    arm = world.config(name="bad").arms[0]
    for _ in range(3):
        world.measured("a", 0.5, tuner="bad")
    world.now_ms += 1
    world.here("another", tuner="bad")
    world.fold()
    assert before.round == 1
    after = world.scope(name="bad")
    assert after.arms[0].id == arm.request_id
    assert after.arms[0].events == 2, "the third event of the round made it raise"
    assert world.dispositions("contexts")["held"] == 1


def test_metrics_of_a_suspended_tuner_are_held_with_the_reason():
    world = two_tuners()
    for _ in range(2):
        play(world, "bad")
        world.fold()
    held = world.metric_event("a", tuner="bad")
    play(world, "bad")
    world.fold()
    world.restore()
    world.send("metrics", held)
    world.fold()
    assert world.letter_reasons() == ["suspended", "suspended"]
    assert b"boom" in dict(world.letters[-1].headers)["detail"]


def test_a_suspended_tuner_resumes_where_it_stood_and_its_deadlines_stood_still():
    world = two_tuners()
    for _ in range(3):
        play(world, "bad")
        world.fold()
    deadline = world.scope(name="bad").arms[0].measure_by_ms
    assert deadline is not None
    world.wait(500)
    assert world.scope(name="bad").arms
    world.command("resume", "bad")
    world.fold()
    assert world.tuner("bad").suspended is None
    assert world.scope(name="bad").arms[0].measure_by_ms == deadline + 500_000
    assert world.config(name="bad").arms[0].round == 3


def test_state_that_cannot_be_read_stands_still_alone_until_a_spec_is_applied():
    world = two_tuners()
    world.state["bad/"] = b"{broken"
    world.restore()
    play_good = world.measured("a", 0.5, tuner="good")
    world.measured("a", 0.5, tuner="bad")
    world.fold()
    assert play_good is not None
    assert world.letter_reasons() == ["unreadable"]
    assert world.partition.statistics().suspended.keys() == {"bad"}
    assert world.state["bad/"] == b"{broken", "evidence is not overwritten"
    world.apply(spec(name="bad"))
    world.here("b", tuner="bad")
    world.fold()
    assert world.config(name="bad").status == "tuning"


def test_a_state_record_over_its_budget_suspends_its_tuner(monkeypatch):
    world = two_tuners()
    monkeypatch.setattr("oppertune.streams.processor.changes.MAX_STATE_BYTES", len(world.state["good/"]) + 300)
    for number in range(30):
        world.here(f"instance-with-a-long-name-{number}", tuner="good")
    world.fold()
    assert "OverBudget" in suspension(world, "good").reason
    assert world.tuner("bad").suspended is None


def test_a_reward_function_is_found_among_the_installed_ones():
    world = World()
    world.apply(spec(objective={"function": "total"}))
    world.here()
    world.fold()
    world.play(1, 0.25)
    assert world.rounds[0].reward == 0.75


def test_a_reward_function_that_raises_suspends_its_tuner():
    world = World()
    world.apply(spec(objective={"function": "broken"}))
    world.here()
    world.fold()
    world.play(1, 0.25)
    assert suspension(world, "checkout").reason.startswith("ZeroDivisionError")


@pytest.mark.parametrize("way_out", ["apply", "reset", "delete"])
def test_a_learner_that_raises_at_everything_can_still_be_replaced(way_out, monkeypatch):
    world = two_tuners()
    for _ in range(3):
        play(world, "bad")
        world.fold()
    world.restore()
    monkeypatch.setattr("explosive.Explosive.abandon", _refuse)
    monkeypatch.setattr("explosive.Explosive.set_state", _refuse)
    if way_out == "apply":
        world.apply(spec(name="bad"))
    else:
        world.command(way_out, "bad")
    world.fold()
    if way_out == "delete":
        assert not {key for key in world.state | world.configs if key.startswith("bad")}
    else:
        assert world.tuner("bad").suspended is None
        assert world.rounds[-1].outcome == "superseded"


def _refuse(*_):
    raise RuntimeError("no")


def test_state_that_cannot_be_read_can_be_deleted():
    world = two_tuners()
    world.state["bad/"] = b"{broken"
    world.restore()
    world.command("delete", "bad")
    world.fold()
    assert world.letters == []
    assert not {key for key in world.state | world.configs if key.startswith("bad")}
    world.measured("a", 0.5, tuner="good")
    world.fold()
    assert world.dispositions() == {"applied": 1}


def test_a_reward_beyond_all_bounds_is_none_and_suspends_nobody():
    term = {"metric": "m", "aggregate": "mean", "goal": "maximize", "weight": 1e6, "scale": 1e-3}
    world = World()
    world.apply(spec(objective={"terms": [term]}))
    world.here()
    world.fold()
    for _ in range(3):
        world.send("metrics", world.metric_event(metrics={"m": 1e99}))
    world.fold()
    assert world.rounds[0].outcome == "skipped"
    assert world.tuner().suspended is None


@pytest.mark.parametrize("paused", [True, False], ids=["resume", "reset"])
def test_a_command_at_which_the_learner_raises_again_is_a_dead_letter_and_not_the_workers_end(paused, monkeypatch):
    world = two_tuners()
    play(world, "bad")
    world.fold()
    if paused:
        world.command("pause", "bad")
        world.fold()
    monkeypatch.setattr("explosive.Explosive._predict", _refuse)
    world.command("resume" if paused else "reset", "bad")
    world.fold()
    assert suspension(world, "bad").reason == "RuntimeError: no"
    assert (world.tuner("bad").hold is not None) == paused
    assert world.letter_reasons() == ["raised"]
    play(world, "good")
    world.fold()
    assert world.dispositions() == {"applied": 6}
