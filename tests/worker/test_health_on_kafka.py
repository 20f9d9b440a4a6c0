"""Health on a real Kafka: a broker that pauses and a worker that is killed show as what they are, and clear."""

import json
import signal
from collections.abc import Callable

import pytest

from kafkas import LocalKafka, free_port, unique_prefix, wait_for
from oppertune.streams.broker import BrokerSettings, create_topics
from worker.processes import SESSION_S, Worker
from worker.test_health import get

pytestmark = pytest.mark.kafka

MakeWorker = Callable[..., Worker]


@pytest.mark.timeout(100)  # a deadline for a busy machine; some 25 s on an idle one
def test_a_pause_of_the_broker_and_a_killed_worker_show_as_what_they_are_and_clear(
    private_kafka: LocalKafka, worker: MakeWorker
) -> None:
    broker = BrokerSettings(private_kafka.bootstrap, unique_prefix())
    create_topics(broker, partitions=1)
    ports = {name: free_port() for name in ("a", "b")}
    workers = {n: worker(n, broker, health_port=p, broker_silent_s=1.0, stuck_s=30.0) for n, p in ports.items()}

    def shown(name: str) -> dict[str, object]:
        code, body = get(f"http://127.0.0.1:{ports[name]}/readyz")
        return {"code": code, **(json.loads(body) if body else {})}

    def both(word: str, within_s: float) -> None:
        wait_for(lambda: all(shown(n).get("status") == word for n in ports), f"both to be {word}", within_s)

    def owner() -> str:
        return next((n for n in ports if shown(n).get("partitions")), "")

    def silent_s(name: str) -> float:
        return float(str(shown(name)["broker_answered_s_ago"]))

    for one in workers.values():
        one.start()
    wait_for(lambda: all(shown(n)["code"] == 200 for n in ports) and owner(), "both to be ready", 30)
    idle = next(n for n in ports if n != owner())
    assert shown(idle)["reason"] == "no partition was given to it: the other workers hold them all"

    private_kafka.pause()
    try:
        both("broker_silent", 15)
        assert shown("a")["code"] == 503
        assert f"the broker at {private_kafka.bootstrap} has not answered" in str(shown("a")["reason"])
        for port in ports.values():
            assert get(f"http://127.0.0.1:{port}/livez")[0] == 200, "a silent broker is no reason to end a worker"
            seen = get(f"http://127.0.0.1:{port}/metrics")[1]
            assert 'oppertune_worker_state{state="broker_silent"} 1.0' in seen
            assert "oppertune_worker_ready 0.0" in seen
        # Past the session time-out, and several questions that the broker did not answer.
        wait_for(lambda: silent_s("a") > SESSION_S + 2 < silent_s("b"), "the pause to be a long one", 20)
        assert [shown(name)["status"] for name in ports] == ["broker_silent", "broker_silent"]
    finally:
        private_kafka.go_on()
    both("ready", 25)
    wait_for(owner, "the partition to be owned", 25)

    killed = owner()
    workers[killed].kill()
    assert shown(killed)["code"] == 0, "nobody answers: that is what a dead worker shows"
    workers[killed].start()
    wait_for(lambda: shown(killed).get("status") == "rebalancing", "it to wait for its partitions", 15)
    both("ready", 4 * SESSION_S)
    wait_for(owner, "the partition to be owned", 15)
    for one in workers.values():
        one.signal(signal.SIGTERM)
    assert [one.wait_exit() for one in workers.values()] == [0, 0]


def test_a_worker_whose_broker_is_gone_stops_in_a_few_lines(private_kafka: LocalKafka, worker: MakeWorker) -> None:
    """Where the terminal of the broker was closed first, a traceback of aiokafka's would look like a fault."""
    broker = BrokerSettings(private_kafka.bootstrap, unique_prefix())
    create_topics(broker, partitions=2)
    one = worker("a", broker)
    one.start()
    one.wait_ready(2, 30)
    private_kafka.kill()
    wait_for(lambda: "no connection to Kafka" in one.log, "it to notice", 30)
    code, _ = one.stop(within_s=20)
    assert code == 0
    assert "Traceback" not in one.log
    assert one.log.splitlines()[-1].endswith("stopped"), one.log
