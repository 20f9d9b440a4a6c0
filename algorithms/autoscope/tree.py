"""A decision tree that gradients can train: oblique splits, and one leaf for each point.

The tree of DGT (Karthikeyan et al. 2021, *Learning accurate decision trees with bandit feedback via quantized gradient
descent*, arXiv:2102.07567) as OPPerTune 0.2.0 uses it. With h levels there are I = 2^h - 1 splits, breadth first, and
L = 2^h leaves; F is the number of features. Forward::

    z = W x + b                       each split, shape (I,); z_j >= 0 goes left
    a_j = ±fac by the sign of z_j     fac = mean |z|, taken as constant
    q = A a + β                       each leaf, shape (L,); A_lj = +1, -1, 0: leaf l is left, right, not below split j
    selector = one-hot of argmax q    which leaf it is

Backward, the selector counts as softmax(q), and the sign as the identity where |z_j| <= 1, else as constant (straight-
through estimators: Bengio, Léonard, Courville 2013, arXiv:1308.3432).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.errors import StateMismatch
from ...core.state import JsonDict, decode, encode
from ..shared.arrays import Array


def paths(height: int) -> Array:
    """A: on which side of each split a leaf lies, shape (L, I): 1 left, -1 right, 0 not below it."""
    n_splits, n_leaves = 2**height - 1, 2**height
    sides = np.zeros((n_leaves, n_splits))
    for leaf in range(n_leaves):
        node = n_splits + leaf
        while node:
            parent = (node - 1) // 2
            sides[leaf, parent] = 1.0 if node == 2 * parent + 1 else -1.0
            node = parent
    return sides


class Tree:
    """Splits and the choice among leaves.

    Args:
        weights: W, shape (I, F).
        leaf_bias: β, shape (L,).

    Attributes:
        weights: W.
        bias: b, shape (I,), 0 at first.
        leaf_bias: β.
        sides: A, shape (L, I).
    """

    __slots__ = ("bias", "leaf_bias", "sides", "weights")

    def __init__(self, weights: Array, leaf_bias: Array) -> None:
        self.weights, self.leaf_bias = weights, leaf_bias
        self.bias: Array = np.zeros(len(weights))
        self.sides = paths(len(leaf_bias).bit_length() - 1)

    def leaf(self, x: Array) -> int:
        """The leaf of a point x, shape (F,)."""
        z = self.weights @ x + self.bias
        return int(self._scores(z).argmax())

    def gradient(self, x: Array, value: Array) -> tuple[Array, Array, Array]:
        """How W, b and β change the value of the selected leaf at x, where leaf l has ``value[l]``, shape (L,)."""
        z = self.weights @ x + self.bias
        q = self._scores(z)
        s = np.exp(q - q.max())
        s /= s.sum()
        by_score = s * (value - s @ value)
        by_split = 2 * (by_score @ self.sides) * (np.abs(z) <= 1)
        return np.multiply.outer(by_split, x), by_split, by_score

    def _scores(self, z: Array) -> Array:
        fac = float(np.abs(z).sum()) / len(z)
        scores: Array = self.sides @ np.where(z >= 0, fac, -fac) + self.leaf_bias
        return scores

    def get_state(self) -> JsonDict:
        """All that can be learned."""
        return {"weights": encode(self.weights), "bias": encode(self.bias), "leaf_bias": encode(self.leaf_bias)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It was another tree.
        """
        weights, bias, leaf_bias = (decode(state[name]) for name in ("weights", "bias", "leaf_bias"))
        if (
            weights.shape != self.weights.shape
            or bias.shape != self.bias.shape
            or leaf_bias.shape != self.leaf_bias.shape
        ):
            raise StateMismatch("the state was learned with another tree")
        self.weights, self.bias, self.leaf_bias = weights, bias, leaf_bias
