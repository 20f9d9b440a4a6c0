"""EXP3: exponential weights for one choice among K, of which only the played one is rewarded.

Auer, Cesa-Bianchi, Freund, Schapire 2002, *The nonstochastic multiarmed bandit problem*, with the decaying rates of
OPPerTune 0.2.0, and three options that it did not have.

With t rewards learned and m the smallest of them::

    eta   = sqrt(ln K / (K (t + 1))) / max(1, |m|)      without the divisor before the first reward
    delta = min(1, explore sqrt(K / (t + 1)))
    p_hat = (1 - delta) p + delta / K                   an arm is drawn from it
    p_arm <- p_arm exp(eta r / p_hat_arm)               for the arm played with reward r; then p <- p / sum(p)
    p     <- (1 - share) p + share / K

``scale="spread"`` has (r - mean) / spread of the last rewards in the place of r / max(1, |m|), and an exponent in
[-1, 1]: neither the level nor the unit of the rewards matters, nor does one reward make an arm certain.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from ..shared.arguments import checked_choice, checked_number
from ..shared.running_statistics import RunningStatistics

Probabilities: TypeAlias = NDArray[np.float64]

_LARGEST_EXPONENT = {"min": 700.0, "spread": 1.0}
"""exp overflows at 710. One reward may make an arm certain, or all but rule it out; it may not end the process."""

FLOOR = 1e-12
"""No arm's probability falls lower: at exactly 0 no reward could ever bring it back."""

_DRAWN_AS_THE_ORIGINAL = 256
"""Up to this number of arms, a seed draws what it drew in OPPerTune 0.2.0. That takes time in K; drawing in steps does
not."""

_OWN_WEIGHTS = 2048
"""Arms that have weights of their own; a state holds them all, in about 60 kB."""

_REWARDS = 50
"""Rewards that count for their mean and spread: of 20, 50 and 100, none was better than the others."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of EXP3. The defaults are OPPerTune 0.2.0.

    Attributes:
        scale: ``min`` divides rewards by the size of the smallest one; ``spread`` compares them with the last ones.
        explore: Factor of delta, in [0, 1].
        share: Part of all weight that is handed out evenly after each reward, in [0, 1) (fixed share: Herbster, Warmuth
            1998; EXP3.S: Auer et al. 2002).
    """

    scale: str = "min"
    explore: float = 1.0
    share: float = 0.0

    def __post_init__(self) -> None:
        checked_choice("scale", self.scale, ("min", "spread"))
        checked_number("explore", self.explore, at_least=0, up_to=1)
        checked_number("share", self.share, at_least=0, below=1)


def root(k: int) -> float:
    """sqrt(ln k / k), what a learning rate has of the number of arms."""
    return math.sqrt(math.log(k) / k)


class Rewards:
    """What follows from the rewards alone, whichever arms they were for: the rates, and how much a reward counts.

    Attributes:
        options: The options.
        t: Number of rewards learned.
        min_reward: m, None before the first reward.
    """

    __slots__ = ("_last", "min_reward", "options", "t")

    def __init__(self, options: Options) -> None:
        self.options = options
        self.t = 0
        self.min_reward: float | None = None
        self._last = RunningStatistics(_REWARDS)

    @property
    def _divisor(self) -> float:
        return max(1.0, abs(self.min_reward or 0.0)) if self.options.scale == "min" else 1.0

    def eta(self, k: int) -> float:
        """Learning rate of the next reward, for a learner of k arms."""
        return root(k) / math.sqrt(self.t + 1) / self._divisor

    def delta(self, k: int) -> float:
        """Share of uniform exploration in the next draw, for a learner of k arms."""
        return min(1.0, self.options.explore * math.sqrt(k / (self.t + 1)))

    def factors(self, roots: Sequence[float], probabilities: Sequence[float], reward: float) -> list[float]:
        """Count a reward, and say by how much it multiplies the weight of the arm that each learner played.

        Args:
            roots: sqrt(ln K / K) of each learner.
            probabilities: Probability with which it drew the arm.
            reward: The reward, the same for all.
        """
        r = self._last.scaled(reward) if self.options.scale == "spread" else reward
        scaled = r / math.sqrt(self.t + 1) / self._divisor
        largest = _LARGEST_EXPONENT[self.options.scale]
        self.min_reward = reward if self.min_reward is None else min(self.min_reward, reward)
        self.t += 1
        exponents = [root * scaled / p for root, p in zip(roots, probabilities, strict=True)]
        return [math.exp(min(max(x, -largest), largest)) for x in exponents]

    def get_state(self) -> JsonDict:
        """Count, smallest reward, running mean and spread."""
        return {"t": self.t, "min_reward": self.min_reward, "last": self._last.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self.t, self.min_reward = int(state["t"]), state["min_reward"]
        self._last.set_state(state["last"])


class Exp3:
    """One learner of K arms, of which those that were never played share one weight: time and state do not grow with K.

    When more than 2,048 arms have weights of their own, the one nearest to the common weight joins the others.

    Attributes:
        rewards: Rates, and what was learned of the rewards.
    """

    __slots__ = ("_arms", "_common", "_k", "_own", "_place", "_root", "rewards")

    def __init__(self, n_arms: int, options: Options | None = None) -> None:
        self.rewards = Rewards(options or Options())
        self._k = n_arms
        self._root = root(n_arms)
        self._common = 1 / n_arms  # the weight of each arm without one of its own
        self._arms: list[int] = []  # arms with weights of their own, in the order of _own
        self._place: dict[int, int] = {}  # where each stands in it
        self._own: Probabilities = np.empty(0)

    @property
    def p(self) -> Probabilities:
        """All weights, shape (K,), sum 1, none below the floor."""
        p = np.full(self._k, self._common)
        p[self._arms] = self._own
        return p

    @property
    def t(self) -> int:
        """Number of rewards learned."""
        return self.rewards.t

    @property
    def min_reward(self) -> float | None:
        """Smallest reward, None before the first."""
        return self.rewards.min_reward

    @property
    def eta(self) -> float:
        """Learning rate of the next reward."""
        return self.rewards.eta(self._k)

    @property
    def delta(self) -> float:
        """Share of uniform exploration in the next draw."""
        return self.rewards.delta(self._k)

    def weight(self, arm: int) -> float:
        """p_arm."""
        place = self._place.get(arm)
        return self._common if place is None else float(self._own[place])

    def mixed(self) -> Probabilities:
        """p_hat, the probabilities of the next draw, shape (K,)."""
        delta = self.delta
        return (1 - delta) * self.p + delta / self._k

    def draw(self, rng: np.random.Generator) -> tuple[int, float]:
        """An arm, and the probability with which it was drawn."""
        if self._k <= _DRAWN_AS_THE_ORIGINAL:
            p_hat = self.mixed()
            arm = int(rng.multinomial(1, p_hat).argmax())  # choice() would draw other arms from the same generator
            return arm, float(p_hat[arm])
        delta = self.delta
        arm = int(rng.random() * self._k) if rng.random() < delta else self._drawn_by_weight(rng)
        return arm, (1 - delta) * self.weight(arm) + delta / self._k

    def _drawn_by_weight(self, rng: np.random.Generator) -> int:
        cumulated = self._own.cumsum()
        x = rng.random()
        if len(self._arms) == self._k or (self._arms and x < cumulated[-1]):
            return self._arms[min(int(cumulated.searchsorted(x, side="right")), len(self._arms) - 1)]
        arm = int(rng.random() * self._k)
        while arm in self._place:  # the fewer the others are, the rarer this is reached: about one try on average
            arm = int(rng.random() * self._k)
        return arm

    def learn(self, arm: int, probability: float, reward: float) -> None:
        """Learn the reward of an arm that was drawn with this probability."""
        (factor,) = self.rewards.factors([self._root], [probability], reward)
        if arm not in self._place:
            self._give_weight(arm)
        self._own[self._place[arm]] *= factor
        # By the true sum: 1 - p_old + p_new multiplies rounding errors until draws fail, when rewards are negative.
        self._normalise()
        if self._common < FLOOR or self._own.min() < FLOOR:
            np.maximum(self._own, FLOOR, out=self._own)
            self._common = max(self._common, FLOOR)
            self._normalise()
        if share := self.rewards.options.share:
            self._own *= 1 - share
            self._own += share / self._k
            self._common = (1 - share) * self._common + share / self._k

    def _normalise(self) -> None:
        total = float(self._own.sum()) + self._common * (self._k - len(self._arms))
        self._own /= total
        self._common /= total

    def _give_weight(self, arm: int) -> None:
        if len(self._arms) >= _OWN_WEIGHTS:
            self._merge(int(np.abs(self._own - self._common).argmin()))
        self._place[arm] = len(self._arms)
        self._arms.append(arm)
        self._own = np.append(self._own, self._common)

    def _merge(self, place: int) -> None:
        """Let the arm at a place share the common weight again; the sum of all stays."""
        others = self._k - len(self._arms)
        self._common = (self._common * others + float(self._own[place])) / (others + 1)
        self._own = np.delete(self._own, place)
        self._set_arms(self._arms[:place] + self._arms[place + 1 :])

    def _set_arms(self, arms: list[int]) -> None:
        self._arms = arms
        self._place = {arm: place for place, arm in enumerate(arms)}

    def best(self, declared: int) -> int:
        """The most probable arm; the declared one where it is as good."""
        best = declared
        if self._arms:
            place = int(self._own.argmax())
            if len(self._arms) == self._k or self._own[place] >= self._common:
                best = self._arms[place]
            else:
                best = next(arm for arm in range(self._k) if arm not in self._place)
        return declared if self.weight(declared) >= self.weight(best) else best

    def get_state(self) -> JsonDict:
        """Weights, and what was learned of the rewards."""
        return {
            "n_arms": self._k,
            "common": self._common,
            "arms": list(self._arms),
            "p": encode(self._own),
            "rewards": self.rewards.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It had another number of arms.
        """
        if state["n_arms"] != self._k:
            raise StateMismatch(f"a state of {state['n_arms']} arms is not for {self._k}")
        self.rewards.set_state(state["rewards"])
        self._common, self._own = float(state["common"]), decode(state["p"])
        self._set_arms(list(state["arms"]))
