"""What the fleet follows: config records."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import (
    ContextData,
    ContextId,
    Counter,
    Hash,
    Identifier,
    InstanceName,
    Milliseconds,
    OpenWords,
    ParameterName,
    PositiveSeconds,
    Prose,
    Record,
    Seconds,
    Share,
    TunerName,
    Values,
    words_of,
)
from .context import Feature

TunerStatus = Literal[
    "tuning", "observing", "rolling", "awaiting", "parked", "frozen", "paused", "killed", "achieved", "suspended"
]
ArmKind = Literal["explore", "candidate", "baseline", "withdrawn", "confirm"]

STATUSES = words_of(TunerStatus)
"""The statuses that are known to this version; records of a newer worker may have others."""

ARM_KINDS = words_of(ArmKind)
"""The kinds of arms that are known to this version; likewise."""

INCUMBENT = "incumbent"
"""In place of an arm's name, where a unit is pinned: it runs the incumbent, unmeasured. No arm has this name."""

MAX_PINNED = 100
"""Units that can be pinned in a scope: an operator's exceptions, which every record carries."""


class Configuration(BaseModel):
    """A configuration and the hash that names it in metric events."""

    model_config = ConfigDict(extra="ignore")

    values: Values
    hash: Hash


class Arm(Configuration):
    """One of the configurations that a scope runs now, with its share of the units."""

    arm: Identifier
    request_id: Identifier
    round: Counter
    kind: Annotated[ArmKind, OpenWords()] = Field(
        description="explore: the learner asked for it; candidate: it is being rolled out; baseline: the incumbent, to"
        " compare them with; withdrawn: it broke a guardrail, and its units run the incumbent, unmeasured; confirm: a"
        " recommendation, judged. There may be other words one day: an arm of an unknown kind keeps its share of the"
        " units, and they run the incumbent, unmeasured"
    )
    share: Share = Field(
        description="length of its piece of the units. An arm may have two pieces: two entries, equal but for this"
    )


class ConfigRecord(Record):
    """The newest answer for a scope: what to run, how to choose an arm, and for how long to trust an exploring one.

    A unit whose hash with ``salt`` falls in no arm's share runs the incumbent, as does every unit once ``lease_s`` has
    passed without a newer record, and until one comes to an app that has just begun to read. The record keyed by the
    bare tuner name is there for every tuner: it tells an app which ``features`` of its context name its scope.
    """

    topic: ClassVar[str] = "configs"

    tuner: TunerName
    scope: ContextId
    context: ContextData | None = None
    incarnation: Counter
    version: Counter = Field(description="grows with every new answer for the scope; a renewal keeps it")
    status: Annotated[TunerStatus, OpenWords()] = Field(
        description="what the tuner does. There may be other words one day: under an unknown one every unit runs the"
        " incumbent, unmeasured"
    )
    incumbent: Configuration
    arms: Annotated[list[Arm], Field(max_length=16)]
    salt: Identifier
    lease_s: PositiveSeconds
    published_ms: Milliseconds
    features: list[Feature] = []
    restart: list[ParameterName] = Field(
        [], description="parameters for which the app must restart: it takes others' values of them only when it can"
    )
    interval_s: PositiveSeconds = Field(description="how often to report metrics")
    settle_s: Seconds = Field(description="do not report measurements of a configuration's first seconds")
    heartbeat_s: PositiveSeconds = Field(description="how often to send a context event")
    stage: Counter | None = Field(None, description="of the roll-out under way, from 1; none while nothing rolls out")
    stages: Annotated[list[Share], Field(max_length=16)] = Field(
        [], description="which shares of the units the roll-out's stages give its candidate"
    )
    pinned: Annotated[dict[InstanceName, Identifier], Field(max_length=MAX_PINNED)] = Field(
        {},
        description="units that run what an operator said, whatever their hash: the name of an arm, or incumbent. One"
        " that is pinned to an arm that is not there runs the incumbent",
    )
    first_report_s: Annotated[list[Seconds], Field(max_length=16)] = Field(
        [],
        description="who begins to run an explore or candidate arm first reports so many seconds after its measurements"
        " began to count, then every interval_s",
    )
    why: Prose = Field("", description="why the scope stands as it does, in a sentence")
    by: Annotated[str, Field(max_length=200)] = Field("", description="who said so, where somebody did")
