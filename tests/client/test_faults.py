"""The broker is away at the start, dies, or stands still: the app notices nothing but old values."""

import socket
import threading
import time
from contextlib import suppress

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkas import answers, free_port, wait_for
from oppertune.schemas.events import MeasuredSummary
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker, error_codes
from oppertune.streams.client import Status
from oppertune.streams.client import connection as module
from oppertune.streams.client.connection import Connection
from oppertune.streams.client.event_builder import Event

from .conftest import TUNER, Topics, arm, renew, until_renewed, until_values

pytestmark = pytest.mark.spread


class Door:
    """A port that leads to a broker while it is open; nobody gets round it, for the broker's address is told as its."""

    def __init__(self, to):
        self._to = to
        self._host, _, port = to.partition(":")
        self._port = int(port)
        self._listener: socket.socket | None = None
        self._through: list[socket.socket] = []
        self.address = f"127.0.0.1:{free_port()}"

    def open(self):
        self._listener = socket.create_server(("127.0.0.1", int(self.address.partition(":")[2])))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        listener = self._listener
        assert listener is not None
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self._host, self._port))
                self._through += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        told, ours = (b"127.0.0.1" + int(a.partition(":")[2]).to_bytes(4) for a in (self._to, self.address))
        with suppress(OSError), one, other:
            while data := one.recv(65536):
                other.sendall(data.replace(told, ours))

    def close(self):
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            self._listener.close()
        for one in self._through:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_a_broker_that_comes_later_is_found(topics, make):
    door = Door(topics.settings.bootstrap)
    topics.publish(arm(42))
    client = make(settings=BrokerSettings(bootstrap=door.address, prefix=topics.settings.prefix), listens=False)
    wait_for(lambda: client.problems, "the problem to be noticed")
    assert door.address in client.problems[0]
    assert client.values == {"pool": 10, "mode": "slow"}
    assert client.status is Status.DEFAULT
    door.open()
    renew(topics, client)
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    wait_for(lambda: client.problems == (), "the problem to be over")
    door.close()


def test_a_broker_that_goes_and_comes_back_shows_and_clears_by_itself(topics, make):
    door = Door(topics.settings.bootstrap)
    door.open()
    client = make(settings=BrokerSettings(bootstrap=door.address, prefix=topics.settings.prefix))
    topics.publish(arm(42), lease_s=3.0)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    assert (client["pool"], client.status, client.problems) == (42, Status.READY, ())
    door.close()
    wait_for(lambda: any(door.address in problem for problem in client.problems), "the problem to be noticed")
    wait_for(lambda: client.status is Status.STALE, "the end of the lease")
    assert client["pool"] == 20
    topics.publish(arm(43, round_=2), version=2)
    door.open()
    until_renewed(topics, client, pool=43)
    wait_for(lambda: topics.running("candidate-2"), "the next request to be announced")
    wait_for(lambda: client.problems == (), "the problem to be over")
    assert (client.status, client.dropped) == (Status.READY, 0)
    wait_for(lambda: client.record("latency_ms", 1.0) or topics.measured("candidate-2"), "a metric event")
    door.close()


def test_missing_topics_are_said_and_waited_for(make, topics, monkeypatch):
    client = make(start=False)
    monkeypatch.setattr(
        client._agent.connection, "_partitions", lambda _: client._agent.connection._wrong("topic x is missing")
    )
    client.start()
    wait_for(lambda: "topic x is missing" in client.problems, "the problem")
    monkeypatch.undo()
    topics.publish(arm(42))
    renew(topics, client)
    until_values(client, pool=42)


@pytest.mark.alone
def test_when_the_broker_dies_the_app_goes_on_at_full_speed(make, tmp_path, caplog):
    with EmbeddedBroker() as broker:
        topics = Topics(broker.settings)
        client = make(settings=broker.settings)
        topics.publish(arm(42), lease_s=2.0)
        wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
        topics.close()
    took = []
    end = time.monotonic() + 3.0
    while time.monotonic() < end or not client.problems:
        began = time.perf_counter()
        client.record("latency_ms", 1.0)
        assert client["pool"] in {42, 20}
        took.append(time.perf_counter() - began)
        threading.Event().wait(0.0005)
    assert sorted(took)[int(len(took) * 0.99)] < 0.005
    assert (client["pool"], client.status) == (20, Status.STALE)
    began = time.monotonic()
    client.close(0.5)
    assert time.monotonic() - began < 5


def test_at_the_bound_the_oldest_measurements_are_given_up_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(module, "MAX_WAITING_EVENTS", 3)
    connection = Connection(BrokerSettings(bootstrap="127.0.0.1:1"), TUNER)
    for n in range(5):
        connection.send(Event("metrics", b"%d" % n, 10))
        connection.send(Event("contexts", b"%d" % n))
        connection.serve()
    assert [e.value for e in connection._waiting] == [b"2", b"3", b"4"]
    assert connection._presence is not None
    assert connection._presence.value == b"4"
    assert connection.dropped == 20
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 100)
    connection.send(Event("metrics", b"x" * 99, 10))
    assert [len(e.value) for e in connection._waiting] == [1, 99]
    assert connection.dropped == 40
    assert len(caplog.records) == 1
    connection.close()
    assert connection.dropped == 60


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_after_a_pause_of_the_broker_everything_arrives_once(private_kafka, make, monkeypatch):
    """The broker stands still for longer than a delivery may take: handles are replaced, events sent again."""
    from kafkas import unique_prefix
    from oppertune.streams.broker import create_topics

    monkeypatch.setattr(module, "DELIVERY_TIMEOUT_S", 3.0)
    settings = BrokerSettings(bootstrap=private_kafka.bootstrap, prefix=unique_prefix())
    create_topics(settings, partitions=4)
    topics = Topics(settings)
    client = make(settings=settings)
    topics.publish(arm(42), lease_s=600.0)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    handle = client._agent.connection._producer

    sent = 0
    private_kafka.pause()
    try:
        end = time.monotonic() + 25.0
        while time.monotonic() < end:
            client.record("latency_ms", 1.0)
            sent += 1
            threading.Event().wait(0.005)
    finally:
        private_kafka.go_on()
    assert client["pool"] == 42
    wait_for(lambda: answers(private_kafka.bootstrap), "the broker to have outlived its pause", 60)
    topics.read_anew()
    client.record("last", 1.0)
    wait_for(lambda: topics.measured("candidate-1", "last"), "the newest event", 60)
    assert client._agent.connection._producer is not handle

    def arrived():
        topics.read()
        measured = [e.metrics.get("latency_ms") for e in {e.seq: e for e in topics.metrics}.values()]
        return sum(summary.count for summary in measured if isinstance(summary, MeasuredSummary))

    wait_for(lambda: arrived() == sent, "every measurement, once", 30)
    assert client.dropped == 0
    topics.publish(arm(43, round_=2), version=2)
    until_renewed(topics, client, pool=43)
    wait_for(lambda: client.problems == (), "the problem to be over")
    topics.close()


@pytest.mark.kafka
def test_a_client_creates_no_topics(kafka, make):
    from confluent_kafka.admin import AdminClient

    from kafkas import unique_prefix

    prefix = unique_prefix()
    client = make(settings=BrokerSettings(bootstrap=kafka, prefix=prefix), listens=False)
    wait_for(lambda: client.problems, "the problem")
    assert "topics create" in client.problems[0]
    client.close()
    there = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics
    assert not [name for name in there if name.startswith(prefix)]


@pytest.mark.kafka
def test_topics_that_were_deleted_and_made_again_are_found(real, make):
    from oppertune.streams.broker import create_topics, delete_topics

    topics = Topics(real)
    client = make(settings=real)
    topics.publish(heartbeat_s=0.2)
    until_values(client, pool=20)
    topics.close()
    delete_topics(real)
    wait_for(lambda: any("topics create" in problem for problem in client.problems), "the loss to be noticed", 30)
    assert client["pool"] == 20
    create_topics(real, partitions=4)
    topics = Topics(real)
    topics.publish(arm(42), incarnation=2)
    until_renewed(topics, client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced", 30)
    topics.close()


@pytest.mark.kafka
def test_on_a_real_kafka_a_configuration_is_followed_and_measured(real, make):
    topics = Topics(real)
    client = make(settings=real)
    topics.publish(arm(42))
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the request to be announced")
    wait_for(lambda: client.record("x", 1.0) or topics.measured("candidate-1", "x"), "a metric event")
    topics.publish_raw(None)
    wait_for(lambda: client.status is Status.DEFAULT, "the end of the tuner")
    topics.close()


def test_a_refusal_is_told_until_the_client_is_let_in(monkeypatch):
    """librdkafka tells the same refusal once, and from then on only that nobody answers."""

    class Refusing:
        def __init__(self, settings):
            self._tell, self._told = settings["error_cb"], False

        def list_topics(self, *_args, **_more):
            raise KafkaException(KafkaError(error_codes.TRANSPORT, "no answer"))

        def poll(self, _timeout_s):
            if not self._told:
                self._told = True
                self._tell(KafkaError(error_codes.AUTHENTICATION, "Authentication failed"))

    monkeypatch.setattr(module, "Consumer", Refusing)
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    settings = BrokerSettings(
        "127.0.0.1:1", "p.", sasl_mechanism="PLAIN", sasl_username="u", sasl_password="p", security_protocol="SASL_SSL"
    )
    connection = Connection(settings, TUNER)
    for _ in range(3):
        connection.connect()
        assert "OPPERTUNE_SASL_PASSWORD" in connection.problem


def test_what_was_in_flight_with_handles_that_are_replaced_is_sent_again(monkeypatch):
    sent = []

    class Silent:
        """A producer that takes what it is given and never tells what became of it."""

        def __init__(self, _settings):
            pass

        def produce(self, _topic, *, value, **_more):
            sent.append(value)

        def poll(self, _timeout_s):
            pass

        purge = close = lambda _self: None

    monkeypatch.setattr(module, "Producer", Silent)
    connection = Connection(BrokerSettings(bootstrap="127.0.0.1:1"), TUNER)
    for value in (b"one", b"two"):
        connection.send(Event("metrics", value, 1))
    connection._partition = 0
    connection.serve()
    connection.renew()
    connection.connect()
    assert not connection.idle
    connection._partition = 0
    connection.serve()
    assert sorted(sent) == [b"one", b"one", b"two", b"two"]
    assert connection.dropped == 0
