"""What a worker is doing, to be read from any thread: by the watchdog, and by health pages."""

from dataclasses import dataclass, field
from time import monotonic


@dataclass(slots=True)
class PartitionStatus:
    """One owned partition.

    Attributes:
        applied: Per source the first offset that is not applied.
        ends: Per source the end of its log, as last told by the broker.
        lag: Records and markers that are still to be read, as of ``ends``.
        records: Records applied since this worker took the partition over.
        transactions: Transactions committed since then.
        last_commit_ms: Wall time of the newest one, 0 before the first.
        stuck_s: For how long the broker has told of lag while nothing was applied.
        summary: The processor's own figures: tuners, suspended ones, dispositions, lost records.
    """

    applied: dict[str, int]
    ends: dict[str, int] = field(default_factory=dict)
    lag: int = 0
    records: int = 0
    transactions: int = 0
    last_commit_ms: int = 0
    stuck_s: float = 0.0
    summary: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class WorkerStatus:
    """The whole worker.

    Attributes:
        partitions: The owned partitions by number.
        generation: Generation of the consumer group that they were assigned in.
        ready: Partitions are restored and events flow.
        settling_since: Monotonic time since which an assignment waits to be settled; ``None`` if none does.
        beat: Monotonic time of the event loop's last beat.
        ends_asked_ms: Wall time of the last question for the ends of the logs that the broker answered.
    """

    partitions: dict[int, PartitionStatus] = field(default_factory=dict)
    generation: int = -1
    ready: bool = False
    settling_since: float | None = None
    beat: float = field(default_factory=monotonic)
    ends_asked_ms: int = 0

    @property
    def lag(self) -> int:
        """Lag of all owned partitions together."""
        return sum(p.lag for p in list(self.partitions.values()))
