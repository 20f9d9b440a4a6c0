"""What the embedded broker can do, and what it can't: the tests that need more ask for a real Kafka."""

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from kafkas import wait_for
from oppertune.core.errors import BrokerUnreachable
from oppertune.streams.broker import (
    TOPICS,
    EmbeddedBroker,
    check_topics,
    create_topics,
    partition_count,
    read_table,
    topic_ids,
)


def test_it_has_all_topics_and_is_asked_for_nothing_it_cannot_answer(embedded):
    assert {partition_count(embedded, name) for name in TOPICS} == {4}
    assert create_topics(embedded, partitions=9) == {embedded.topic(name) for name in TOPICS}
    assert check_topics(embedded) == []
    assert topic_ids(embedded) == {}


def test_it_is_there_for_as_long_as_its_context_lasts():
    broker = EmbeddedBroker()
    with pytest.raises(BrokerUnreachable, match=r"call start\(\)"):
        _ = broker.bootstrap
    with broker:
        admin = AdminClient(broker.settings.confluent())
        assert broker.bootstrap.startswith("127.0.0.1:")
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    with pytest.raises(BrokerUnreachable, match="not running"):
        _ = broker.settings


def test_the_consumers_of_a_group_share_its_partitions_after_a_session(embedded):
    # The mock lets a late member in only when the others' session is over, now and then twice: 45 s each by default.
    quick = {"group.id": "shared", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
    consumers: list[Consumer] = []

    def join() -> None:
        consumers.append(Consumer(embedded.consumer() | quick))
        consumers[-1].subscribe([embedded.topic("metrics")])

    def shares() -> list[int]:
        for consumer in consumers:
            consumer.poll(0.05)
        return [len(consumer.assignment()) for consumer in consumers]

    join()
    wait_for(lambda: shares() == [4], "all partitions for the first", 20)
    join()
    wait_for(lambda: shares() == [2, 2], "two partitions for each", 40)
    for consumer in consumers:
        consumer.close()


def test_a_transaction_is_committed(embedded):
    producer = Producer(embedded.producer() | {"transactional.id": "one"})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(embedded.topic("state"), b"v", b"k", partition=2)
    producer.commit_transaction(10)
    assert read_table(embedded, "state", [2]) == {2: {"k": b"v"}}
