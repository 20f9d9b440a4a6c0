"""What commands print with ``--json``, as models.

Their JSON Schemas are in ``schemas/json/cli/``, written there by ``python -m oppertune.streams.operate.outputs``.
Fields are added, not changed or taken away, within a major version of oppertune.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from ...schemas.spec import TunerSpec
from ...schemas.state import Hold, Incumbent, Pin, Proposal, Suspension
from .simulation.figures import Figures
from .steering.verbs import VERBS
from .text import printable_json

ShownValues = dict[str, str | int | float]
ShownContext = dict[str, Any]


class Output(BaseModel):
    """One JSON document."""

    model_config = ConfigDict(extra="forbid")

    def show(self) -> None:
        """Print it, on one line."""
        sys.stdout.write(printable_json(self.model_dump_json()) + "\n")
        sys.stdout.flush()


class BrokerStarted(Output):
    """``oppertune broker``: where it is."""

    bootstrap: str
    prefix: str


class TopicsCreated(Output):
    """``oppertune topics create``."""

    created: list[str]
    problems: list[str]


class TopicsChecked(Output):
    """``oppertune topics check``."""

    problems: list[str]


class TopicAdopted(Output):
    """``oppertune topics adopt``."""

    topic: str
    partitions: list[int]


class SpecWritten(Output):
    """``oppertune tuner init``."""

    tuner: str
    file: str


_NOT_SENT = ("validated", "nothing")
"""What is done where no command is sent: by ``tuner apply --dry-run``, and where there is nothing to do."""


class Done(Output):
    """``oppertune tuner apply`` and the other verbs: what was done."""

    tuner: str
    done: Annotated[str, WithJsonSchema({"type": "string", "enum": [*(v.done for v in VERBS.values()), *_NOT_SENT]})]
    incarnation: int | None = Field(None, description="changes whenever the tuner gets learners that are new")
    losses: list[str] | None = Field(
        None, description="of a dry run: what applying it would lose; null where that was not compared"
    )


class ListedTuner(BaseModel):
    """A tuner of a list."""

    tuner: str
    status: str
    algorithm: str | None
    instances: int
    rounds: int
    reward: float | None = Field(description="the best of its incumbents'")


class TunerList(Output):
    """``oppertune tuner list``."""

    tuners: list[ListedTuner]


class ShownInstance(BaseModel):
    """An instance that said it is here."""

    instance: str
    present: bool
    expires_ms: int


class ShownArm(BaseModel):
    """A configuration that is run now."""

    arm: str
    kind: str
    request_id: str
    values: ShownValues
    instances: int = Field(description="that it was given to; all that are here, where arms take turns")
    samples: int
    evidence: dict[str, float] = Field(
        description="by guardrail, the strongest evidence so far that it is worse, as a logarithm"
    )


class RollingOut(BaseModel):
    """A roll-out under way."""

    number: int
    candidate: ShownValues
    by: str
    reason: str
    stage: int | None = Field(description="which one, from 1; none where it is judged by turns")
    stages: list[float] = Field(description="shares of the instances")
    since_ms: int = Field(description="when the stage began")
    candidate_rewards: list[float] = Field(description="where it is judged by turns, its own so far")
    incumbent_rewards: list[float]


class ShownScope(BaseModel):
    """A context of a tuner."""

    scope: str
    context: ShownContext | None
    round: int
    open: str | None = Field(description="id of the open request")
    waiting_for: str = Field(description="why it does not go on right now, in a sentence")
    not_shared: list[str] = Field(description="which parameters apps and spec do not share, in sentences")
    incumbent: Incumbent
    version: int = Field(description="number of the incumbent in tuner history")
    pins: dict[str, Pin] = Field(description="of this context alone")
    proposal: Proposal | None = Field(description="an operator's configuration that waits to be rolled out")
    schedule: str = Field(description="beside: arms run side by side; turns: one configuration after the other")
    arms: list[ShownArm]
    rollout: RollingOut | None
    achieved: bool
    streak: int = Field(description="the incumbent's rounds in a row towards the target, or away from it once achieved")
    worst_reward: float | None
    last_reward: float | None
    rewards: list[float] = Field(description="of the last rounds, oldest first")
    outcomes: dict[str, int]
    instances: list[ShownInstance]


class ShownTuner(Output):
    """``oppertune tuner show``."""

    tuner: str
    status: str
    unreadable: str | None
    suspended: Suspension | None
    hold: Hold | None = Field(description="who holds it, why, since when and until when; null where nobody does")
    pins: dict[str, Pin] = Field(description="of all contexts")
    spec: TunerSpec | None
    incarnation: int | None
    lag: int = Field(description="events of the tuner's partition that are not applied; transaction markers count")
    applied_ms: int = Field(description="partition time when its state was last written")
    scopes: list[ShownScope]


class BestOfContext(BaseModel):
    """A context's incumbent."""

    context: ShownContext | None
    values: ShownValues
    reward: float | None
    confirmed: bool = Field(description="false: the declared values")
    since_round: int


class BestList(Output):
    """``oppertune tuner best``."""

    tuner: str
    incumbents: list[BestOfContext]


class ChangedValue(BaseModel):
    """A parameter's value before and after; null where there was, or is, no such parameter."""

    parameter: str
    before: str | int | float | None
    after: str | int | float | None


class ShownVersion(BaseModel):
    """A version of a context's incumbent."""

    number: int
    values: ShownValues
    hash: str
    since_ms: int
    gain: float | None = Field(description="measured reward above the incumbent's before it")
    by: str = Field(description="learner, or the author of a command as its sender wrote it")
    reason: str
    restores: int | None = Field(description="number of the version that a rollback brought back with it")
    changed: list[ChangedValue] = Field(description="against the version before it, where that is remembered")


class HistoryOfContext(BaseModel):
    """A context's versions, oldest first."""

    scope: str
    context: ShownContext | None
    versions: list[ShownVersion]


class TunerHistory(Output):
    """``oppertune tuner history``."""

    tuner: str
    contexts: list[HistoryOfContext]


class TunerDiff(Output):
    """``oppertune tuner diff``."""

    tuner: str
    scope: str
    context: ShownContext | None
    first: int
    second: int
    changed: list[ChangedValue]


class WhyRuns(BaseModel):
    """What some instances of a context run, and why."""

    arm: str | None = Field(description="null: no arm is theirs, they run what the fleet falls back to")
    kind: str | None
    round: int | None
    version: int | None = Field(description="number in tuner history; null: it is no incumbent")
    values: ShownValues
    instances: list[str]
    because: list[str] = Field(description="sentences")


class WhyContext(BaseModel):
    """A context of a tuner, and what runs there."""

    scope: str
    context: ShownContext | None
    runs: list[WhyRuns]


class TunerWhy(Output):
    """``oppertune tuner why``."""

    tuner: str
    status: str
    because: list[str] = Field(description="what holds for all contexts, in sentences")
    contexts: list[WhyContext]


class WatchEvent(Output):
    """``oppertune watch``: one line each."""

    what: Literal["round", "incumbent", "status", "parameters", "dead_letter", "broker"]
    time_ms: int = 0
    tuner: str = ""
    context: ShownContext | None = None
    round: int | None = None
    arm: str = Field("", description="of arms that ran side by side: its name")
    kind: str | None = None
    stage: int | None = Field(None, description="of a roll-out side by side, from 1")
    units: int | None = Field(None, description="of arms that ran side by side: its instances")
    outcome: str = ""
    reward: float | None = None
    better: float | None = Field(None, description="its reward less that of the incumbent beside it; below 0: worse")
    better_se: float | None = Field(None, description="standard error of that; none where it is not known")
    values: ShownValues = {}
    changed: ShownValues = Field(
        {}, description="values that are others than in the incumbent beside it; by turns, than in the round before"
    )
    status: str = ""
    place: str = Field("", description="name of a dead letter")
    said: str = ""


class ListedDeadLetter(BaseModel):
    """A dead letter of a list."""

    place: str = Field(description="partition:offset, its name")
    written_ms: int
    reason: str
    detail: str
    disposition: str
    tuner: str
    instance: str
    topic: str
    size: int


class DeadLetterList(Output):
    """``oppertune dead-letters list``."""

    reasons: dict[str, int] = Field(description="how many there are of each reason, shown or not")
    letters: list[ListedDeadLetter]


class ShownDeadLetter(ListedDeadLetter, Output):
    """``oppertune dead-letters show``."""

    partition: int
    offset: int
    event_id: str
    timestamp_ms: int
    sha256: str
    key: str
    value: Any


class Exported(Output):
    """``oppertune export``."""

    file: str
    rounds: int


class DemoSide(BaseModel):
    """One configuration of the demo, measured."""

    model_config = ConfigDict(extra="allow")


class DemoResult(Output):
    """``oppertune demo``."""

    model_config = ConfigDict(extra="allow")

    rounds: int
    picture: str
    contexts: dict[str, DemoSide]


class Simulated(Figures, Output):
    """``oppertune simulate``."""

    ended: bool = Field(description="it was not stopped before its time")


OUTPUTS: dict[str, type[Output]] = {
    "broker": BrokerStarted,
    "topics-create": TopicsCreated,
    "topics-check": TopicsChecked,
    "topics-adopt": TopicAdopted,
    "tuner-init": SpecWritten,
    **{f"tuner-{word}": Done for word in VERBS},
    "tuner-list": TunerList,
    "tuner-show": ShownTuner,
    "tuner-best": BestList,
    "tuner-history": TunerHistory,
    "tuner-diff": TunerDiff,
    "tuner-why": TunerWhy,
    "watch": WatchEvent,
    "dead-letters-list": DeadLetterList,
    "dead-letters-show": ShownDeadLetter,
    "export": Exported,
    "demo": DemoResult,
    "simulate": Simulated,
}
"""By command, words joined by hyphens."""


def schema_text(output: type[Output]) -> str:
    """An output's JSON Schema as it is stored."""
    return json.dumps(output.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write all schemas."""
    folder = Path(__file__).resolve().parents[2] / "schemas" / "json" / "cli"
    folder.mkdir(parents=True, exist_ok=True)
    for command, output in OUTPUTS.items():
        (folder / f"{command}.schema.json").write_text(schema_text(output))


if __name__ == "__main__":
    main()
