"""The replay buffer R of Lillicrap et al. 2015 (arXiv:1509.02971, Algorithm 1): the newest transitions."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StateMismatch
from ...core.state import JsonDict
from .packing import packed, unpacked

Matrix: TypeAlias = NDArray[np.float64]


class Replay:
    """The newest transitions: rows of numbers, each with a reward.

    Rows are kept as float32, exact enough for indices and positions in a range; rewards, of any scale, as float64.

    Args:
        size: Largest number of transitions kept.
        columns: Numbers of a row.

    Attributes:
        added: Number of transitions ever added.
    """

    def __init__(self, size: int, columns: int) -> None:
        self._rows = np.zeros((size, columns), dtype=np.float32)
        self._rewards = np.zeros(size)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self._rewards))

    @property
    def rows(self) -> Matrix:
        """The rows kept, shape (n, columns)."""
        return self._rows[: len(self)].astype(np.float64)

    @property
    def rewards(self) -> Matrix:
        """Their rewards, shape (n,)."""
        return self._rewards[: len(self)]

    def add(self, row: Sequence[float], reward: float) -> None:
        """Keep a transition, in the place of the oldest where there is no room."""
        place = self.added % len(self._rewards)
        self._rows[place], self._rewards[place] = row, reward
        self.added += 1

    def get_state(self) -> JsonDict:
        """What is kept, and how much ever was."""
        return {
            "added": self.added,
            "rows": packed(self._rows[: len(self)]),
            "rewards": packed(self._rewards[: len(self)]),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: Its rows or its size were others.
        """
        rows, rewards = unpacked(state["rows"], np.dtype(np.float32)), unpacked(state["rewards"], np.dtype(np.float64))
        added = int(state["added"])
        if len(rewards) != min(added, len(self._rewards)) or rows.size != len(rewards) * self._rows.shape[1]:
            raise StateMismatch("the state was learned with another buffer_size or other features")
        self.added = added
        self._rows[: len(self)], self._rewards[: len(self)] = rows.reshape(len(rewards), self._rows.shape[1]), rewards
