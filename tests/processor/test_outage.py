"""All workers were away: what waited is folded long after it was sent. Nothing that no app could run is judged."""

import pytest

from oppertune.streams.processor import Received
from world import SPEC, World, running, spec

FAIL = spec(
    measurement={**SPEC["measurement"], "min_samples": 2},
    deadlines={"on_inactive": "fail", "activation_s": 10.0, "measurement_s": 20.0},
    heartbeat_s=2.0,
    lease_s=6.0,
)


def backlog() -> tuple[World, list[Received]]:
    """Half a round was measured before the outage of a minute, its other half and heartbeats wait."""
    world = running(FAIL)
    world.measured(reward=0.5)
    world.fold(read_to_end=True)
    world.now_ms += 1_000
    waiting = [world.measured(reward=0.5)]
    for _ in range(30):
        world.now_ms += 2_000
        waiting.append(world.here())
    return world, waiting


def check(world: World) -> None:
    """The round that the backlog opened has its whole time from the end of the backlog on."""
    assert [r.outcome for r in world.rounds] == ["measured"]
    opened = world.scope().arms[0]
    assert opened.activate_by_ms == world.now_ms + 10_000
    for _ in range(4):
        world.here()
        world.wait(2)
    world.measured(reward=0.25)
    world.measured(reward=0.25)
    world.fold()
    world.wait(2)
    assert [(r.outcome, r.told) for r in world.rounds] == [("measured", 0.5), ("measured", 0.25)]


def test_a_round_that_a_backlog_opened_is_waited_for_from_when_it_can_be_seen():
    world, _ = backlog()
    world.fold(read_to_end=True)
    check(world)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_in_whatever_batches_the_backlog_is_folded(size):
    """The commands are read to their end meanwhile: by that, a fold knows how late it is."""
    world, waiting = backlog()
    while waiting:
        batch, waiting = waiting[:size], waiting[size:]
        ends = {"commands": world.now_ms}
        world.commit(world.partition.fold(batch, read_to_end_ms=ends, log_starts={}))
    world.fold(read_to_end=True)
    check(world)


def test_the_newest_record_of_a_batch_tells_how_late_it_is_where_nothing_else_does():
    world, waiting = backlog()
    world.commit(world.partition.fold(waiting, read_to_end_ms={}, log_starts={}))
    world.fold(read_to_end=True)
    check(world)


def test_a_round_that_nobody_ran_though_it_could_be_seen_still_fails():
    world, _ = backlog()
    world.fold(read_to_end=True)
    for _ in range(6):
        world.here()
        world.wait(2)
    assert [(r.outcome, r.why) for r in world.rounds[1:]] == [
        ("failed", "refused: 1 instances are here, and none ran it in time")
    ]


def test_a_round_that_apps_gave_up_with_its_lease_is_skipped_and_the_next_one_can_be_seen():
    world = running(FAIL)
    world.now_ms += 60_000
    world.here()
    world.fold(read_to_end=True)
    assert [(r.outcome, r.why) for r in world.rounds] == [("skipped", "its lease ran out: no worker renewed it")]
    assert world.scope().arms[0].activate_by_ms == world.now_ms + 10_000
