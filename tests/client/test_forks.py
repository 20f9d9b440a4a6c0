"""A process that forks and then records nothing is no instance; and what is recorded in a child is not lost."""

import multiprocessing
import os
import signal
import time

import pytest

from kafkas import wait_for
from oppertune.streams.client.serving import Serving

from .conftest import arm, until_values

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python 3.12 of such forks


def here(topics):
    """The instances that said that they are here, and not yet goodbye."""
    said = {event.instance: not event.leaving for event in topics.read().contexts}
    return {instance for instance, is_here in said.items() if is_here}


class Child:
    """A child of a fork that does something, then lives on until it is told to end."""

    def __init__(self, work, *, close=None):
        self._end, self._told = os.pipe()
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            work()
            os.read(self._end, 1)
            if close is not None:
                close()
            status = 0
        finally:
            os._exit(status)

    def end(self):
        os.write(self._told, b"x")
        assert self._status() == 0

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self._status()

    def _status(self):
        pid, self.pid = self.pid, 0
        status = os.waitpid(pid, 0)[1]
        os.close(self._end)
        os.close(self._told)
        return status


@pytest.fixture
def fork():
    """Makes children; those that a test leaves behind are killed."""
    made = []

    def fork(work, *, close=None):
        made.append(Child(work, close=close))
        return made[-1]

    yield fork
    for child in made:
        child.kill()


@pytest.fixture
def running(topics, make):
    """A client that runs an arm, and whose worker knows it."""
    client = make()
    topics.publish(arm(42), interval_s=0.2, heartbeat_s=0.5)
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    return client


def test_neither_is_an_instance_while_it_records_nothing_and_each_is_once_it_does(running, topics, fork):
    begin, begun = os.pipe()

    def work():
        os.read(begin, 1)
        running.record("latency_ms", 1.0)

    child = fork(work, close=running.close)
    pid = child.pid
    wait_for(lambda: here(topics) == set(), "the parent's goodbye")
    passed = time.monotonic() + 1.0  # several heartbeats, and several turns
    wait_for(lambda: time.monotonic() > passed, "time to pass")
    assert here(topics) == set()
    assert {event.instance for event in topics.contexts} == {"a"}
    os.write(begun, b"x")
    wait_for(lambda: here(topics) == {f"a-{pid}"}, "the child's presence")
    running.record("latency_ms", 1.0)
    wait_for(lambda: here(topics) == {"a", f"a-{pid}"}, "the parent's return")
    child.end()
    wait_for(lambda: here(topics) == {"a"}, "the child's goodbye")


def test_without_a_request_a_measurement_says_that_the_child_serves(topics, make, fork):
    topics.publish(status="parked")
    client = make()
    wait_for(lambda: here(topics) == {"a"}, "its presence")
    child = fork(lambda: client.record("latency_ms", 1.0))
    pid = child.pid
    wait_for(lambda: here(topics) == {f"a-{pid}"}, "the child alone")
    child.end()


def test_what_a_child_records_at_once_arrives_once(running, topics, fork):
    kept = running.snapshot()
    running.record("parents", 1.0)

    def work():
        for _ in range(500):
            running.record("childs", 1.0)
            kept.record("childs", 1.0)
        kept.record("childs", float("nan"))

    def close():
        running.close(10)
        assert running.dropped == 0
        assert "1 measurement of childs refused: nan is not a finite number" in running.problems

    child = fork(work, close=close)
    pid = child.pid
    child.end()
    wait_for(lambda: sum(s.count for s in topics.measured("candidate-1", "childs")) == 1_000, "the measurements")
    wait_for(lambda: topics.measured("candidate-1", "parents"), "the parent's")
    of = {name: {e.instance for e in topics.metrics if name in e.metrics} for name in ("parents", "childs")}
    assert of == {"parents": {"a"}, "childs": {f"a-{pid}"}}
    assert [s.count for s in topics.measured("candidate-1", "parents")] == [1]
    assert running.problems == ()
    (first, *_) = [e for e in topics.metrics if "childs" in e.metrics]
    assert first.interval_s < first.active_for_s  # of its parent's time nothing


def test_a_snapshot_of_a_request_that_ended_before_the_fork_is_credited_in_the_child(running, topics, fork):
    kept = running.snapshot()
    topics.publish(arm(43, round_=2), version=2, interval_s=0.2)
    until_values(running, pool=43)
    child = fork(lambda: kept.record("childs", 1.0), close=running.close)
    child.end()
    wait_for(lambda: topics.measured("candidate-1", "childs"), "the late measurement")


def test_a_child_of_multiprocessing_sends_what_it_recorded_before_it_ends(running, topics):
    def work():
        running.record("childs", 1.0)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    wait_for(lambda: topics.measured("candidate-1", "childs"), "the measurement")
    wait_for(lambda: here(topics) == set(), "its goodbye")


def test_an_app_that_said_that_it_runs_a_request_stays_for_it(topics, make, fork):
    client = make(auto_activate=False)
    topics.publish(arm(42), heartbeat_s=0.3)
    until_values(client, pool=42)
    client.applied(client.snapshot())
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    child = fork(lambda: None)
    before = len(topics.running("candidate-1"))
    wait_for(lambda: len(topics.running("candidate-1")) > before + 3, "more signs of life")
    assert here(topics) == {"a"}
    topics.publish(arm(43, round_=2), version=2, heartbeat_s=0.3)
    wait_for(lambda: here(topics) == set(), "the goodbye, when the request is over")
    child.end()


def test_who_leaves_reports_what_it_measured_before_its_goodbye(topics, make, fork):
    client = make()
    topics.publish(arm(42), interval_s=600, heartbeat_s=0.2)
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    client.record("latency_ms", 1.0)
    wait_for(lambda: client._agent._serving._recorded, "the measurement to be gathered")
    child = fork(lambda: None)
    wait_for(lambda: here(topics) == set(), "the goodbye of one that had recorded before it forked")
    assert topics.measured("candidate-1")  # a report that came after it would bring the instance back
    child.end()


# -- the rule


def test_a_process_that_never_forks_takes_part_whether_it_records_or_not():
    assert Serving(0.0).takes_part(1e9, 30.0)


def test_one_that_forked_takes_part_once_it_recorded_since():
    serving = Serving(0.0)
    serving.fork(10.0)
    assert not serving.takes_part(10.0, 30.0)
    serving.record(11.0)
    assert serving.takes_part(1e9, 30.0)


def test_one_that_recorded_before_is_given_the_time_of_one_that_fell_silent():
    serving = Serving(0.0)
    serving.record(1.0)
    serving.fork(10.0)
    assert serving.takes_part(39.9, 30.0)
    assert not serving.takes_part(40.0, 30.0)


def test_one_whose_work_takes_long_is_given_twice_that():
    serving = Serving(0.0)
    serving.record(600.0)
    serving.fork(610.0)
    assert serving.takes_part(1_809.9, 30.0)
    assert not serving.takes_part(1_810.0, 30.0)


def test_a_child_takes_part_once_it_records():
    serving = Serving(0.0, child=True)
    assert not serving.takes_part(0.0, 30.0)
    serving.record(1.0)
    assert serving.takes_part(1e9, 30.0)
