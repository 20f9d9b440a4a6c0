"""A worker's health: the words, the pages, and what a process shows before it has a broker."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kafkas import free_port, wait_for
from oppertune.core.errors import BrokerUnreachable, Refused
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.processor import PartitionStatistics
from oppertune.streams.worker import PartitionStatus, WorkerSettings, WorkerStatus
from oppertune.streams.worker.health import SHOWN, WORDS, health, report
from oppertune.streams.worker.log_offsets import LogOffsets
from oppertune.streams.worker.pages import pages
from worker.fleet import Fleet
from worker.processes import Worker
from world import World, running, spec

SETTINGS = WorkerSettings(BrokerSettings("kafka:9092", "p."), broker_silent_s=5.0, stuck_s=15.0)
NOW = 1_000.0

MakeWorker = Callable[..., Worker]


def status(**changes: Any) -> WorkerStatus:
    """A worker that works, with some things changed."""
    well: dict[str, Any] = {
        "phase": "running",
        "since": NOW - 60,
        "beat": NOW - 0.2,
        "answered": NOW - 0.3,
        "generation": 3,
    }
    partitions = {n: PartitionStatus(applied={}, lag=n) for n in (0, 1)}
    return WorkerStatus(**{**well, "total_partitions": 8, "partitions": partitions, **changes})


def told(worker: WorkerStatus) -> dict[str, Any]:
    """What its page says now."""
    return cast("dict[str, Any]", report(worker, SETTINGS, NOW))


def get(url: str, method: str = "GET") -> tuple[int, str]:
    """Status and body; 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


# -- the words


@pytest.mark.parametrize(
    ("changes", "word", "alive", "ready", "said"),
    [
        ({}, "ready", True, True, "2 of 8 partitions"),
        ({"partitions": {}}, "ready", True, True, "the other workers hold them all"),
        ({"phase": "starting", "beat": 0.0}, "starting", True, False, "begun"),
        (
            {"phase": "waiting_for_broker", "since": NOW - 12, "beat": NOW - 12, "answered": None, "generation": -1},
            "waiting_for_broker",
            True,
            False,
            "waiting for a broker at kafka:9092, for 12 s",
        ),
        ({"phase": "stopping", "beat": 0.0, "answered": 0.1}, "stopping", True, False, "asked to stop"),
        ({"generation": -1, "partitions": {}}, "rebalancing", True, False, "dealing out"),
        ({"rebalancing": True}, "rebalancing", True, False, "dealing out"),
        ({"reconciling_since": NOW - 3}, "rebalancing", True, False, "restored, for 3 s"),
        ({"answered": NOW - 8}, "broker_silent", True, False, "at kafka:9092 has not answered for 8 s"),
        ({"answered": NOW - 8, "reconciling_since": NOW}, "broker_silent", True, False, "not answered"),
        ({"beat": NOW - 20}, "stuck", False, False, "the event loop has stood still for 20 s"),
        ({"beat": NOW - 20, "answered": NOW - 20}, "stuck", False, False, "the event loop"),
        (
            {"partitions": {4: PartitionStatus(applied={}, lag=7, stuck_s=16)}},
            "stuck",
            True,
            False,
            "partition 4 has a lag of 7 and applied nothing for 16 s",
        ),
        ({"partitions": {4: PartitionStatus(applied={}, lag=7, stuck_s=14)}}, "ready", True, True, "1 of 8"),
    ],
)
def test_a_condition_is_one_word_and_a_sentence(
    changes: dict[str, object], word: str, *, alive: bool, ready: bool, said: str
) -> None:
    condition = health(status(**changes), SETTINGS, NOW)
    assert (condition.word, condition.alive, condition.ready) == (word, alive, ready)
    assert word in WORDS
    assert said in condition.reason


def test_a_silent_broker_and_a_loop_that_stood_still_clear_by_themselves() -> None:
    worker = status(answered=NOW - 60, beat=NOW - 60)
    assert health(worker, SETTINGS, NOW).word == "stuck"
    worker.beat = NOW
    assert health(worker, SETTINGS, NOW).word == "broker_silent"
    worker.answered = NOW
    assert health(worker, SETTINGS, NOW).word == "ready"


# -- what belongs to it


def worker_with(world: World, now_ms: int = 0) -> WorkerStatus:
    return status(partitions={0: PartitionStatus(applied={}, lag=4, statistics=world.partition.statistics(now_ms))})


def test_what_was_lost_here_is_told() -> None:
    worker = status()
    worker.partitions[0].statistics = PartitionStatistics(lost=9)
    worker.partitions[0].initial_statistics = PartitionStatistics(lost=4)
    assert told(worker)["lost"] == 5


def test_a_clock_that_is_off_is_said_while_it_is() -> None:
    worker = status()
    worker.partitions[0].clock_ahead_s = -299.7
    assert health(worker, SETTINGS, NOW).reason.endswith("; this machine's clock is 300 s behind the broker's")
    assert health(worker, SETTINGS, NOW).ready
    assert told(worker)["clock_ahead_s"] == -299.7
    worker.partitions[0].clock_ahead_s = 0.5
    assert "clock" not in health(worker, SETTINGS, NOW).reason


def test_the_report_says_who_waits_for_what_and_no_more_once_it_came() -> None:
    world = World()
    world.apply()
    world.fold()

    def waiting(now_ms: int = 0) -> list[str]:
        said = told(worker_with(world, now_ms))
        assert said["waiting"] == len(said["waiting_tuners"])
        return [entry["why"] for entry in said["waiting_tuners"]]

    assert waiting() == ["no instance has said that it is here"]
    world.here()
    world.fold()
    assert waiting() == ["no instance runs round 1 yet"]
    world.measured()
    world.fold()
    assert waiting() == []
    assert waiting(world.now_ms + 31_000) == ["no instance is present"], "its time is up, though nothing was folded"
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    assert waiting() == []
    world.command("pause")
    world.fold()
    assert waiting() == ["it is paused: oppertune tuner resume"]


def test_a_context_that_waits_is_named_and_the_scope_that_nobody_can_be_in_is_not() -> None:
    world = World()
    world.apply(spec(context={"features": [{"name": "traffic", "values": ["low", "high"]}]}))
    world.fold()
    assert [w["context"] for w in told(worker_with(world))["waiting_tuners"]] == [""]
    world.here(context={"traffic": "low"})
    world.fold()
    assert [w["context"] for w in told(worker_with(world))["waiting_tuners"]] == ["traffic=low"]


def test_suspended_tuners_are_told_with_their_reasons_and_the_worker_is_ready_all_the_same() -> None:
    world = running()
    world.state["checkout/"] = b"{broken"
    world.restore()
    said = told(worker_with(world))
    assert said["ready"] is True
    assert said["suspended"] == 1
    assert said["suspended_tuners"][0]["tuner"] == "checkout"
    assert said["suspended_tuners"][0]["reason"]
    assert said["lag"] == 4
    assert said["broker_answered_s_ago"] == 0.3


def test_lists_are_cut_and_counted_whole() -> None:
    one = running().partition.statistics().tuners["checkout"]._replace(suspended="it raised")
    many = PartitionStatistics({f"t{n:04}": one for n in range(SHOWN + 50)})
    said = told(status(partitions={0: PartitionStatus(applied={}, statistics=many)}))
    assert said["suspended"] == SHOWN + 50
    assert len(said["suspended_tuners"]) == SHOWN


# -- the pages


def test_the_pages_answer_by_themselves_and_follow_the_status() -> None:
    port = free_port()
    settings = WorkerSettings(BrokerSettings("kafka:9092", "p."), health_port=port, health_host="127.0.0.1")
    worker = WorkerStatus()
    with pages(settings, worker):
        url = f"http://127.0.0.1:{port}"
        # Nothing turns here but the pages' own thread: so they answer while an event loop stands still.
        assert get(f"{url}/livez")[0] == 200
        code, body = get(f"{url}/readyz?verbose")
        assert (code, json.loads(body)["status"]) == (503, "starting")
        worker.enter("running")
        worker.generation, worker.answered = 1, worker.since
        assert get(f"{url}/readyz")[0] == 200
        worker.beat -= 60
        code, body = get(f"{url}/livez")
        assert (code, json.loads(body)["status"]) == (503, "stuck")
        code, body = get(f"{url}/metrics")
        assert code == 200
        assert 'oppertune_worker_state{state="stuck"} 1.0' in body
        assert "/readyz" in get(url)[1]
        assert get(f"{url}/nothing")[0] == 404
        assert get(f"{url}/readyz", "HEAD") == (503, "")
    assert get(f"{url}/livez")[0] == 0, "no longer served"


def test_without_a_port_nothing_is_served() -> None:
    with pages(SETTINGS, WorkerStatus()):
        pass


def test_it_can_be_served_at_an_address_of_ipv6() -> None:
    port = free_port()
    with pages(WorkerSettings(BrokerSettings(), health_port=port, health_host="::1"), WorkerStatus()):
        assert get(f"http://[::1]:{port}/livez")[0] == 200


def test_a_port_in_use_is_refused_with_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = WorkerSettings(BrokerSettings(), health_port=port, health_host="127.0.0.1")
        with (
            pytest.raises(Refused, match=f"127.0.0.1:{port} .*choose another --health-port"),
            pages(settings, status()),
        ):
            pass


# -- a process


def test_without_a_broker_a_worker_is_alive_not_ready_and_says_what_it_waits_for(worker: MakeWorker) -> None:
    port = free_port()
    nowhere = BrokerSettings("127.0.0.1:1", "nowhere.")
    one = worker("a", nowhere, start_timeout_s=60.0, health_port=port).start()
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: get(f"{url}/livez")[0] == 200, "it to be alive", 20)
    code, body = get(f"{url}/readyz")
    assert (code, json.loads(body)["status"]) == (503, "waiting_for_broker")
    wait_for(lambda: "waiting for a broker at 127.0.0.1:1" in one.log, "it to say so", 5)
    # A second one beside it, by mistake at the same port.
    two = worker("b", nowhere, start_timeout_s=20.0, health_port=port).start()
    assert two.wait_exit() == 78
    assert f"cannot serve health at 0.0.0.0:{port}" in two.log
    assert "Traceback" not in two.log
    # It may be the first process of a container, which no signal ends by itself.
    assert one.stop()[0] == 0


def test_a_worker_with_a_broker_becomes_ready_and_counts_what_it_does(
    embedded: BrokerSettings, worker: MakeWorker
) -> None:
    port = free_port()
    one = worker("a", embedded, health_port=port).start()
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: get(f"{url}/readyz")[0] == 200, "it to be ready", 25)
    assert json.loads(get(f"{url}/readyz")[1])["partitions"] == [0, 1, 2, 3]
    with Fleet(embedded.bootstrap, embedded.prefix, tuners=1, min_samples=5) as fleet:
        fleet.start()
        fleet.reward_until(20, per_s=500)
        fleet.flush()
        rounds = 'oppertune_rounds_total{outcome="measured",tuner="tuner-0"} '
        wait_for(lambda: f"{rounds}0" not in get(f"{url}/metrics")[1], "a round to be counted", 15)
        wait_for(lambda: json.loads(get(f"{url}/readyz")[1])["tuners"] == 1, "the tuner to be seen", 15)
    assert "oppertune_transaction_seconds_bucket" in get(f"{url}/metrics")[1]
    assert one.stop()[0] == 0


# -- what the broker's silence looks like


def test_an_offset_that_cannot_be_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen in a pause of a real broker: no error but offset -1001, and workers took their topics for cut ones."""
    place = TopicPartition("p.metrics", 0)
    answer: Future[SimpleNamespace] = Future()
    answer.set_result(SimpleNamespace(offset=-1001))
    asked = LogOffsets(SETTINGS)
    monkeypatch.setattr(asked, "_admin", SimpleNamespace(list_offsets=lambda *_, **__: {place: answer}))
    with pytest.raises(BrokerUnreachable, match="no answer"):
        asked.committed_ends([("p.metrics", 0)], 1.0)


def test_a_question_is_asked_again_where_only_the_leaders_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen after a pause of a real broker of 35 s: workers ended that had waited well."""
    place, answers = TopicPartition("p.metrics", 0), [Future[SimpleNamespace](), Future[SimpleNamespace]()]
    answers[0].set_exception(KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH)))
    answers[1].set_result(SimpleNamespace(offset=7))
    asked, looked_up = LogOffsets(SETTINGS), []
    admin = SimpleNamespace(
        list_offsets=lambda *_, **__: {place: answers.pop(0)}, list_topics=lambda topic, **_: looked_up.append(topic)
    )
    monkeypatch.setattr(asked, "_admin", admin)
    assert asked.ends([("p.metrics", 0)], 5.0) == {("p.metrics", 0): 7}
    assert looked_up == ["p.metrics"], "librdkafka does not by itself"
    refused: Future[SimpleNamespace] = Future()
    refused.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    answers.append(refused)
    with pytest.raises(BrokerUnreachable, match="offsets"):
        asked.ends([("p.metrics", 0)], 5.0)
