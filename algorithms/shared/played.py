"""What was played and how well it did: the recommendation of algorithms that have no model of their own."""

from collections.abc import Sequence

from ...core.state import JsonDict
from ...core.types import ContextIdType
from ...core.values import ParameterValue

_CONFIGURATIONS = 32
"""Configurations remembered per context: the good ones stay, so more would seldom change the best."""

_CONTEXTS = 64
"""Contexts remembered: with 32 configurations of ten parameters each, 290 kB of state when all are full. The one
that has gone longest without a reward is forgotten first."""

Values = tuple[ParameterValue, ...]


class Played:
    """Count and mean reward of configurations, per context, a bounded number of each.

    When a context's memory is full, the configuration with the worst mean makes room for the next.
    """

    __slots__ = ("_contexts",)

    def __init__(self) -> None:
        self._contexts: dict[ContextIdType, dict[Values, tuple[int, float]]] = {}

    def add(self, context_id: ContextIdType, values: Sequence[ParameterValue], reward: float) -> None:
        """Count one reward of a configuration."""
        seen = self._contexts.pop(context_id, {})
        self._contexts[context_id] = seen  # now the newest
        if len(self._contexts) > _CONTEXTS:
            del self._contexts[next(iter(self._contexts))]
        key = tuple(values)
        if key not in seen and len(seen) >= _CONFIGURATIONS:
            del seen[min(seen, key=lambda k: seen[k][1])]
        count, mean = seen.get(key, (0, 0.0))
        # Weighted, not mean + (reward - mean) / n: the difference of two huge rewards overflows.
        seen[key] = (count + 1, mean * (count / (count + 1)) + reward / (count + 1))

    def of(self, context_id: ContextIdType) -> list[tuple[Values, float]]:
        """Configurations of a context and their mean rewards, the one first that was played first."""
        return [(values, mean) for values, (_, mean) in self._contexts.get(context_id, {}).items()]

    def best(self, context_id: ContextIdType) -> Values | None:
        """The configuration with the best mean reward in a context; the earliest of equals, None before any reward."""
        seen = self._contexts.get(context_id)
        return max(seen, key=lambda k: seen[k][1]) if seen else None

    def get_state(self) -> JsonDict:
        """Contexts in order of their last reward: id → rows of [values, count, mean]."""
        return {
            context_id: [[list(values), count, mean] for values, (count, mean) in seen.items()]
            for context_id, seen in self._contexts.items()
        }

    def set_state(self, state: dict[str, list[tuple[list[ParameterValue], int, float]]]) -> None:
        """Restore what :meth:`get_state` returned."""
        self._contexts = {
            context_id: {tuple(values): (int(count), float(mean)) for values, count, mean in rows}
            for context_id, rows in state.items()
        }
