"""What the worker remembers, in the ``state`` topic: tuners, scopes, and what was applied of a partition.

These records are the worker's own; they are documented so that ``tuner show`` and other tools can read them. They are
mutable: the processor folds events into them in place and writes the changed ones.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from ..core.summary import Summary
from .base import (
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
    Offset,
    ParameterName,
    Prose,
    Record,
    TunerName,
    Value,
    Values,
    Whole,
    words_of,
)
from .configs import ArmKind
from .spec import TunerSpec

DISPOSITIONS = ("applied", "duplicate", "late", "settling", "superseded", "held", "refused", "dead_letter")
"""What can become of a consumed record: exactly one of these, explained in docs/wire-format.md."""

Disposition = Literal["applied", "duplicate", "late", "settling", "superseded", "held", "refused", "dead_letter"]


class _Mutable(BaseModel):
    """What the processor changes in place, many times per event.

    Assigning a field is a plain assignment: pydantic's own costs three times an event's arithmetic. What is assigned
    was checked where it came in, and is checked again when the record is read back.
    """

    if not TYPE_CHECKING:
        __setattr__ = object.__setattr__


class _Part(_Mutable):
    model_config = ConfigDict(extra="ignore")


class Suspension(_Part):
    """Why a tuner stands still, and where it began."""

    reason: Prose
    topic: str
    offset: Counter
    time_ms: Milliseconds


HoldKind = Literal["paused", "observe", "frozen", "killed"]
"""What a hold lets go on; what each word means is in ``streams/processor/holds.py``."""

HOLD_KINDS = words_of(HoldKind)


class Hold(_Part):
    """An operator's word that a tuner tries nothing, until it is resumed or the hold's own end."""

    kind: HoldKind
    by: str = Field(description="who said so, as the sender of the command wrote it")
    reason: Prose = ""
    since_ms: Milliseconds = Field(description="partition time")
    until_ms: Milliseconds | None = Field(None, description="it ends by itself then, in partition time")


class Pin(_Part):
    """A parameter's value that an operator wants everywhere, whatever is asked for."""

    value: Value
    by: str
    reason: Prose = ""
    since_ms: Milliseconds


Pins = dict[ParameterName, Pin]


class TunerState(_Mutable, Record):
    """A tuner as it was applied, and the learner that its scopes share, if they do. Key: the tuner's name."""

    topic: ClassVar[str] = "state"

    tuner: TunerName
    spec: TunerSpec
    incarnation: Offset = Field(description="offset of the command that made the tuner what it is")
    earlier: list[Offset] = Field([], description="earlier incarnations, newest last, a bounded number")
    commands: list[Identifier] = Field([], description="ids of the last commands: whoever sent one sees it here")
    author: str
    reason: Prose = ""
    applied_ms: Milliseconds
    hold: Hold | None = None
    pins: Pins = Field({}, description="of all contexts, those included that appear later")
    suspended: Suspension | None = None
    learner: Json | None = None
    besides: list[ParameterName] | None = Field(
        None, description="parameters that apps have and the spec lacks, a bounded number, as they were heard of"
    )

    @model_validator(mode="before")
    @classmethod
    def _once_paused(cls, record: object) -> object:
        """Up to 0.1.0 a pause was a mark without author, reason or time: it began after the spec was applied."""
        if not isinstance(record, dict) or not record.get("paused") or record.get("hold") is not None:
            return record
        hold = {"kind": "paused", "by": "unknown", "since_ms": record.get("applied_ms")}
        return record | {"hold": hold | {"reason": "paused under an earlier version, which kept no author or reason"}}


class Presence(_Part):
    """An instance that said it is here."""

    expires_ms: Milliseconds
    heard_ms: Milliseconds | None = Field(None, description="time of its newest sign of life")
    boot: str | None = Field(None, description="written by 0.1.0 alone, as is the next: producers have it")
    seq: int | None = None


def _from_hex(word: object) -> object:
    return int(word, 16) if isinstance(word, str) else word


Bits = Annotated[
    int,
    BeforeValidator(_from_hex),
    PlainSerializer(lambda bits: f"{bits:x}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]+$"}),
]
"""A wide bit set, hexadecimal in JSON: readers of JSON elsewhere know no such large integers."""


class Window(_Part):
    """Which numbered events of one producer were counted.

    Bit i of ``mask`` stands for the number ``high - i``.
    """

    high: int = -1
    mask: Bits = 0


class Producer(Window):
    """One boot of an instance: which of its context events were counted, and until when it counts as present."""

    expires_ms: Milliseconds = Field(0, description="0: it is not here")
    heard_ms: Milliseconds = Field(0, description="time of its newest sign of life, or of its goodbye")
    left: bool | None = Field(None, description="it said goodbye")
    ids: list[str] | None = Field(None, description="hashes of the ids of its last events, if they are not numbered")
    lacks: Bits | None = Field(
        None, description="which of the spec's parameters it has not, bit i the i-th; none where it did not say"
    )
    besides: Bits | None = Field(None, description="which of the tuner's besides it has, likewise")


def _judged(kind: object) -> object:
    return "candidate" if kind == "confirm" else kind


class OpenRequest(_Part):
    """A tuning request under way, and what was measured of it so far."""

    id: Identifier
    round: Counter
    arm: Identifier
    kind: Annotated[ArmKind, BeforeValidator(_judged)] = Field(description="`confirm`, of 0.1.0, is read as candidate")
    values: Values
    hash: Hash
    opened_ms: Milliseconds
    activate_by_ms: Milliseconds
    activated_ms: Milliseconds | None = None
    measure_by_ms: Milliseconds | None = None
    metrics: dict[MetricName, Summary] = {}
    intervals_s: list[float] = Field([], description="expansion of the sum of the measured intervals")
    ran: dict[InstanceName, int] = Field({}, description="instances that run it, and how often each reported")
    refused: dict[InstanceName, str] | None = Field(
        None, description="instances that say that they cannot run it, and why"
    )
    boots: dict[InstanceName, list[str]] | None = Field(None, description="of the instances that run it, if numbered")
    windows: dict[str, Window] = Field({}, description="by producer: instance and boot")
    seen: dict[str, int] = Field({}, description="hashes of the ids of events that are not numbered")
    events: Counter = 0
    evidence: dict[str, float] = Field(
        {},
        exclude_if=lambda evidence: not evidence,
        description="that the arm is worse than the baseline: the largest level by quantity, `lost` is one",
    )


Sums = Annotated[list[Whole], Field(min_length=6, max_length=6)]
"""Numerator and denominator of a quantity: of this round, of the stage's finished rounds, of the history."""


class Unit(_Part):
    """An instance as what an arm is given to: which one, and what it measured. One entry per instance."""

    arm: Annotated[str, Field(max_length=128)] = Field(
        "", description="at the round's begin; empty where it joined later, or is pinned"
    )
    reports: Counter = Field(0, description="metric events of this round that were applied")
    last_ms: Milliseconds = Field(0, description="time of the newest of them; 0 before the first")
    losses: Counter | None = Field(None, description="how often it was lost in this round")
    lost: bool | None = Field(None, description="its loss is counted, and it was not heard of since")
    shows: bool | None = Field(None, description="its measurements are in the baseline's windows")
    sums: dict[str, Sums] = Field({}, description="by quantity; whole numbers, so that no order matters")


class SeenSpread(_Part):
    """Spread of the baseline's units in the round under way: mean over its looks, and the last one's degrees."""

    looks: Counter = 0
    degrees: Finite = 0.0
    variance: Finite = 0.0


class Quantity(_Part):
    """What a scope knows of one quantity, beside what its units measured."""

    scale: Literal["share", "log", "plain"] | None = Field(None, description="none until the baseline has shown it")
    edge: int | None = Field(
        None, description="bin of the baseline's percentile; of a mean, the bin beyond which measurements are cut"
    )
    tick: Annotated[int, Field(ge=-400, le=400)] | None = Field(
        None, description="sums are in 2 to this power; none where they need no such step"
    )
    unit: Annotated[float, Field(gt=0, le=1e100)] = Field(
        1.0, description="standard deviation of the baseline's measurements; of the plain scale alone"
    )
    window: Summary = Field(Summary(), description="the baseline's measurements under way, where they are needed")
    window_since_ms: Milliseconds = 0
    since_ms: Milliseconds = Field(0, description="begin of the round")
    stage_since_ms: Milliseconds | None = Field(None, description="begin of the stage; none before its first round")
    spread: dict[int, tuple[Finite, Finite]] = Field(
        {}, description="degrees of freedom and variance of units in earlier rounds, by power of two of intervals"
    )
    seen: dict[int, SeenSpread] = Field({}, description="the same of this round, which is not yet in")
    recent: dict[str, list[Whole]] = Field(
        {},
        description="by arm, of a quantity with a limit: number of the interval; numerator, denominator and"
        " measurements of it, and of the one before",
    )


class Piece(_Part):
    """A piece of [0, 1), in the order of the config record, and the arm that its units run."""

    share: float
    arm: Identifier
    why: Prose = Field("", description="why the arm was withdrawn, if it was", exclude_if=lambda why: not why)


class Rollout(_Part):
    """A configuration on its way to be the incumbent: it grows stage by stage, beside what is the incumbent now."""

    number: Counter
    values: Values
    hash: Hash
    stage: Counter = Field(0, description="which of the spec's stages it is in, from 0")
    upto: float = Field(0.0, description="its units are those that stand below it: it never moves back")
    since_ms: Milliseconds = Field(description="when the stage began")
    candidate_rewards: list[Finite] = Field([], description="where it is judged by turns: its own, in order")
    incumbent_rewards: list[Finite] = Field([], description="likewise, the incumbent's")
    gain: Finite | None = Field(None, description="how much better it was in the stages that it passed")
    gain_se: Finite = Field(0.0, description="standard error of that; 0 where it is not known")
    reopened: Counter = Field(0, description="how often the stage was begun again")
    by: str = Field("learner", description="who began it")
    reason: Prose = ""
    proposed_ms: Milliseconds | None = Field(None, description="when an operator proposed it; none: the learner did")


class Incumbent(_Part):
    """What a scope falls back to, and what is known of its reward."""

    values: Values
    hash: Hash
    reward: Finite | None = Field(None, description="mean over its last block of rounds")
    since_round: Counter = 0
    confirmed: bool = Field(False, description="false: the declared values")


MAX_VERSIONS = 32
"""Incumbents of a scope that are remembered, the newest: 50 kB of state where there are 50 parameters."""


class Version(_Part):
    """A configuration that was, or is, a scope's incumbent."""

    number: Annotated[int, Field(ge=1, le=2**53)] = Field(description="never used twice in a scope")
    values: Values
    hash: Hash
    since_ms: Milliseconds = Field(description="partition time at which it became the incumbent")
    gain: Finite | None = Field(None, description="measured reward above that of the incumbent before it")
    by: str = Field(description="``learner``, or whoever commanded it")
    reason: Prose = ""
    restores: Counter | None = Field(None, description="number of the version that a rollback brought back with it")


class Proposal(_Part):
    """An operator's configuration that waits to be judged against the incumbent, or is being judged."""

    values: Values
    hash: Hash
    by: str
    reason: Prose = ""
    since_ms: Milliseconds


def _one_open(arms: object) -> object:
    return [arms] if isinstance(arms, dict) else arms


Arms = Annotated[
    list[OpenRequest],
    Field(max_length=16, validation_alias=AliasChoices("arms", "open")),
    BeforeValidator(_one_open),
]
"""The open requests of a scope's round. Before 0.1.0 there was one at most, in a field ``open``: read as a list."""


class ScopeState(_Mutable, Record):
    """One scope of a tuner. Key: ``tuner/context id``, ``tuner/`` for the scope of no context."""

    topic: ClassVar[str] = "state"

    tuner: TunerName
    scope: ContextId
    incarnation: Offset
    context: ContextData | None = None
    round: Counter = Field(0, description="number of the newest round; 0 before the first")
    version: Counter = Field(0, description="version of the newest config record")
    published_ms: Milliseconds = Field(
        0, description="when the newest config record was made: renewals count from here"
    )
    incumbent: Incumbent
    versions: list[Version] = Field([], description="the last incumbents, oldest first; the last one is the incumbent")
    pins: Pins = Field({}, description="of this context alone; they win over the tuner's")
    proposal: Proposal | None = None
    arms: Arms = Field([], description="open requests of the round, one per arm")
    schedule: Literal["beside", "turns"] = Field(
        "turns", description="beside: arms side by side; turns: one configuration after the other, by all instances"
    )
    salt: str = Field("", description="deals the units of arms that are side by side")
    pieces: list[Piece] = Field([], description="which units run which arm, while arms are side by side")
    fresh: bool = Field(False, description="measurements or losses came since the arms were last compared")
    looked_ms: Milliseconds = Field(0, description="when the arms were last compared")
    observing: Counter = Field(0, description="rounds of the incumbent alone that are to be measured first")
    reference: Finite | None = Field(None, description="the incumbent's reward when tuning side by side began")
    gain: Finite = Field(0.0, description="what incumbents gained since, over the one of then")
    rollout: Rollout | None = None
    rollouts: Counter = Field(0, description="how many there were")
    rejected: dict[Hash, Counter] = Field(
        {}, description="configurations whose roll-out failed, and the round in which, a bounded number"
    )
    presence: dict[InstanceName, Presence] = {}
    units: dict[InstanceName, Unit] = {}
    quantities: dict[str, Quantity] = {}
    stage_losses: dict[str, Counter] = Field({}, description="units lost in the stage's finished rounds, by arm")
    producers: dict[InstanceName, dict[str, Producer]] = Field(
        {}, description="by instance and boot, those included that are gone: no copy of an event brings them back"
    )
    achieved: bool = False
    streak: Counter = Field(0, description="incumbent rounds in a row at or above (below, once achieved) the target")
    promising: Counter = Field(0, description="exploring rounds in a row at or above the target")
    explored: Counter = Field(0, description="exploring rounds since the last roll-out")
    worst_reward: Finite | None = None
    last_reward: Finite | None = None
    outcomes: dict[str, Counter] = Field({}, description="closed rounds, by outcome")
    unmeasured_since_ms: Milliseconds | None = Field(
        None, description="since when a round that is measured is awaited; none while nobody is here, or it is paused"
    )
    unmeasured_why: str = Field("", description="why the newest closed round was not measured; empty where it was")
    refused: Counter = Field(0, description="rounds in a row that nobody who was here ran")
    learner: Json | None = None

    @model_validator(mode="after")
    def _once_without_versions(self) -> Self:
        """Up to 0.1.0 no incumbents were remembered: the one that stands is the first, or came after the declared."""
        if not self.versions:
            confirmed = self.incumbent.confirmed
            version = Version(
                number=2 if confirmed else 1,
                values=self.incumbent.values,
                hash=self.incumbent.hash,
                since_ms=self.published_ms,
                by="learner" if confirmed else "unknown",
                reason="taken over from an earlier version, which kept no history",
            )
            self.versions = [version]
        return self


class SourceState(_Part):
    """How far one source topic of a partition was applied, and what became of its records."""

    topic_id: str = Field("", description="the broker's id of the topic; empty where it tells none")
    first: Offset = Field(0, description="where the counting began")
    next: Offset = Field(0, description="the first offset that is not applied")
    time_ms: Milliseconds = Field(0, description="timestamp of the newest record, never going back")
    dispositions: dict[Disposition, Counter] = {}
    gaps: Counter = Field(
        0, description="offsets that hold no record: transaction markers, aborted or compacted records"
    )
    lost: Counter = Field(
        0, description="offsets whose records were deleted before they were applied, or could not be read"
    )


class CarriedOutCommands(_Mutable, Record):
    """Which commands were carried out on a partition: each counts once, beyond its tuner's life. Key: ``@commands``."""

    topic: ClassVar[str] = "state"

    ids: list[str] = Field([], description="hashes of tuner and id, newest last, a bounded number")
    older: Bits = Field(0, description="a Bloom filter of ids that are older")
    oldest: Bits = Field(0, description="the filter before it, which is full")
    filtered: Counter = Field(0, description="ids in the filter that is being filled")


class PartitionOffsets(_Mutable, Record):
    """What was applied of a partition. Key: ``@offsets``."""

    topic: ClassVar[str] = "state"

    partition: Counter
    partitions: Counter = Field(description="number of partitions when it was written")
    sources: dict[str, SourceState]
    time_ms: Milliseconds = Field(0, description="partition time")
    transactions: Counter = 0
