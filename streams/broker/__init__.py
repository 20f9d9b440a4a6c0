"""Topics, connection settings, and the embedded broker."""

from .embedded import EmbeddedBroker
from .reach import require_broker
from .settings import BrokerSettings
from .table import read_table
from .topics import (
    TOPICS,
    Problem,
    check_topics,
    create_topics,
    delete_topics,
    partition_count,
    topic_ids,
    touch_topics,
)

__all__ = [
    "TOPICS",
    "BrokerSettings",
    "EmbeddedBroker",
    "Problem",
    "check_topics",
    "create_topics",
    "delete_topics",
    "partition_count",
    "read_table",
    "require_broker",
    "topic_ids",
    "touch_topics",
]
