"""What commands print with ``--json``, as models.

Their JSON Schemas are in ``schemas/json/cli/``, written there by ``python -m oppertune.streams.operate.outputs``.
Fields are added, not changed or taken away, within a major version of oppertune.
"""

import json
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...schemas.spec import TunerSpec
from ...schemas.state import Incumbent, Suspension

Values = dict[str, str | int | float]
Context = dict[str, Any]


class Output(BaseModel):
    """One JSON document."""

    model_config = ConfigDict(extra="forbid")

    def show(self) -> None:
        """Print it, on one line."""
        sys.stdout.write(self.model_dump_json() + "\n")
        sys.stdout.flush()


class Broker(Output):
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


class Done(Output):
    """``oppertune tuner apply|delete|pause|resume|reset``: what was done."""

    tuner: str
    done: Literal["applied", "validated", "deleted", "paused", "resumed", "reset", "nothing"]
    incarnation: int | None = Field(None, description="changes whenever the tuner begins to learn anew")


class Listed(BaseModel):
    """A tuner of a list."""

    tuner: str
    status: str
    algorithm: str | None
    instances: int
    rounds: int
    reward: float | None = Field(description="the best of its incumbents'")


class TunerList(Output):
    """``oppertune tuner list``."""

    tuners: list[Listed]


class Instance(BaseModel):
    """An instance that said it is here."""

    instance: str
    present: bool
    expires_ms: int


class Confirming(BaseModel):
    """A confirmation under way."""

    candidate: Values
    left: int = Field(description="rounds that are still to be played")
    candidate_rewards: list[float]
    incumbent_rewards: list[float]


class Scope(BaseModel):
    """A context of a tuner."""

    scope: str
    context: Context | None
    round: int
    open: str | None = Field(description="id of the open request")
    waiting_for: str = Field(description="why it does not go on right now, in a sentence")
    incumbent: Incumbent
    confirming: Confirming | None
    achieved: bool
    streak: int = Field(description="the incumbent's rounds in a row towards the target, or away from it once achieved")
    worst_reward: float | None
    last_reward: float | None
    rewards: list[float] = Field(description="of the last rounds, oldest first")
    outcomes: dict[str, int]
    instances: list[Instance]


class Shown(Output):
    """``oppertune tuner show``."""

    tuner: str
    status: str
    unreadable: str | None
    suspended: Suspension | None
    spec: TunerSpec | None
    incarnation: int | None
    lag: int = Field(description="events of the tuner's partition that are not applied; transaction markers count")
    applied_ms: int = Field(description="partition time when its state was last written")
    scopes: list[Scope]


class Best(BaseModel):
    """A context's incumbent."""

    context: Context | None
    values: Values
    reward: float | None
    confirmed: bool = Field(description="false: the declared values")
    since_round: int


class BestList(Output):
    """``oppertune tuner best``."""

    tuner: str
    incumbents: list[Best]


class Happening(Output):
    """``oppertune watch``: one line each."""

    what: Literal["round", "incumbent", "status", "dead_letter", "broker"]
    time_ms: int = 0
    tuner: str = ""
    context: Context | None = None
    round: int | None = None
    kind: str | None = None
    outcome: str = ""
    reward: float | None = None
    values: Values = {}
    changed: Values = Field({}, description="values that are others than in the context's round before")
    status: str = ""
    place: str = Field("", description="name of a dead letter")
    said: str = ""


class ListedLetter(BaseModel):
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


class LetterList(Output):
    """``oppertune dead-letters list``."""

    reasons: dict[str, int] = Field(description="how many there are of each reason, shown or not")
    letters: list[ListedLetter]


class ShownLetter(ListedLetter, Output):
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


class Side(BaseModel):
    """One configuration of the demo, measured."""

    model_config = ConfigDict(extra="allow")


class Demo(Output):
    """``oppertune demo``."""

    model_config = ConfigDict(extra="allow")

    rounds: int
    picture: str
    contexts: dict[str, Side]


OUTPUTS: dict[str, type[Output]] = {
    "broker": Broker,
    "topics-create": TopicsCreated,
    "topics-check": TopicsChecked,
    "topics-adopt": TopicAdopted,
    "tuner-init": SpecWritten,
    "tuner-apply": Done,
    "tuner-delete": Done,
    "tuner-pause": Done,
    "tuner-resume": Done,
    "tuner-reset": Done,
    "tuner-list": TunerList,
    "tuner-show": Shown,
    "tuner-best": BestList,
    "watch": Happening,
    "dead-letters-list": LetterList,
    "dead-letters-show": ShownLetter,
    "export": Exported,
    "demo": Demo,
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
