"""What this process says to the worker, as numbered events: that it is here, and what it measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from ...core.summary import Summary
from ...schemas.base import MAX_DECLARED, MAX_EVENT_BYTES, MAX_NAME, MAX_SECONDS
from ...schemas.events import ContextEvent, MeasuredSummary, MetricEvent
from .active_request import RequestTerms
from .config_follower import ContextData
from .offer import Refusal

_MOST_BYTES = MAX_EVENT_BYTES // 4
"""Of the names of all parameters in an event."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it goes to Kafka, and how many measurements it holds."""

    topic: str
    value: bytes
    measurements: int = 0


class EventBuilder:
    """Makes the events of one boot of one instance, and numbers them.

    Args:
        tuner: The tuner's name.
        instance: The instance's.
        boot: Of this process's life; never used twice.
        parameters: Names of all that the app has.
    """

    def __init__(self, tuner: str, instance: str, boot: str, parameters: Iterable[str]) -> None:
        self.tuner = tuner
        self.instance = instance
        self.boot = boot
        self._parameters = _declarable(parameters)
        self._next = {"contexts": 0, "metrics": 0}

    def presence(
        self,
        context: ContextData | None,
        request_id: str | None,
        *,
        refusal: Refusal | None = None,
        leaving: bool = False,
    ) -> Event:
        """The instance is here, runs a request or refuses one, or leaves."""
        event = ContextEvent(
            **self._numbered("contexts"),
            context=None if context is None else dict(context),
            parameters=self._parameters,
            request_id=request_id,
            refused_id=refusal.request_id if refusal is not None else None,
            refused_why=refusal.why[:300] if refusal is not None else "",
            leaving=leaving,
        )
        return Event("contexts", event.to_bytes())

    def measured(
        self, terms: RequestTerms, summaries: Mapping[str, Summary], interval_s: float, active_for_s: float
    ) -> Event:
        """What was measured of a request in an interval."""
        event = MetricEvent(
            **self._numbered("metrics"),
            scope=terms.scope,
            round=terms.arm.round,
            arm=terms.arm.arm,
            request_id=terms.arm.request_id,
            values_hash=terms.arm.hash,
            interval_s=min(interval_s, MAX_SECONDS),
            active_for_s=min(active_for_s, MAX_SECONDS),
            metrics={name: _measured(summary) for name, summary in summaries.items()},
        )
        return Event("metrics", event.to_bytes(), sum(summary.count for summary in summaries.values()))

    def _numbered(self, topic: str) -> dict[str, object]:
        seq = self._next[topic]
        self._next[topic] = seq + 1
        id_ = f"{self.boot}-{topic[0]}{seq}"
        return {"v": 1, "id": id_, "tuner": self.tuner, "instance": self.instance, "boot": self.boot, "seq": seq}


def _declarable(parameters: Iterable[str]) -> list[str] | None:
    """What the app says that it has: a name that no spec can have makes no difference; too many are not said."""
    names = [name for name in parameters if 0 < len(name) <= MAX_NAME and _is_text(name)]
    return names if len(names) <= MAX_DECLARED and len(orjson.dumps(names)) <= _MOST_BYTES else None


def _is_text(name: str) -> bool:
    """Whether it can be written: half of a surrogate pair cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _measured(summary: Summary) -> MeasuredSummary:
    if summary.low is None or summary.high is None:
        raise ValueError("an empty summary measures nothing")
    return MeasuredSummary(
        count=summary.count,
        sum=summary.sum,
        sum_sq=math.fsum(summary.squares),
        min=summary.low,
        max=summary.high,
        bins=summary.bins,
        negative=summary.negative,
        zeros=summary.zeros,
    )
