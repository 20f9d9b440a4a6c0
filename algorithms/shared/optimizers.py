"""Gradient ascent steps: plain, and scaled by a running mean of squared gradients.

An optimizer is called with a gradient and returns the step to add. Equations follow OPPerTune 0.2.0
(``oppertune.algorithms.utils.optimizers``).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InvalidArgument, StateMismatch
from ...core.state import JsonDict, decode, encode
from .arguments import checked_number

Vector: TypeAlias = NDArray[np.float64]


class Optimizer(Protocol):
    """What an optimizer can do.

    Attributes:
        eta: Step size, above 0; may be changed between steps.
    """

    eta: float

    def __call__(self, gradient: Vector) -> Vector:
        """The step to add for a gradient, of the same shape."""

    def get_state(self) -> JsonDict:
        """Everything that changes, JSON-safe."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""


class SGD:
    """Plain gradient ascent: step = eta * g."""

    def __init__(self, eta: float = 0.01) -> None:
        self.eta = checked_number("eta", eta, above=0)

    def __call__(self, gradient: Vector) -> Vector:
        """The step to add for a gradient."""
        return self.eta * gradient

    def get_state(self) -> JsonDict:
        """The step size."""
        return {"eta": self.eta}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It was another kind of optimizer.
        """
        if state.keys() != {"eta"}:
            raise StateMismatch("the state was learned with another optimizer than sgd")
        self.eta = float(state["eta"])


class RMSprop:
    """Steps scaled by a running mean of squared gradients (Hinton 2012, lecture 6e), without bias correction.

    v <- alpha v + (1 - alpha) g^2; step = eta g / (sqrt(v) + eps).
    With momentum m > 0: b <- m b + g / (sqrt(v) + eps); step = eta b.
    The first step is eta / sqrt(1 - alpha) per coordinate: ten times eta by default, whatever the gradient.

    Attributes:
        eta: Step size, above 0.
        alpha: Share of the past in the running mean, in [0, 1).
        momentum: Share of the last step in the next, in [0, 1).
        eps: Keeps the division finite, above 0.
        v: RunningStatistics mean of squared gradients; 0 before the first.
        b: Momentum buffer; stays 0 without momentum.
    """

    def __init__(self, eta: float = 0.01, alpha: float = 0.99, momentum: float = 0.0, eps: float = 1e-8) -> None:
        self.eta = checked_number("eta", eta, above=0)
        self.alpha = checked_number("alpha", alpha, at_least=0, below=1)
        self.momentum = checked_number("momentum", momentum, at_least=0, below=1)
        self.eps = checked_number("eps", eps, above=0)
        self.v: Vector | float = 0.0
        self.b: Vector | float = 0.0

    def __call__(self, gradient: Vector) -> Vector:
        """The step to add for a gradient."""
        self.v = self.alpha * self.v + (1 - self.alpha) * (gradient * gradient)
        direction: Vector = gradient / (np.sqrt(self.v) + self.eps)
        if not self.momentum:
            return self.eta * direction
        self.b = self.momentum * self.b + direction
        return self.eta * self.b

    def get_state(self) -> JsonDict:
        """Step size and running means."""
        return {"eta": self.eta, "v": encode(self.v), "b": encode(self.b)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned.

        Raises:
            StateMismatch: It was another kind of optimizer.
        """
        if state.keys() != {"eta", "v", "b"}:
            raise StateMismatch("the state was learned with another optimizer than rmsprop")
        self.eta, self.v, self.b = float(state["eta"]), decode(state["v"]), decode(state["b"])


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"rmsprop": RMSprop, "sgd": SGD}


def create_optimizer(name: str, **arguments: float) -> Optimizer:
    """An optimizer by its name, ``rmsprop`` or ``sgd``.

    Raises:
        InvalidArgument: There is none of this name, or it does not take these arguments.
    """
    if name not in tuple(OPTIMIZERS):  # compared, not hashed: a spec may hold anything here
        raise InvalidArgument(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {name!r}")
    try:
        return OPTIMIZERS[name](**arguments)
    except TypeError as error:
        raise InvalidArgument(f"optimizer {name}: {error}") from error
