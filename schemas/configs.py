"""What the fleet follows: config records."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from .base import (
    ContextData,
    ContextId,
    Counter,
    Hash,
    Identifier,
    Milliseconds,
    OpenWords,
    ParameterName,
    PositiveSeconds,
    Record,
    Seconds,
    Share,
    TunerName,
    Values,
    words_of,
)
from .context import Feature

TunerStatus = Literal["tuning", "parked", "paused", "achieved", "suspended"]
ArmKind = Literal["explore", "confirm", "baseline"]

STATUSES = words_of(TunerStatus)
"""The statuses that are known to this version; records of a newer worker may have others."""

ARM_KINDS = words_of(ArmKind)
"""The kinds of arms that are known to this version; likewise."""


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
        description="explore: the learner asked for it; confirm: its recommendation, judged; baseline: the incumbent."
        " There may be other words one day: an arm of an unknown kind keeps its share of the units, and they run the"
        " incumbent, unmeasured"
    )
    share: Share


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
    settle_s: Seconds = Field(description="do not report measurements of a request's first seconds")
    heartbeat_s: PositiveSeconds = Field(description="how often to send a context event")
