import math
import threading
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkas import wait_for
from oppertune.core.summary import Summary
from oppertune.schemas import MAX_EVENT_BYTES, Arm, MetricEvent
from oppertune.schemas.base import MAX_METRICS
from oppertune.streams.client import recorder as module
from oppertune.streams.client.active_request import ActiveRequest, RequestTerms
from oppertune.streams.client.event_builder import EventBuilder
from oppertune.streams.client.recorder import Recorder
from oppertune.streams.client.snapshot import Snapshot

from .conftest import arm


def test_names_that_cannot_be_said_are_left_out_and_too_many_are_not_said():
    def said(*names):
        return orjson.loads(EventBuilder("checkout", "a", "boot", names).presence(None, None).value).get("parameters")

    assert said("pool", "\ud800", "x" * 101, "") == ["pool"]
    assert said(*map(str, range(1001))) is None
    assert said(*(f"{i}{'本' * 90}" for i in range(900))) is None
    assert len(said(*(f"{i}{'本' * 90}" for i in range(100)))) == 100


def request_of(recorder, *, settle_s=0.0, interval_s=0.01, active=True):
    it = Arm.model_validate(arm())
    request = ActiveRequest(RequestTerms(it, "", interval_s, settle_s), recorder)
    if active:
        request.activate()
    return request


def builder():
    return EventBuilder("checkout", "a", "boot", ["pool"])


def events(recorder, by=None):
    recorder.gather()
    return [MetricEvent.from_bytes(e.value) for e in recorder.report_all(by or builder())]


@given(values=st.lists(st.floats(-1e80, 1e80), min_size=1, max_size=200))
def test_an_event_holds_what_was_measured(values):
    recorder = Recorder()
    snapshot = Snapshot({}, request_of(recorder))
    for value in values:
        snapshot.record("latency_ms", value)
    (event,) = events(recorder)
    expected = Summary()
    for value in values:
        expected.add(value)
    sent = event.metrics["latency_ms"]
    assert (sent.count, sent.min, sent.max) == (len(values), min(values), max(values))
    assert sent.sum == math.fsum(values)
    assert sent.bins == expected.bins
    assert sent.negative == expected.negative
    assert (event.request_id, event.values_hash) == (snapshot.request_id, arm()["hash"])


def test_events_are_numbered_per_topic_without_holes():
    by = builder()
    recorder = Recorder()
    request = request_of(recorder)
    sent = []
    for _ in range(3):
        request.record("x", 1)
        sent += events(recorder, by)
    assert [(e.boot, e.seq) for e in sent] == [("boot", 0), ("boot", 1), ("boot", 2)]
    presence = [by.presence(None, None) for _ in range(2)]
    assert [b'"seq":0' in presence[0].value, b'"seq":1' in presence[1].value] == [True, True]
    assert len({e.id for e in sent}) == 3


def test_nothing_is_recorded_before_activation_nor_before_the_values_have_settled():
    recorder = Recorder()
    waiting, settling, settled = (
        request_of(recorder, active=False),
        request_of(recorder, settle_s=60.0),
        request_of(recorder, settle_s=0.01),
    )
    waiting.record("x", 1)
    settling.record("x", 1)
    wait_for(lambda: settled.record("x", 1) or recorder._waiting, "the values to settle")
    (event,) = events(recorder)
    assert event.active_for_s >= 0.01


def test_work_that_began_before_the_end_of_a_request_is_credited_to_it():
    recorder = Recorder()
    old = request_of(recorder)
    old.end()
    old.record("x", 1)
    (event,) = events(recorder)
    assert event.metrics["x"].count == 1
    assert event.interval_s > 0
    assert event.active_for_s < 1


def test_a_request_that_ended_before_it_settled_measures_nothing():
    recorder = Recorder()
    request = request_of(recorder, settle_s=0.001)
    request.end()
    wait_for(lambda: request_of(recorder).activated > request.activated + 0.002, "the time to settle")
    request.record("x", 1)
    assert events(recorder) == []


def test_an_interval_without_measurements_is_part_of_the_next_event():
    recorder = Recorder()
    request = request_of(recorder)
    began = request.activated
    wait_for(lambda: request_of(recorder).activated > began + 0.05, "time to pass")
    assert recorder.due() == []
    request.record("x", 1)
    recorder.gather()
    assert recorder.due() == [request]
    (event,) = events(recorder)
    assert event.interval_s >= 0.05


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e81, "3", None, [1], 1j, np.array([1, 2])])
def test_what_is_no_finite_number_is_refused_and_said(value):
    recorder = Recorder()
    request = request_of(recorder)
    request.record("x", value)
    request.record("y", 1)
    (event,) = events(recorder)
    assert event.metrics.keys() == {"y"}
    assert "finite" in recorder.refusals.by_metric["x"]


@pytest.mark.parametrize("value", [3, True, np.float32(3), np.int64(3), Decimal(3)])
def test_any_kind_of_number_is_taken(value):
    recorder = Recorder()
    request_of(recorder).record("x", value)
    (event,) = events(recorder)
    assert event.metrics["x"].sum == float(value)


@pytest.mark.parametrize("metric", ["", "x" * 101, "\ud800", None, 3, ["x"]])
def test_a_metric_without_a_name_is_refused(metric):
    recorder = Recorder()
    request_of(recorder).record(metric, 1)
    assert events(recorder) == []
    assert len(recorder.refusals.by_metric) == 1


def test_everything_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 100)
    recorder = Recorder()
    request = request_of(recorder)
    for n in range(130):
        request.record(f"m{n}", 1)
    assert recorder.lost == 30
    (event,) = events(recorder)
    assert len(event.metrics) == MAX_METRICS
    assert len(recorder.refusals.by_metric) <= 10


def test_events_stay_below_the_limit():
    recorder = Recorder()
    request = request_of(recorder)
    for n in range(MAX_METRICS):
        for exponent in range(1500):
            request.record(f"metric{n}", 1.03 ** (exponent - 750))
            request.record(f"metric{n}", -(1.03 ** (exponent - 750)))
        recorder.gather()
    sent = list(recorder.report_all(builder()))
    assert len(sent) > 1
    assert max(len(e.value) for e in sent) <= MAX_EVENT_BYTES
    assert sum(e.measurements for e in sent) == MAX_METRICS * 3000
    assert {n for e in sent for n in MetricEvent.from_bytes(e.value).metrics} == {f"metric{n}" for n in range(64)}


def test_a_summary_too_wide_for_an_event_is_refused():
    recorder = Recorder()
    request = request_of(recorder)
    for exponent in range(5000):
        request.record("wide", 1.03 ** (exponent - 2500))
    assert events(recorder) == []
    assert recorder.lost == 5000
    assert "bins" in recorder.refusals.by_metric["wide"]


def test_measurements_of_many_threads_all_arrive():
    recorder = Recorder()
    snapshot = Snapshot({}, request_of(recorder))

    def work():
        for _ in range(2000):
            snapshot.record("x", 1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        recorder.gather()
    assert sum(e.metrics["x"].count for e in events(recorder)) == 16_000


@pytest.mark.parametrize(
    ("metric", "per_second"), [("latency_ms", 1e3), ("took_s", 1), ("wait_us", 1e6), ("cpu_ns", 1e9), ("latency", 1e3)]
)
def test_a_timer_measures_in_the_unit_of_the_name(metric, per_second, monkeypatch):
    clock = iter([10.0, 10.5])
    monkeypatch.setattr("oppertune.streams.client.snapshot.perf_counter", lambda: next(clock))
    recorder = Recorder()
    with Snapshot({}, request_of(recorder)).measure(metric):
        pass
    (event,) = events(recorder)
    assert event.metrics[metric].sum == pytest.approx(0.5 * per_second)


def test_a_timer_counts_a_block_that_raises_and_lets_it():
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), Snapshot({}, request_of(recorder)).measure("latency_ms"):
        raise ZeroDivisionError
    assert len(events(recorder)) == 1
