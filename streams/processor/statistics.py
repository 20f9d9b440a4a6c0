"""What a partition's tuners come to, in figures: for health pages and metrics. Read from their state, changing nothing.

Gathered about once a second beside the folds, so it only counts: words for people are made by whoever shows them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from ...schemas.base import ContextData
from ...schemas.state import ScopeState
from . import holds
from .presence import present
from .standstill import standstill
from .tuner import Tuner


class ScopeStatistics(NamedTuple):
    """One context of a tuner.

    Attributes:
        id: Of the context, ``""`` for none.
        data: Its features; ``None`` for none.
        instances: How many are present, in partition time.
        round: Number of the newest round; 0 before the first.
        inactive: That round is published, and no instance runs it yet.
        standstill: Why no round was measured for long, though instances are here; empty where all is well.
        incumbent_reward: Of the newest round that measured it; by turns, the mean of those that judged it.
        last_reward: Of the newest round that had one.
        achieved: The target is; ``None`` where the spec has none.
        rolling: A roll-out is under way.
    """

    id: str
    data: ContextData | None
    instances: int
    round: int
    inactive: bool
    standstill: str
    incumbent_reward: float | None
    last_reward: float | None
    achieved: bool | None
    rolling: bool = False


class TunerStatistics(NamedTuple):
    """One tuner; one whose state cannot be read has nothing but the reason.

    Attributes:
        suspended: Why it stands still; ``""`` where it does not.
        held: Kind of the hold that an operator put on it; ``""`` for none.
        contexts: Those with a configuration of their own.
    """

    suspended: str
    held: str = ""
    contexts: tuple[ScopeStatistics, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionStatistics:
    """One partition.

    Attributes:
        tuners: By name.
        dispositions: Consumed records by what became of them, since the partition began.
        lost: Records that were deleted before they were applied, or cannot be read, since then.
        time_ms: Partition time; 0 before the first record.
    """

    tuners: dict[str, TunerStatistics] = field(default_factory=dict)
    dispositions: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    time_ms: int = 0

    @property
    def suspended(self) -> dict[str, str]:
        """Why tuners stand still, by name."""
        return {name: tuner.suspended for name, tuner in self.tuners.items() if tuner.suspended}


def of_tuner(tuner: Tuner, now_ms: int) -> TunerStatistics:
    """A tuner's figures at a partition time."""
    state, spec = tuner.state, tuner.spec
    # Where the spec names features, nobody ever is in the scope of no context: it only tells apps the features.
    shown = [s for s in tuner.scopes.values() if s.scope or not spec.context.features]
    return TunerStatistics(
        suspended=state.suspended.reason if state.suspended is not None else "",
        held=state.hold.kind if state.hold is not None else "",
        contexts=tuple(_of_context(tuner, scope, now_ms) for scope in shown),
    )


def _of_context(tuner: Tuner, scope: ScopeState, now_ms: int) -> ScopeStatistics:
    stands = not holds.measures(tuner.state) or tuner.state.suspended is not None
    return ScopeStatistics(
        id=scope.scope,
        data=scope.context,
        instances=len(present(scope, now_ms)),
        round=scope.round,
        inactive=any(request.activated_ms is None for request in scope.arms),
        standstill="" if stands else standstill(tuner.spec, scope, now_ms),
        incumbent_reward=scope.incumbent.reward,
        last_reward=scope.last_reward,
        achieved=scope.achieved if tuner.spec.target is not None else None,
        rolling=scope.rollout is not None,
    )
