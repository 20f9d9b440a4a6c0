"""The client on the embedded broker, with config records published by hand."""

import logging
import pickle
import threading
import time
from functools import partial
from unittest import mock

import pytest

from kafkas import wait_for
from oppertune.core.errors import InvalidArgument, InvalidContext
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.client import Source, Status, TunerClient
from oppertune.streams.client.connection import Connection

from .conftest import PARAMETERS, TUNER, Topics, arm, renew, until_renewed, until_values
from .test_config_follower import FEATURES, scope_of


def keep_measuring(client, until, what, metric="latency_ms", value=1.0):
    def once():
        client.record(metric, value)
        return until()

    return wait_for(once, what)


# -- following


def test_the_newest_record_is_followed_and_its_arm_run(topics, make):
    topics.publish(arm(41), version=1)
    topics.publish(arm(42, round_=2), version=2)
    client = make()
    assert client.wait_ready(10)
    assert client.values == {"pool": 42, "mode": "fast"}
    assert (client["pool"], client.get("mode"), client.get("nothing", 3)) == (42, "fast", 3)
    assert (client.status, client.source, client.problems) == (Status.READY, Source.RECORD, ())
    topics.publish(arm(43, round_=3), version=3)
    until_values(client, pool=43)
    with pytest.raises(KeyError):
        client["nothing"]
    with pytest.raises(TypeError):
        client.values["pool"] = 1


def test_history_is_not_lived_through(topics, make):
    for version in range(1, 50):
        topics.publish(arm(version, round_=version), version=version)
    changes = []
    client = make(on_change=lambda new, old: changes.append((dict(new), dict(old))))
    assert client.wait_ready(10)
    declared, incumbent, newest = ({"pool": 10}, {"pool": 20}, {"pool": 49, "mode": "fast"})
    mode = {"mode": "slow"}
    assert changes == [(incumbent | mode, declared | mode), (newest, incumbent | mode)]


def test_a_deletion_that_was_taken_back_is_not_lived_through_again_by_new_handles(topics, make):
    topics.publish(arm(41))
    topics.publish_raw(None)
    topics.publish(arm(42), incarnation=2)
    changes = []
    client = make(on_change=lambda new, _: changes.append(new["pool"]))
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    handles = client._agent.connection._consumer
    client._agent.connection.renew()
    wait_for(
        lambda: client._agent.connection._consumer is not handles and client._agent.connection.caught_up, "new handles"
    )
    topics.publish(arm(43, round_=2), version=2, incarnation=2)
    until_values(client, pool=43)
    assert changes == [20, 42, 43]  # the incumbent, until it was renewed


def test_without_a_record_the_declared_values_are_run_and_it_says_why(make):
    client = make()
    wait_for(lambda: client.problems, "a problem")
    assert (client.status, client.source) == (Status.DEFAULT, Source.DECLARED)
    assert client.values == {"pool": 10, "mode": "slow"}
    assert "apply" in client.problems[0]
    assert not client.wait_ready(0)


def test_a_parked_tuner_runs_the_incumbent(topics, make):
    topics.publish(status="parked")
    client = make()
    assert client.wait_ready(10)
    assert client["pool"] == 20
    assert client.snapshot().request_id is None


def test_an_arm_that_is_not_renewed_is_given_up_and_taken_up_again(topics, make):
    changes = []
    client = make(on_change=lambda new, _: changes.append(new["pool"]))
    topics.publish(arm(42), lease_s=1.0)
    wait_for(lambda: changes == [42, 20], "the arm, and the end of its lease")
    assert (client["pool"], client.status, client.source) == (20, Status.STALE, Source.RECORD)
    assert not client.wait_ready(0)
    topics.publish(arm(42), lease_s=30.0, published_ms=2_000)
    until_values(client, pool=42)
    assert client.status is Status.READY
    wait_for(lambda: len(topics.running("candidate-1")) >= 2, "the request to be announced again")


def test_a_renewal_keeps_the_arm_without_a_change(topics, make):
    changes = []
    client = make(on_change=lambda new, _: changes.append(new["pool"]))
    topics.publish(arm(42), lease_s=2.0)
    until_values(client, pool=42)
    request = client.snapshot()
    first_lease = client._agent.follower._newest[TUNER].trusted_until
    topics.publish(arm(42), lease_s=600.0, published_ms=2_000)
    wait_for(lambda: time.monotonic() > first_lease + 0.2, "the first lease to pass")
    assert client.snapshot() is request
    assert client.status is Status.READY
    assert changes == [42]
    client.close()
    wait_for(lambda: any(event.leaving for event in topics.read().contexts), "the goodbye")
    assert len([event for event in topics.running("candidate-1") if not event.leaving]) == 1


def test_an_app_that_an_arm_kills_at_its_start_does_not_meet_it_again_while_no_worker_lives(topics, make):
    topics.publish(arm(42), lease_s=30.0)
    told = []
    for _ in range(3):  # each a new life of the same app
        client = make(listens=False, on_change=lambda new, _: told.append(new["pool"]))
        wait_for(partial(getattr, client._agent, "_record"), "the record")
        assert (client["pool"], client.status, client.wait_ready(0)) == (20, Status.STALE, False)
        assert client.problems == (), "a worker has a third of a lease for it"
        client.close()
    assert set(told) == {20}
    client = make(listens=False)
    renew(topics, client)
    until_values(client, pool=42)
    assert (client.status, client.problems) == (Status.READY, ())


def test_a_renewal_that_does_not_come_in_time_is_told(topics, make):
    topics.publish(arm(42), lease_s=0.3)
    client = make(listens=False)
    wait_for(lambda: client.problems, "the missing renewal to be told")
    assert client.problems == ("no worker renewed what was tried before this client listened: the incumbent is run",)
    assert (client["pool"], client.status) == (20, Status.STALE)
    renew(topics, client)
    until_values(client, pool=42)


def test_what_was_there_ends_with_its_last_record_whatever_comes_behind():
    """Or behind it: the last of a transaction is a marker, which nobody is given."""
    connection = Connection(BrokerSettings("127.0.0.1:1"), TUNER)
    connection._end = 5

    def read(offset):
        message = mock.Mock(
            **{"error.return_value": None, "offset.return_value": offset, "timestamp.return_value": (1, 7)},
            **{"key.return_value": TUNER.encode(), "value.return_value": b"{}"},
        )
        taken = connection._read(message)
        assert taken is not None
        return taken.live, connection.caught_up

    assert [read(offset) for offset in (2, 3)] == [(False, False)] * 2
    assert [read(offset) for offset in (4, 5)] == [(False, True), (True, True)]
    connection.caught_up = False
    assert [read(offset) for offset in (3, 6, 7)] == [(False, False), (False, True), (True, True)]


@pytest.mark.kafka
def test_a_client_listens_though_others_write_to_its_partition_all_the_time(real, tmp_path):
    """Its end is told by a fetch that finds nothing: never, where each finds something."""
    topics, neighbour, done = Topics(real), Topics(real), threading.Event()
    topics.publish(arm(42))

    def write():
        while not done.wait(0.002):
            neighbour.publish_raw(b"{}", key="another")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        with TunerClient(TUNER, PARAMETERS, settings=real, state_dir=tmp_path) as client:
            renew(topics, client)
            until_values(client, pool=42)
    finally:
        done.set()
        writing.join(10)


def test_a_newer_record_than_the_one_at_the_start_is_run_at_once(topics, make):
    topics.publish(arm(42))
    client = make(listens=False)
    wait_for(lambda: client.source is Source.RECORD, "the record")
    topics.publish(arm(43, round_=2), version=2)
    until_values(client, pool=43)


def test_a_lease_that_nobody_renewed_is_told_and_logged(topics, make, caplog):
    client = make()
    topics.publish(arm(42), lease_s=0.5)
    wait_for(lambda: client.status is Status.STALE, "the end of the lease")
    assert client.problems == ("no worker renewed what is tried for 0.5 s: the incumbent is run",)
    assert "no worker renewed" in caplog.text


@pytest.mark.parametrize(("ahead_s", "said"), [(60.0, "60 s ahead of"), (-60.0, "60 s behind"), (1.0, "")])
def test_a_clock_that_is_off_changes_nothing_and_is_named(topics, make, monkeypatch, caplog, ahead_s, said):
    monkeypatch.setattr("oppertune.streams.client.agent.time", lambda: time.time() + ahead_s)
    client = make()
    topics.publish(arm(42), lease_s=30.0)
    until_values(client, pool=42)
    assert client.status is Status.READY
    assert [said in problem for problem in client.problems] == ([True] if said else [])
    assert len([r for r in caplog.records if "clock" in r.message]) == bool(said)


def test_a_record_that_is_read_late_makes_no_clock_wrong(topics, make):
    client = make()
    topics.publish(arm(42))
    until_values(client, pool=42)
    topics.publish(arm(43), version=2, age_s=60.0)
    until_values(client, pool=43)
    assert client.problems == ()


def test_a_deleted_tuner_leaves_the_declared_values_and_nothing_on_disk(topics, make, tmp_path):
    topics.publish(arm(42))
    client = make()
    until_values(client, pool=42)
    wait_for(lambda: list((tmp_path / "state").glob("*.json")), "the incumbent on disk")
    topics.publish_raw(None)
    wait_for(lambda: client.status is Status.DEFAULT, "the end of the tuner")
    assert client.values == {"pool": 10, "mode": "slow"}
    assert client.source is Source.DECLARED
    wait_for(lambda: not list((tmp_path / "state").iterdir()), "the incumbent to be forgotten")
    topics.publish(arm(43), incarnation=2)
    until_values(client, pool=43)


def test_features_choose_the_scope_and_a_change_of_context_another(topics, make):
    key = f"{TUNER}/{scope_of('eu')}"
    topics.publish(features=FEATURES, status="parked")
    topics.publish(arm(55), features=FEATURES, scope=scope_of("eu"), key=key)
    client = make(context={"region": "eu", "host": "h1"})
    assert client.wait_ready(10)
    assert client["pool"] == 55
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    assert topics.contexts[-1].context == {"region": "eu", "host": "h1"}
    keep_measuring(client, lambda: topics.measured("candidate-1"), "a metric event")
    assert topics.metrics[0].scope == scope_of("eu")

    client.set_context({"region": "us"})
    until_values(client, pool=20)
    wait_for(lambda: topics.read().contexts[-1].context == {"region": "us"}, "the new context to be told")
    assert topics.contexts[-1].request_id is None
    client.set_context({"region": "mars"})
    wait_for(lambda: client.problems, "a problem")
    assert "region" in client.problems[0]
    assert client["pool"] == 20


def test_an_unreadable_record_changes_nothing(topics, make):
    topics.publish(arm(42))
    client = make()
    until_values(client, pool=42)
    topics.publish_raw(b"{")
    wait_for(lambda: client.problems, "a problem")
    assert client["pool"] == 42
    topics.publish(arm(43), version=2)
    until_values(client, pool=43)
    assert client.problems == ()


def test_words_of_a_newer_worker_leave_the_incumbent_and_a_word_of_advice(topics, make, tmp_path):
    topics.publish(arm(42))
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    topics.publish(arm(43, round_=2), version=2, status="canary", incumbent={"pool": 21, "mode": "slow"})
    until_values(client, pool=21, mode="slow")
    assert (client.status, client.source, client.tuner_status) == (Status.READY, Source.RECORD, "canary")
    assert (client.snapshot().request_id, client.assign("job")["pool"]) == (None, 21)
    [problem] = client.problems
    assert "'canary'" in problem
    assert "upgrade" in problem
    wait_for(lambda: b'"pool":21' in next((tmp_path / "state").glob("*.json")).read_bytes(), "the incumbent on disk")

    topics.publish(arm(44, round_=3, kind="shadow"), version=3)
    wait_for(lambda: any("'shadow'" in problem for problem in client.problems), "the arm's problem")
    assert (client["pool"], client.snapshot().request_id, client.tuner_status) == (20, None, "tuning")
    client.record("latency_ms", 1.0)
    topics.publish(arm(45, round_=4), version=4)
    until_values(client, pool=45)
    wait_for(lambda: topics.running("candidate-4"), "the request to be announced")
    assert client.problems == ()
    assert topics.running("candidate-2") == topics.running("candidate-3") == topics.measured("candidate-3") == []


# -- arms


def test_units_are_dealt_over_the_arms_and_the_rest_run_the_incumbent(topics, make):
    topics.publish(arm(40, name="plus", share=0.4), arm(60, name="minus", share=0.4))
    client = make()
    assert client.wait_ready(10)
    dealt = [client.assign(f"job-{n}")["pool"] for n in range(500)]
    assert set(dealt) == {40, 60, 20}
    assert dealt == [client.assign(f"job-{n}")["pool"] for n in range(500)]
    assert client.assign("a").values == client.values
    unit = next(f"job-{n}" for n in range(500) if client.assign(f"job-{n}")["pool"] == 60)
    snapshot = client.assign(unit)
    wait_for(lambda: snapshot.record("latency_ms", 2.0) or topics.measured("minus-1"), "a metric event of the arm")
    assert snapshot.arm == "minus"
    assert client.assign(next(f"job-{n}" for n in range(500) if dealt[n] == 20)).request_id is None


# -- the app's own bounds


def test_what_the_spec_lacks_runs_as_declared_in_what_is_measured(topics, make, caplog):
    topics.publish(arm(values={"pool": 42}), incumbent={"pool": 20})
    client = make()
    until_values(client, pool=42, mode="slow")
    assert [problem for problem in client.problems if "mode is not in the spec" in problem]
    keep_measuring(client, lambda: topics.measured("candidate-1"), "a metric event")
    assert topics.metrics[0].values_hash == arm(values={"pool": 42})["hash"]
    wait_for(lambda: topics.running("candidate-1"), "the instance to say that it runs it")
    assert topics.running("candidate-1")[0].parameters == ["pool", "mode"]
    assert len([r for r in caplog.records if "mode is not in the spec" in r.message]) == 1


def test_an_arm_that_changes_what_the_app_lacks_is_not_run(topics, make):
    known = {"pool": 20, "mode": "slow", "cache": "lru"}
    topics.publish(arm(values=known | {"pool": 42, "cache": "arc"}), incumbent=known)
    client = make()
    wait_for(lambda: any("cache='arc'" in problem for problem in client.problems), "the problem")
    assert (client["pool"], client.snapshot().request_id) == (20, None)
    topics.publish(arm(values=known | {"pool": 42}, round_=2), incumbent=known, version=2)
    until_values(client, pool=42, mode="slow")
    assert [problem for problem in client.problems if "lacks cache" in problem]


def test_an_arm_outside_the_apps_bounds_is_not_run(topics, make):
    topics.publish(arm(1000))
    client = make()
    wait_for(lambda: any("pool" in problem and "refused" in problem for problem in client.problems), "the problem")
    assert (client["pool"], client.snapshot().request_id) == (20, None)


def test_an_incumbent_outside_the_apps_bounds_is_defaulted_by_parameter(topics, make):
    topics.publish(incumbent={"pool": 1000, "mode": "fast"})
    client = make()
    until_values(client, pool=10, mode="fast")
    assert any("pool" in problem for problem in client.problems)


def test_what_the_app_lacks_is_not_among_its_values(topics, make):
    topics.publish(arm(values={"pool": 42, "mode": "fast", "o": 1}), incumbent={"pool": 2, "mode": "slow", "o": 1})
    client = make()
    until_values(client, pool=42)
    assert client.values.keys() == {"pool", "mode"}
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")


def test_a_mapping_of_defaults_is_enough(topics, make):
    topics.publish(arm(1000))
    client = make(parameters={"pool": 1, "mode": "x"})
    until_values(client, pool=1000)


# -- disk and bootstrap file


def test_a_restart_without_a_broker_runs_the_incumbent_from_disk(topics, make, tmp_path):
    topics.publish(arm(42))
    first = make()
    until_values(first, pool=42)
    wait_for(lambda: list((tmp_path / "state").glob("*.json")), "the incumbent on disk")
    first.close()
    again = make(settings=_nowhere(topics), start=False)
    assert again.values == {"pool": 20, "mode": "slow"}
    assert (again.status, again.source) == (Status.STALE, Source.DISK)


def test_before_disk_knows_anything_the_bootstrap_file_does(topics, make, tmp_path):
    (tmp_path / "b.json").write_text('{"pool": 30, "mode": "sideways"}')
    client = make(start=False, bootstrap_file=tmp_path / "b.json")
    assert client.values == {"pool": 30, "mode": "slow"}
    assert (client.status, client.source) == (Status.DEFAULT, Source.BOOTSTRAP)
    assert "mode" in client.problems[0]


def test_an_unwritable_disk_is_only_a_warning(topics, make, tmp_path, caplog):
    (tmp_path / "state").write_text("in the way")
    topics.publish(arm(42))
    client = make()
    until_values(client, pool=42)
    topics.publish(arm(43), version=2)
    until_values(client, pool=43)
    wait_for(lambda: "cannot be kept" in caplog.text, "the warning")


def _nowhere(topics):
    return type(topics.settings)(bootstrap="127.0.0.1:1", prefix=topics.settings.prefix)


# -- callbacks and activation


def test_callbacks_see_the_change_and_then_the_request_is_announced_at_once(topics, make):
    client = make(start=False)
    seen = []

    @client.on_change
    def changed(new, old):
        seen.append((new["pool"], old["pool"], client["pool"], topics.running("candidate-1")))

    client.start()
    renew(topics, client)
    topics.publish(arm(42), heartbeat_s=600)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    assert seen == [(42, 10, 42, [])]


@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_a_callback_that_raises_is_reported_and_the_request_not_announced(topics, make, caplog, kind):
    told = []

    def changed(new, old):
        told.append(new["pool"])
        if new["pool"] == 42:
            raise kind("nothing by nought")

    client = make(on_change=changed)
    topics.publish(arm(42))
    wait_for(lambda: any(kind.__name__ in problem for problem in client.problems), "the problem")
    client.record("latency_ms", 1.0)
    topics.publish(arm(43, round_=2), version=2)
    wait_for(lambda: topics.running("candidate-2"), "the next request to be announced")
    assert topics.running("candidate-1") == []
    assert topics.measured("candidate-1") == []
    assert client.problems == ()
    assert told == [42, 43]
    assert "nothing by nought" in caplog.text


def refusals(topics):
    return {event.refused_id: event.refused_why for event in topics.read().contexts if event.refused_id}


def test_what_the_app_cannot_run_is_refused_with_the_reason(topics, make):
    def changed(new, old):
        if new["pool"] == 42:
            raise ZeroDivisionError("nothing by nought")

    client = make(on_change=changed)
    topics.publish(arm(1000))
    wait_for(lambda: "candidate-1" in refusals(topics), "the refusal")
    assert "1000" in refusals(topics)["candidate-1"]
    topics.publish(arm(42, round_=2), version=2)
    wait_for(lambda: "candidate-2" in refusals(topics), "the callback's refusal")
    assert "ZeroDivisionError: nothing by nought" in refusals(topics)["candidate-2"]
    topics.publish(arm(43, round_=3), version=3)
    wait_for(lambda: topics.running("candidate-3"), "what it can run")
    assert refusals(topics).keys() == {"candidate-1", "candidate-2"}
    assert topics.running("candidate-1") == topics.running("candidate-2") == []
    assert client.problems == ()


def test_after_a_callback_raised_the_same_values_are_told_again(topics, make):
    told = []

    def changed(new, old):
        told.append(new["pool"])
        if len(told) == 1:
            raise ZeroDivisionError

    client = make(on_change=changed)
    topics.publish(arm(42))
    wait_for(lambda: any("ZeroDivisionError" in problem for problem in client.problems), "the problem")
    topics.publish(arm(42, round_=2), version=2)
    wait_for(lambda: topics.running("candidate-2"), "the next request to be announced")
    assert told == [42, 42]


def test_the_same_values_under_another_request_need_no_callback(topics, make):
    told = []
    client = make(on_change=lambda new, _: told.append(new["pool"]))
    for round_ in (1, 2):
        topics.publish(arm(42, round_=round_), version=round_)
        wait_for(partial(topics.running, f"candidate-{round_}"), "the request to be announced")
    assert told == [42]
    assert client.snapshot().round == 2


def test_an_app_that_applies_later_says_when(topics, make):
    told = threading.Event()
    client = make(auto_activate=False, on_change=lambda *_: told.set())
    topics.publish(arm(42))
    assert told.wait(10)
    until_values(client, pool=42)
    client.record("latency_ms", 1.0)  # not in effect yet: not credited
    assert topics.running("candidate-1") == []
    snapshot = client.snapshot()
    client.applied(snapshot)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    keep_measuring(client, lambda: topics.measured("candidate-1"), "a metric event", value=3.0)
    assert topics.measured("candidate-1")[0].min == 3.0
    topics.publish(arm(42, round_=2), version=2)
    wait_for(lambda: topics.running("candidate-2"), "a request with the values in effect")


# -- measuring


def test_measurements_arrive_as_numbers_with_their_request(topics, make):
    topics.publish(arm(42, round_=3), interval_s=1.0)
    client = make()
    wait_for(lambda: topics.running("candidate-3"), "the request to be announced")
    for value in (1.0, 2.0, 6.0, 0.0, -1.0):
        client.record("latency_ms", value)
    client.record("rows", 7)
    (sent,) = wait_for(lambda: topics.measured("candidate-3"), "the metric event")
    assert (sent.count, sent.sum, sent.sum_sq, sent.min, sent.max, sent.zeros) == (5, 8.0, 42.0, -1.0, 6.0, 1)
    (event,) = topics.metrics
    assert event.metrics["rows"].count == 1
    assert (event.tuner, event.instance, event.round, event.arm, event.scope) == (TUNER, "a", 3, "candidate", "")
    assert event.values_hash == arm(42)["hash"]
    assert 1.0 <= event.interval_s < 10
    assert event.interval_s == pytest.approx(event.active_for_s, abs=0.01)
    assert event.boot == topics.contexts[0].boot


def test_a_measurement_is_credited_to_the_request_it_ran_under(topics, make):
    topics.publish(arm(42, round_=1))
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the first request")
    before = client.snapshot()
    timer = client.measure("latency_ms")
    with timer:
        topics.publish(arm(43, round_=2), version=2)
        wait_for(lambda: topics.running("candidate-2"), "the second request")
        client.record("rows", 2.0)
    before.record("rows", 1.0)
    wait_for(lambda: topics.measured("candidate-1") and topics.measured("candidate-1", "rows"), "the late measurements")
    wait_for(lambda: topics.measured("candidate-2", "rows"), "the measurement of the second")
    assert [s.sum for s in topics.measured("candidate-1", "rows")] == [1.0]
    assert [s.sum for s in topics.measured("candidate-2", "rows")] == [2.0]
    assert topics.measured("candidate-2") == []
    assert before["pool"] == 42


def test_what_was_gathered_is_sent_at_a_change_and_not_an_interval_later(topics, make):
    topics.publish(arm(42, round_=1), interval_s=600)
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    client.record("latency_ms", 1.0)
    topics.publish(arm(43, round_=2), version=2, interval_s=600)
    wait_for(lambda: topics.measured("candidate-1"), "the leftover")


def test_measurements_before_the_values_have_settled_are_not_sent(topics, make):
    topics.publish(arm(42), settle_s=0.3)
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    keep_measuring(client, lambda: topics.measured("candidate-1"), "a metric event")
    assert all(event.active_for_s >= 0.3 for event in topics.metrics)
    assert topics.metrics[0].active_for_s == pytest.approx(0.3 + topics.metrics[0].interval_s)


def test_a_measurement_that_is_no_number_is_a_problem_and_not_an_exception(topics, make):
    topics.publish(arm(42))
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    client.record("latency_ms", float("nan"))
    wait_for(lambda: client.problems, "the problem")
    assert "latency_ms" in client.problems[0]


# -- presence and life


def test_presence_is_told_at_the_start_and_as_a_heartbeat(topics, make):
    topics.publish(status="parked", heartbeat_s=0.3)
    make(instance="one")
    wait_for(lambda: len(topics.read().contexts) >= 5, "heartbeats")
    assert {e.instance for e in topics.contexts} == {"one"}
    assert [e.seq for e in topics.contexts] == sorted({e.seq for e in topics.contexts})


def test_a_clean_close_sends_the_last_measurements_and_a_goodbye(topics, make):
    topics.publish(arm(42), interval_s=600)
    client = make()
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    for _ in range(100):
        client.record("latency_ms", 1.0)
    client.close(10)
    wait_for(lambda: topics.measured("candidate-1"), "the last measurements")
    assert topics.measured("candidate-1")[0].count == 100
    assert topics.read().contexts[-1].leaving
    assert client["pool"] == 42
    client.record("latency_ms", 1.0)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.start()


def test_the_context_manager_starts_and_closes(topics, make):
    with make(start=False) as client:
        wait_for(lambda: topics.read().contexts, "its presence")
    wait_for(lambda: topics.read().contexts[-1].leaving, "its goodbye")
    assert client.start


def test_an_instance_is_known_by_host_process_and_boot(topics, make):
    first, second = make(start=False, instance=None), make(start=False, instance=None)
    assert first.instance != second.instance
    assert make(start=False, instance="shop-1").instance == "shop-1"


def test_a_client_cannot_be_pickled(make):
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(make(start=False))


def test_what_is_impossible_is_refused_at_once(topics, make):
    with pytest.raises(InvalidArgument, match="name"):
        TunerClient("Not A Name", PARAMETERS)
    with pytest.raises(InvalidArgument, match="instance"):
        make(instance="")
    with pytest.raises(InvalidContext, match="region"):
        make(context={"region": [1]})
    client = make(start=False)
    with pytest.raises(InvalidContext):
        client.set_context({"x": float("nan")})


def test_settings_may_be_an_address_or_come_from_the_environment(topics, tmp_path, monkeypatch):
    topics.publish(status="parked")
    monkeypatch.setenv("OPPERTUNE_PREFIX", topics.settings.prefix)
    with TunerClient(TUNER, PARAMETERS, settings=topics.settings.bootstrap, state_dir=tmp_path) as client:
        assert client.wait_ready(10)
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", topics.settings.bootstrap)
    with TunerClient(TUNER, PARAMETERS, state_dir=tmp_path) as client:
        assert client.wait_ready(10)


def test_a_turn_that_fails_does_not_end_the_client(topics, make, monkeypatch, caplog):
    client = make()
    wait_for(lambda: topics.read().contexts, "its presence")

    def fail():
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr(client._agent.recorder, "gather", fail)
    topics.publish(arm(42))
    until_renewed(topics, client, pool=42)
    wait_for(lambda: "a turn of the client failed" in caplog.text, "the log")
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    assert [r.levelno for r in caplog.records if "turn" in r.message] == [logging.ERROR]
