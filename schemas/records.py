"""What the worker writes beside state and configurations: rounds, the journal, dead letters."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from .base import (
    MAX_METRICS,
    ContextData,
    ContextId,
    Counter,
    Finite,
    Identifier,
    InstanceName,
    MetricName,
    Milliseconds,
    Offset,
    OpenWords,
    Prose,
    Record,
    TunerName,
    Values,
)
from .configs import ArmKind
from .state import Disposition

Outcome = Literal["measured", "broken", "failed", "skipped", "superseded", "late", "settling"]
"""What became of a round; or, for ``late``, ``settling`` and a later ``superseded``, of metrics that missed it."""


class MetricResult(BaseModel):
    """What was measured of one metric in a round."""

    model_config = ConfigDict(extra="ignore")

    count: Counter
    mean: Finite
    min: Finite
    max: Finite
    std: Finite
    p50: Finite
    p95: Finite
    p99: Finite


class Relative(BaseModel):
    """How much better an arm was than the baseline beside it, in the objective's reward."""

    model_config = ConfigDict(extra="ignore")

    theta: Finite = Field(description="the arm's reward less the baseline's")
    se: Finite = Field(description="its standard error; 0 where it is not known")


class RoundRecord(Record):
    """A closed round: what ran, what was measured, the reward, and what became of it and why."""

    topic: ClassVar[str] = "rounds"

    tuner: TunerName
    scope: ContextId
    context: ContextData | None = None
    incarnation: Offset
    round: Counter
    arm: Identifier
    kind: Annotated[ArmKind, OpenWords()] | None = Field(
        None, description="of the arm that was measured; none for metrics that missed their round. Words may be added"
    )
    request_id: Identifier
    outcome: Annotated[Outcome, OpenWords()] = Field(description="what became of it. Words may be added")
    why: Prose = ""
    values: Values | None = None
    opened_ms: Milliseconds | None = None
    activated_ms: Milliseconds | None = None
    closed_ms: Milliseconds
    events: Counter = 0
    instances: Counter = 0
    metrics: Annotated[dict[MetricName, MetricResult], Field(max_length=MAX_METRICS)] = {}
    reward: Finite | None = Field(None, description="as the objective gives it, scaled where the spec has a range")
    told: Finite | None = Field(None, description="the reward that the learner was told, if it was told one")
    incumbent: bool = Field(
        False,
        description="with its end there is a new incumbent: what was judged, which it may not have played",
    )
    schedule: str | None = Field(
        None, description="beside: arms ran side by side; turns: one configuration after the other. Words may be added"
    )
    stage: Counter | None = Field(None, description="of a candidate: which stage of its roll-out this was, from 1")
    units: Counter | None = Field(None, description="of arms side by side: instances that stood in this one")
    relative: Relative | None = Field(None, description="compared with the baseline beside it")
    evidence: dict[str, Finite] | None = Field(
        None, description="by guardrail, the strongest evidence that it was worse, as a logarithm"
    )
    not_shared: list[Prose] | None = Field(
        None, description="which parameters the apps that are here and the spec do not share, in sentences"
    )


class FoldedRange(BaseModel):
    """The records of one source that one transaction applied."""

    model_config = ConfigDict(extra="ignore")

    first: Offset
    next: Offset
    dispositions: dict[Disposition, Counter] = {}
    other: Annotated[list[tuple[Offset, Disposition]], Field()] = Field(
        [], description="the offsets that were not simply applied"
    )
    gaps: Counter = 0
    lost: Counter = Field(0, description="offsets whose records were deleted before, or could not be read")
    unreadable: list[tuple[Offset, Offset]] | None = Field(
        None, description="runs of the lost ones that could not be read: the first, and the one behind the last"
    )


class JournalRecord(Record):
    """One transaction: what it folded, in what order, at what partition time, and the hash of what it wrote."""

    topic: ClassVar[str] = "journal"

    partition: Counter
    transaction: Counter
    time_ms: Milliseconds
    folded: dict[str, FoldedRange]
    order: list[tuple[str, Counter]] = Field(description="runs of records in the order of folding: source, how many")
    ends_ms: dict[str, Milliseconds] = Field(description="per source, when it was last known to be read to its end")
    state_hash: str = Field(description="sha256 over the state records written, by key")


class DeadLetterHeaders(BaseModel):
    """The headers of a dead letter. Its key and value are as received (the first 64 kB of something too large)."""

    model_config = ConfigDict(extra="ignore")

    reason: Identifier = Field(description="a word for programs, such as unknown_tuner")
    detail: Prose = Field("", description="a sentence for people")
    disposition: Disposition
    tuner: str = ""
    instance: InstanceName | Literal[""] = ""
    event_id: str = ""
    topic: str = Field(description="where it came from, without the prefix")
    partition: Counter
    offset: Offset
    timestamp_ms: Milliseconds
    size: Counter = Field(description="bytes of the value as received")
    sha256: str = Field("", description="of the whole value, where it was cut")

    def to_headers(self) -> list[tuple[str, bytes]]:
        """The headers as Kafka carries them, all text."""
        return [(name, str(value).encode()) for name, value in self.model_dump().items() if value != ""]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> Self:
        """A dead letter's headers from a record of its topic.

        Raises:
            ValidationError: They are not those of a dead letter: the record is somebody else's.
        """
        return cls.model_validate({name: value.decode(errors="replace") for name, value in headers})
