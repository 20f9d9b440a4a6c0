"""Reward functions: what terms with weights cannot say."""

import math
from collections.abc import Mapping

from oppertune.core.summary import Summary

LIMIT_MS = 200.0
BUDGET_EUR = 10.0


def cheap_within_limit(metrics: Mapping[str, Summary]) -> float:
    """As cheap as possible, but 99 % of the requests within the limit: no saving makes up for breaking it.

    Args:
        metrics: What was measured in the round, by name: ``latency_ms`` of each request, and ``eur_per_hour`` that an
            instance costs. A summary has ``count``, ``sum``, ``mean``, ``std``, ``low``, ``high`` and ``quantile(q)``.

    Returns:
        From -1 to 0 within the limit, below -1 outside. NaN where a metric is missing: then nothing is learned from
        the round. A function that raises suspends its tuner.
    """
    if not {"latency_ms", "eur_per_hour"} <= metrics.keys():
        return math.nan
    p99_ms = metrics["latency_ms"].quantile(0.99)
    if p99_ms > LIMIT_MS:
        return -1 - math.log(p99_ms / LIMIT_MS)
    return -min(metrics["eur_per_hour"].mean / BUDGET_EUR, 1.0)
