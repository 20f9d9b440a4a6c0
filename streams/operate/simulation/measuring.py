"""What an instance measures while it runs a configuration: metrics as its client would send them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ....core.errors import InvalidArgument
from ....core.summary import GAMMA, Summary, bin_index
from ....schemas.spec import TunerSpec
from .system import Effect

_LOG_GAMMA = math.log(GAMMA)
_SIGMA = 0.6
"""Of the logarithm of latencies."""

_TAIL, _TAIL_INDEX = 0.01, 1.5
"""Share of latencies that are far out, and the index of the Pareto distribution by which they are."""

_GOOD_SIGMA = 0.2
"""Of the logarithm of what is better the larger it is."""

Kind = Literal["latency", "good", "errors"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that the simulated instances measure, once per request.

    Attributes:
        name: As the spec has it.
        kind: ``latency``: grows with the cost; ``good``: the larger the better, and shrinks with it; ``errors``: 1 for
            a request that failed, else 0.
        usual: Its median with the declared values.
        counted: How many there are says how well it goes: requests are fewer where they take longer.
    """

    name: str
    kind: Kind
    usual: float = 1.0
    counted: bool = False


def metrics_of(spec: TunerSpec) -> list[Metric]:
    """What must be measured for a spec: the metrics of its objective, and of its guardrails.

    A metric whose name speaks of errors, failures or time-outs is a share of them; what is to be minimised is a
    latency, in size about the ``scale`` of its term; what is to be maximised is good.

    Raises:
        InvalidArgument: The objective is a function: nobody here knows what it needs.
    """
    objective = spec.objective
    if objective.function is not None:
        raise InvalidArgument(
            f"the objective is the function {objective.function!r}, and what it computes a reward from is not known"
            " here: to simulate, declare terms, or a metric that is the reward"
        )
    found: dict[str, Metric] = {}
    for term in objective.terms or ():
        counted = term.aggregate in {"count", "rate"}
        found.setdefault(term.metric, _metric(term.metric, term.goal, term.scale, counted=counted))
    if objective.terms is None:
        name = objective.measured or "reward"
        found[name] = Metric(name, "good")
    for guardrail in getattr(spec, "guardrails", None) or ():
        goal = getattr(guardrail, "goal", "minimize")
        found.setdefault(guardrail.metric, _metric(guardrail.metric, goal, 1.0, counted=False))
    return list(found.values())


def _metric(name: str, goal: str, scale: float, *, counted: bool) -> Metric:
    if any(word in name.lower() for word in ("error", "fail", "timeout", "time_out")):
        return Metric(name, "errors")
    return Metric(name, "latency" if goal == "minimize" else "good", scale, counted)


def measured(
    metrics: Iterable[Metric], effect: Effect, log_factor: float, requests: int, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Summaries of one interval by metric, as in a metric event.

    Args:
        metrics: What is measured.
        effect: Of the configuration that ran.
        log_factor: Logarithm of what else makes requests slower: the host, its noise, the load.
        requests: How many there were, 1 or more.
        rng: Draws them.
    """
    found = {}
    for metric in metrics:
        number = max(1, round(requests / effect.cost)) if metric.counted else requests
        if metric.kind == "errors":
            summary = _share(int(rng.binomial(number, min(effect.errors, 1.0))), number)
        else:
            level = math.log(metric.usual)
            level += math.log(effect.cost) + log_factor if metric.kind == "latency" else -math.log(effect.cost)
            if metric.kind == "good":
                level -= log_factor
            summary = summary_of(_logarithms(metric.kind, level, number, rng))
        found[metric.name] = as_sent(summary)
    return found


def _logarithms(kind: Kind, level: float, number: int, rng: np.random.Generator) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = rng.standard_normal(number)
    if kind == "good":
        return level + _GOOD_SIGMA * drawn
    drawn *= _SIGMA
    drawn += level
    far = int(rng.binomial(number, _TAIL))
    if far:
        drawn[:far] += rng.exponential(1 / _TAIL_INDEX, far)
    return drawn


def summary_of(logarithms: NDArray[np.float64]) -> Summary:
    """The summary of measurements above zero, from their natural logarithms: as adding them one by one gives it.

    (But for the last bits of the sums, and for bins of what lies within rounding of an edge.)
    """
    indices = np.ceil(logarithms * (1 / _LOG_GAMMA)).astype(np.int64)
    exact = np.exp(logarithms)
    values = exact.tolist()  # of so few, lists are quicker than arrays
    return Summary(
        count=len(values),
        total=[sum(values)],
        squares=[float(exact @ exact)],
        low=min(values),
        high=max(values),
        bins=dict(Counter(indices.tolist())),
    )


def _share(failed: int, number: int) -> Summary:
    """Of ``number`` requests so many failed: 1 for each, 0 for the others."""
    bins = {bin_index(1.0): failed} if failed else {}
    low, high = float(failed == number), float(failed > 0)
    return Summary(number, [float(failed)], [float(failed)], low, high, bins, {}, number - failed)


def as_sent(summary: Summary) -> dict[str, Any]:
    """A summary as it stands in a metric event."""
    return {
        "count": summary.count,
        "sum": summary.sum,
        "sum_sq": math.fsum(summary.squares),
        "min": summary.low,
        "max": summary.high,
        "bins": summary.bins,
        "zeros": summary.zeros,
    }
