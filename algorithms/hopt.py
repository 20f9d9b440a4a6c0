"""HOpt: what the original did with Hyperopt, on Optuna.

``tpe``: the tree-structured Parzen estimator (Bergstra et al. 2011, *Algorithms for hyper-parameter optimization*, §4;
Watanabe 2023, arXiv:2304.11127, on Optuna's): configurations are split into the good and the others, and the next is
likely among the good and unlikely among the others, each parameter by itself.

``anneal``: draws near a good configuration, nearer as rewards come in, with the constants of Hyperopt's annealing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from optuna.samplers import TPESampler

from ..core.errors import InvalidArgument
from ..core.values import ValueType
from ._mixed_space import Array
from ._optuna import AskTell
from .optimizers import checked_choice

_HISTORY = 100
"""Rewards that are kept: a request of ten parameters then takes 10 ms, and 25 ms with 300."""

_STARTUP = 20
"""Requests that are drawn uniformly before the estimator is asked: Hyperopt's default."""

_AVERAGE_RANK = 2.0
"""Mean rank of the configuration that annealing draws near: Hyperopt's ``avg_best_idx``."""

_SHRINK = 0.1
"""After t rewards, annealing draws from 1 / (1 + 0.1 t) of each range: Hyperopt's ``shrink_coef``."""


class HOpt(AskTell):
    """Sequential search by one of Hyperopt's methods.

    Args:
        parameters: Parameters of any kind.
        algo: ``tpe``, ``anneal`` or ``rand``. (The original's ``atpe`` is not kept up by its authors.)
        fmin_args: Options of the original's ``hyperopt.fmin``. None of them has a meaning here: None or empty.
        random_seed: Seed of the draws.

    Raises:
        InvalidArgument: Another ``algo``, or ``fmin_args`` that are not empty.
    """

    class Meta(AskTell.Meta):
        """Flags, see ``Capabilities``."""

        configuration = (*AskTell.Meta.configuration, "algo")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        algo: str = "tpe",
        fmin_args: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, _HISTORY, random_seed=random_seed)
        self.algo = checked_choice("algo", algo, ("tpe", "anneal", "rand"))
        if fmin_args:
            raise InvalidArgument(f"fmin_args: {', '.join(fmin_args)} cannot be set: there is no Hyperopt here")

    def _next(self) -> Array:
        if self.algo == "anneal" and len(self._rewards):
            return self._annealed()
        if self.algo != "tpe" or len(self._rewards) + len(self._open) < _STARTUP:
            return self._anywhere()
        # Each parameter by itself: Optuna's default, of all together, is worse with categories.
        sampler = TPESampler(seed=self._seed(), multivariate=False, n_startup_trials=0)
        largest = float(np.abs(self._rewards).max()) or 1.0
        return self._suggested(sampler, [*self._rewarded(self._rewards / largest), *self._waiting(None)])

    def _annealed(self) -> Array:
        rank = min(int(self._rng.geometric(1 / _AVERAGE_RANK)), len(self._rewards)) - 1
        near = self._points[np.argsort(-self._rewards, kind="stable")[rank]]
        share = 1 / (1 + _SHRINK * self.iteration)
        anywhere, categorical = self._anywhere(), self._space.categorical
        low, high = np.maximum(near - share / 2, 0.0), np.minimum(near + share / 2, 1.0)
        point: Array = np.where(categorical, near, low + self._rng.random(len(near)) * (high - low))
        anew = categorical & (self._rng.random(len(near)) < share)
        on_levels: Array = self._space.on_levels(np.where(anew, anywhere, point)[None])[0]
        return on_levels
