"""Parameters for which an app must restart: the client keeps what runs, says so, and takes them when told."""

import time

import pytest

from kafkas import wait_for
from oppertune.streams.client import Source

from .conftest import arm, until_values


def until_awaiting(client, *names):
    wait_for(lambda: client.awaiting_restart == names, f"{names} to wait, not {client.awaiting_restart}")


@pytest.fixture
def waiting(topics, make):
    """A client that runs pool 20, and has been offered pool 42."""
    client = make()
    topics.publish(restart=["pool"])
    until_awaiting(client, "pool")  # the incumbent's pool is not the declared one that runs
    client.accept_restart(5)
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
    waiting.accept_restart(5)
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
    client.accept_restart(5)
    topics.publish(arm(42), version=2, restart=["pool"], lease_s=1.0)
    until_awaiting(client, "pool")
    until_awaiting(client)
    assert client["pool"] == 20


def test_an_app_that_applies_by_itself_is_asked_too(topics, make):
    client = make(auto_activate=False)
    topics.publish(arm(42), restart=["pool"])
    until_awaiting(client, "pool")
    assert client["pool"] == 10
    client.accept_restart(5)
    assert client["pool"] == 42
    assert topics.running("candidate-1") == []
    client.applied(client.snapshot())
    wait_for(lambda: topics.running("candidate-1"), "the request to be run")


def test_accepting_in_a_callback_does_not_wait_for_itself(topics, make):
    client = make(on_change=lambda *_: client.accept_restart(30))
    topics.publish(arm(20, "fast"), restart=["pool"], incumbent={"pool": 10, "mode": "slow"})
    until_awaiting(client, "pool")
    began = time.monotonic()
    client.accept_restart(10)
    topics.publish(arm(20, "slow", round_=2), version=2, restart=["pool"])
    until_values(client, pool=20, mode="slow")
    assert time.monotonic() - began < 10
