"""The topics' settings do on a real Kafka what they are there for, and each fault's remedy mends it."""

import re

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from kafkas import unique_prefix, wait_for
from oppertune.core.errors import TopicsInvalid
from oppertune.streams.broker import TOPICS, BrokerSettings, check_topics, create_topics, topic_ids
from oppertune.streams.broker.topic_admin import _new_topic
from oppertune.streams.broker.topic_check import _differences
from oppertune.streams.broker.topics import LARGE_BYTES

pytestmark = pytest.mark.kafka


def set_config(settings: BrokerSettings, topic: str, key: str, value: str) -> None:
    change = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    admin = AdminClient(settings.confluent())
    admin.incremental_alter_configs([resource])[resource].result(10)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("state", "cleanup.policy", "delete"),
        ("configs", "cleanup.policy", "compact,delete"),
        ("metrics", "cleanup.policy", "compact"),
        ("commands", "message.timestamp.type", "CreateTime"),
        ("dead-letters", "max.message.bytes", "1048588"),
    ],
)
def test_the_remedy_of_a_fault_mends_it(real, name, key, value):
    set_config(real, real.topic(name), key, value)
    [problem] = wait_for(lambda: check_topics(real), "the fault to be found")
    assert problem.topic == real.topic(name)
    assert problem.what.startswith(f"{key} is {value}, must be ")
    command = re.search(
        r"kafka-configs\.sh --bootstrap-server (\S+) .*--entity-name (\S+) --add-config (\S+)=(\S+)$", problem.remedy
    )
    assert command is not None
    bootstrap, topic, *setting = command.groups()
    set_config(BrokerSettings(bootstrap=bootstrap), topic, *setting)
    wait_for(lambda: check_topics(real) == [], "the fault to be gone")


@pytest.mark.parametrize("name", TOPICS)
def test_what_the_worker_writes_may_be_large_and_what_apps_write_may_not(real, name):
    producer = Producer(real.producer() | {"message.max.bytes": LARGE_BYTES + 64 * 1024})
    outcomes: list[KafkaError | None] = []
    producer.produce(
        real.topic(name), bytes(LARGE_BYTES), b"key", partition=0, on_delivery=lambda error, _: outcomes.append(error)
    )
    assert producer.flush(20) == 0
    [outcome] = outcomes
    if name in {"contexts", "metrics", "commands"}:
        assert outcome is not None
        assert outcome.code() == KafkaError.MSG_SIZE_TOO_LARGE
    else:
        assert outcome is None


def test_the_clock_of_the_inputs_is_the_brokers(real):
    producer = Producer(real.producer())
    producer.produce(real.topic("metrics"), b"v", b"k", partition=0, timestamp=1)
    assert producer.flush(10) == 0
    consumer = Consumer(real.consumer())
    consumer.assign([TopicPartition(real.topic("metrics"), 0, 0)])
    message = wait_for(lambda: consumer.poll(0.5), "the record")
    consumer.close()
    assert message is not None
    assert message.timestamp()[1] > 1_000_000_000_000


def test_ids_of_topics_that_are_missing_are_not_the_brokers_fault(kafka):
    with pytest.raises(TopicsInvalid, match="oppertune topics create"):
        topic_ids(BrokerSettings(bootstrap=kafka, prefix=unique_prefix()))


def test_more_copies_than_brokers_are_refused_before_anything_is_made(kafka):
    settings = BrokerSettings(bootstrap=kafka, prefix=unique_prefix())
    with pytest.raises(TopicsInvalid, match=r"replication 100 needs as many brokers, and there .* give --replication"):
        create_topics(settings, replication=100)
    assert len(check_topics(settings)) == len(TOPICS)


def test_with_three_copies_a_record_counts_when_two_have_it():
    settings = BrokerSettings()
    three, one = (_new_topic(settings, "metrics", 8, copies).config for copies in (3, 1))
    assert three is not None
    assert one is not None
    assert three["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in one


def test_a_topic_whose_compression_no_worker_can_undo_is_found():
    for compression in ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"):
        assert _differences(BrokerSettings(), "metrics", {**TOPICS["metrics"], "compression.type": compression}) == []
    [problem] = _differences(BrokerSettings(), "metrics", {**TOPICS["metrics"], "compression.type": "brotli"})
    assert problem.what == "compression.type is brotli, which no worker can read"
    assert "--entity-name oppertune.metrics --add-config compression.type=producer" in problem.remedy
