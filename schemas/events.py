"""What apps and operators publish: context events, metric events, commands."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .base import (
    MAX_DECLARED,
    MAX_METRICS,
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
    ParameterName,
    PositiveSeconds,
    Prose,
    Record,
    Seconds,
    TunerName,
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
    active_for_s: Seconds = Field(description="how long the instance had run the request when the interval ended")
    weight: Annotated[int, Field(ge=1, le=10**6)] = Field(1, description="each measurement stands for so many")
    metrics: Annotated[dict[MetricName, Measurement], Field(min_length=1, max_length=MAX_METRICS)]


class Command(Record):
    """What an operator asks for. The ``commands`` topic is the only master of what is tuned and how."""

    topic: ClassVar[str] = "commands"

    id: Identifier
    kind: Literal["apply", "delete", "pause", "resume", "reset"]
    tuner: TunerName
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Prose = ""
    spec: Json | None = Field(None, description="for apply: a tuner spec; judged against TunerSpec by the fold")

    @model_validator(mode="after")
    def _spec_for_apply(self) -> Self:
        if (self.kind == "apply") != (self.spec is not None):
            raise ValueError("a spec goes with the command apply, and with no other")
        return self
