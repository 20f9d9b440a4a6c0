"""Where instances are here and nothing is measured, the tuner says so, with the most that is known of why."""

import pytest

from oppertune.schemas.base import ms
from oppertune.schemas.state import Suspension
from oppertune.streams.processor.standstill import standstill
from world import World, running, spec

QUIET = spec(heartbeat_s=1.0, deadlines={"activation_s": 3.0, "measurement_s": 4.0, "standstill_s": 20.0})


def said(world: World) -> str:
    return standstill(world.tuner().spec, world.scope(), world.now_ms)


def reported(world: World) -> str:
    return world.partition.statistics(world.now_ms).tuners["checkout"].contexts[0].standstill


def pass_s(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.here()
        world.fold()
        world.wait(1)


def test_what_is_measured_does_not_stand_still():
    world = running(QUIET)
    for _ in range(30):
        world.play(1)
        world.wait(1)
        assert said(world) == ""


def test_instances_that_do_not_run_it_are_named():
    world = running(QUIET)
    pass_s(world, 20)
    assert said(world) == ""
    pass_s(world, 2)
    assert said(world).startswith("no round was measured for 22 s: refused: 1 instances are here")
    assert reported(world) == said(world)
    world.play(1)
    assert said(world) == ""


def test_a_metric_that_is_never_recorded_is_named():
    world = running(QUIET)
    for _ in range(25):
        world.here()
        event = world.metric_event()
        world.send("metrics", {**event, "metrics": {"latms": 1.0}})
        world.fold()
        world.wait(1)
    assert "reward was never recorded" in said(world)


def test_before_any_round_has_ended_it_says_how_far_it_is():
    world = running(spec(heartbeat_s=1.0, deadlines={"activation_s": 600.0, "standstill_s": 5.0}))
    pass_s(world, 7)
    assert said(world) == "no round was measured for 7 s: no instance runs round 1"
    world.measured()
    world.fold()
    assert said(world).endswith("round 1 has 1 of 3 samples")


@pytest.mark.parametrize("how", ["nobody", "paused", "suspended"])
def test_what_is_meant_to_stand_is_no_standstill(how):
    world = running(QUIET)
    if how == "nobody":
        world.wait(100)
        world.wait(100)
    else:
        pass_s(world, 25)
        assert said(world)
    if how == "paused":
        world.command("pause")
        pass_s(world, 25)
        assert said(world) == ""
        world.command("resume")
        pass_s(world, 5)
        assert said(world) == "", "it begins to count when it goes on"
    elif how == "suspended":
        tuner = world.partition._tuners["checkout"].tuner
        assert tuner is not None
        tuner.state.suspended = Suspension(reason="x", topic="", offset=0, time_ms=0)
        assert reported(world) == ""
    else:
        assert said(world) == reported(world) == ""


def test_the_time_is_ten_intervals_or_a_round_that_comes_to_nothing():
    world = running(spec(measurement={"interval_s": 10.0}, deadlines={"activation_s": 5.0, "measurement_s": 6.0}))
    assert world.tuner().spec.standstill_s == 100.0
    world = running(spec(measurement={"interval_s": 1.0}, deadlines={"activation_s": 60.0, "measurement_s": 70.0}))
    assert ms(world.tuner().spec.standstill_s) == 130_000
