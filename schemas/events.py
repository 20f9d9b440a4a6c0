"""What apps and operators publish: context events, metric events, commands."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .base import (
    MAX_DECLARED,
    MAX_METRICS,
    MAX_PARAMETERS,
    MAX_SUMMARY_BINS,
    ContextData,
    ContextId,
    Counter,
    Finite,
    Hash,
    Identifier,
    InstanceName,
    Json,
    MetricName,
    Milliseconds,
    ParameterName,
    PositiveSeconds,
    Prose,
    Record,
    Seconds,
    TunerName,
    Values,
)

Boot = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _FromInstance(Record):
    """An event made by one running copy of an app.

    Events are known apart by ``boot`` and ``seq`` where both are there (numbered, from 0, over all that this boot of
    the instance sends to a topic), else by their ``id``.
    """

    id: Identifier = Field(description="unique per event; used to drop duplicates of events that are not numbered")
    tuner: TunerName
    instance: InstanceName = Field(description="the running copy of the app that made the event")
    boot: Boot | None = Field(None, description="changes whenever the instance starts; goes with seq")
    seq: Counter | None = Field(None, description="number of the event within its boot and topic")

    @model_validator(mode="after")
    def _numbered_or_not(self) -> Self:
        if (self.boot is None) != (self.seq is None):
            raise ValueError("boot and seq go together")
        return self


class ContextEvent(_FromInstance):
    """An instance is here, in this context, running this request. Sent at start, on change, and as a heartbeat."""

    topic: ClassVar[str] = "contexts"

    context: ContextData | None = Field(None, description="what the instance says of its situation")
    parameters: Annotated[list[ParameterName], Field(max_length=MAX_DECLARED)] | None = Field(
        None, description="names of all parameters that the instance has; without, it is taken to have the spec's"
    )
    request_id: Identifier | None = Field(None, description="the open request that the instance now runs")
    refused_id: Identifier | None = Field(None, description="the open request that the instance cannot run")
    refused_why: Annotated[str, StringConstraints(max_length=300)] = Field("", description="why it cannot")
    ttl_s: PositiveSeconds | None = Field(None, description="present for so long; default: the spec's")
    leaving: bool = Field(False, description="a clean goodbye: the instance is present no more")


Bins = Annotated[dict[Annotated[int, Field(ge=-40_000, le=12_000)], Counter], Field(max_length=MAX_SUMMARY_BINS)]
"""Counts by bin. All that can be measured, from 5e-324 to 1e100, is in bins from -37,220 to 11,513; and what stands for
a bin far beyond is no float any more."""


class MeasuredSummary(BaseModel):
    """Measurements of one metric over one interval, summarised by the app (see ``oppertune.core.summary``)."""

    model_config = ConfigDict(extra="ignore")

    count: Annotated[int, Field(ge=1, le=10**12)]
    sum: Finite
    sum_sq: Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e200)]
    min: Finite
    max: Finite
    bins: Bins = {}
    negative: Bins = {}
    zeros: Counter = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is above max")
        if sum(self.bins.values()) + sum(self.negative.values()) + self.zeros != self.count:
            raise ValueError("bins, negative and zeros do not add up to count")
        return self


Measurement = Finite | Annotated[list[Finite], Field(min_length=1, max_length=10_000)] | MeasuredSummary
"""One number, several, or their summary."""


class MetricEvent(_FromInstance):
    """What one instance measured while it ran one request."""

    topic: ClassVar[str] = "metrics"

    scope: ContextId = Field("", description="context id of the request's scope")
    round: Counter
    arm: Identifier
    request_id: Identifier
    values_hash: Hash = Field(description="hash of the values that were really in effect, from the config record")
    interval_s: PositiveSeconds = Field(description="length of the measured interval")
    active_for_s: Seconds = Field(
        description="how long the instance had run the request's values when the interval ended, be it under an earlier"
        " request"
    )
    weight: Annotated[int, Field(ge=1, le=10**6)] = Field(1, description="each measurement stands for so many")
    metrics: Annotated[dict[MetricName, Measurement], Field(min_length=1, max_length=MAX_METRICS)]


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "apply": ("spec",),
    "pause": ("until_ms",),
    "freeze": ("until_ms",),
    "observe": ("until_ms",),
    "kill": ("until_ms",),
    "rollback": ("scope", "version"),
    "pin": ("scope", "values"),
    "unpin": ("scope", "parameters"),
    "set": ("scope", "values", "now"),
}
"""What a command may have besides, by its kind; those in ``_NEEDED`` it must have."""

_NEEDED = ("spec", "values", "parameters")


class Command(Record):
    """What an operator asks for. The ``commands`` topic is the only master of what is tuned and how."""

    topic: ClassVar[str] = "commands"

    id: Identifier
    kind: Literal[
        "apply", "delete", "pause", "freeze", "observe", "kill", "resume", "rollback", "pin", "unpin", "set", "reset"
    ]
    tuner: TunerName
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Prose = ""
    spec: Json | None = Field(None, description="for apply: a tuner spec; judged against TunerSpec by the fold")
    until_ms: Milliseconds | None = Field(
        None, description="for pause, freeze, observe and kill: the end of it, by the broker's clock; none: resume"
    )
    scope: ContextId | None = Field(
        None, description="for rollback, pin, unpin and set: the context id that it is for; none: all contexts"
    )
    version: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        None, description="for rollback: number of the version to go back to; none: the one before"
    )
    values: Annotated[Values, Field(min_length=1)] | None = Field(
        None, description="for set and pin: values by parameter; others stay as in the incumbent"
    )
    now: bool = Field(False, description="for set: it is the incumbent at once; else it is judged first")
    parameters: Annotated[list[ParameterName], Field(min_length=1, max_length=MAX_PARAMETERS)] | None = Field(
        None, description="for unpin: which"
    )

    @model_validator(mode="after")
    def _fields_of_its_kind(self) -> Self:
        given = {name for fields in _FIELDS.values() for name in fields if getattr(self, name) not in (None, False)}
        own = _FIELDS.get(self.kind, ())
        if strange := sorted(given - set(own)):
            raise ValueError(f"{strange[0]} does not go with the command {self.kind}")
        if lacking := [name for name in own if name in _NEEDED and name not in given]:
            raise ValueError(f"the command {self.kind} needs {lacking[0]}")
        return self
