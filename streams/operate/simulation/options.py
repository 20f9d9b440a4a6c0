"""What a simulated fleet is like: how many, how noisy, how unreliable."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """A simulated fleet. Where it says "per hour", it is of the whole fleet.

    The defaults of noise are the world in which the guardrails' statistics were chosen: hosts ± 15 %, lasting noise of
    an instance ± 10 %, shocks of all ± 5 %.

    Attributes:
        instances: How many there are at the beginning, 1 or more.
        seed: Of everything that is drawn.
        rate_per_s: Requests per second and instance, above 0, on the day's mean.
        host_sd: Lasting differences of hosts: standard deviation of the logarithm of what is measured.
        noise_sd: An instance's own noise, likewise.
        noise_memory: Correlation of that noise over one interval, 0 to 1 (AR(1)).
        shock_sd: Shocks that all instances feel alike, anew every 10 s.
        swing: Load and measurements swing by this share over a day.
        swing_sd: How differently hosts answer to it, as a share of it.
        joins: Instances that come, per hour.
        deaths: Instances that go for ever, per hour: half of them say goodbye.
        restarts: Instances that start anew under their name, per hour.
        late: Share of metric events that come late, by 3 intervals on average.
        missing: Share of metric events that never come.
        doubled: Share of metric events that come twice.
        stragglers: Share of instances that follow each record late.
        straggle_s: By how many seconds on average.
        outliers: Share of metric events whose measurements are all 20 times too large.
        backend: How much a shared back end suffers: what all measure is multiplied by (mean cost of what the fleet
            runs)^backend where that is above the declared values'. 0: there is none.
        switch_at_h: Hour at which the optimum moves; ``None``: never.
        away_at_h: Hour at which the worker stops; ``None``: never.
        away_s: For so many seconds.
        slump_at_h: Hour at which all becomes slower, whatever is run; ``None``: never.
        slump_s: For so many seconds.
        slump: So many times, above 0.
    """

    instances: int = 20
    seed: int = 0
    rate_per_s: float = 10.0
    host_sd: float = 0.15
    noise_sd: float = 0.1
    noise_memory: float = 0.9
    shock_sd: float = 0.05
    swing: float = 0.4
    swing_sd: float = 0.2
    joins: float = 0.0
    deaths: float = 0.0
    restarts: float = 0.0
    late: float = 0.01
    missing: float = 0.01
    doubled: float = 0.005
    stragglers: float = 0.001
    straggle_s: float = 20.0
    outliers: float = 0.001
    backend: float = 0.0
    switch_at_h: float | None = None
    away_at_h: float | None = None
    away_s: float = 0.0
    slump_at_h: float | None = None
    slump_s: float = 0.0
    slump: float = 2.0
