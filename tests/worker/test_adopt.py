"""A recreated topic is adopted: counting begins anew, and what tuners learned stays."""

import pytest
from confluent_kafka.admin import AdminClient

from kafkas import wait_for
from oppertune.core.errors import TopicRecreated
from oppertune.schemas.keys import OFFSETS_KEY
from oppertune.streams.broker import BrokerSettings, create_topics, topic_ids
from oppertune.streams.processor import Effects, Partition
from oppertune.streams.processor.adopt import adopt_topic
from oppertune.streams.worker import WorkerSettings, adopt
from oppertune.streams.worker.log_offsets import LogOffsets
from oppertune.streams.worker.restore import read_state
from oppertune.streams.worker.writer import PartitionWriter
from world import World, running


def test_after_adopting_a_fold_begins_with_the_new_topic_and_tuners_keep_what_they_learned():
    world = running()
    world.topic_ids = {"metrics": "one"}
    world.restore()
    world.play(3)
    learned = world.scope().learner
    world.topic_ids = {"metrics": "two"}
    with pytest.raises(TopicRecreated):
        world.restore()
    world.commit(adopt_topic(world.state, "metrics", "two"))
    world.logs["metrics"].clear()
    partition = world.restore()
    assert partition.next_offsets()["metrics"] is None
    partition.begin({"metrics": 0})
    assert world.scope().learner == learned
    world.play(1)
    assert world.dispositions() == {"applied": 3}
    assert world.scope().round == 5


def test_the_topic_that_is_known_is_left_alone():
    world = World(topic_ids={"metrics": "one"})
    assert not adopt_topic(world.state, "metrics", "one")
    world.apply()
    world.fold()
    assert not adopt_topic(world.state, "metrics", "one")


def test_a_tuner_applied_again_after_the_commands_topic_was_recreated_is_a_later_incarnation():
    world = World(topic_ids={"commands": "one"})
    world.apply()
    for _ in range(3):
        world.command("reset")
    world.fold()
    before = world.tuner().incarnation
    world.commit(adopt_topic(world.state, "commands", "two"))
    world.logs["commands"].clear()
    world.topic_ids = {"commands": "two"}
    world.restore()
    world.command("reset", id="after")
    world.fold()
    assert world.tuner().incarnation > before


@pytest.mark.kafka
def test_the_command_adopts_on_every_partition_once(real: BrokerSettings):
    settings = WorkerSettings(broker=real)
    for number in range(4):
        writer = PartitionWriter(settings, number)
        writer.open()
        writer.commit(Effects(state={OFFSETS_KEY: partition_record(number, topic_ids(real))}))
        writer.close()
    assert adopt(settings, "metrics") == []
    admin, topic = AdminClient(real.confluent()), real.topic("metrics")
    admin.delete_topics([topic])[topic].result(10)
    wait_for(lambda: create_topics(real) == {topic}, "the topic to be created again")
    wait_for(lambda: topic_ids(real).get("metrics"), "the new id")
    assert adopt(settings, "metrics") == [0, 1, 2, 3]
    for number in range(4):
        Partition.restore(number, 4, read_state(settings, LogOffsets(settings), number), topic_ids=topic_ids(real))
    assert adopt(settings, "metrics") == []


def partition_record(number: int, ids: dict[str, str]) -> bytes:
    from oppertune.schemas.state import PartitionOffsets, SourceState

    sources = {name: SourceState(topic_id=ids[name], next=7) for name in ("commands", "contexts", "metrics")}
    return PartitionOffsets(v=1, partition=number, partitions=4, sources=sources).to_bytes()
