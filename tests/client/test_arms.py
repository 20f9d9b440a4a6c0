"""What an instance lives through as arms come, grow and go: without a broker, on the test's own clock."""

from typing import Any

import orjson
import pytest

from oppertune.core.assignment import position
from oppertune.schemas import ContextEvent, MetricEvent
from oppertune.schemas.keys import values_hash
from oppertune.streams.client import Status, TunerClient, active_request, agent, recorder, values_in_effect
from oppertune.streams.client.connection import ConfigMessage

from .conftest import INCUMBENT, PARAMETERS, TUNER, arm, record

TRIED = {"pool": 42, "mode": "fast"}


def baseline(round_, share=1.0, **more):
    return arm(round_=round_, name="baseline", kind="baseline", share=share, values=INCUMBENT, **more)


def candidate(share, stage=1):
    return arm(round_=stage, name="candidate", kind="candidate", share=share, values=TRIED)


def explore(share=1.0, round_=1, name="e1", **more):
    return arm(round_=round_, name=name, share=share, values=more.pop("values", TRIED), **more)


class Line:
    """In place of a connection: what the client reads and sends."""

    connected = caught_up = idle = True
    problem = ""
    dropped = 0

    def __init__(self):
        self.comes: list[ConfigMessage] = []
        self.contexts: list[ContextEvent] = []
        self.metrics: list[Any] = []

    def poll(self, timeout_s):
        comes, self.comes = self.comes, []
        return comes

    def send(self, event):
        if event.topic == "contexts":
            self.contexts.append(ContextEvent.from_bytes(event.value))
        else:
            self.metrics.append(MetricEvent.from_bytes(event.value))

    def connect(self):
        """Connected."""

    serve = connect


class Instance:
    """A client whose turns a test takes; its name says where it stands: salt 1 puts ``a`` at 0.255."""

    def __init__(self, folder, monkeypatch, **more):
        self.now = 1000.0
        for module in (agent, active_request, recorder, values_in_effect):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        given: dict[str, Any] = {"instance": "a", "state_dir": folder, **more}
        self.client = TunerClient(TUNER, PARAMETERS, settings="127.0.0.1:1", **given)
        self.line = self.client._agent.connection = Line()  # type: ignore[assignment]
        self._version = 0
        self.newest: dict[str, Any] = {}

    def hears(self, *arms, **more):
        """A record comes, and is followed."""
        self._version += 1
        self.newest = record(*arms, version=self._version, **({"interval_s": 10.0, "lease_s": 300.0} | more))
        self.renewed()
        return self.client.snapshot()

    def renewed(self):
        """The newest record comes once more."""
        self.line.comes = [ConfigMessage(TUNER, orjson.dumps(self.newest), 0, live=True)]
        self.lives(0.0)

    def lives(self, seconds, latency_ms=None):
        """Time passes; then something is measured; then the client has a turn."""
        self.now += seconds
        if latency_ms is not None:
            self.client.record("latency_ms", latency_ms)
        self.client._agent._turn()

    @property
    def reported(self):
        """Of each metric event: request, length of the interval, for how long it was active, sum of latencies."""
        return [
            (e.request_id, pytest.approx(e.interval_s), pytest.approx(e.active_for_s), e.metrics["latency_ms"].sum)
            for e in self.line.metrics
        ]


@pytest.fixture
def instance(tmp_path, monkeypatch):
    return Instance(tmp_path, monkeypatch)


def test_the_names_of_these_tests_stand_where_they_say():
    assert position("1", "d") < 0.15 < position("1", "a") < 0.3 < position("1", "c")


class TestTheSameValuesUnderAnotherRequest:
    def test_time_counts_on_and_nothing_settles_anew(self, instance):
        instance.hears(baseline(1), settle_s=20.0)
        instance.lives(19.0, latency_ms=1.0)
        instance.lives(3.0, latency_ms=2.0)
        instance.hears(baseline(2), settle_s=20.0)
        assert instance.line.contexts[-1].request_id == "baseline-2"
        instance.lives(0.0, latency_ms=4.0)
        instance.lives(9.0, latency_ms=8.0)
        instance.hears(baseline(3), settle_s=20.0)
        assert instance.reported == [("baseline-1", 2.0, 22.0, 2.0), ("baseline-2", 9.0, 31.0, 12.0)]

    def test_what_had_not_settled_goes_on_settling(self, instance):
        instance.hears(baseline(1), settle_s=20.0)
        instance.lives(15.0)
        instance.hears(baseline(2), settle_s=20.0)
        instance.lives(4.0, latency_ms=1.0)
        instance.lives(2.0, latency_ms=2.0)
        instance.hears()
        assert instance.reported == [("baseline-2", 1.0, 21.0, 2.0)]

    def test_a_measurement_belongs_to_the_request_under_which_it_was_made(self, instance):
        first = instance.hears(baseline(1))
        instance.lives(5.0)
        instance.hears(baseline(2))
        first.record("latency_ms", 1.0)
        instance.lives(2.0, latency_ms=2.0)
        instance.hears()
        assert {(request, sum_) for request, _, _, sum_ in instance.reported} == {("baseline-1", 1), ("baseline-2", 2)}

    def test_under_the_same_name_other_values_settle_anew(self, instance):
        instance.hears(explore(round_=1), settle_s=20.0)
        instance.lives(30.0, latency_ms=1.0)
        instance.hears(explore(round_=2, values=TRIED | {"pool": 43}), settle_s=20.0)
        instance.lives(19.0, latency_ms=2.0)
        instance.lives(2.0, latency_ms=4.0)
        instance.hears()
        assert instance.reported == [("e1-1", 10.0, 30.0, 1.0), ("e1-2", 1.0, 21.0, 4.0)]

    def test_values_that_were_left_meanwhile_settle_anew(self, instance):
        instance.hears(explore(round_=1), settle_s=20.0)
        instance.lives(30.0)
        instance.hears(baseline(2), settle_s=20.0)
        instance.hears(explore(round_=3), settle_s=20.0)
        instance.lives(19.0, latency_ms=1.0)
        instance.lives(1.0, latency_ms=2.0)
        instance.lives(2.0)
        instance.hears()
        assert instance.reported == [("e1-3", 2.0, 22.0, 2.0)]

    def test_what_was_run_without_a_request_has_settled_too(self, instance):
        instance.hears(status="parked", settle_s=20.0)
        instance.lives(30.0)
        instance.hears(baseline(1), settle_s=20.0)
        instance.lives(1.0, latency_ms=1.0)
        instance.hears()
        assert instance.reported == [("baseline-1", 1.0, 31.0, 1.0)]

    def test_at_the_start_nothing_has_settled(self, instance):
        instance.lives(30.0)
        instance.hears(baseline(1), settle_s=20.0, incumbent=dict(instance.client.values))
        instance.lives(19.0, latency_ms=1.0)
        instance.hears()
        assert instance.reported == []

    def test_an_instance_that_comes_later_to_an_arm_that_was_there_settles(self, instance):
        instance.hears(candidate(0.15), baseline(1, 0.85), settle_s=20.0)
        instance.lives(60.0)
        assert instance.client.snapshot().request_id == "baseline-1"
        assert instance.hears(candidate(0.3), baseline(2, 0.7), settle_s=20.0).request_id == "candidate-1"
        instance.lives(19.0, latency_ms=1.0)
        instance.lives(3.0, latency_ms=2.0)
        instance.hears()
        assert instance.reported == [("candidate-1", 2.0, 22.0, 2.0)]

    def test_units_of_an_arm_go_on_likewise(self, instance):
        instance.hears(candidate(0.15), baseline(1, 0.85), settle_s=20.0)
        instance.lives(30.0)
        instance.hears(candidate(0.15, stage=2), baseline(2, 0.85), settle_s=20.0)
        for unit, latency_ms in (("d", 1.0), ("c", 2.0)):
            instance.client.assign(unit).record("latency_ms", latency_ms)
        instance.lives(1.0)
        instance.hears()
        assert sorted(instance.reported) == [("baseline-2", 1.0, 31.0, 2.0), ("candidate-2", 1.0, 31.0, 1.0)]

    def test_an_app_that_applies_later_need_not_say_it_again(self, tmp_path, monkeypatch):
        instance = Instance(tmp_path, monkeypatch, auto_activate=False)
        first = instance.hears(explore(0.2, name="e1"), baseline(1, 0.8), settle_s=20.0)
        instance.client.applied(first)
        instance.client.applied(instance.client.assign("d"))
        instance.lives(30.0)
        instance.hears(explore(0.2, name="e1", round_=2), baseline(2, 0.8), settle_s=20.0)
        instance.client.assign("d").record("latency_ms", 1.0)
        instance.lives(1.0, latency_ms=2.0)
        instance.hears()
        assert sorted(instance.reported) == [("baseline-2", 1.0, 31.0, 2.0), ("e1-2", 1.0, 31.0, 1.0)]
        assert instance.line.contexts[-2].request_id == "baseline-2"

    def test_an_app_that_has_not_applied_them_runs_no_request(self, tmp_path, monkeypatch):
        instance = Instance(tmp_path, monkeypatch, auto_activate=False)
        instance.hears(explore(round_=1))
        instance.lives(30.0)
        second = instance.hears(explore(round_=2))
        instance.lives(1.0, latency_ms=1.0)
        assert instance.line.contexts[-1].request_id is None
        instance.client.applied(second)
        instance.lives(1.0, latency_ms=2.0)
        instance.hears()
        assert instance.reported == [("e1-2", 1.0, 1.0, 2.0)]

    def test_what_an_app_applied_for_a_unit_of_its_own_arm_is_its_own_too(self, tmp_path, monkeypatch):
        instance = Instance(tmp_path, monkeypatch, auto_activate=False)
        instance.hears(explore())
        instance.client.applied(instance.client.assign("job"))
        instance.lives(0.0)
        assert instance.line.contexts[-1].request_id == "e1-1"


class TestWithdrawn:
    def test_its_units_run_the_incumbent_and_nothing_is_measured_or_reported(self, instance):
        tried = instance.hears(explore(0.5), baseline(1, 0.5))
        assert (tried.values, tried.request_id) == (TRIED, "e1-1")
        instance.lives(3.0, latency_ms=1.0)
        instance.hears(explore(0.5, kind="withdrawn"), baseline(1, 0.5))
        assert instance.reported == [("e1-1", 3.0, 3.0, 1.0)], "what was measured before is evidence"
        now = instance.client.snapshot()
        assert (now.values, now.request_id, instance.client.problems) == (INCUMBENT, None, ())
        instance.lives(30.0, latency_ms=2.0)
        assert len(instance.line.metrics) == 1
        assert instance.line.contexts[-1].request_id is None

    def test_it_keeps_its_piece_so_that_no_other_unit_moves(self, instance):
        pieces = [explore(0.3, name=name, values=TRIED | {"pool": n}) for n, name in enumerate(("e1", "e2"), 50)]
        instance.hears(*pieces, baseline(1, 0.4))
        units = [f"job-{n}" for n in range(200)]
        before = {unit: instance.client.assign(unit).arm for unit in units}
        instance.hears(pieces[0] | {"kind": "withdrawn"}, pieces[1], baseline(1, 0.4))
        after = {unit: instance.client.assign(unit).arm for unit in units}
        assert set(before.values()) == {"e1", "e2", "baseline"}
        assert after == {unit: None if name == "e1" else name for unit, name in before.items()}

    def test_in_the_next_round_it_has_settled_as_the_incumbent(self, instance):
        instance.hears(explore(), settle_s=20.0)
        instance.lives(30.0)
        instance.hears(explore(kind="withdrawn"), settle_s=20.0)
        instance.lives(25.0)
        instance.hears(baseline(2), settle_s=20.0)
        instance.lives(1.0, latency_ms=1.0)
        instance.hears()
        assert instance.reported == [("baseline-2", 1.0, 26.0, 1.0)]


class TestFirstReports:
    FIRST = (1.0, 2.0, 4.0)

    def reports(self, instance, arm_, seconds=30, **more):
        """When reports came, in seconds, and how long their intervals were."""
        instance.hears(arm_, first_report_s=self.FIRST, **more)
        instance.line.metrics.clear()
        at: dict[int, float] = {}
        for second in range(1, seconds + 1):
            instance.lives(1.0, latency_ms=1.0)
            if instance.line.metrics:
                [event] = instance.line.metrics
                at[second] = round(event.interval_s, 6)
                instance.line.metrics.clear()
        return at

    @pytest.mark.parametrize("kind", ["explore", "candidate"])
    def test_who_begins_to_run_what_may_be_bad_reports_soon_and_then_by_the_interval(self, instance, kind):
        assert self.reports(instance, arm(kind=kind)) == {1: 1.0, 2: 1.0, 4: 2.0, 14: 10.0, 24: 10.0}

    def test_the_baseline_reports_by_the_interval(self, instance):
        assert self.reports(instance, baseline(1)) == {10: 10.0, 20: 10.0, 30: 10.0}

    def test_what_goes_on_does_not_begin_again(self, instance):
        self.reports(instance, candidate(1.0))
        assert self.reports(instance, candidate(1.0, stage=2)) == {10: 10.0, 20: 10.0, 30: 10.0}

    def test_they_count_from_the_first_measurement_that_counts(self, instance):
        at = self.reports(instance, arm(), settle_s=5.0)
        assert at == {6: 1.0, 7: 1.0, 9: 2.0, 19: 10.0, 29: 10.0}

    def test_they_delay_no_report_of_a_short_interval(self, instance):
        assert self.reports(instance, arm(), 5, interval_s=1.0) == dict.fromkeys(range(1, 6), 1.0)

    def test_a_moment_at_which_nothing_was_measured_is_made_up_for_by_the_next_measurement(self, instance):
        instance.hears(arm(), first_report_s=self.FIRST)
        instance.lives(2.5)
        instance.lives(0.5, latency_ms=1.0)
        instance.lives(0.5, latency_ms=1.0)
        assert instance.reported == [("candidate-1", 3.0, 3.0, 1.0)]
        instance.lives(0.5, latency_ms=2.0)
        assert instance.reported[1] == ("candidate-1", 1.0, 4.0, 3.0)


class TestPinned:
    ARMS = (explore(0.3), baseline(1, 0.7))

    def test_a_pinned_instance_runs_its_arm_whatever_its_position(self, instance):
        assert instance.hears(*self.ARMS).arm == "e1"
        assert instance.hears(*self.ARMS, pinned={"a": "baseline"}).request_id == "baseline-1"
        instance.lives(0.0)
        assert instance.line.contexts[-1].request_id == "baseline-1"
        assert instance.hears(*self.ARMS, pinned={"c": "baseline"}).arm == "e1", "nobody else is moved"

    @pytest.mark.parametrize("to", ["incumbent", "e7"])
    def test_pinned_to_the_incumbent_or_to_an_arm_that_is_not_there_it_runs_the_incumbent_unmeasured(
        self, instance, to
    ):
        now = instance.hears(*self.ARMS, pinned={"a": to})
        assert (now.values, now.request_id) == (INCUMBENT, None)
        instance.lives(30.0, latency_ms=1.0)
        assert instance.line.metrics == []

    def test_the_word_for_the_incumbent_is_no_arms_name(self, instance):
        assert instance.hears(explore(name="incumbent"), pinned={"a": "incumbent"}).values == INCUMBENT

    def test_a_unit_is_pinned_by_its_own_name_and_not_by_its_process(self, instance):
        instance.hears(*self.ARMS, pinned={"c": "e1", "d": "incumbent", "a": "baseline"})
        arms = {unit: instance.client.assign(unit).arm for unit in ("a", "c", "d", "g")}
        assert arms == {"a": "baseline", "c": "e1", "d": None, "g": "e1"}
        assert instance.client.assign("c").values == TRIED

    def test_pinned_to_what_was_withdrawn_it_runs_the_incumbent(self, instance):
        withdrawn = (explore(0.3, kind="withdrawn"), baseline(1, 0.7))
        assert instance.hears(*withdrawn, pinned={"a": "e1"}).values == INCUMBENT

    def test_a_pin_gives_no_lease(self, instance):
        instance.hears(*self.ARMS, pinned={"a": "e1", "c": "e1"}, lease_s=30.0)
        instance.lives(31.0)
        assert (instance.client.values, instance.client.assign("c").values) == (INCUMBENT, INCUMBENT)

    def test_pinned_to_what_the_app_cannot_run_it_refuses_it(self, instance):
        instance.hears(explore(0.1, values={"pool": 1000, "mode": "slow"}), baseline(1, 0.9), pinned={"a": "e1"})
        assert instance.client.values == INCUMBENT
        assert instance.line.contexts[-1].refused_id == "e1-1"

    def test_a_pinned_unit_runs_nothing_for_which_its_process_must_restart(self, instance):
        instance.hears(restart=["pool"], incumbent={"pool": 10, "mode": "slow"})
        arms = (explore(0.3), baseline(1, 0.7, hash="h") | {"values": {"pool": 10, "mode": "slow"}})
        pinned = {"a": "e1", "c": "e1"}
        instance.hears(*arms, pinned=pinned, restart=["pool"], incumbent={"pool": 10, "mode": "slow"})
        assert instance.client.awaiting_restart == ("pool",)
        assert instance.client.assign("c").values == {"pool": 10, "mode": "slow"}


@pytest.mark.parametrize("arm_", [candidate(1.0), explore()], ids=["candidate", "explore"])
def test_a_lease_that_ends_sends_the_units_of_every_arm_home(instance, arm_):
    instance.hears(arm_, lease_s=30.0, settle_s=5.0)
    instance.lives(20.0, latency_ms=1.0)
    instance.renewed()
    instance.lives(29.0, latency_ms=2.0)
    assert (instance.client.values, instance.client.assign("c").values) == (TRIED, TRIED)
    instance.lives(2.0)
    assert (instance.client.values, instance.client.assign("c").values) == (INCUMBENT, INCUMBENT)
    assert (instance.client.status, instance.line.contexts[-1].request_id) == (Status.STALE, None)
    instance.line.metrics.clear()
    instance.renewed()
    instance.lives(4.0, latency_ms=1.0)
    instance.lives(6.0, latency_ms=2.0)
    instance.hears()
    [(_, interval_s, active_for_s, sum_)] = instance.reported
    assert (interval_s, active_for_s, sum_) == (5.0, 10.0, 2.0), "back on it, it settles anew"


def test_two_pieces_of_an_arm_are_one_request(instance):
    instance.hears(baseline(1, 0.2), explore(0.3), baseline(1, 0.4))
    arms = {unit: instance.client.assign(unit) for unit in ("d", "a", "c")}
    assert [snapshot.arm for snapshot in arms.values()] == ["baseline", "e1", "baseline"]
    assert len(instance.client._agent._current.view.requests) == 2
    for unit in ("d", "c"):
        arms[unit].record("latency_ms", 1.0)
    instance.lives(1.0)
    instance.hears()
    assert instance.reported == [("baseline-1", 1.0, 1.0, 2.0)]
    assert instance.line.metrics[0].values_hash == values_hash(INCUMBENT)
