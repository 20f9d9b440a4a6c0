"""Topics are made as they must be, what is wrong with them is said, and a broker that is not there is named."""

import subprocess
import sys
import time
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from kafkas import free_port, unique_prefix, wait_for
from oppertune.core.errors import BrokerUnreachable, TopicsInvalid
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import (
    TOPICS,
    BrokerSettings,
    check_topics,
    create_topics,
    delete_topics,
    partition_count,
    read_table,
    require_broker,
    topic_ids,
)
from oppertune.streams.broker.reading import text

pytestmark = pytest.mark.timeout(60)


def sent(settings: BrokerSettings, topic: str, records: dict[str, bytes | None], **more: str) -> None:
    producer = Producer(settings.producer() | more)
    for key, value in records.items():
        producer.produce(settings.topic(topic), key=key, value=value)
    assert producer.flush(10) == 0


def described(settings: BrokerSettings, name: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, settings.topic(name))
    admin = AdminClient(settings.confluent())  # must live until the answer is there
    [answer] = admin.describe_configs([resource]).values()
    return {key: entry.value for key, entry in answer.result(10).items()}


@pytest.mark.kafka
def test_topics_have_the_settings_they_need(real):
    assert described(real, "metrics")["message.timestamp.type"] == "LogAppendTime"
    assert described(real, "state")["cleanup.policy"] == "compact"
    assert int(described(real, "state")["max.message.bytes"]) >= 8 * 1024 * 1024
    assert int(described(real, "metrics")["max.message.bytes"]) <= 1100 * 1024
    assert check_topics(real) == []
    assert {partition_count(real, name) for name in TOPICS} == {4}


@pytest.mark.kafka
def test_creating_again_creates_nothing(real):
    assert create_topics(real, partitions=9) == set()


@pytest.mark.kafka
def test_each_kind_of_fault_is_found_and_says_its_remedy(kafka):
    settings = BrokerSettings(bootstrap=kafka, prefix=unique_prefix())
    admin = AdminClient(settings.confluent())
    admin.create_topics([NewTopic(settings.topic("metrics"), 3, 1)])[settings.topic("metrics")].result(10)
    wait_for(lambda: settings.topic("metrics") in admin.list_topics(timeout=5).topics, "the topic")
    create_topics(settings, partitions=9)
    assert partition_count(settings, "state") == 3, "what is there decides how many"
    said = "\n".join(map(str, check_topics(settings)))
    assert "metrics: message.timestamp.type is CreateTime, must be LogAppendTime; set" in said
    change = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, settings.topic("state"), incremental_configs=[change])
    admin.incremental_alter_configs([resource])[resource].result(10)
    wait_for(lambda: any("max.message.bytes" in str(p) for p in check_topics(settings)), "the change to be seen")
    delete_topics(settings)

    def all_are_missing() -> bool:
        with suppress(TopicsInvalid):  # one went while it was looked at
            return len(check_topics(settings)) == len(TOPICS)
        return False

    wait_for(all_are_missing, "all topics to be missing")
    assert "topics create" in str(check_topics(settings)[0])
    with pytest.raises(TopicsInvalid, match="topics create"):
        partition_count(settings, "state")


@pytest.mark.kafka
def test_a_topic_with_more_partitions_than_the_others_is_found(real):
    admin, topic = AdminClient(real.confluent()), real.topic("contexts")
    admin.create_partitions([NewPartitions(topic, 6)])[topic].result(10)
    wait_for(lambda: any("partitions" in p.what for p in check_topics(real)), "the difference to be seen")


@pytest.mark.kafka
def test_a_recreated_topic_has_another_id(real):
    before = topic_ids(real)
    assert set(before) == set(TOPICS)
    admin = AdminClient(real.confluent())
    topic = real.topic("metrics")
    admin.delete_topics([topic])[topic].result(10)
    wait_for(lambda: create_topics(real) == {topic}, "the topic to be created again")
    assert topic_ids(real)["metrics"] != before["metrics"]
    assert topic_ids(real)["state"] == before["state"]


@pytest.mark.kafka
def test_too_many_copies_are_refused_with_the_brokers_reason(kafka):
    with pytest.raises(TopicsInvalid, match="eplication"):
        create_topics(BrokerSettings(bootstrap=kafka, prefix=unique_prefix()), replication=3)


@pytest.mark.kafka
def test_keys_land_where_javas_default_partitioner_puts_them(real):
    names = [f"tuner-{i}" for i in range(200)]
    sent(real, "metrics", dict.fromkeys(names, b"x"))
    consumer = Consumer(real.consumer())
    consumer.assign([TopicPartition(real.topic("metrics"), p, 0) for p in range(4)])
    found: dict[str, int] = {}

    def all_are_there() -> bool:
        found.update({text(m.key()): m.partition() or 0 for m in consumer.consume(200, 0.5)})
        return len(found) == 200

    wait_for(all_are_there, "all records")
    consumer.close()
    assert found == {name: partition_of(name, 4) for name in names}


@pytest.mark.parametrize("where", ["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def test_a_table_is_the_newest_value_of_every_key(where, request):
    settings = request.getfixturevalue(where)
    sent(settings, "state", {"a": b"1", "b": b"1"}, partitioner="consistent")
    sent(settings, "state", {"a": b"2", "b": None}, partitioner="consistent")
    found: dict[str, bytes] = {}
    for table in read_table(settings, "state", range(4)).values():
        found |= table
    assert found == {"a": b"2"}


def test_the_embedded_broker_serves_other_processes(embedded):
    code = (
        "from confluent_kafka import Producer; import sys;"
        "p = Producer({'bootstrap.servers': sys.argv[1]}); p.produce(sys.argv[2], b'v', b'k'); sys.exit(p.flush(10))"
    )
    subprocess.run([sys.executable, "-c", code, embedded.bootstrap, embedded.topic("configs")], check=True, timeout=30)
    found = {k: v for table in read_table(embedded, "configs", range(4)).values() for k, v in table.items()}
    assert found == {"k": b"v"}


def test_a_broker_that_is_not_there_is_named_in_time_with_what_to_do():
    settings = BrokerSettings(bootstrap=f"127.0.0.1:{free_port()}")
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=r"no Kafka broker answers at 127\.0\.0\.1.*refused.*--bootstrap"):
        require_broker(settings, timeout_s=2)
    assert time.monotonic() - began < 5
