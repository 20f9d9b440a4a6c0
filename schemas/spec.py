"""The tuner spec: what is tuned, how it is measured, and when to stop. Written by people, in YAML or JSON."""

from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from ..core.values import SWITCH, Categorical, Integer, Real, ValueType
from .base import (
    MAX_SECONDS,
    Finite,
    Handwritten,
    MetricName,
    ParameterName,
    PositiveSeconds,
    Prose,
    Seconds,
    Share,
    TunerName,
    bounded,
)
from .context import ContextSpec


class _Parameter(Handwritten):
    name: ParameterName = Field(description="as the app knows it")
    unit: Annotated[str, StringConstraints(max_length=30)] = Field("", description="shown where values are printed")
    description: Prose = Field("", description="for people")
    restart: bool = Field(
        False, description="the app must restart for another value: it takes one only when it says that it can"
    )


def _no_truth_value(word: object) -> object:
    if isinstance(word, bool):
        raise ValueError(  # noqa: TRY004 - pydantic's validators raise ValueError
            "a category is text, not a truth value: put it in quotes, or use type: switch"
        )
    return word


Category = Annotated[str, StringConstraints(min_length=1, max_length=200), BeforeValidator(_no_truth_value)]


def _on_or_off(val: object) -> object:
    return SWITCH[val] if isinstance(val, bool) else val


class CategoricalParameter(_Parameter):
    """One of a few named choices."""

    type: Literal["categorical"]
    val: Category = Field(description="the declared value: what runs until something better is rolled out")
    categories: Annotated[list[Category], Field(min_length=1, max_length=1000)] = Field(description="the choices")

    def to_value(self) -> Categorical:
        """The parameter as the algorithms know it."""
        return Categorical(name=self.name, val=self.val, categories=tuple(self.categories))


class SwitchParameter(_Parameter):
    """Something that is on or off: a category of two, ``off`` and ``on``, which is also what the app gets."""

    type: Literal["switch"]
    val: Annotated[Literal["off", "on"], BeforeValidator(_on_or_off)] = Field(
        description="the declared value, on or off (or true or false): what runs until something better is rolled out"
    )

    def to_value(self) -> Categorical:
        """The parameter as the algorithms know it."""
        return Categorical.switch(self.name, val=self.val == "on")


class IntegerParameter(_Parameter):
    """A whole number between bounds, on a step counted from ``min``."""

    type: Literal["integer"]
    val: int = Field(description="the declared value: what runs until something better is rolled out")
    min: Annotated[int, Field(ge=-(2**53), le=2**53)] = Field(description="the smallest value")
    max: Annotated[int, Field(ge=-(2**53), le=2**53)] = Field(description="the largest value")
    step: Annotated[int, Field(ge=1)] = Field(1, description="only `min`, `min + step`, … are tried")
    log: bool = Field(False, description="learn on a logarithmic scale: 1 to 10 is as far as 10 to 100; no step then")

    def to_value(self) -> Integer:
        """The parameter as the algorithms know it."""
        return Integer(name=self.name, val=self.val, min=self.min, max=self.max, step=self.step, log=self.log)


class RealParameter(_Parameter):
    """A number between bounds; with a ``step``, on a grid counted from ``min``."""

    type: Literal["real"]
    val: Finite = Field(description="the declared value: what runs until something better is rolled out")
    min: Finite = Field(description="the smallest value")
    max: Finite = Field(description="the largest value")
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="only `min`, `min + step`, … are tried; default: anything between"
    )
    log: bool = Field(False, description="learn on a logarithmic scale: 0.1 to 1 is as far as 1 to 10; no step then")

    def to_value(self) -> Real:
        """The parameter as the algorithms know it."""
        return Real(name=self.name, val=self.val, min=self.min, max=self.max, step=self.step, log=self.log)


Parameter = Annotated[
    CategoricalParameter | SwitchParameter | IntegerParameter | RealParameter, Field(discriminator="type")
]


class AlgorithmSpec(Handwritten):
    """The learner: its name in the registry, and its arguments."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        "auto", description="`auto` chooses; or a shipped algorithm, or one that is installed with the worker"
    )
    args: Annotated[dict[str, Any], AfterValidator(bounded)] = Field(
        {}, description="by name, as the algorithm's own page says"
    )


class Term(Handwritten):
    """One part of a declared objective: ``weight * aggregate(metric) / scale``, negative where less is better."""

    metric: MetricName = Field(description="as the app records it")
    aggregate: Annotated[
        str, StringConstraints(pattern=r"^(mean|sum|min|max|std|count|rate|p\d{1,2}(\.\d{1,2})?)$")
    ] = Field(
        description="`mean`, `sum`, `min`, `max`, `std`, `count`, `rate` (measurements per second of an instance), or a"
        " percentile such as `p95` or `p99.9`"
    )
    goal: Literal["minimize", "maximize"] = Field(description="whether less or more of it is better")
    weight: Annotated[float, Field(gt=0, le=1e6)] = Field(1.0, description="how much it counts beside other terms")
    scale: Annotated[float, Field(gt=0, le=1e100)] = Field(
        1.0, description="a usual value of the aggregate: it makes the term about 1"
    )
    log: bool = Field(
        False, description="use the natural logarithm of aggregate / scale: halving counts the same anywhere"
    )


class Guardrail(Handwritten):
    """What an arm must not do: be worse than the baseline by more than a tolerance, or than a limit."""

    metric: MetricName = Field(description="as the app records it")
    aggregate: Annotated[
        str, StringConstraints(pattern=r"^(share|mean|sum|min|max|std|count|rate|p\d{1,2}(\.\d{1,2})?)$")
    ] = Field(description="as in an objective's terms; or `share`, the mean of a metric that is 0 or 1, such as errors")
    goal: Literal["minimize", "maximize"] = Field(description="whether less or more of it is better")
    tolerance: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None,
        description="so much worse than the baseline is let pass: 0.1 is 10 %, of a share 10 percentage points, and of"
        " what may be zero or below a tenth of the baseline's standard deviation; default: 0.1, of shares 0.01",
    )
    limit: Finite | None = Field(
        None, description="instead of a tolerance: worse than this is never let pass, whatever the baseline does"
    )
    alpha: Annotated[float, Field(ge=1e-9, le=0.5)] = Field(
        0.01,
        description="chance that an arm as good as the baseline is withdrawn in a round, over all guardrails",
    )

    @model_validator(mode="after")
    def _relative_or_absolute(self) -> Self:
        if self.tolerance is not None and self.limit is not None:
            raise ValueError("a guardrail has a tolerance or a limit: for both, write two")
        return self


class RewardRange(Handwritten):
    """A known range of the reward: rewards are scaled so that it becomes 0 to 1."""

    low: Finite = Field(description="the worst reward that is to be expected: becomes 0")
    high: Finite = Field(description="the best one: becomes 1")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Objective(Handwritten):
    """Where a round's reward comes from: measured by the app, declared over metrics, or an installed function."""

    measured: MetricName | None = Field(None, description="the metric whose mean is the reward; default: reward")
    terms: Annotated[list[Term], Field(min_length=1, max_length=20)] | None = Field(
        None, description="the reward is their sum"
    )
    function: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="name of an entry point in the group oppertune.rewards, installed with the worker"
    )
    range: RewardRange | None = Field(None, description="scale rewards so that it becomes 0 to 1; `auto` needs none")

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that a reward needs; none are known in advance for a function."""
        if self.terms is not None:
            return tuple(dict.fromkeys(term.metric for term in self.terms))
        return () if self.function is not None else (self.measured or "reward",)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(x is not None for x in (self.measured, self.terms, self.function)) > 1:
            raise ValueError("an objective is measured, or has terms, or a function: name one")
        return self


MAX_QUANTITIES = 8
"""Quantities that a tuner keeps of each instance, for its guardrails and its objective."""


class Tracked(NamedTuple):
    """What is kept of each instance so that arms can be compared, for guardrails, the objective, or both.

    Attributes:
        name: In the tuner, unique: aggregate and metric; before them ``~`` where a percentile is an objective, ``!``
            where there is a limit.
        metric: As the app records it.
        aggregate: The spec's word.
        goal: Whether less or more of it is better.
        guardrail: That it is for; ``None`` where it is the objective's alone.
        plain: It is a measured reward: never put in logarithms.
    """

    name: str
    metric: str
    aggregate: str
    goal: Literal["minimize", "maximize"]
    guardrail: Guardrail | None = None
    plain: bool = False

    @property
    def rank(self) -> float | None:
        """Of a percentile, 0 to 1; ``None`` for other aggregates."""
        return float(self.aggregate[1:]) / 100 if self.aggregate[1:2].isdigit() else None

    @property
    def said(self) -> str:
        """For people."""
        return f"{self.aggregate} of {self.metric}"

    @classmethod
    def guarded(cls, guardrail: Guardrail) -> Self:
        """What a guardrail watches."""
        mark = "" if guardrail.limit is None else "!"
        name = f"{mark}{guardrail.aggregate} {guardrail.metric}"
        return cls(name, guardrail.metric, guardrail.aggregate, guardrail.goal, guardrail)

    @classmethod
    def of_term(cls, term: Term) -> Self:
        """What a term of the objective is about."""
        made = cls(f"{term.aggregate} {term.metric}", term.metric, term.aggregate, term.goal)
        return made if made.rank is None else made._replace(name=f"~{made.name}")


class Measurement(Handwritten):
    """When a round has been measured enough."""

    interval_s: PositiveSeconds = Field(10.0, description="how often an instance reports")
    min_samples: Annotated[int, Field(ge=1, le=10**9)] = Field(
        30, description="measurements, of the objective's metric that has the fewest"
    )
    min_instance_share: Share = Field(0.5, description="share of the instances that must have reported")
    min_duration_s: Seconds | None = Field(None, description="measure for so long at least; default: one interval")
    settle_s: Seconds = Field(
        0.0, description="measurements of an instance's first seconds under a request don't count"
    )

    @property
    def duration_s(self) -> float:
        """Shortest time from activation to the end of a measurement, in seconds."""
        return self.interval_s if self.min_duration_s is None else self.min_duration_s


class Deadlines(Handwritten):
    """How long to wait, and what then."""

    activation_s: PositiveSeconds | None = Field(None, description="from publishing to running; default: 6 heartbeats")
    measurement_s: PositiveSeconds | None = Field(None, description="from running to measured; default: ten intervals")
    standstill_s: PositiveSeconds | None = Field(
        None,
        description="no round measured for so long is said to be a standstill; default: ten intervals or more",
    )
    on_inactive: Literal["skip", "fail"] = Field("skip", description="when no instance ran it in time")
    on_silence: Literal["fail", "skip"] = Field(
        "fail", description="when instances that ran it fell silent: fail tells the learner the worst reward, or skip"
    )


class Explore(Handwritten):
    """How much of a context's instances try something new at the same time, beside those that run the incumbent.

    Fewer than four instances run one configuration after the other, all at once.
    """

    share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1,
        description="share of the instances; 1: all at once, one configuration after the other",
    )
    arms: Annotated[int, Field(ge=1, le=12)] = Field(
        4, description="configurations at a time; fewer where the share is of fewer instances than that"
    )


class RolloutSpec(Handwritten):
    """How what the learner recommends becomes the incumbent: judged beside it, in growing stages; or in turn with it.

    Stages are for what runs side by side; where fewer instances are here than that takes, or all explore at once, the
    two are played in turn by all instances.
    """

    enabled: bool = Field(True, description="without it, the declared values stay the incumbent")
    stages: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=10)] = Field(
        [0.05, 0.25, 0.95],
        description="share of the instances in each stage; by the end of the last but one it must be better",
    )
    min_s: Seconds = Field(60.0, description="a stage lasts so long at least")
    max_s: PositiveSeconds = Field(300.0, description="so long after a stage began it is judged by what there is")
    min_change: Annotated[float, Field(ge=0, le=10)] = Field(0.01, description="better means by such a share")
    every: Annotated[int, Field(ge=1, le=100_000)] = Field(
        30, description="in turn: a roll-out begins once in so many rounds, less its own turns"
    )
    turns: Annotated[int, Field(ge=1, le=100)] = Field(
        3, description="in turn: each is played so often, and up to three times as often while it is not clear"
    )

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if sorted(set(self.stages)) != self.stages:
            raise ValueError("stages must grow: each share larger than the one before")
        if self.min_s > self.max_s:
            raise ValueError("min_s must not be above max_s")
        return self


class Target(Handwritten):
    """When to stop: the incumbent's reward has reached ``reward`` for ``rounds`` of its rounds in a row."""

    reward: Finite = Field(description="as the objective gives it, scaled where it has a range")
    rounds: Annotated[int, Field(ge=1, le=1000)] = Field(3, description="so often in a row")
    resume: bool = Field(True, description="tune again when it has been below for as many rounds in a row")


class TunerSpec(Handwritten):
    """A named tuning instance for a fleet."""

    name: TunerName = Field(description="1 to 100 of a-z, 0-9 and . _ -, the first a letter or digit")
    description: Prose = Field("", description="for people")
    parameters: Annotated[list[Parameter], Field(min_length=1, max_length=200)] = Field(description="what may be tuned")
    algorithm: AlgorithmSpec = Field(AlgorithmSpec(), description="how it learns")
    context: ContextSpec = Field(ContextSpec(), description="which situations have configurations of their own")
    objective: Objective = Field(Objective(), description="what is better")
    guardrails: Annotated[list[Guardrail], Field(max_length=MAX_QUANTITIES)] | None = Field(
        None,
        description="what an arm must not do; default: be worse than the baseline in a term of the objective, or in a"
        " measured reward. With none (`[]`), and with an objective that is a function, lost instances alone count",
    )
    measurement: Measurement = Field(Measurement(), description="when a round has been measured enough")
    deadlines: Deadlines = Field(Deadlines(), description="when to give up on a round")
    explore: Explore = Field(Explore(), description="how many instances try something new")
    rollout: RolloutSpec = Field(RolloutSpec(), description="how something better reaches all")
    target: Target | None = Field(None, description="when to stop; default: never")
    mode: Literal["observe", "auto"] = Field(
        "auto", description="`observe`: only measure the incumbent, try nothing; `auto`: tune"
    )
    heartbeat_s: PositiveSeconds = Field(10.0, description="how often an instance says that it is here")
    lease_s: PositiveSeconds | None = Field(None, description="trust in an exploring arm; default: 3 heartbeats")
    max_instances: Annotated[int, Field(ge=1, le=5000)] = Field(1000, description="per context; others are refused")

    @model_validator(mode="before")
    @classmethod
    def _take_over_confirmation(cls, given: object) -> object:
        """A spec of before: what ``confirmation`` said is said by ``rollout`` now, field by field."""
        if not isinstance(given, dict) or "confirmation" not in given:
            return given
        if "rollout" in given:
            raise ValueError("confirmation is now a part of rollout (rounds: turns, every, enabled): name rollout only")
        now = {"rounds": "turns"}
        before = given["confirmation"]
        taken = {now.get(k, k): x for k, x in before.items()} if isinstance(before, dict) else before
        return {**{k: x for k, x in given.items() if k != "confirmation"}, "rollout": taken}

    @model_validator(mode="after")
    def _parameters_are_sound(self) -> Self:
        names = [p.name for p in self.parameters]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"parameter declared twice: {', '.join(twice)}")
        for parameter in self.parameters:
            parameter.to_value()
        if self.target is not None and not self.rollout.enabled:
            raise ValueError("a target is reached by the incumbent: it needs rollout.enabled")
        return self

    @model_validator(mode="after")
    def _guardrails_are_sound(self) -> Self:
        names = [q.name for q in map(Tracked.guarded, self.guardrails or [])]
        if twice := sorted({n.lstrip("!") for n in names if names.count(n) > 1}):
            raise ValueError(f"guardrail declared twice: {', '.join(n.replace(' ', ' of ', 1) for n in twice)}")
        if len(self.quantities) > MAX_QUANTITIES:
            advice = "name fewer guardrails" if self.guardrails is not None else "name guardrails, or fewer terms"
            raise ValueError(
                f"guardrails and objective are about {len(self.quantities)} quantities, and at most {MAX_QUANTITIES}"
                f" are kept of each instance (a percentile that is an objective and guarded is two): {advice}"
            )
        return self

    @cached_property
    def quantities(self) -> tuple[Tracked, ...]:
        """What is kept of each instance: of the guardrails, in their order, then of the rest of the objective."""
        found = {q.name: q for q in map(Tracked.guarded, self.guards)}
        for quantity in self.objective_quantities:
            found[quantity.name] = found.get(quantity.name, quantity)._replace(plain=quantity.plain)
        return tuple(found.values())

    @cached_property
    def quantities_by_metric(self) -> dict[str, tuple[Tracked, ...]]:
        """The same, by metric."""
        return {
            q.metric: tuple(other for other in self.quantities if other.metric == q.metric) for q in self.quantities
        }

    @cached_property
    def guards(self) -> tuple[Guardrail, ...]:
        """The guardrails, or what stands for them where none are named: the objective's terms, each once."""
        if self.guardrails is not None:
            return tuple(self.guardrails)
        of = [(q.metric, q.aggregate, q.goal) for q in self.objective_quantities]
        return tuple(
            Guardrail(metric=metric, aggregate=aggregate, goal=goal)
            for i, (metric, aggregate, goal) in enumerate(of)
            if (metric, aggregate) not in [known[:2] for known in of[:i]]
        )

    @cached_property
    def objective_quantities(self) -> tuple[Tracked, ...]:
        """What the objective is about, term by term; a measured reward is a mean. Of a function nothing is known."""
        if self.objective.terms is not None:
            return tuple(map(Tracked.of_term, self.objective.terms))
        return tuple(Tracked(f"mean {name}", name, "mean", "maximize", plain=True) for name in self.objective.metrics)

    def values(self) -> list[ValueType]:
        """The parameters as the algorithms know them, in the order of declaration."""
        return [p.to_value() for p in self.parameters]

    def declared(self) -> dict[str, str | int | float]:
        """The declared configuration: what runs until something better is rolled out."""
        return {p.name: p.val for p in self.parameters}

    def restart(self) -> list[str]:
        """Names of the parameters for which an app must restart."""
        return [p.name for p in self.parameters if p.restart]

    @property
    def lease_length_s(self) -> float:
        """Seconds for which an exploring arm may be run without a renewal."""
        return self.lease_s if self.lease_s is not None else min(3 * self.heartbeat_s, MAX_SECONDS)

    @property
    def presence_s(self) -> float:
        """Seconds for which an instance counts as present after its last sign of life."""
        return 3 * self.heartbeat_s

    @property
    def activation_s(self) -> float:
        """Seconds from publishing a request to its activation deadline."""
        return self.deadlines.activation_s if self.deadlines.activation_s is not None else 6 * self.heartbeat_s

    @property
    def measurement_s(self) -> float:
        """Seconds from a request's activation to its measurement deadline."""
        given = self.deadlines.measurement_s
        return given if given is not None else 10 * self.measurement.interval_s

    @property
    def standstill_s(self) -> float:
        """Seconds without a measured round, though instances are here, after which it is said to stand still."""
        if self.deadlines.standstill_s is not None:
            return self.deadlines.standstill_s
        return max(10 * self.measurement.interval_s, self.activation_s + self.measurement_s)
