"""Parameters for which an app must restart: the client keeps what runs, says so, and takes them when told."""

import os
import time

import pytest

from kafkas import wait_for
from oppertune.streams.client import Source, TunerClient

from .conftest import arm, until_values


def until_awaiting(client, *names):
    wait_for(lambda: client.awaiting_restart == names, f"{names} to wait, not {client.awaiting_restart}")


@pytest.fixture
def waiting(topics, make):
    """A client that runs pool 20, and has been offered pool 42."""
    client = make()
    topics.publish(restart=["pool"])
    until_awaiting(client, "pool")  # the incumbent's pool is not the declared one that runs
    client.accept_restart(25)
    assert client["pool"] == 20
    topics.publish(arm(42), version=2, restart=["pool"])
    until_awaiting(client, "pool")
    return client


def test_what_runs_goes_on_as_a_whole_and_nothing_is_credited(waiting, topics):
    assert waiting.values == {"pool": 20, "mode": "slow"}
    assert waiting.assign("job").values == waiting.values
    assert (waiting.source, waiting.snapshot().request_id) == (Source.RECORD, None)
    assert any("pool changed, and needs a restart" in problem for problem in waiting.problems)
    assert topics.running("candidate-1") == []


def test_told_that_it_can_the_client_takes_what_waits_and_only_that(waiting, topics):
    waiting.accept_restart(25)
    assert waiting.values == {"pool": 42, "mode": "fast"}
    assert waiting.awaiting_restart == waiting.problems == ()
    wait_for(lambda: topics.running("candidate-1"), "the request to be run")
    topics.publish(arm(43, round_=2), version=3, restart=["pool"])
    until_awaiting(waiting, "pool")
    assert waiting["pool"] == 42


def test_other_parameters_change_as_ever(waiting, topics):
    topics.publish(arm(20, "fast", round_=2), version=3, restart=["pool"])
    until_values(waiting, pool=20, mode="fast")
    assert waiting.awaiting_restart == ()


def test_what_waited_is_forgotten_with_its_lease(topics, make):
    client = make()
    topics.publish(restart=["pool"])
    until_awaiting(client, "pool")
    client.accept_restart(25)
    topics.publish(arm(42), version=2, restart=["pool"], lease_s=1.0)
    until_awaiting(client, "pool")
    until_awaiting(client)
    assert client["pool"] == 20


def test_what_was_only_tried_does_not_go_on_where_the_incumbent_can_be_run(topics, make):
    client = make()
    incumbent = {"pool": 10, "mode": "slow"}
    topics.publish(arm(10, "fast"), restart=["pool"], incumbent=incumbent)
    until_values(client, pool=10, mode="fast")
    topics.publish(arm(42, "fast", round_=2), version=2, restart=["pool"], incumbent=incumbent)
    until_awaiting(client, "pool")
    assert client.values == incumbent
    assert client.snapshot().request_id is None


def test_what_runs_goes_on_where_even_the_incumbent_needs_a_restart(topics, make):
    client = make()
    topics.publish(incumbent={"pool": 30, "mode": "fast"}, restart=["pool"])
    until_awaiting(client, "pool")
    assert client.values == {"pool": 10, "mode": "slow"}
    assert client.source is Source.DECLARED
    assert client.wait_ready(5)


def test_a_unit_runs_no_arm_for_which_its_process_must_restart(topics, make):
    client = make(instance="a")
    arms = [arm(10, name="same", share=0.4), arm(60, name="other", share=0.4)]
    topics.publish(*arms, restart=["pool"], incumbent={"pool": 10, "mode": "slow"})
    assert client.wait_ready(10)
    units = [client.assign(f"job-{n}") for n in range(200)]
    assert {(unit.arm, unit["pool"], unit["mode"]) for unit in units} == {("same", 10, "fast"), (None, 10, "slow")}


def test_a_deletion_is_no_reason_to_change_what_needs_a_restart(topics, make):
    client = make()
    topics.publish(restart=["pool"])
    until_awaiting(client, "pool")
    client.accept_restart(25)
    topics.publish_raw(None)
    until_awaiting(client, "pool")
    assert client["pool"] == 20
    client.accept_restart(25)
    assert (client["pool"], client.source) == (10, Source.DECLARED)


def test_accepting_when_nothing_waits_is_no_promise(topics, make):
    client = make()
    client.accept_restart(0.2)
    topics.publish(incumbent={"pool": 10, "mode": "fast"}, restart=["pool"])
    until_values(client, pool=10, mode="fast")
    client.accept_restart(25)
    topics.publish(arm(42), version=2, restart=["pool"])
    until_awaiting(client, "pool")
    assert client["pool"] == 10


def test_once_it_is_accepted_the_callbacks_have_run(topics, make):
    seen: list[int] = []

    def changed(new, _):
        time.sleep(0.2)  # a callback that is not done at once: who accepts must wait for it
        seen.append(new["pool"])

    client = make(on_change=changed)
    topics.publish(arm(42), restart=["pool"])
    until_awaiting(client, "pool")
    client.accept_restart(25)
    assert seen == [42]


def test_while_it_waits_the_log_says_so_once(topics, make, caplog):
    client = make()
    for version in (1, 2, 3):
        topics.publish(arm(40 + version, round_=version), version=version, restart=["pool"])

        def followed(this: int = version) -> bool:
            return client._agent._record is not None and client._agent._record.version == this

        wait_for(followed, "the record")
    assert [r.message for r in caplog.records if "restart" in r.message] == [
        f"tuner checkout: {problem}" for problem in client.problems
    ]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python 3.12 says so of every such fork
def test_a_forked_child_waits_too(waiting):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert waiting["pool"] == 20
            wait_for(lambda: waiting._agent.connection.caught_up, "the child to connect")
            assert (waiting["pool"], waiting.awaiting_restart) == (20, ("pool",))
            waiting.accept_restart(15)
            status = 0 if waiting["pool"] == 42 else 2
            waiting.close(5)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert waiting["pool"] == 20


def test_an_app_that_applies_by_itself_is_asked_too(topics, make):
    client = make(auto_activate=False)
    topics.publish(arm(42), restart=["pool"])
    until_awaiting(client, "pool")
    assert client["pool"] == 10
    client.accept_restart(25)
    assert client["pool"] == 42
    assert topics.running("candidate-1") == []
    client.applied(client.snapshot())
    wait_for(lambda: topics.running("candidate-1"), "the request to be run")


def test_accepting_in_a_callback_does_not_wait_for_itself(topics, make):
    client: TunerClient = make(on_change=lambda *_: client.accept_restart(30))
    topics.publish(arm(20, "fast"), restart=["pool"], incumbent={"pool": 10, "mode": "slow"})
    until_awaiting(client, "pool")
    began = time.monotonic()
    client.accept_restart(10)
    topics.publish(arm(20, "slow", round_=2), version=2, restart=["pool"])
    until_values(client, pool=20, mode="slow")
    assert time.monotonic() - began < 10
