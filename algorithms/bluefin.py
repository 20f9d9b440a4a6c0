"""BlueFin: zeroth-order gradient ascent on numbers, from rewards alone.

The gradient is estimated from one play beside the centre (Flaxman, Kalai, McMahan 2005, arXiv:cs/0408007) or from two
plays on opposite sides of it (Agarwal, Dekel, Xiao 2010), as in OPPerTune 0.2.0. All of it happens on the unit box:
n numbers, each scaled to [0, 1].
"""

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

import numpy as np

from ..core.errors import InvalidArgument, StateMismatch
from ..core.types import Context, ContextIdType
from ..core.values import Integer, Real
from .base import Algorithm, _PredictResponse, _TuningRequest
from .optimizers import Vector, checked_number, create_optimizer

_FREE = "free"
_OPEN = "open"

_LARGEST = 1e150
"""Rewards and gradients are cut here: neither a difference nor a square of such numbers can overflow."""

_MAX_SCOPES_HALF_TOLD = 1024
"""Scopes whose pair waits for its second half. One that never asks again must not be kept for ever."""


def _cut(x: float) -> float:
    return min(max(x, -_LARGEST), _LARGEST)


class _Probe(TypedDict):
    """One direction being tried. Plain data, so that it is state as it stands."""

    direction: Vector  # u, shape (n,), length 1
    centre: Vector  # w when it was first asked for: both halves are played about the same point
    delta: float  # how far from the centre they are played
    scope: ContextIdType  # both halves are played in the same scope
    halves: list[str | float]  # per half: "free", "open", or its reward


class BlueFin(Algorithm):
    """Gradient ascent from one reward (``feedback=1``) or from the difference of two (``feedback=2``).

    A round plays w + delta u about the centre w, for a random direction u of length 1. With two points, the next play
    of the same scope is w - delta u, and both are learned together. Several requests may be open: each has a direction
    of its own, or is the other half of one. A half that was abandoned is played again.

    Integers and stepped reals are rounded to their step, so with few levels both halves may be the same configuration,
    and edges closer than delta are not reached: this is how the method is defined.

    Args:
        parameters: Integers and reals.
        eta: Step size, above 0.
        delta: Distance of plays from the centre, in (0, 0.5].
        eta_decay_rate: a >= 0; after k updates, eta is eta0 / (1 + a k), and delta is delta0 sqrt(eta / eta0).
        feedback: Plays per update, 1 or 2.
        optimizer: ``rmsprop`` or ``sgd``.
        optimizer_args: Further arguments of the optimizer. An ``eta`` among them takes the place of ``eta``.
        random_seed: Seed of the directions.

    Attributes:
        centre: w, shape (n,), in [delta, 1 - delta].

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Integer, Real)
        configuration = ("feedback", "eta_decay_rate", "_eta0", "_delta0", "_scale")

    def __init__(
        self,
        parameters: Iterable[Integer | Real | Mapping[str, object]],
        eta: float = 0.01,
        delta: float = 0.1,
        eta_decay_rate: float = 0.0,
        feedback: Literal[1, 2] = 1,
        optimizer: str = "rmsprop",
        optimizer_args: Mapping[str, float] | None = None,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self._delta0 = checked_number("delta", delta, above=0, up_to=0.5)
        self.eta_decay_rate = checked_number("eta_decay_rate", eta_decay_rate, at_least=0)
        if isinstance(feedback, bool) or feedback not in (1, 2):
            raise InvalidArgument(f"feedback must be 1 or 2, not {feedback!r}")
        self.feedback = int(feedback)
        self._optimizer = create_optimizer(optimizer, **{"eta": eta, **(optimizer_args or {})})
        self._eta0 = self._optimizer.eta
        self._updates = 0
        # N, the largest transformed value: 1 for a real, the number of steps for what is on a grid.
        self._scale = np.array([float(p.max) for p in self._numbers], dtype=np.float64)
        start = np.array([float(p.val) for p in self._numbers], dtype=np.float64) / self._scale
        self.centre: Vector = np.clip(start, self.delta, 1 - self.delta)
        self._rng = np.random.default_rng(self._random_seed)
        self._drawn = 0
        self._probes: dict[int, _Probe] = {}  # by the number of the draw: those with a half open or told
        self._waiting: dict[
            ContextIdType, list[int]
        ] = {}  # scope: probes with a half to be played, in order of drawing
        self._spare: list[tuple[int, Vector]] = []  # directions drawn of which nothing is open or told any more

    @property
    def _numbers(self) -> list[Integer | Real]:
        return [p for p in self.params if isinstance(p, Integer | Real)]

    @property
    def eta(self) -> float:
        """Step size of the next update."""
        return self._eta0 / (1 + self.eta_decay_rate * self._updates)

    @property
    def delta(self) -> float:
        """Distance of the next play from the centre; delta0 sqrt(eta / eta0), so exploring shrinks with the steps."""
        return self._delta0 / math.sqrt(1 + self.eta_decay_rate * self._updates)

    @property
    def iteration(self) -> int:
        """Number of completed updates: rewards with one point, pairs of rewards with two."""
        return self._updates

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        if not self.params:
            return _PredictResponse({})
        number, half = self._next_half(tuning_request.context.id)
        probe = self._probes[number]
        probe["halves"][half] = _OPEN
        # w+ = w + delta u, w- = w - delta u
        played = probe["centre"] + (probe["delta"] if half == 0 else -probe["delta"]) * probe["direction"]
        return _PredictResponse(self._named(played), {"draw": number, "half": half})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        self.update(tuning_request)

    def update(self, request: _TuningRequest) -> Vector | None:
        """Learn from a request, and return the gradient if that completed an update (algorithms made of this want it).

        Returns:
            g, shape (n,), on the unit box; None after the first half of a pair, or without parameters.
        """
        if not self.params or request.metadata is None:
            return None
        number, half = request.metadata["draw"], request.metadata["half"]
        probe = self._probes[number]
        probe["halves"][half] = _cut(request.answer)
        told = [answer for answer in probe["halves"] if isinstance(answer, float)]
        if len(told) < self.feedback:
            self._bound_waiting(number)
            return None
        self._forget(number)
        if self.feedback == 1:
            difference = told[0]
        else:
            largest = max(abs(told[0]), abs(told[1]))
            difference = (told[0] - told[1]) / largest if largest else 0.0
        # g = n D u / (feedback delta)
        slope = _cut(len(self.params) * difference / (self.feedback * probe["delta"]))
        gradient: Vector = slope * probe["direction"]
        self._ascend(gradient)
        return gradient

    def _ascend(self, gradient: Vector) -> None:
        """Take a step: w <- clip(w + opt(g), delta, 1 - delta), with the delta before the decay; then decay."""
        self._optimizer.eta = self.eta
        self.centre = np.clip(self.centre + self._optimizer(gradient), self.delta, 1 - self.delta)
        self._updates += 1

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is None:
            return
        number, half = tuning_request.metadata["draw"], tuning_request.metadata["half"]
        probe = self._probes[number]
        probe["halves"][half] = _FREE
        if all(answer == _FREE for answer in probe["halves"]):
            # Nothing ties the direction to a centre or a scope any more: whoever asks next gets it.
            self._forget(number)
            insort(self._spare, (number, probe["direction"]), key=lambda spare: spare[0])
        else:
            self._wait(number)

    def _recommend(self, context: Context) -> dict[str, float] | None:  # noqa: ARG002 - one centre for all contexts
        return self._named(self.centre) if self._updates else None

    def _named(self, point: Vector) -> dict[str, float]:
        """A point of the unit box as transformed values; rounding to the grid, half to even, is the transformer's."""
        return dict(zip((p.name for p in self.params), (point * self._scale).tolist(), strict=True))

    def _next_half(self, scope: ContextIdType) -> tuple[int, int]:
        """Draw and half to play next in a scope: of the oldest probe with a free half, else of a new one."""
        if scope in self._waiting:
            queue = self._waiting[scope]
            number = queue[0]
            half = self._probes[number]["halves"].index(_FREE)
            queue.pop(0)
            if not queue:
                del self._waiting[scope]
            return number, half
        number, direction = self._spare.pop(0) if self._spare else self._draw()
        halves: list[str | float] = [_FREE] * self.feedback
        self._probes[number] = _Probe(
            direction=direction, centre=self.centre.copy(), delta=self.delta, scope=scope, halves=halves
        )
        if self.feedback == 2:
            self._wait(number)
        return number, 0

    def _draw(self) -> tuple[int, Vector]:
        """The next direction, uniform on the sphere, and its number."""
        # One by one: for an array numpy lets go of the interpreter, and has it back in a busy worker only much later.
        direction = np.array([self._rng.normal() for _ in self.params])
        length = math.sqrt(float(direction @ direction))
        if length:
            direction /= length
        else:
            direction[0] = 1.0
        self._drawn += 1
        return self._drawn - 1, direction

    def _wait(self, number: int) -> None:
        """Put a probe with a free half in its scope's queue."""
        queue = self._waiting.setdefault(self._probes[number]["scope"], [])
        if number not in queue:
            insort(queue, number)

    def _forget(self, number: int) -> None:
        """Remove a probe: it was learned, or nothing of it is open or told."""
        scope = self._probes.pop(number)["scope"]
        queue = self._waiting.get(scope)
        if queue and number in queue:
            queue.remove(number)
            if not queue:
                del self._waiting[scope]

    def _bound_waiting(self, newest: int) -> None:
        """Drop the half-told pair of the scope that has waited longest, when too many wait."""
        if len(self._waiting) <= _MAX_SCOPES_HALF_TOLD:
            return
        for numbers in self._waiting.values():
            for number in numbers:
                if number != newest and _OPEN not in self._probes[number]["halves"]:
                    self._forget(number)
                    return

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        probes = [probe["direction"].shape for probe in self._probes.values()]
        if any(shape != self.centre.shape for shape in probes) or self.centre.shape != self._scale.shape:
            raise StateMismatch("the state was learned with another number of parameters")
        if any(len(probe["halves"]) != self.feedback for probe in self._probes.values()):
            raise StateMismatch(f"the state was learned with another feedback than {self.feedback}")
