"""Slates: one choice for each parameter, all of them valued together from one reward, by context.

A reward is taken to be a sum over slots, as the pseudo-inverse estimator takes it (Swaminathan et al. 2017, *Off-policy
evaluation for slate recommendation*, arXiv:1605.04812), by which the original learned (Vowpal Wabbit's ``--slates``).
That estimate is unbiased, and varies with 1/p. Here the sum itself is regressed, each played action moved by the error
with a weight of min(1/p, 4): what exploring found counts four times as much as what is played all the time. On three
synthetic problems that has a third less regret (docs/benchmarks/regret.md).
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..core.errors import InvalidArgument, StateMismatch
from ..core.types import Context
from ..core.values import Categorical, Integer, Real, ValueType
from .base import Algorithm, _PredictResponse, _TuningRequest
from .shared.arguments import checked_count, checked_number
from .shared.arrays import Array
from .shared.running_statistics import FARTHEST, RunningStatistics, cut

_REWARDS = 200
"""Rewards whose mean is what a slate is worth before its actions are looked at."""

_HEAVIEST = 4.0
"""Largest weight 1/p of an action: more is noise, and less is slow (1 had a tenth to a half more regret)."""

_NEIGHBOURHOOD = 0.075
"""Share of a number's range: levels this far apart share e^-½ of what one of them teaches: they perform alike."""

_SLOWEST = 0.02
"""Least step: a world that changes is followed within some 50 plays of an action."""

_COLUMNS = 16
"""Columns of values: one for all contexts, the others for a context's fields (more than 15 of them share columns). The
state holds every column of every parameter."""


class Slates(Algorithm):
    """Epsilon-greedy over the levels of every parameter, with values that add up.

    Many parameters are cheap, and interactions between them are not seen. Numbers are played at a limited number of
    levels, the ends of the range among them.

    Args:
        parameters: Parameters of any kind.
        vw_args: Of the original's Vowpal Wabbit: ``{"arg_str": "--slates --epsilon 0.1 --power_t 0"}``; its
            ``--epsilon`` is taken over, and other options are refused, since there is no Vowpal Wabbit here.
        n_discretized_values: Levels of a real without step, and most levels of any other number, at least 2.
        epsilon: Share of plays of a parameter that are drawn uniformly, in [0, 1].
        random_seed: Seed of the draws.

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        configuration = ("epsilon", "_levels", "_alike")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        vw_args: Mapping[str, Any] | None = None,
        n_discretized_values: int = 20,
        random_seed: int | None = None,
        *,
        epsilon: float | None = None,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        given = _epsilon_of(vw_args) if epsilon is None else epsilon
        self.epsilon = checked_number("epsilon", given, at_least=0, up_to=1)
        most = checked_count("n_discretized_values", n_discretized_values, 2)
        self._levels = [_levels(p, most) for p in self.params]
        self._alike = [_alike(p, len(levels)) for p, levels in zip(self.params, self._levels, strict=True)]
        self._rewards = RunningStatistics(_REWARDS)
        self._columns: dict[str, int] = {}  # of a field and its value
        # By column and slot: value of each action, and how much was learned of it. Column 0 is for all contexts.
        self._values: list[list[Array]] = [self._empty()]
        self._counts: list[list[Array]] = [self._empty()]
        self._rng = np.random.default_rng(self._random_seed)

    def _empty(self) -> list[Array]:
        return [np.zeros(len(levels)) for levels in self._levels]

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        columns = self._known_columns(tuning_request.context)
        actions, probabilities, prediction = [], [], {}
        for slot, (p, levels) in enumerate(zip(self.params, self._levels, strict=True)):
            value, n = self._value(columns, slot), len(levels)
            best = np.flatnonzero(value == value.max()).tolist()
            greedy = best[int(self._rng.integers(len(best)))]
            action = int(self._rng.integers(n)) if self._rng.random() < self.epsilon else greedy
            actions.append(action)
            probabilities.append(self.epsilon / n + (1 - self.epsilon) * (action in best) / len(best))
            prediction[p.name] = levels[action]
        return _PredictResponse(prediction, {"actions": actions, "probabilities": probabilities})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        reward = cut(tuning_request.learned_reward)
        self._rewards.add(reward)
        if not self.params or tuning_request.metadata is None:
            return
        columns = self._columns_of(tuning_request.context)
        actions, probabilities = tuning_request.metadata["actions"], tuning_request.metadata["probabilities"]
        expected = self._rewards.mean
        for slot, action in enumerate(actions):
            expected += float(self._value(columns, slot)[action])
        farthest = FARTHEST * self._rewards.spread
        error = min(max(reward - expected, -farthest), farthest)
        for slot, (action, probability) in enumerate(zip(actions, probabilities, strict=True)):
            weight = min(1 / probability, _HEAVIEST) / _HEAVIEST / len(columns)
            alike = self._alike[slot][action]
            for column in columns:
                learned, value = self._counts[column][slot], self._values[column][slot]
                learned += alike
                value += (weight * error) * alike * np.maximum((1 + learned) ** -0.6, _SLOWEST)

    def _recommend(self, context: Context) -> dict[str, Any] | None:
        if not self.iteration:
            return None
        columns, recommended = self._known_columns(context), {}
        for slot, (p, levels) in enumerate(zip(self.params, self._levels, strict=True)):
            value = self._value(columns, slot)
            recommended[p.name] = levels[int(value.argmax())] if value.any() else p.val
        return recommended

    def _value(self, columns: list[int], slot: int) -> Array:
        """Of each action of a slot, in a context, relative to the mean."""
        value = self._values[0][slot]
        for column in columns[1:]:
            value = value + self._values[column][slot]
        return value

    def _known_columns(self, context: Context) -> list[int]:
        """The columns of a context that something was learned of."""
        return [0, *(self._columns[field] for field in _fields(context) if field in self._columns)]

    def _columns_of(self, context: Context) -> list[int]:
        """The columns of a context, made where they are new."""
        for field in _fields(context):
            if field not in self._columns and len(self._columns) < _MOST_FIELDS:
                self._columns[field] = 1 + len(self._columns) % (_COLUMNS - 1)
                if self._columns[field] == len(self._values):
                    self._values.append(self._empty())
                    self._counts.append(self._empty())
        return self._known_columns(context)

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        shapes = [len(levels) for levels in self._levels]
        if any([len(value) for value in column] != shapes for column in [*self._values, *self._counts]):
            raise StateMismatch("the state was learned with other levels")


_MOST_FIELDS = 1000
"""Fields with different values that are remembered, in 14 kB; later ones have the common column alone."""


def _fields(context: Context) -> list[str]:
    data = context.data or {}
    return [f"{name}={json.dumps(data[name], sort_keys=True)}" for name in sorted(data)]


def _levels(p: ValueType, most: int) -> list[Any]:
    """The values that a slot chooses among, in transformed units."""
    if isinstance(p, Categorical):
        return list(p.categories)
    if isinstance(p, Integer):
        n = min(p.max - p.min + 1, most)
        return [p.min + round(i * (p.max - p.min) / (n - 1)) for i in range(n)]
    return [p.min + i * (p.max - p.min) / (most - 1) for i in range(most)]


def _alike(p: ValueType, n: int) -> Array:
    """How much of what an action teaches holds for each other one, shape (n, n)."""
    if isinstance(p, Categorical):
        return np.eye(n)
    apart = np.subtract.outer(np.arange(n), np.arange(n)) / (n * _NEIGHBOURHOOD)
    alike: Array = np.exp(-0.5 * apart**2)
    return alike


def _epsilon_of(vw_args: Mapping[str, Any] | None) -> float:
    """Epsilon of the original's arguments."""
    if vw_args is None:
        return 0.1
    others = {name for name in vw_args if name not in ("arg_str", "quiet", "random_seed")}
    words = str(vw_args.get("arg_str", "")).replace("=", " ").split()
    options = dict(itertools.pairwise([*words, ""]))
    others |= {word for word in words if word.startswith("-")} - {"--slates", "--epsilon", "--power_t"}
    if others:
        raise InvalidArgument(f"vw_args: {', '.join(sorted(others))} cannot be set: there is no Vowpal Wabbit here")
    try:
        return float(options.get("--epsilon", 0.1))
    except ValueError as error:
        raise InvalidArgument(f"vw_args: --epsilon must be a number, not {options['--epsilon']!r}") from error
