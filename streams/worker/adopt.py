"""``oppertune topics adopt``: an operator says that a recreated source topic is meant."""

from ..broker import partition_count, require_broker, topic_ids
from ..processor.adopt import adopt_topic
from .log_offsets import LogOffsets
from .restore import read_state
from .settings import WorkerSettings
from .writer import PartitionWriter


def adopt(settings: WorkerSettings, topic: str) -> list[int]:
    """Let every partition begin anew with a source topic. Workers that still run are fenced, and start again.

    Args:
        settings: As the workers have them.
        topic: Bare name of the source.

    Returns:
        The partitions that knew another topic of the name.

    Raises:
        BrokerUnreachable: The broker does not answer.
        Refused: Somebody has a transaction open on ``state``.
    """
    require_broker(settings.broker)
    topic_id = topic_ids(settings.broker).get(topic, "")
    log_offsets = LogOffsets(settings)
    adopted = []
    for partition in range(partition_count(settings.broker, "state")):
        writer = PartitionWriter(settings, partition)
        try:
            writer.open()
            if effects := adopt_topic(read_state(settings, log_offsets, partition), topic, topic_id):
                writer.commit(effects)
                adopted.append(partition)
        finally:
            writer.close()
    return adopted
