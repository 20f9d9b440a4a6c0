"""What a user's distribution may hold: an algorithm that raises in the end, and reward functions, one broken."""

from oppertune.algorithms.base import Algorithm, _PredictResponse
from oppertune.core.values import Categorical, Integer, Real


class Explosive(Algorithm):
    """Learns ``fuse - 1`` rewards, and raises at the next."""

    class Meta:
        supported_parameter_types = (Categorical, Integer, Real)

    def __init__(self, parameters, *, fuse=3, random_seed=None):
        super().__init__(parameters, random_seed=random_seed)
        self.fuse = fuse

    def _predict(self, tuning_request):
        return _PredictResponse({p.name: p.val for p in self.params})

    def _set_reward(self, tuning_request):
        self.fuse -= 1
        if self.fuse <= 0:
            raise RuntimeError("boom")


def total(metrics):
    return sum(summary.sum for summary in metrics.values())


def broken(metrics):
    raise ZeroDivisionError("a reward function's own fault")
