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
from typing import Any, NamedTuple, Self

import numpy as np

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from ..shared.arrays import Array
from .points import Floats, Points

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


_SMALL = 16
"""Triangular matrices of less than twice this size are inverted like any other."""


class Data(NamedTuple):
    """What was measured at N different points.

    Attributes:
        points: The points.
        z: Mean reward of each, about 0 with variance 1, shape (N,).
        n: How many rewards each mean is worth, above 0, shape (N,).
        repeats: How many rewards came on top of the first of each point.
        squares: Their sum of squares about the means, on the scale of ``z``.
    """

    points: Points
    z: Array
    n: Array
    repeats: float
    squares: float


class Hyperparameters:
    """θ, and where Rprop takes it next.

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

    def kernel(self, points: Points, others: Points) -> Floats:
        """Covariance of the rewards of n points and of m others, shape (n, m)."""
        smooth, rough, _ = _decayed(*self._weighted(points, others))
        return self._mixed(smooth, rough, out=smooth)

    def covariance(self, points: Points) -> Floats:
        """Covariance of the rewards of n points, shape (n, n): to the bit as :meth:`fit` has it in its solution."""
        smooth, rough, _ = _decayed(*self._weighted(points, points, points.apart()))
        return self._mixed(smooth, rough)

    @property
    def variance(self) -> float:
        """s², the prior variance of a reward."""
        return math.exp(self.theta[-2])

    @property
    def noise(self) -> float:
        """σ², the variance of a single reward about its mean."""
        return math.exp(self.theta[-1]) + _JITTER

    def fit(self, data: Data, steps: int) -> "Solution":
        """Take a number of Rprop steps, at least 1, towards the mode of the posterior.

        A step goes where the gradient pointed when the one before it had ended, and ends with the gradient where it
        came to. So the solution there is known when the last has ended.
        """
        apart = data.points.apart()
        for _ in range(steps - 1):
            self._step(data, apart)
        return self._step(data, apart)

    def _step(self, data: Data, apart: Floats) -> "Solution":
        moved = self.theta + np.sign(self._gradient) * self._steps
        self.theta = np.minimum(np.maximum(moved, self.prior - _FARTHEST), self.prior + _FARTHEST)
        gradient, solution = self.gradient(data, apart)
        turned = gradient * self._gradient
        factor = np.where(turned > 0, _RPROP_FASTER, np.where(turned < 0, _RPROP_SLOWER, 1.0))
        self._steps = np.minimum(np.maximum(self._steps * factor, _RPROP_SMALLEST), _RPROP_LARGEST)
        self._gradient = np.where(turned < 0, 0.0, gradient)
        return solution

    def gradient(self, data: Data, apart: Floats) -> tuple[Array, "Solution"]:
        """Gradient of the log posterior of θ: Σ H ∘ ∂K/∂θ with H = (α αᵀ - K⁻¹) / 2 (eq. 5.9 there).

        Args:
            data: What was measured.
            apart: ``data.points.apart()``.

        Returns:
            The gradient, shape (D + 3,), and the solution at θ.
        """
        a, s2, noise, points = self._rough_share, self.variance, self.noise, data.points
        smooth, rough, slope = _decayed(*self._weighted(points, points, apart))
        k = self._mixed(smooth, rough)
        solution = Solution.of(k, noise / data.n, data.z)
        root, alpha = solution.root.astype(np.float32), solution.alpha.astype(np.float32)
        h = root.T @ root
        np.subtract(np.outer(alpha, alpha), h, out=h)
        h *= np.float32(0.5)
        w = np.exp(self.theta[:-3])
        slope *= h
        by_square, by_distance = _moments(points, apart, slope, h * rough)
        gradient = np.empty_like(self.theta)
        gradient[:-3] = -s2 * ((1 - a) * w * by_square + 0.5 * a * np.sqrt(w) * by_distance)
        gradient[-3] = s2 * a * (1 - a) * float(np.vdot(h, np.subtract(rough, smooth, out=rough)))
        gradient[-2] = float(np.vdot(h, k))
        own = 0.5 * float(((solution.alpha**2 - np.einsum("ij,ij->j", solution.root, solution.root)) / data.n).sum())
        by_noise = own - 0.5 * data.repeats / noise + 0.5 * data.squares / noise**2
        gradient[-1] = (noise - _JITTER) * by_noise
        gradient -= (self.theta - self.prior) / self._spread**2
        return gradient, solution

    @property
    def _rough_share(self) -> float:
        return 1 / (1 + math.exp(-self.theta[-3]))

    def _mixed(self, smooth: Floats, rough: Floats, out: Floats | None = None) -> Floats:
        """The kernel from its two parts."""
        a, s2 = self._rough_share, self.variance
        k: Floats = np.multiply(smooth, np.float32(s2 * (1 - a)), out=out)
        k += rough * np.float32(s2 * a)
        return k

    def _weighted(self, points: Points, others: Points, apart: Floats | None = None) -> tuple[Floats, Floats]:
        """Of each point and each other Σ w_d δ_d² and Σ √w_d δ_d, shape (n, m) each.

        Matrix products do most of it: of numbers, (x - y)² = x² - 2 x y + y²; categories are equal where the product of
        their indicators is 1.

        Args:
            points: n points.
            others: m others.
            apart: ``points.apart()``, where the others are the same points and it is known.
        """
        axes, x, y = points.axes, points.numbers, others.numbers
        w = np.exp(self.theta[:-3]).astype(np.float32)
        root = np.sqrt(w)
        v, u, numeric = w[axes.numeric], w[axes.of_indicators], root[axes.numeric]
        left = np.concatenate([x * (-2 * v), points.indicators * -u], axis=1)
        squares: Floats = left @ np.concatenate([y, others.indicators], axis=1).T
        squares += ((x * x) @ v + w[axes.categorical].sum())[:, None]
        squares += (y * y) @ v
        np.abs(squares, out=squares)  # below 0 by rounding
        distances: Floats = (points.indicators * -root[axes.of_indicators]) @ others.indicators.T
        distances += root[axes.categorical].sum()
        if apart is not None:
            distances += (numeric @ apart).reshape(distances.shape)
            return squares, distances
        one = np.empty_like(distances)
        for a, b in zip((x * numeric).T, np.ascontiguousarray(y.T) * numeric[:, None], strict=True):
            np.subtract(a[:, None], b, out=one)
            distances += np.abs(one, out=one)
        return squares, distances

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


class Solution(NamedTuple):
    """What N measured rewards come to, given their prior covariance K.

    Attributes:
        kernel: K, shape (N, N).
        root: L⁻¹ of K + σ²/n = L Lᵀ, shape (N, N).
        alpha: (K + σ²/n)⁻¹ z, shape (N,).
    """

    kernel: Floats
    root: Array
    alpha: Array

    @classmethod
    def of(cls, kernel: Floats, noise: Array, z: Array) -> Self:
        """From K, the noise variance of each mean, shape (N,), and the means z, shape (N,)."""
        covariance = kernel.astype(np.float64)
        covariance.flat[:: len(z) + 1] += noise
        root = _inverse_root(covariance)
        return cls(kernel, root, root.T @ (root @ z))


class Posterior:
    """Mean and standard deviation of rewards, given what was measured.

    Args:
        hyper: Hyperparameters.
        points: The N measured points.
        solution: Of their rewards, with these hyperparameters.
        z: Their mean rewards, shape (N,).
        n: How many rewards each is worth, shape (N,).

    Attributes:
        fitted: Expected rewards of the N points, shape (N,): K α, which is z - (K + σ²/n - K) α.
    """

    def __init__(self, hyper: Hyperparameters, points: Points, solution: Solution, z: Array, n: Array) -> None:
        self._hyper = hyper
        self._points = points
        self._root = solution.root
        self._alpha = solution.alpha
        self._noise = hyper.noise / n
        self._z = z
        self.fitted: Array = z - self._noise * self._alpha

    def mean(self, points: Points) -> Array:
        """Mean reward of m points, shape (m,)."""
        return self._mean(self._hyper.kernel(self._points, points))

    def mean_and_deviation(self, points: Points) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless reward of m points, shape (m,) each (RW eq. 2.25, 2.26)."""
        k = self._hyper.kernel(self._points, points)  # the longer axis last: inner loops are long
        explained = self._root.astype(np.float32) @ k
        variance = self._hyper.variance - np.einsum("ij,ij->j", explained, explained).astype(np.float64)
        return self._mean(k), np.sqrt(np.maximum(variance, 0.0))

    def _mean(self, k: Floats) -> Array:
        return (self._alpha.astype(np.float32) @ k).astype(np.float64)

    def at(self, i: int) -> tuple[float, float]:
        """Mean and standard deviation of the noiseless reward of the i-th point (RW eq. 2.25, 2.26)."""
        noise = float(self._noise[i])
        unexplained = 1 - noise * self._precision(i)
        return float(self.fitted[i]), math.sqrt(max(noise * unexplained, 0.0))

    def without(self, i: int) -> tuple[float, float]:
        """Mean and standard deviation of the noiseless reward of the i-th point, by all others (RW eq. 5.12)."""
        variance = 1 / self._precision(i)
        mean = float(self._z[i] - self._alpha[i] * variance)
        return mean, math.sqrt(max(variance - float(self._noise[i]), 0.0))

    def _precision(self, i: int) -> float:
        """The i-th diagonal element of (K + σ²/n)⁻¹."""
        return float(self._root[:, i] @ self._root[:, i])


def _moments(points: Points, apart: Floats, smooth: Floats, rough: Floats) -> tuple[Array, Array]:
    """Of each coordinate d Σ_ij G_ij δ_d² and Σ_ij R_ij δ_d over all pairs of points, for symmetric G and R.

    Squares by products: Σ G_ij (x_i - x_j)² = 2 (Σ_i x_i² Σ_j G_ij - xᵀ G x); categories by their indicators likewise.

    Args:
        points: N points.
        apart: ``points.apart()``.
        smooth: G, shape (N, N).
        rough: R, likewise.

    Returns:
        Both sums, shape (D,) each.
    """
    axes, x, indicators = points.axes, points.numbers, points.indicators
    of_squares, of_distances = np.zeros(len(axes.categorical)), np.zeros(len(axes.categorical))
    of_squares[axes.numeric] = 2 * (smooth.sum(axis=1) @ (x * x) - (x * (smooth @ x)).sum(axis=0))
    of_distances[axes.numeric] = apart @ rough.ravel()
    for found, weights in ((of_squares, smooth), (of_distances, rough)):
        found[axes.categorical] = weights.sum()
        np.subtract.at(found, axes.of_indicators, (indicators * (weights @ indicators)).sum(axis=0))
    return of_squares, of_distances


def _decayed(squares: Floats, distances: Floats) -> tuple[Floats, Floats, Floats]:
    """The smooth and the rough part of the kernel, and -dM/d(r²), from Σ w_d δ_d² and Σ √w_d δ_d, which are used up."""
    r = np.sqrt(squares, out=squares)
    r *= np.float32(_SQRT5)
    decay = np.negative(r)
    np.exp(decay, out=decay)
    slope = r + 1
    slope *= decay
    smooth = np.multiply(r, r, out=r)
    smooth *= decay
    smooth *= np.float32(1 / 3)
    smooth += slope
    slope *= np.float32(5 / 6)
    rough = np.negative(distances, out=distances)
    return smooth, np.exp(rough, out=rough), slope


def _inverse_root(covariance: Array) -> Array:
    """L⁻¹ of a covariance matrix L Lᵀ: of 150 points it takes half to two thirds of the time that its inverse does."""
    return _inverse_of_lower(np.asarray(np.linalg.cholesky(covariance), dtype=np.float64))


def _inverse_of_lower(lower: Array) -> Array:
    """The inverse of a lower triangular matrix, by halves."""
    half = len(lower) // 2
    if half < _SMALL:
        return np.asarray(np.linalg.inv(lower), dtype=np.float64)
    found = np.zeros_like(lower)
    found[:half, :half] = _inverse_of_lower(lower[:half, :half])
    found[half:, half:] = _inverse_of_lower(lower[half:, half:])
    found[half:, :half] = -found[half:, half:] @ (lower[half:, :half] @ found[:half, :half])
    return found
