"""Going on with a source topic that was deleted and created again."""

from collections.abc import Mapping

from ...schemas.keys import OFFSETS_KEY
from ...schemas.state import PartitionOffsets, SourceState
from .effects import Effects


def adopt_topic(records: Mapping[str, bytes], topic: str, topic_id: str) -> Effects:
    """What to write so that a partition's counting of a source begins anew; nothing where the topic is the one known.

    Tuners keep all that they learned. What was in the old topic and not applied is gone with it.

    Args:
        records: The partition's ``state`` by key.
        topic: Bare name of the source.
        topic_id: The broker's id of the topic as it is now.
    """
    if OFFSETS_KEY not in records:
        return Effects()
    offsets = PartitionOffsets.from_bytes(records[OFFSETS_KEY])
    if offsets.sources.get(topic, SourceState()).topic_id in {"", topic_id}:
        return Effects()
    known = offsets.sources[topic]
    offsets.sources[topic] = SourceState(topic_id=topic_id, time_ms=known.time_ms)
    return Effects(state={OFFSETS_KEY: offsets.to_bytes()})
