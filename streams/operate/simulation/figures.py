"""The figures of a simulation, as they are computed, printed and documented."""

from pydantic import BaseModel, ConfigDict, Field


class Figures(BaseModel):
    """What came of a simulation. Shares are of instance-time, 0 to 1; ``None``: there is nothing to say it of."""

    model_config = ConfigDict(extra="forbid")

    hours: float = Field(description="of virtual time")
    instances: int = Field(description="that live at the end")
    mean_quality: float | None = Field(
        description="over the fleet's instance-time: 0 the best configuration known, 1 the median one"
    )
    incumbent_quality: float | None = Field(description="of the incumbent at the end, the mean over the contexts")
    regret: float = Field(description="mean over instance-time: how much dearer than the best known, 0.1 is 10 %")
    incumbent_regret: float = Field(description="of the incumbent at the end")
    bad_share: float = Field(
        description="ran something worse than the declared values: slower by more than 10 %, 1 point more errors, or"
        " crashing"
    )
    asked: int = Field(description="configurations that the learner asked for")
    promotions: int = Field(description="times that a context got a new incumbent")
    withdrawn: int = Field(description="arms that a guardrail withdrew")
    false_alarms: int = Field(description="of those, arms that were in nothing worse than the incumbent")
    bad_arms: int = Field(description="arms clearly worse than the incumbent that were run and left again")
    exposure_s: float | None = Field(description="from such an arm's first report to the last instance off it: median")
    exposure_p90_s: float | None = Field(description="the 90th percentile of it")
    rounds: dict[str, int] = Field(description="closed rounds by outcome")
    sent: dict[str, int] = Field(description="events by topic, those that came twice counted twice")
    missing: int = Field(description="metric events that never came")
    dispositions: dict[str, dict[str, int]] = Field(description="what became of them, by topic, as the worker counted")
    waiting: int = Field(description="events that the worker has not read yet")
    incumbents: dict[str, dict[str, str | int | float]] = Field(description="at the end, by context id")
