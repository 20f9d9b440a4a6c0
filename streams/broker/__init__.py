"""Topics, connection settings, and the embedded broker."""

from .embedded import EmbeddedBroker
from .reach import login_remedy, refuses_us, require_broker
from .reading import HARMLESS, read_table
from .rights import READ, WRITE, missing_rights
from .settings import BrokerSettings
from .topic_admin import create_topics, delete_topics, partition_count, topic_ids, touch_topics
from .topic_check import Problem, check_topics
from .topics import TOPICS

__all__ = [
    "HARMLESS",
    "READ",
    "TOPICS",
    "WRITE",
    "BrokerSettings",
    "EmbeddedBroker",
    "Problem",
    "check_topics",
    "create_topics",
    "delete_topics",
    "login_remedy",
    "missing_rights",
    "partition_count",
    "read_table",
    "refuses_us",
    "require_broker",
    "topic_ids",
    "touch_topics",
]
