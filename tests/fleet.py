"""A scope whose units measure side by side, without a processor around it: what tests of evidence share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oppertune.core.summary import Summary
from oppertune.schemas.events import MetricEvent
from oppertune.schemas.spec import TunerSpec
from oppertune.schemas.state import Incumbent, ScopeState
from oppertune.streams.processor import quantities
from oppertune.streams.processor.quantities import BASELINE

INTERVAL_MS = 10_000
START_MS = 1_790_000_000_000


def spec_of(*guardrails: Mapping[str, Any], **objective: Any) -> TunerSpec:
    """A tuner with these guardrails alone; its objective a function where none is given."""
    return TunerSpec.model_validate(
        {
            "name": "shop",
            "parameters": [{"name": "x", "type": "real", "val": 1, "min": 0, "max": 2}],
            "guardrails": list(guardrails),
            "objective": objective or {"function": "none"},
        }
    )


def guard(aggregate: str, metric: str, goal: str = "minimize", **more: Any) -> dict[str, Any]:
    return {"aggregate": aggregate, "metric": metric, "goal": goal} | more


def empty_scope() -> ScopeState:
    return ScopeState(v=1, tuner="shop", scope="", incarnation=0, incumbent=Incumbent(values={"x": 1.0}, hash="h"))


def metric_event(
    instance: str, metrics: Mapping[str, Sequence[float] | float], *, interval_s: float = 10.0, weight: int = 1
) -> MetricEvent:
    """An event; lists become summaries, as the client sends them."""
    said: dict[str, Any] = {}
    for name, numbers in metrics.items():
        if isinstance(numbers, float):
            said[name] = numbers
            continue
        summary = Summary()
        for number in numbers:
            summary.add(float(number))
        said[name] = {
            "count": summary.count,
            "sum": summary.sum,
            "sum_sq": sum(summary.squares),
            "min": summary.low,
            "max": summary.high,
            "bins": summary.bins,
            "negative": summary.negative,
            "zeros": summary.zeros,
        }
    return MetricEvent.model_validate(
        {
            "v": 1,
            "id": "i",
            "tuner": "shop",
            "instance": instance,
            "round": 1,
            "arm": "a",
            "request_id": "r",
            "values_hash": "h",
            "interval_s": interval_s,
            "active_for_s": 10,
            "weight": weight,
            "metrics": said,
        }
    )


class Fleet:
    """Units in arms; interval by interval each reports what a function says of it."""

    def __init__(self, spec: TunerSpec, units: int) -> None:
        self.spec, self.scope, self.now_ms = spec, empty_scope(), START_MS
        self.names = [f"u{i}" for i in range(units)]

    def begin(
        self,
        arms: Mapping[str, int] | None = None,
        *,
        incumbent_arms: Sequence[str] = (BASELINE,),
        stage_arms: Sequence[str] = (),
        keep_history: bool = False,
    ) -> None:
        """A round: the first units in the arms, by their numbers of units; the others are the baseline."""
        given = dict.fromkeys(self.names, BASELINE)
        names = iter(self.names)
        for arm, count in (arms or {}).items():
            given |= {next(names): arm for _ in range(count)}
        quantities.begin(
            self.spec, self.scope, given, incumbent_arms, stage_arms, self.now_ms, keep_history=keep_history
        )

    def report(self, instance: str, metrics: Mapping[str, Sequence[float] | float], **more: Any) -> None:
        arm = self.scope.units[instance].arm
        event = metric_event(instance, metrics, **more)
        quantities.note(self.spec, self.scope, arm, arm == BASELINE, event, self.now_ms)

    def interval(self, measure: Any) -> None:
        """An interval passes, and each unit reports ``measure(number of the unit, its arm)``."""
        self.now_ms += INTERVAL_MS
        for number, name in enumerate(self.names):
            self.report(name, measure(number, self.scope.units[name].arm))

    def observe(self, measure: Any, rounds: int = 3, intervals: int = 3) -> None:
        """Rounds in which all run the incumbent, with a look at each interval."""
        for _ in range(rounds):
            self.begin()
            for _ in range(intervals):
                self.interval(measure)
                quantities.advance(self.spec, self.scope, self.now_ms)


class Latencies:
    """Lognormal latencies of hosts that differ, slower in some arms; and errors."""

    def __init__(self, seed: int, units: int, requests: int = 60) -> None:
        self.rng = np.random.default_rng(seed)
        self.host = np.exp(0.2 * self.rng.normal(size=units))
        self.requests = requests
        self.slower: dict[str, float] = {}
        self.failing: dict[str, float] = {}

    def __call__(self, unit: int, arm: str) -> dict[str, Any]:
        noise = self.host[unit] * self.slower.get(arm, 1.0) * np.exp(0.05 * self.rng.normal())
        latency = self.rng.lognormal(4.0, 0.6, self.requests) * noise
        errors = self.rng.random(self.requests) < self.failing.get(arm, 0.01)
        return {"latency": latency.tolist(), "error": errors.astype(float).tolist()}
