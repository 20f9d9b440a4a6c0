"""EXP3: exponential weights for one choice among K, of which only the played one is rewarded.

Auer, Cesa-Bianchi, Freund, Schapire 2002, *The nonstochastic multiarmed bandit problem*, with the decaying rates of
OPPerTune 0.2.0.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.errors import StateMismatch
from ..core.state import JsonDict, decode, encode

Probabilities: TypeAlias = NDArray[np.float64]

_LARGEST_EXPONENT = 700.0
"""exp overflows at 710. One reward may make an arm certain, or all but rule it out; it may not end the process."""

_FLOOR = 1e-12
"""No arm's probability falls lower: at exactly 0 no reward could ever bring it back."""


class Exp3:
    """Weights over K arms.

    With t rewards told and m the smallest of them:
    eta = sqrt(ln K / (K (t + 1))) / max(1, |m|), without the divisor before the first reward;
    delta = min(1, sqrt(K / (t + 1))).

    Attributes:
        p: Weights, shape (K,), sum 1, none below the floor.
        t: Number of rewards told.
        min_reward: m, None before the first reward.
    """

    __slots__ = ("min_reward", "p", "t")

    def __init__(self, n_arms: int) -> None:
        self.p: Probabilities = np.full(n_arms, 1 / n_arms)
        self.t = 0
        self.min_reward: float | None = None

    @property
    def eta(self) -> float:
        """Learning rate of the next reward."""
        k = len(self.p)
        return math.sqrt(math.log(k) / (k * (self.t + 1))) / max(1.0, abs(self.min_reward or 0.0))

    @property
    def delta(self) -> float:
        """Share of uniform exploration in the next draw."""
        return min(1.0, math.sqrt(len(self.p) / (self.t + 1)))

    def mixed(self) -> Probabilities:
        """p_hat = (1 - delta) p + delta / K: the probabilities of the next draw, shape (K,)."""
        delta = self.delta
        return (1 - delta) * self.p + delta / len(self.p)

    def draw(self, rng: np.random.Generator) -> tuple[int, float]:
        """An arm, and the probability with which it was drawn."""
        p_hat = self.mixed()
        arm = int(rng.multinomial(1, p_hat).argmax())  # choice() would draw other arms from the same generator
        return arm, float(p_hat[arm])

    def learn(self, arm: int, probability: float, reward: float) -> None:
        """p_arm <- p_arm exp(eta r / p_hat_arm), then p <- p / sum(p), and the rates follow."""
        exponent = self.eta * reward / probability
        self.p[arm] *= math.exp(min(max(exponent, -_LARGEST_EXPONENT), _LARGEST_EXPONENT))
        # By the true sum: 1 - p_old + p_new multiplies rounding errors until draws fail, when rewards are negative.
        self.p /= self.p.sum()
        if self.p.min() < _FLOOR:
            np.maximum(self.p, _FLOOR, out=self.p)
            self.p /= self.p.sum()
        self.min_reward = reward if self.min_reward is None else min(self.min_reward, reward)
        self.t += 1

    def best(self, declared: int) -> int:
        """The most probable arm; the declared one where it is as good."""
        best = int(self.p.argmax())
        return declared if self.p[declared] >= self.p[best] else best

    def get_state(self) -> JsonDict:
        """Weights, count, and smallest reward."""
        return {"p": encode(self.p), "t": self.t, "min_reward": self.min_reward}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Become what the writer of ``state`` was.

        Raises:
            StateMismatch: It had another number of arms.
        """
        p = decode(state["p"])
        if p.shape != self.p.shape:
            raise StateMismatch(f"a state of {p.shape} arms is not for {self.p.shape}")
        self.p, self.t, self.min_reward = p, state["t"], state["min_reward"]
