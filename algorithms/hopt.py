"""HOpt: three search methods of Hyperopt, which OPPerTune 0.2.0 used.

``tpe``, the tree-structured Parzen estimator (Bergstra et al. 2011, *Algorithms for hyper-parameter optimization*, §4;
as Optuna has it: Watanabe 2023, arXiv:2304.11127), parts the rewarded configurations into the good and the others, and
plays what is likely among the good and unlikely among the others; each parameter by itself.

``anneal`` plays near one of the best, nearer with each reward. With n rewards remembered, each parameter by itself::

    k ~ Geometric(1/2) from 0           the k-th best reward's value v is the one to be near
    s = 1 / (1 + n / 10)                how near
    number in [0, 1]:  U[c - s/2, c + s/2],  c = clip(v, s/2, 1 - s/2);  on a grid, to one of the two levels beside it
    category:          v, or with probability s any

(Hyperopt's ``anneal`` with its defaults, ``avg_best_idx`` 2 and ``shrink_coef`` 0.1, but that it rounds to the nearest
level, and so stands still once s is less than a step.)

``rand`` draws uniformly.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from optuna.samplers import TPESampler

from ..core.errors import InvalidArgument, InvalidArgumentType
from ..core.types import PredictionType
from ..core.values import ValueType
from .shared.arguments import checked_choice
from .shared.arrays import Array
from .shared.optuna_learner import OptunaLearner

_HISTORY = 300
"""Rewards that are remembered. 100 take half of the time, and half as much regret again over 1,000 rounds."""

_STARTUP = 20
"""Rewards before the estimator is asked: Hyperopt's default."""

_FIRST = "points_to_evaluate"

_MEANINGLESS = ("show_progressbar", "verbose")
"""Options of ``hyperopt.fmin`` that say what it prints. Nothing is printed."""


class HOpt(OptunaLearner):
    """Search by a tree-structured Parzen estimator, by annealing, or at random.

    Args:
        parameters: Parameters of any kind.
        algo: ``tpe``, ``anneal`` or ``rand``.
        fmin_args: ``points_to_evaluate``, configurations to play first: each has a legal value of every parameter that
            is not constant. ``show_progressbar`` and ``verbose`` are accepted, and mean nothing.
        random_seed: Seed of all draws.

    Raises:
        InvalidArgument: An argument has an impossible value, or ``fmin_args`` another key.
    """

    class Meta(OptunaLearner.Meta):
        """Flags, see ``Capabilities``."""

        configuration = (*OptunaLearner.Meta.configuration, "algo", "_first")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        algo: str = "tpe",
        fmin_args: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, _HISTORY, random_seed=random_seed)
        self.algo = checked_choice("algo", algo, ("tpe", "anneal", "rand"))
        self._first = [self._point(self._checked_first(c)) for c in _first(fmin_args or {})]

    def _checked_first(self, c: Mapping[str, Any]) -> PredictionType:
        tuned = [p for p in self.parameters if not p.is_constant]
        for p in tuned:
            if not p.contains(c.get(p.name)):
                raise InvalidArgument(f"{_FIRST}: {c.get(p.name)!r} is not a legal value of {p.name!r}")
        return {p.name: p.snap(c[p.name]) for p in tuned}

    def _next(self) -> Array:
        if self._asked < len(self._first):
            return self._first[self._asked]
        if self.algo == "tpe" and len(self._rewards) >= _STARTUP:
            # Optuna's own default, all parameters together, has more regret with categories (decisions/0011).
            sampler = TPESampler(seed=self._seed(), multivariate=False, n_startup_trials=_STARTUP)
            return self._suggested(sampler, [*self._rewarded(self._rewards), *self._waiting(None)])
        if self.algo == "anneal" and len(self._rewards):
            return self._annealed()
        return self._anywhere()

    def _annealed(self) -> Array:
        rng, space = self._rng, self._space
        n, dim = self._points.shape
        best_first = np.argsort(-self._rewards, kind="stable")
        k = np.minimum(rng.geometric(0.5, dim) - 1, n - 1)
        v = self._points[best_first[k], np.arange(dim)]
        s = 1 / (1 + n / 10)
        x = np.clip(v, s / 2, 1 - s / 2) + s * (rng.random(dim) - 0.5)
        levels = np.maximum(space.levels, 1)
        on_grid = np.minimum(np.floor(x * levels + rng.random(dim)) / levels, 1.0)
        number = np.where(space.levels > 0, on_grid, x)
        category = np.where(rng.random(dim) < s, self._anywhere(), v)
        return np.where(space.categorical, category, number)


def _first(fmin_args: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configurations to play first."""
    if not isinstance(fmin_args, Mapping):
        raise InvalidArgumentType(f"fmin_args must be a mapping, not {fmin_args!r}")
    if unknown := [key for key in fmin_args if key not in (_FIRST, *_MEANINGLESS)]:
        raise InvalidArgument(f"fmin_args may have {_FIRST}, but not {unknown[0]!r}")
    first = fmin_args.get(_FIRST) or []
    if not isinstance(first, list | tuple) or not all(isinstance(c, Mapping) for c in first):
        raise InvalidArgumentType(f"{_FIRST} must be a list of configurations, not {first!r}")
    return list(first)
