"""Whether the world has changed, judged by rewards that fall short of what a model expects of them.

Page's cumulative sum (1954, *Continuous inspection schemes*): a reward that is z standard deviations below its
expectation adds min(z, 3) - 1 to a sum that never falls below 0, and twice that where it takes from it: a reward as
expected says as much for the world as one far below says against it. At 5.5 the world has changed. Chance rewards of a
model that is right let the sum return to 0. A drop by three standard deviations takes three rewards to be noticed, and
neither one nor two can do it, however bad. The sum was last 0 when the change began (Page's estimate), so what came
since is of the world as it is now.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...core.state import JsonDict, decode, encode
from ..shared.arrays import Array

_LARGEST, _REFERENCE, _DECISION = 3.0, 1.0, 5.5
"""The first two were chosen on made-up systems (``benchmarks/made_up.py``): with references from 0.5 and 4 for the
largest there were more false alarms, and changes were found hardly sooner. The last asks for three rewards that are all
but three deviations too low."""

_RELIEF = 2.0
"""What a reward counts against suspicion, as a multiple of what it would count for it. At 1, two outliers that stand
beside each other and a third soon after are a change of the world."""

_KEPT = 30
"""Rewards since a change began, at most: a sum that hovers for longer tells of no sudden change."""

_MOST_CONTEXTS = 50
"""Contexts that are suspected at the same time, at most: those that rewards came from last. Each keeps up to 30 points
in the state."""


class Reward(NamedTuple):
    """A reward of a point."""

    point: Array
    reward: float


class ChangeDetector:
    """A sum for each context in which rewards fall short at the moment: one job may change, and others not.

    Attributes:
        alarms: How often the world has changed so far, in any context.
    """

    __slots__ = ("_since", "_sums", "alarms")

    def __init__(self) -> None:
        self.alarms = 0
        self._sums: dict[tuple[str | float, ...], float] = {}
        self._since: dict[tuple[str | float, ...], list[Reward]] = {}

    def add(self, context: Sequence[str | float], reward: Reward, z: float) -> list[Reward]:
        """Count a reward.

        Args:
            context: Values of the context's features.
            reward: The reward.
            z: How many standard deviations it is above what was expected.

        Returns:
            The rewards since the world changed, this one included; none where it has not.
        """
        key = tuple(context)
        above = min(-z, _LARGEST) - _REFERENCE
        total = self._sums.pop(key, 0.0) + (above if above > 0 else _RELIEF * above)
        since = [*self._since.pop(key, []), reward][-_KEPT:]
        if total >= _DECISION:
            self.alarms += 1
            return since
        if total > 0:
            self._sums[key], self._since[key] = total, since
            if len(self._sums) > _MOST_CONTEXTS:
                longest_ago = next(iter(self._sums))
                del self._sums[longest_ago], self._since[longest_ago]
        return []

    def get_state(self) -> JsonDict:
        """Sums, and the rewards since each left 0, by context."""
        return {
            "alarms": self.alarms,
            "contexts": encode([list(key) for key in self._sums]),
            "sums": encode(list(self._sums.values())),
            "points": encode([[point for point, _ in since] for since in self._since.values()]),
            "rewards": encode([[reward for _, reward in since] for since in self._since.values()]),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        contexts, sums, points, rewards = (decode(state[name]) for name in ("contexts", "sums", "points", "rewards"))
        self.alarms = int(state.get("alarms", 0))  # states of versions up to 0.1.0 have none
        keys = [tuple(context) for context in contexts]
        self._sums = dict(zip(keys, sums, strict=True))
        since = [list(map(Reward, ps, rs)) for ps, rs in zip(points, rewards, strict=True)]
        self._since = dict(zip(keys, since, strict=True))
