"""Bayesian optimization: a Gaussian process over all parameters, and the expected improvement it promises.

By Optuna's ``GPSampler``: Matérn 5/2 kernel with a length scale for each parameter, categories 0 or 1 apart; the next
configuration has the largest expected improvement (Jones, Schonlau, Welch 1998), computed as its logarithm (Ament et
al. 2023, arXiv:2310.20708)::

    EI(x) = E[max(f(x) - f*, 0)],    f* = max of the process's mean over the configurations that were played

Optuna, and scikit-optimize that OPPerTune 0.2.0 used, take the best reward for f*. Where rewards are noisy that is the
luckiest one: all that is known then looks worse, and what is played is far away and bad. With the mean ("EI with
plug-in": Picheny, Wagner, Ginsbourger 2013, *A benchmark of kriging-based infill criteria for noisy optimization*) the
regret of 100 noisy rounds was about half, or less.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.samplers import GPSampler

from ..core.errors import InvalidArgument, InvalidArgumentType
from ..core.types import Context
from ..core.values import ValueType
from .shared.arguments import checked_choice, checked_count
from .shared.arrays import Array
from .shared.optuna_learner import OptunaLearner
from .shared.torch_threads import one_thread

_HISTORY = 100
"""Rewards that are remembered: the time of an ask grows faster than their number."""

_CHOICES = {
    "base_estimator": ("GP",),
    "acq_func": ("EI",),
    "acq_optimizer": ("auto",),
    "initial_point_generator": ("random",),
}
"""Options of ``skopt.Optimizer``, and what they may be: what is done anyway."""


class _PlugIn(GPSampler):
    """A sampler that improves on the best expected reward, or returns the configuration that has it.

    Optuna's source invites to override ``_optimize_acqf``, but does not promise to keep it: a test pins it.

    Args:
        seed: Seed of the search for the largest improvement.
        explore: Return a configuration that may be better, not the played one with the best expected reward.
    """

    def __init__(self, seed: int, *, explore: bool) -> None:
        super().__init__(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
        self._explore = explore

    def _optimize_acqf(self, acqf: Any, best_params: NDArray[Any] | None) -> NDArray[Any]:  # noqa: ANN401, ARG002
        best = _improve_on_the_best_mean(acqf)
        return super()._optimize_acqf(acqf, best[None]) if self._explore else best


def _improve_on_the_best_mean(acqf: Any) -> NDArray[Any]:  # noqa: ANN401 - its class is private to Optuna
    """Set f* of an acquisition function to the largest mean over the points played, and return that point.

    All that we use of Optuna's private names is here. There is no public way in Optuna 5.0: ``GPSampler`` fits the
    process within one call, shows it to nothing but the acquisition function, and has no option for f*.
    """
    process = acqf._gpr  # noqa: SLF001 - no public way, see above
    played = process._X_train  # noqa: SLF001 - as above
    with torch.no_grad():
        mean, _ = process.posterior(played)
    best = int(mean.argmax())
    acqf._threshold = float(mean[best])  # noqa: SLF001 - as above
    point: NDArray[Any] = played[best].numpy()
    return point


class BayesianOptimization(OptunaLearner):
    """Expected improvement by a Gaussian process over numbers and categories.

    An ask takes about a tenth of a second. Open requests count as if they had brought the mean reward.

    Args:
        parameters: Parameters of any kind.
        optimizer_args: ``n_initial_points`` (or ``n_random_starts``), rewards of uniform draws before the process is
            asked, at least 1, 10 by default. ``base_estimator``, ``acq_func``, ``acq_optimizer`` and
            ``initial_point_generator`` may be ``"GP"``, ``"EI"``, ``"auto"`` and ``"random"``.
        random_seed: Seed of all draws.

    Raises:
        InvalidArgument: ``optimizer_args`` have another key, or an impossible value.
    """

    class Meta(OptunaLearner.Meta):
        """Flags, see ``Capabilities``."""

        configuration = (*OptunaLearner.Meta.configuration, "n_initial_points")

    def __init__(
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        optimizer_args: Mapping[str, Any] | None = None,
        random_seed: int | None = None,
    ) -> None:
        super().__init__(parameters, _HISTORY, random_seed=random_seed)
        self.n_initial_points = _checked(optimizer_args or {})

    def _next(self) -> Array:
        if len(self._rewards) < self.n_initial_points:
            return self._anywhere()
        rewards = _scaled(self._rewards)
        with one_thread():
            trials = [*self._rewarded(rewards), *self._waiting(float(rewards.mean()))]
            return self._suggested(_PlugIn(self._seed(), explore=True), trials)

    def _recommend(self, context: Context) -> dict[str, Any] | None:  # noqa: ARG002
        if not len(self._rewards):
            return None
        trials = self._rewarded(_scaled(self._rewards))
        with one_thread():
            return self._space.decode(self._suggested(_PlugIn(0, explore=False), trials))


def _scaled(rewards: Array) -> Array:
    """Rewards about 0, of which those below the median by x count as log(1 + x) below it.

    The unit is how far the better half is above the median: next to a cliff of hundreds of units good and best would be
    equal, and where most rewards are good the bad ones still are bad.
    """
    largest = float(np.abs(rewards).max())
    above = rewards / largest if largest else rewards
    above = above - np.median(above)
    better = above[above > 0]
    if not len(better):
        return above
    x = above / math.sqrt(float((better * better).mean()))
    return np.where(x < 0, -np.log1p(np.maximum(-x, 0.0)), x)


def _checked(optimizer_args: Mapping[str, Any]) -> int:
    """The number of initial points."""
    if not isinstance(optimizer_args, Mapping):
        raise InvalidArgumentType(f"optimizer_args must be a mapping, not {optimizer_args!r}")
    if "dimensions" in optimizer_args:
        raise InvalidArgument("optimizer_args may not have dimensions: they follow from the parameters")
    names = ("n_initial_points", "n_random_starts")
    if unknown := [key for key in optimizer_args if key not in (*names, *_CHOICES)]:
        raise InvalidArgument(f"optimizer_args may have {', '.join((*names, *_CHOICES))}, but not {unknown[0]!r}")
    for key, choices in _CHOICES.items():
        checked_choice(key, optimizer_args.get(key, choices[0]), choices)
    n = next((optimizer_args[name] for name in names if name in optimizer_args), 10)
    return checked_count("n_initial_points", n, 1)
