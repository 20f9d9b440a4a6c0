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
from .base import Algorithm, Metadata, _PredictResponse, _TuningRequest
from .shared.arguments import checked_choice, checked_flag, checked_number
from .shared.optimizers import Vector, create_optimizer
from .shared.running_statistics import FARTHEST, RunningStatistics, cut

_FREE = "free"
_OPEN = "open"

_MOST_WAITING_SCOPES = 1024
"""Scopes whose pair waits for its second half: a spec allows 1,000 contexts at once. One that never asks again must not
be kept for ever: a pair of ten numbers is 0.6 kB of state."""

_REWARDS = 5
"""Rewards whose mean is the baseline: 1 follows a drift best, 50 has the least noise, and 5 is close to either."""

_DIFFERENCES = 50
"""Differences whose spread they are divided by: 50 and 200 did equally well."""


class _Probe(TypedDict):
    """One direction being tried. Plain data, so that it can be written as state."""

    direction: Vector  # u, shape (n,), length 1
    centre: Vector  # w when it was first asked for: both halves are played about the same point
    delta: float  # how far from the centre they are played
    scope: ContextIdType  # both halves are played in the same scope
    halves: list[str | float]  # per half: "free", "open", or its reward
    note: Metadata | None  # what an algorithm that this one is part of keeps with the pair


class BlueFin(Algorithm):
    """Gradient ascent from one reward (``feedback=1``) or from the difference of two (``feedback=2``).

    A round plays w + delta u about the centre w, for a random direction u of length 1. With two points, the next play
    of the same scope is w - delta u, and both are learned together. Several requests may be open: each has a direction
    of its own, or is the other half of one. A half that was abandoned is played again.

    As it is defined, integers and stepped reals are rounded to their step, so with few levels both halves may be the
    same configuration; the centre keeps delta away from the edges; one reward is taken as it is, though its level says
    nothing of the direction. The last four arguments change that; ``docs/benchmarks/options.md`` has the measurements.

    Args:
        parameters: Integers and reals.
        eta: Step size, above 0.
        delta: Distance of plays from the centre, in (0, 0.5].
        eta_decay_rate: a >= 0; after k updates, eta is eta0 / (1 + a k), and delta is delta0 sqrt(eta / eta0).
        feedback: Plays per update, 1 or 2.
        optimizer: ``rmsprop`` or ``sgd``.
        optimizer_args: Further arguments of the optimizer. An ``eta`` among them takes the place of ``eta``.
        random_seed: Seed of the directions.
        baseline: ``mean`` subtracts from each reward the mean of about the last five, so that the level of the rewards
            adds no noise (with ``feedback=1``; after 1,000 rounds an eighth of the regret).
        normalise: What the difference of two rewards is divided by: the ``largest`` of both in size, or ``spread``,
            five times the mean size of the last differences, so that adding a number to all rewards changes nothing
            (with ``feedback=2``; it matters with ``sgd``: ``rmsprop`` scales the steps by itself). Rewards far from 0
            then cost a sixth of the regret; near 0 it is quicker at first, and less exact in the end.
        min_levels: Numbers on a grid are played at least this many steps (times the direction) from the centre, in
            [0, 1]: with 2 to 4 levels, 0.5 makes far more pairs differ and halves the regret; 6 and more do not change.
        edges: Let the centre come to the edges; what would be played beyond is played at the edge. Less regret once an
            optimum there was reached, and a little more on the way, or where the optimum is inside.

    Attributes:
        centre: w, shape (n,), in [delta, 1 - delta]; in [0, 1] with ``edges``.

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Integer, Real)
        configuration = (
            *("feedback", "eta_decay_rate", "baseline", "normalise", "edges"),
            *("_eta0", "_delta0", "_names", "_scale", "_least"),
        )

    def __init__(  # noqa: PLR0913 - the original's arguments, and an option per weakness
        self,
        parameters: Iterable[Integer | Real | Mapping[str, object]],
        eta: float = 0.01,
        delta: float = 0.1,
        eta_decay_rate: float = 0.0,
        feedback: Literal[1, 2] = 1,
        optimizer: str = "rmsprop",
        optimizer_args: Mapping[str, float] | None = None,
        random_seed: int | None = None,
        *,
        baseline: Literal["none", "mean"] = "none",
        normalise: Literal["largest", "spread"] = "largest",
        min_levels: float = 0.0,
        edges: bool = False,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self._delta0 = checked_number("delta", delta, above=0, up_to=0.5)
        self.eta_decay_rate = checked_number("eta_decay_rate", eta_decay_rate, at_least=0)
        if isinstance(feedback, bool) or feedback not in (1, 2):
            raise InvalidArgument(f"feedback must be 1 or 2, not {feedback!r}")
        self.feedback = int(feedback)
        self._optimizer = create_optimizer(optimizer, **{"eta": eta, **(optimizer_args or {})})
        self._eta0 = self._optimizer.eta
        self.baseline = checked_choice("baseline", baseline, ("none", "mean"))
        self.normalise = checked_choice("normalise", normalise, ("largest", "spread"))
        self.edges = checked_flag("edges", edges)
        self._running = RunningStatistics(_REWARDS) if feedback == 1 else RunningStatistics(_DIFFERENCES, mean=0.0)
        self._updates = 0
        self._names = [p.name for p in self.params]
        # N, the largest transformed value: 1 for a real, the number of steps for what is on a grid.
        self._scale = np.array([float(p.max) for p in self._numbers], dtype=np.float64)
        # The least distance of plays from the centre, per coordinate: what is on a grid has as many steps as N.
        levels = checked_number("min_levels", min_levels, at_least=0, up_to=1)
        on_grid = np.array([isinstance(p, Integer) for p in self._numbers], dtype=bool)
        self._least = np.where(on_grid, np.minimum(levels / self._scale, 0.5), 0.0) if levels else None
        self.centre: Vector = self._inside(self._declared())
        self._rng = np.random.default_rng(self._random_seed)
        self._drawn = 0
        self._probes: dict[int, _Probe] = {}  # by the number of the draw: those with a half open or rewarded
        self._waiting: dict[ContextIdType, list[int]] = {}  # by scope: probes with a half to play, in order of drawing
        self._spare: list[tuple[int, Vector]] = []  # directions drawn of which nothing is open or rewarded any more

    @property
    def _numbers(self) -> list[Integer | Real]:
        return [p for p in self.params if isinstance(p, Integer | Real)]

    def _declared(self) -> Vector:
        """The declared point, in the unit box."""
        declared: Vector = np.array([float(p.val) for p in self._numbers], dtype=np.float64) / self._scale
        return declared

    @property
    def eta(self) -> float:
        """Step size of the next update."""
        return self._eta0 / (1 + self.eta_decay_rate * self._updates) if self.eta_decay_rate else self._eta0

    @property
    def delta(self) -> float:
        """Distance of the next play from the centre; delta0 sqrt(eta / eta0), so exploring shrinks with the steps."""
        if not self.eta_decay_rate:
            return self._delta0
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
        reach = self._reach(probe["delta"]) * probe["direction"]
        played = probe["centre"] + reach if half == 0 else probe["centre"] - reach
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
        probe["halves"][half] = cut(request.learned_reward)
        rewards = [half for half in probe["halves"] if isinstance(half, float)]
        if len(rewards) < self.feedback:
            self._bound_waiting(number)
            return None
        self._forget(number)
        # g_i = n D u_i / (feedback delta_i)
        slope = cut(len(self.params) * self._difference(rewards) / (self.feedback * probe["delta"]))
        gradient: Vector = slope * probe["direction"]
        if self._least is not None:
            gradient *= probe["delta"] / self._reach(probe["delta"])
        self._ascend(gradient)
        return gradient

    def _difference(self, rewards: list[float]) -> float:
        """D: what the rewards of a probe say of its direction."""
        if self.feedback == 1:
            return self._running.add(rewards[0]) if self.baseline == "mean" else rewards[0]
        if self.normalise == "spread":
            return self._running.scaled(rewards[0] - rewards[1]) / FARTHEST
        largest = max(abs(rewards[0]), abs(rewards[1]))
        return (rewards[0] - rewards[1]) / largest if largest else 0.0

    def _reach(self, delta: float) -> Vector | float:
        """delta_i: how far from the centre a coordinate is played, before the direction: delta, or more on a grid."""
        return delta if self._least is None else np.maximum(delta, self._least)

    def _inside(self, point: Vector) -> Vector:
        """The nearest point where the centre may be."""
        margin = 0.0 if self.edges else self.delta
        bounded: Vector = np.maximum(point, margin)  # np.clip takes twice as long
        return np.minimum(bounded, 1 - margin, out=bounded)

    def _ascend(self, gradient: Vector) -> None:
        """Take a step: w <- clip(w + opt(g), delta, 1 - delta), with the delta before the decay; then decay."""
        self._optimizer.eta = self.eta
        self.centre = self._inside(self.centre + self._optimizer(gradient))
        self._updates += 1

    def note(self, metadata: Metadata) -> Metadata | None:
        """What was kept with the pair of an open request, None where nothing was."""
        return self._probes[metadata["draw"]]["note"] if self.params else None

    def keep_note(self, metadata: Metadata, note: Metadata) -> None:
        """Keep something with the pair of an open request, for as long as a half is open or waits for the other.

        An algorithm made of this one and others can so play the same with both halves.
        """
        if self.params:
            self._probes[metadata["draw"]]["note"] = note

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is None:
            return
        number, half = tuning_request.metadata["draw"], tuning_request.metadata["half"]
        probe = self._probes[number]
        probe["halves"][half] = _FREE
        if all(half == _FREE for half in probe["halves"]):
            # Nothing ties the direction to a centre or a scope any more: whoever asks next gets it.
            self._forget(number)
            insort(self._spare, (number, probe["direction"]), key=lambda spare: spare[0])
        else:
            self._wait(number)

    def _refuse(self, tuning_request: _TuningRequest) -> bool:
        """Go half the way back to the declared point, which is known to run, and draw another direction.

        Equal rewards all around would be no slope to learn from.
        """
        if tuning_request.metadata is None:
            return True
        number, half = tuning_request.metadata["draw"], tuning_request.metadata["half"]
        if any(other == _OPEN for i, other in enumerate(self._probes[number]["halves"]) if i != half):
            return False
        self._forget(number)
        self.centre = self._inside((self.centre + self._declared()) / 2)
        return True

    def _recommend(self, context: Context) -> dict[str, float] | None:  # noqa: ARG002 - one centre for all contexts
        return self._named(self.centre) if self._updates else None

    def _named(self, point: Vector) -> dict[str, float]:
        """A point of the unit box as transformed values; rounding to the grid, half to even, is the transformer's."""
        return dict(zip(self._names, (point * self._scale).tolist(), strict=True))

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
        self._probes[number] = {
            "direction": direction,
            "centre": self.centre,  # steps make a new one
            "delta": self.delta,
            "scope": scope,
            "halves": halves,
            "note": None,
        }
        if self.feedback == 2:
            self._wait(number)
        return number, 0

    def _draw(self) -> tuple[int, Vector]:
        """The next direction, uniform on the sphere, and its number."""
        # One by one: for an array numpy lets go of the interpreter, and has it back in a busy worker only much later.
        normal = self._rng.standard_normal
        numbers = [normal() for _ in self._names]
        direction, length = np.array(numbers), math.hypot(*numbers)
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
        """Remove a probe: it was learned, or nothing of it is open or rewarded."""
        scope = self._probes.pop(number)["scope"]
        queue = self._waiting.get(scope)
        if queue and number in queue:
            queue.remove(number)
            if not queue:
                del self._waiting[scope]

    def _bound_waiting(self, newest: int) -> None:
        """Drop the pair with one reward of the scope that has waited longest, when too many wait."""
        if len(self._waiting) <= _MOST_WAITING_SCOPES:
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
