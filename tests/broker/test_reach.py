"""A broker that can't be reached ends in a sentence, in time: why, and what to do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oppertune.core.errors import BrokerUnreachable, InvalidArgument
from oppertune.streams.broker import BrokerSettings, check_topics, create_topics, require_broker, topic_ids


@contextmanager
def listener(*, hangs_up: bool) -> Iterator[str]:
    """Something that is no broker: it takes connections, and says nothing or hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        if hangs_up:
            thread = threading.Thread(target=hang_up)
            thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        if hangs_up:
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread; closing alone would not
            thread.join()


def refused(bootstrap: str, timeout_s: float, **others: str) -> str:
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable) as caught:
        require_broker(BrokerSettings(bootstrap=bootstrap, **others), timeout_s=timeout_s)
    assert time.monotonic() - began < 10 * timeout_s
    return str(caught.value)


def test_a_broker_that_says_nothing():
    with listener(hangs_up=False) as address:
        said = refused(address, 1)
    assert "it said nothing within 1 s" in said
    assert "--bootstrap" in said


def test_something_that_hangs_up():
    with listener(hangs_up=True) as address:
        assert "security_protocol than PLAINTEXT" in refused(address, 2)


@pytest.mark.kafka
def test_a_broker_that_is_asked_for_tls_and_has_none(kafka):
    said = refused(kafka, 3, security_protocol="SSL")
    assert "SSL handshake failed" in said
    assert "Correct security_protocol (OPPERTUNE_SECURITY_PROTOCOL)" in said


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"sasl.pasword": "hunter2"}, "No such configuration property"),
        ({"socket.keepalive.enable": "perhaps"}, "Expected bool"),
    ],
)
def test_a_setting_that_librdkafka_does_not_know_is_named(extra, said):
    with pytest.raises(InvalidArgument, match=said) as caught:
        require_broker(BrokerSettings(librdkafka=extra))
    assert "hunter2" not in str(caught.value)


@pytest.mark.kafka
def test_a_paused_broker_is_unreachable_and_a_killed_one_keeps_its_topics(private_kafka):
    settings = BrokerSettings(bootstrap=private_kafka.bootstrap)
    create_topics(settings, partitions=2)
    before = topic_ids(settings)
    private_kafka.pause()
    for ask in (check_topics, topic_ids, create_topics):
        began = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="Is it running"):
            ask(settings, timeout_s=1)
        assert time.monotonic() - began < 10
    private_kafka.kill()
    private_kafka.start()
    assert topic_ids(settings) == before
    assert check_topics(settings) == []
