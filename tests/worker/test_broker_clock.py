"""The broker's clock between its timestamps: it never goes back, never stands still, and finds back to the broker's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.streams.worker.broker_clock import BrokerClock

SECONDS = st.floats(0, 1e6, allow_nan=False)


def test_nothing_is_known_before_the_first_timestamp() -> None:
    clock = BrokerClock(0, 5.0)
    assert clock.now_ms(100.0) == 0
    clock.heard(-1, 100.0)
    assert clock.now_ms(200.0) == 0, "a record of an old format has no timestamp"
    clock.heard(7_000, 200.0)
    assert clock.now_ms(201.5) == 8_500


def test_it_goes_on_from_what_was_stored() -> None:
    assert BrokerClock(50_000, 10.0).now_ms(12.0) == 52_000


def test_a_newer_timestamp_moves_it_ahead_at_once() -> None:
    clock = BrokerClock(50_000, 10.0)
    clock.heard(3_650_000, 11.0)
    assert clock.now_ms(11.0) == 3_650_000


def test_where_it_is_ahead_it_goes_on_at_half_its_pace_until_the_broker_has_caught_up() -> None:
    clock = BrokerClock(300_000, 0.0)
    clock.heard(10_000, 10.0)
    ahead = clock.now_ms(10.0) - 10_000
    assert ahead == 300_000
    assert clock.now_ms(20.0) == 315_000
    for now_s in range(20, 1000):
        clock.heard(now_s * 1000, float(now_s))
    assert clock.now_ms(1000.0) == 1_000_000


@given(st.lists(st.tuples(st.integers(-1, 10**9), SECONDS), min_size=1), st.integers(0, 10**9))
def test_it_never_goes_back_and_never_stands_still(heard: list[tuple[int, float]], stored_ms: int) -> None:
    clock, now_s, before = BrokerClock(stored_ms, 0.0), 0.0, 0
    for timestamp_ms, passed_s in heard:
        now_s += passed_s
        after = clock.now_ms(now_s)
        if before:
            assert after >= before + int(passed_s * 500) - 1
        clock.heard(timestamp_ms, now_s)
        assert clock.now_ms(now_s) >= max(after, timestamp_ms)
        before = clock.now_ms(now_s)


@pytest.mark.parametrize("source", ["commands", "contexts", "metrics"])
def test_a_partition_knows_the_newest_time_of_any_source(source: str) -> None:
    from world import World

    world = World()
    assert world.partition.newest_ms() == 0
    world.send(source, b"no event")
    world.fold()
    world.restore()
    assert world.partition.newest_ms() == world.now_ms
