"""From what was measured to a reward."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points

from ...core.errors import InvalidArgument
from ...core.summary import Summary
from ...schemas.spec import Objective, RewardRange, Term
from .own_code import own

RewardFunction = Callable[[Mapping[str, Summary]], float]
"""A function of the round's metrics by name. Larger is better."""

ENTRY_POINTS = "oppertune.rewards"

MAX_REWARD = 1e100
"""A larger one is none: sums over rounds must not overflow."""


@cache
def find_function(name: str) -> RewardFunction:
    """A reward function that the worker's operator has installed; looked up once in a process's life.

    Raises:
        InvalidArgument: None of that name is installed.
    """
    for point in entry_points(group=ENTRY_POINTS, name=name):
        function: RewardFunction = point.load()
        return function
    installed = sorted({point.name for point in entry_points(group=ENTRY_POINTS)})
    raise InvalidArgument(
        f"no reward function {name!r} is installed here (entry points {ENTRY_POINTS}: {', '.join(installed) or 'none'})"
    )


def aggregate(summary: Summary, name: str, interval_s: float) -> float:
    """One number for a metric: mean, sum, min, max, std, count, rate (per second and instance), or a percentile pNN."""
    numbers = {
        "mean": summary.mean,
        "sum": summary.sum,
        "min": math.nan if summary.low is None else summary.low,
        "max": math.nan if summary.high is None else summary.high,
        "std": summary.std,
        "count": float(summary.count),
        "rate": summary.count / interval_s if interval_s > 0 else math.nan,
    }
    return numbers[name] if name in numbers else summary.quantile(float(name[1:]) / 100)


def _term(term: Term, metrics: Mapping[str, Summary], interval_s: float) -> float:
    value = aggregate(metrics[term.metric], term.aggregate, interval_s) / term.scale
    if term.log:
        value = math.log(value) if value > 0 else math.nan
    return term.weight * (value if term.goal == "maximize" else -value)


def scaled(reward: float, range_: RewardRange | None) -> float:
    """A reward on the scale of its known range, which becomes 0 to 1; as it is where no range is known.

    It is not cut: what is far worse than expected must look worse than what is a little worse, and what is far better,
    better. Learners whose equations need numbers from 0 to 1 cut for themselves.
    """
    return reward if range_ is None else (reward - range_.low) / (range_.high - range_.low)


def reward_of(objective: Objective, metrics: Mapping[str, Summary], interval_s: float) -> float | None:
    """The reward for a round's metrics, scaled; ``None`` where they do not give a finite one.

    Args:
        objective: Where the reward comes from.
        metrics: What was measured, by name.
        interval_s: Sum of the measured intervals of all instances, in seconds.
    """
    if any(name not in metrics for name in objective.metrics):
        return None
    if objective.function is not None:
        function = find_function(objective.function)
        reward = own(lambda: float(function(metrics)))
    elif objective.terms is not None:
        reward = math.fsum(_term(term, metrics, interval_s) for term in objective.terms)
    else:
        reward = metrics[objective.measured or "reward"].mean
    reward = scaled(reward, objective.range)
    return reward if abs(reward) <= MAX_REWARD else None  # false for NaN, too
