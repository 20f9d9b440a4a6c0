"""What must be right before a worker joins its group: topics, their settings, their ids."""

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from ..processor import SOURCES
from .exits import Refused, Unavailable
from .ownership import Topics
from .settings import WorkerSettings


def check(settings: WorkerSettings) -> Topics:
    admin = AdminClient(settings.broker.confluent() | {"log_level": 2})
    names = [settings.topic(s) for s in SOURCES]
    d = admin.describe_topics(TopicCollection(names))
    got = {n: f.result() for n, f in d.items()}
    parts = {len(t.partitions) for t in got.values()}
    return Topics(parts.pop(), {s: str(got[settings.topic(s)].topic_id) for s in SOURCES})
