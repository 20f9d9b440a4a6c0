"""Why a tuner does not go on: in a sentence, each cause as what it is, gone when the cause is."""

import pytest

from oppertune.schemas.state import PartitionOffsets, SourceState
from oppertune.streams.operate.reading.partition_progress import PartitionProgress, partition_progress
from oppertune.streams.operate.reporting.waiting import ago, waiting_for
from world import World, running, spec


@pytest.fixture
def world():
    world = World()
    world.apply(spec(rollout={"enabled": False}))
    world.fold()
    return world


def said(world, *, later_s=0.0, where=None):
    now_ms = world.now_ms + int(later_s * 1000)
    return waiting_for(world.tuner(), world.scope(), where or PartitionProgress(0, now_ms), now_ms)


def test_nobody_is_present_until_somebody_is(world):
    assert said(world).startswith("nobody is present")
    world.here()
    world.fold()
    assert said(world).startswith("an instance to run round 1, deadline in ")


def test_an_instance_that_is_not_heard_of_any_more(world):
    world.here()
    world.fold()
    assert said(world, later_s=120).startswith("no instance is heard any more, the last sign of life ran out ")


def test_what_is_missing_of_a_measurement(world):
    world.here()
    world.fold()
    world.here(request_id=world.scope().arms[0].id)
    world.fold()
    needed = world.tuner().spec.measurement.min_samples
    assert said(world).startswith(f"measuring round 1: 0 of {needed} samples, 0 of 1 instances reported, deadline in")


def test_a_metric_that_is_never_recorded_is_named():
    world = running(spec(objective={"measured": "latms"}))
    world.measured(metrics={"lat_ms": 3.0})
    world.fold()
    assert said(world).startswith(
        "measuring round 1: latms was never recorded; recorded: lat_ms, 1 of 1 instances reported, deadline in"
    )


def test_behind_the_deadline_it_is_said_what_is_waited_for():
    world = running(spec(deadlines={"measurement_s": 5.0}))
    world.here(request_id=world.scope().arms[0].id)
    world.fold()
    world.wait(7)
    assert said(world).endswith("its deadline has passed 2 s ago, and whether its instances live is not known yet")


def test_paused_and_suspended_say_how_to_go_on(world):
    world.command("pause")
    world.fold()
    assert said(world) == "paused; go on with: oppertune tuner resume checkout"


def test_events_that_nobody_applies_wait_for_a_worker(world):
    world.here()
    world.fold()
    then = world.now_ms
    assert said(world, where=PartitionProgress(3, then), later_s=5).startswith("an instance")
    assert (
        said(world, where=PartitionProgress(3, then), later_s=20)
        == "no worker: 3 events wait, and none was applied for 20 s"
    )
    assert said(world, where=PartitionProgress(0, then), later_s=20).startswith("an instance")
    moving = PartitionProgress(3, then, moving=True)
    assert said(world, where=moving, later_s=20) == "a worker that catches up: 3 events wait, it is 20 s behind"


def test_lag_is_what_lies_between_the_ends_and_what_was_applied():
    sources = {"contexts": SourceState(next=10), "metrics": SourceState(next=5), "commands": SourceState(next=1)}
    offsets = PartitionOffsets(v=1, partition=0, partitions=4, sources=sources, time_ms=99)
    found = partition_progress(offsets, {"contexts": 10, "metrics": 9, "commands": 2})
    assert (found.lag, found.time_ms, found.by_source) == (5, 99, {"contexts": 0, "metrics": 4, "commands": 1})
    assert found.applied == 16
    unknown = partition_progress(None, {"contexts": 2, "metrics": 1})
    assert (unknown.lag, unknown.stalled(10**12)) == (3, False)


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h")])
def test_times_for_people(seconds, words):
    assert ago(0, seconds * 1000) == words
