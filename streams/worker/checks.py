"""What must be right before a worker joins its group.

A missing topic would only be logged by Faust, which then says it is ready, and idles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ...core.errors import Refused, TopicsInvalid
from ..broker import (
    READ,
    WRITE,
    check_topics,
    missing_rights,
    partition_count,
    require_broker,
    topic_ids,
)
from ..processor import SOURCES
from .settings import WorkerSettings
from .unreadable import missing_codecs

NEEDED = {source: [READ] for source in SOURCES} | {
    "state": [READ, WRITE],
    "configs": [WRITE],
    "journal": [WRITE],
    "rounds": [WRITE],
    "dead-letters": [WRITE],
}
"""What a worker does with its topics. Besides, it is a member of its group, and writes under transactional ids."""


@dataclass(frozen=True, slots=True)
class Topics:
    """What the broker says of the topics, asked once before joining the group.

    Attributes:
        partitions: How many each of the equally partitioned topics has.
        ids: The source topics' ids by bare name; empty where the broker tells none.
    """

    partitions: int
    ids: Mapping[str, str]


def check(settings: WorkerSettings) -> Topics:
    """Check the topics, their numbers of partitions and settings, and our rights; the sources' ids and partitions.

    The embedded broker cannot describe its topics: there nothing is found wrong, and it tells no ids.

    Raises:
        Refused: What any producer may compress with cannot be undone here.
        TopicsInvalid: All that is wrong, a line each, with what to do.
        BrokerUnreachable: No broker answers.
    """
    broker = settings.broker
    if missing := missing_codecs():
        raise Refused(
            f"batches that producers compress with {', '.join(missing)} could not be read here, and would be lost:"
            " install the package cramjam, as pip install 'oppertune-streams[worker]' does"
        )
    require_broker(broker, timeout_s=settings.start_timeout_s)
    if problems := check_topics(broker) or missing_rights(broker, NEEDED, group=settings.group):
        raise TopicsInvalid("the topics are not as they must be:\n" + "\n".join(f"  {p}" for p in problems))
    ids = topic_ids(broker)
    return Topics(partition_count(broker, "metrics"), {source: ids.get(source, "") for source in SOURCES})
