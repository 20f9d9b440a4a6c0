"""A request's own account of time: when it counts, when a report is due, how long an interval was."""

import pytest

from oppertune.schemas import Arm
from oppertune.streams.client import Snapshot, TunerClient
from oppertune.streams.client import active_request as module
from oppertune.streams.client.active_request import ActiveRequest, RequestTerms
from oppertune.streams.client.recorder import Recorder

from .conftest import arm


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    return clock


def request_of(interval_s=10.0, settle_s=2.0):
    it = Arm.model_validate(arm())
    return ActiveRequest(RequestTerms(it, "", interval_s, settle_s), Recorder())


def test_intervals_follow_each_other_from_the_moment_when_the_values_had_settled(clock):
    request = request_of()
    assert not request.due(1e9)
    request.activate()
    assert (request.due(111.9), request.due(112.0)) == (False, True)
    assert request.close_interval(112.0) == (10.0, 12.0)
    assert (request.due(121.9), request.due(122.0)) == (False, True)
    assert request.close_interval(125.0) == (13.0, 25.0)


def test_a_request_that_has_ended_is_reported_soon_and_work_that_outlives_it_takes_no_time(clock):
    request = request_of()
    request.activate()
    clock.now = 105.0
    request.end()
    assert request.close_interval(107.0) == (3.0, 5.0)
    assert (request.due(107.9), request.due(108.0)) == (False, True)
    assert request.close_interval(108.0) == (1e-6, 5.0)


def test_a_request_is_activated_once_and_never_after_its_end(clock):
    request = request_of()
    request.activate()
    clock.now = 101.0
    request.activate()
    assert request.activated == 100.0
    ended = request_of()
    ended.end()
    ended.activate()
    assert ended.activated is None


def test_a_measurement_may_name_the_snapshot_that_it_ran_under(tmp_path):
    noted = []

    class Earlier(Snapshot):
        def record(self, metric, value):
            noted.append((metric, value))

    client = TunerClient("checkout", {"pool": 1}, settings="127.0.0.1:1", state_dir=tmp_path)
    client.record("latency_ms", 1.0, Earlier({}))
    assert noted == [("latency_ms", 1.0)]
