"""A world's records on the topics of a broker, as a worker would have written them: commands read them without one."""

from confluent_kafka import Producer

from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings, partition_count
from world import World


def write_world(settings: BrokerSettings, world: World, tuner: str) -> None:
    """Write all that a world with one tuner came to."""
    producer = Producer(settings.producer())
    partition = partition_of(tuner, partition_count(settings, "state"))
    tables = {"state": world.state, "configs": world.configs}
    records = [(topic, key, value) for topic, table in tables.items() for key, value in table.items()]
    records += [("rounds", tuner, closed.to_bytes()) for closed in world.rounds]
    for topic, key, value in records:
        producer.produce(settings.topic(topic), key=key, value=value, partition=partition)
    for letter in world.letters:
        topic = settings.topic("dead-letters")
        producer.produce(topic, key=letter.key, value=letter.value, partition=partition, headers=[*letter.headers])
    assert producer.flush(10) == 0
