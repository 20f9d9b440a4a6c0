"""Several EXP3 learners of the same rewards, computed as one: half the time of one after the other."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from .exp3 import FLOOR, Options, Probabilities, Rewards, root


class Exp3Rows:
    """Several learners of the same rewards, computed together: one row of weights each.

    Attributes:
        rewards: Rates, and what was learned of the rewards.
        counts: K of each learner.
        p: Weights, shape (learners, most arms); each row's are its last ones, with zeros before them.
    """

    __slots__ = ("_even", "_explored", "_first", "_floors", "_roots", "_rows", "counts", "p", "rewards")

    def __init__(self, counts: Sequence[int], options: Options | None = None) -> None:
        self.rewards = Rewards(options or Options())
        width = max(counts, default=0)
        self.counts = list(counts)
        self._first = [width - k for k in counts]  # zeros in front draw nothing from a generator; behind, they might
        self._rows = np.arange(len(counts))
        real = np.arange(width) >= np.array(self._first, dtype=np.intp)[:, None]
        k = np.array(counts, dtype=np.float64)[:, None]
        self._even = np.where(real, 1 / k, 0.0)  # 1 / K
        self._floors = np.where(real, FLOOR, 0.0)
        self._explored = self.rewards.options.explore * np.sqrt(k)
        self._roots = [root(k) for k in counts]
        self.p: Probabilities = self._even.copy()

    def __getitem__(self, i: int) -> "Row":
        return Row(self, i)

    def __iter__(self) -> Iterator["Row"]:
        return (Row(self, i) for i in range(len(self.counts)))

    def mixed(self) -> Probabilities:
        """p_hat, the probabilities of the next draw, shaped as ``p``."""
        delta = np.minimum(1.0, self._explored / math.sqrt(self.rewards.t + 1))
        mixed: Probabilities = (1 - delta) * self.p + delta * self._even
        return mixed

    def draw(self, rng: np.random.Generator) -> tuple[list[int], list[float]]:
        """An arm per learner, and the probabilities with which they were drawn; in order from one generator."""
        if not self.counts:
            return [], []
        p_hat = self.mixed()
        columns = rng.multinomial(1, p_hat).argmax(axis=1)
        arms = [column - first for column, first in zip(columns.tolist(), self._first, strict=True)]
        return arms, p_hat[self._rows, columns].tolist()

    def learn(self, arms: Sequence[int], probabilities: Sequence[float], reward: float) -> None:
        """Learn one reward for the arms that were drawn with these probabilities."""
        played = [first + arm for first, arm in zip(self._first, arms, strict=True)]
        self.p[self._rows, played] *= self.rewards.factors(self._roots, probabilities, reward)
        self.p /= np.add.reduce(self.p, axis=1, keepdims=True)
        if (self.p < self._floors).any():
            np.maximum(self.p, self._floors, out=self.p)
            self.p /= self.p.sum(axis=1, keepdims=True)
        if share := self.rewards.options.share:
            self.p = (1 - share) * self.p + share * self._even

    def get_state(self) -> JsonDict:
        """Weights, and what was learned of the rewards."""
        return {"p": encode(self.p), "rewards": self.rewards.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It had other numbers of arms.
        """
        p = decode(state["p"])
        if p.shape != self.p.shape:
            raise StateMismatch(f"a state of {p.shape} weights is not for {self.p.shape}")
        self.p = p
        self.rewards.set_state(state["rewards"])


class Row:
    """One learner of :class:`Exp3Rows`, to look at."""

    __slots__ = ("_i", "_k", "_learners")

    def __init__(self, learners: Exp3Rows, i: int) -> None:
        self._learners, self._i = learners, i
        self._k = learners.counts[i]

    @property
    def p(self) -> Probabilities:
        """Its weights, shape (K,)."""
        return self._learners.p[self._i, -self._k :]

    @property
    def t(self) -> int:
        """Number of rewards learned."""
        return self._learners.rewards.t

    @property
    def min_reward(self) -> float | None:
        """Smallest reward, None before the first."""
        return self._learners.rewards.min_reward

    @property
    def eta(self) -> float:
        """Learning rate of the next reward."""
        return self._learners.rewards.eta(self._k)

    @property
    def delta(self) -> float:
        """Share of uniform exploration in the next draw."""
        return self._learners.rewards.delta(self._k)

    def mixed(self) -> Probabilities:
        """p_hat, the probabilities of the next draw, shape (K,)."""
        return self._learners.mixed()[self._i, -self._k :]

    def best(self, declared: int) -> int:
        """The most probable arm; the declared one where it is as good."""
        p = self.p
        best = int(p.argmax())
        return declared if p[declared] >= p[best] else best
