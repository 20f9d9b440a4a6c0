"""What a worker is doing, to be read from any thread: by the watchdog, by health pages and by metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from ..processor import PartitionStatistics
from .broker_clock import BrokerClock

Phase = Literal["starting", "waiting_for_broker", "running", "stopping"]
"""Where a worker is between its start and its end. Only while ``running`` does its event loop turn."""


@dataclass(slots=True)
class PartitionStatus:
    """One owned partition.

    Attributes:
        applied: Per source the first offset that is not applied.
        ends: Per source the end of its log, as last told by the broker.
        lag: Records and markers that are still to be read, as of ``ends``.
        clock: The broker's time.
        clock_ahead_s: By how much this machine's clock is ahead of it (behind: negative) at least; ``None`` while no
            record has told.
        read_to_ms: Time of the broker's up to which all sources are known to have been read; 0 while unknown.
        records: Records applied since this worker took the partition over.
        transactions: Transactions committed since then.
        rounds: Rounds closed since then, by tuner and outcome.
        stuck_s: For how long there has been lag and nothing was applied, by the broker's answers.
        statistics: The processor's own.
        initial_statistics: The same, as they were when this worker took the partition over.
    """

    applied: dict[str, int]
    ends: dict[str, int] = field(default_factory=dict)
    lag: int = 0
    clock: BrokerClock = field(default_factory=BrokerClock)
    clock_ahead_s: float | None = None
    read_to_ms: int = 0
    records: int = 0
    transactions: int = 0
    rounds: Mapping[tuple[str, str], int] = field(default_factory=dict)
    stuck_s: float = 0.0
    statistics: PartitionStatistics = field(default_factory=PartitionStatistics)
    initial_statistics: PartitionStatistics | None = None

    @property
    def lost(self) -> int:
        """Records that were lost since this worker took the partition over."""
        return self.statistics.lost - (self.initial_statistics or self.statistics).lost


@dataclass(slots=True)
class WorkerStatus:
    """The whole worker.

    Attributes:
        phase: Where between start and end it is.
        since: Monotonic time at which that phase began.
        partitions: The owned partitions by number.
        total_partitions: How many there are in all; 0 before the topics were looked at.
        generation: Generation of the consumer group in which they were assigned; -1 before the first assignment.
        rebalancing: The group is dealing out its partitions.
        reconciling_since: Monotonic time since which an assignment is being reconciled; ``None`` if none is.
        beat: Monotonic time of the event loop's last beat.
        answered: Monotonic time of the broker's last answer; ``None`` before the first.
    """

    phase: Phase = "starting"
    since: float = field(default_factory=monotonic)
    partitions: dict[int, PartitionStatus] = field(default_factory=dict)
    total_partitions: int = 0
    generation: int = -1
    rebalancing: bool = False
    reconciling_since: float | None = None
    beat: float = field(default_factory=monotonic)
    answered: float | None = None

    def enter(self, phase: Phase) -> None:
        """Begin a phase: now."""
        self.since = self.beat = monotonic()
        self.phase = phase

    @property
    def lag(self) -> int:
        """Lag of all owned partitions together."""
        return sum(p.lag for p in list(self.partitions.values()))

    @property
    def clock_ahead_s(self) -> float | None:
        """The largest difference between this machine's clock and the broker's, of any owned partition."""
        found = [p.clock_ahead_s for p in list(self.partitions.values()) if p.clock_ahead_s is not None]
        return max(found, key=abs, default=None)
