"""How far a partition was applied: from its own record, and where its sources end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....schemas.state import PartitionOffsets

STALLED_S = 15.0
"""Events that wait for so long, while nothing is applied, wait for a worker: another one would have taken over by now,
after the session time-out of 10 s and a restore of less than a second."""


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """How far a partition was applied.

    Attributes:
        lag: Records of all sources that are not applied; transaction markers count.
        time_ms: Partition time when its state was last written; 0 where it never was.
        by_source: The lag of each source.
        applied: Records of all sources that were ever applied.
        moving: More of them than a moment before.
    """

    lag: int = 0
    time_ms: int = 0
    by_source: Mapping[str, int] = field(default_factory=dict)
    applied: int = 0
    moving: bool = False

    def behind(self, now_ms: int) -> bool:
        """Whether events wait, and the newest that was applied is old."""
        return self.lag > 0 and 0 < self.time_ms < now_ms - STALLED_S * 1000

    def presence_known_ms(self, now_ms: int) -> int:
        """The time for which it is known who is present: now, or, while events wait, when the last was applied.

        Signs of life may be among the events that wait: an instance must not be called silent for want of a worker.
        """
        return self.time_ms if self.behind(now_ms) else now_ms

    def stalled(self, now_ms: int) -> bool:
        """Whether events wait that no worker applies."""
        return self.behind(now_ms) and not self.moving


def partition_progress(offsets: PartitionOffsets | None, ends: Mapping[str, int]) -> PartitionProgress:
    """How far a partition was applied.

    Args:
        offsets: Its own record; ``None`` where it has none that can be read.
        ends: Where its sources end now, by bare name.
    """
    if offsets is None:
        return PartitionProgress(sum(ends.values()), 0, ends)
    lag = {topic: max(end - offsets.sources[topic].next, 0) for topic, end in ends.items() if topic in offsets.sources}
    applied = sum(source.next for source in offsets.sources.values())
    return PartitionProgress(sum(lag.values()), offsets.time_ms, lag, applied)
