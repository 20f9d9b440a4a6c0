"""A Gaussian process over mixed parameters: what is known of configurations that were never played, and how surely.

Kernel of two points whose coordinates are δ_d apart (numbers by their difference, categories 0 or 1), with a weight w_d
for each parameter::

    k = s² ((1 - a) M(√(Σ w_d δ_d²)) + a exp(-Σ √w_d δ_d)),    M(r) = (1 + √5 r + 5 r²/3) exp(-√5 r)

The first part (Matérn 5/2: Rasmussen and Williams 2006, eq. 4.17) is smooth and sees parameters together; the second
(a product of Matérn 1/2 kernels of one parameter each, their eq. 4.18) is rough, and for small weights the sum of
effects of single parameters. Real systems lie between: the share a is learned with the rest.

Rewards of one configuration are kept as their mean, number n and sum of squares about the mean, which says as much as
the rewards themselves (Binois, Gramacy, Ludkovski 2018, arXiv:1611.05902, eq. 4): the mean has noise variance σ²/n,
and the squares tell σ² itself.

Hyperparameters θ = (log w_1 … log w_D, logit a, log s², log σ²) are followed to the mode of their posterior
(eq. 5.8 and 5.9 there, with a normal prior) by a few Rprop steps a reward (Riedmiller and Braun 1993).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from ..shared.arrays import Array

_SQRT5 = math.sqrt(5)

_JITTER = 1e-4
"""Least noise variance, of rewards scaled to variance 1: without it, two close points make the matrix singular."""

_NOISE = 0.05
"""Prior median of σ², of rewards scaled to variance 1. Repeats soon say better."""

_SPREAD = np.array([1.0, 1.5, 1.0, 1.0])
"""Standard deviations of the normal priors of log w_d, logit a, log s² and log σ²."""

_FARTHEST = 4.0
"""No hyperparameter goes further from its prior mean: beyond, the data cannot tell its values apart."""

_RPROP_FASTER, _RPROP_SLOWER, _RPROP_SMALLEST, _RPROP_LARGEST = 1.3, 0.5, 1e-3, 0.7
"""What a step grows and shrinks by, and its bounds. Hyperparameters are logarithms: a step changes a weight by a
thousandth at least, so that it can still follow the data, and doubles it at most, so that it cannot leap over the mode.
"""


class Data(NamedTuple):
    """What was measured at N different points.

    Attributes:
        apart: Distances of the points' coordinates, shape (N, N, D).
        z: Mean reward of each, about 0 with variance 1, shape (N,).
        n: How many rewards each mean is worth, above 0, shape (N,).
        repeats: How many rewards came on top of the first of each point.
        squares: Their sum of squares about the means, on the scale of ``z``.
    """

    apart: Array
    z: Array
    n: Array
    repeats: float
    squares: float


class Hyperparameters:
    """θ, and how Rprop got there.

    Attributes:
        theta: Shape (D + 3,).
        prior: Mean of the prior, shape (D + 3,). The weights' falls with the dimension, so that configurations that
            differ everywhere are as far apart in many dimensions as in few (Hvarfner et al. 2024, arXiv:2402.02229).
    """

    __slots__ = ("_gradient", "_spread", "_steps", "prior", "theta")

    def __init__(self, dimension: int) -> None:
        self.prior = np.append(np.full(dimension, -math.log(max(dimension, 1))), [0.0, 0.0, math.log(_NOISE)])
        self._spread = np.append(np.full(dimension, _SPREAD[0]), _SPREAD[1:])
        self.theta = self.prior.copy()
        self._steps = np.full(dimension + 3, 0.1)
        self._gradient = np.zeros(dimension + 3)

    def kernel(self, apart: Array) -> Array:
        """Covariance of points at these distances, shape of ``apart`` without its last axis."""
        smooth, rough, _ = self._parts(apart)
        a = self._rough_share
        k: Array = self.variance * ((1 - a) * smooth + a * rough)
        return k

    @property
    def variance(self) -> float:
        """s², the prior variance of a reward."""
        return math.exp(self.theta[-2])

    @property
    def noise(self) -> float:
        """σ², the variance of a single reward about its mean."""
        return math.exp(self.theta[-1]) + _JITTER

    def fit(self, data: Data, steps: int) -> None:
        """Take a number of Rprop steps towards the mode of the posterior."""
        for _ in range(steps):
            _, gradient = self.log_posterior(data)
            turned = gradient * self._gradient
            factor = np.where(turned > 0, _RPROP_FASTER, np.where(turned < 0, _RPROP_SLOWER, 1.0))
            self._steps = np.clip(self._steps * factor, _RPROP_SMALLEST, _RPROP_LARGEST)
            self._gradient = np.where(turned < 0, 0.0, gradient)
            moved = self.theta + np.sign(self._gradient) * self._steps
            self.theta = np.clip(moved, self.prior - _FARTHEST, self.prior + _FARTHEST)

    def log_posterior(self, data: Data) -> tuple[float, Array]:
        """Logarithm of the posterior density of θ, up to a constant, and its gradient, shape (D + 3,)."""
        smooth, rough, slope = self._parts(data.apart)
        a, s2, noise = self._rough_share, self.variance, self.noise
        k = s2 * ((1 - a) * smooth + a * rough)
        covariance = k + np.diag(noise / data.n)
        inverse = np.linalg.inv(covariance)
        alpha = inverse @ data.z
        deviation = (self.theta - self.prior) / self._spread
        value = (
            -0.5 * float(data.z @ alpha)
            - 0.5 * float(np.linalg.slogdet(covariance)[1])
            - 0.5 * data.repeats * math.log(noise)
            - 0.5 * data.squares / noise
            - 0.5 * float(deviation @ deviation)
        )
        half = 0.5 * (np.outer(alpha, alpha) - inverse)  # ∂/∂θ = Σ half ∘ ∂K/∂θ
        w = np.exp(self.theta[:-3])
        by_square = np.tensordot(half * slope, data.apart**2, ((0, 1), (0, 1)))
        by_distance = np.tensordot(half * rough, data.apart, ((0, 1), (0, 1)))
        gradient = np.empty_like(self.theta)
        gradient[:-3] = -s2 * ((1 - a) * w * by_square + 0.5 * a * np.sqrt(w) * by_distance)
        gradient[-3] = s2 * a * (1 - a) * float((half * (rough - smooth)).sum())
        gradient[-2] = float((half * k).sum())
        by_noise = float((np.diag(half) / data.n).sum()) - 0.5 * data.repeats / noise + 0.5 * data.squares / noise**2
        gradient[-1] = (noise - _JITTER) * by_noise
        return value, gradient - deviation / self._spread

    @property
    def _rough_share(self) -> float:
        return 1 / (1 + math.exp(-self.theta[-3]))

    def _parts(self, apart: Array) -> tuple[Array, Array, Array]:
        """The smooth and the rough part of the kernel, and -dM/d(r²), each of shape (n, m)."""
        w = np.exp(self.theta[:-3])
        r = _SQRT5 * np.sqrt((apart * apart) @ w)
        decay = np.exp(-r)
        smooth: Array = (1 + r + r * r / 3) * decay
        rough: Array = np.exp(-(apart @ np.sqrt(w)))
        return smooth, rough, decay * (1 + r) * (5 / 6)

    def get_state(self) -> JsonDict:
        """θ, steps and last gradient."""
        return {"theta": encode(self.theta), "steps": encode(self._steps), "gradient": encode(self._gradient)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It had another dimension.
        """
        theta, steps, gradient = (decode(state[name]) for name in ("theta", "steps", "gradient"))
        if not theta.shape == steps.shape == gradient.shape == self.theta.shape:
            raise StateMismatch("hyperparameters of another dimension")
        self.theta, self._steps, self._gradient = theta, steps, gradient


class Posterior:
    """Mean and standard deviation of rewards, given what was measured.

    Args:
        hyper: Hyperparameters.
        apart: Distances of the measured points' coordinates, shape (N, N, D).
        z: Their mean rewards, shape (N,).
        n: How many rewards each is worth, shape (N,).
    """

    def __init__(self, hyper: Hyperparameters, apart: Array, z: Array, n: Array) -> None:
        self._hyper = hyper
        covariance: Array = hyper.kernel(apart) + np.diag(hyper.noise / n)
        self._inverse: Array = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        self._alpha: Array = self._inverse @ z

    def mean(self, apart: Array) -> Array:
        """Mean reward of m points at these distances from the measured ones ((m, N, D)), shape (m,)."""
        mean: Array = self._hyper.kernel(apart) @ self._alpha
        return mean

    def mean_and_deviation(self, apart: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless reward of m points, shape (m,) each (RW eq. 2.25, 2.26)."""
        k = self._hyper.kernel(apart)
        explained: Array = np.einsum("ij,ij->i", k @ self._inverse, k)
        deviation: Array = np.sqrt(np.maximum(self._hyper.variance - explained, 0.0))
        return k @ self._alpha, deviation
