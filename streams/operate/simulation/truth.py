"""What tuning really cost and brought: known in a simulation alone, because it knows what each configuration does."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from .system import Effect, System, quality

BAD = 1.1
"""Worse than the declared values by more than this factor of cost is bad."""

BAD_ERRORS = 0.01
"""So is a share of failing requests that is larger by more than this."""

BINS = 120
"""Parts of the simulated time, for a picture."""


def worse(effect: Effect, than: Effect) -> bool:
    """Whether one is clearly worse than another: slower by more than 10 %, more errors by 1 point, or it crashes."""
    return effect.cost > BAD * than.cost or effect.errors > than.errors + BAD_ERRORS or effect.crashes > than.crashes


def no_worse(effect: Effect, than: Effect) -> bool:
    """Whether one is in nothing worse than another."""
    return effect.cost <= than.cost and effect.errors <= than.errors and effect.crashes <= than.crashes


@dataclass(slots=True)
class ArmTruth:
    """An arm that some instance ran. Times are in ms of virtual time from the beginning.

    Attributes:
        kind: As in the config record.
        hash: Of its values.
        bad: It was clearly worse than the incumbent when it was first run.
        harmless: It was in nothing worse.
        on_ms: When the first instance ran it.
        running: Instances that run it now.
        share: Largest share of the fleet, 0 to 1, that ran it at once.
        first_report_ms: When one of them first reported; ``None`` before.
        off_ms: When the last of them stopped running it.
        broken_ms: When it was withdrawn; ``None``: it was not.
    """

    kind: str
    hash: str
    bad: bool
    harmless: bool
    on_ms: int
    running: int = 0
    share: float = 0.0
    first_report_ms: int | None = None
    off_ms: int | None = None
    broken_ms: int | None = None


@dataclass(slots=True)
class Bin:
    """A part of the simulated time.

    Attributes:
        instance_ms: Instance-time in it.
        bad_ms: … under bad configurations.
        cost: Integral of the cost over instance-time.
    """

    instance_ms: int = 0
    bad_ms: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class Truth:
    """The accounts of a simulation.

    Attributes:
        bin_ms: Length of a bin.
        instance_ms: Time that instances lived, summed over them.
        bad_ms: … and ran a configuration that was bad, measured against the declared values.
        quality: Integral of q over instance-time; of what no quality is known, 0.
        regret: Integral of cost / best - 1 over instance-time.
        bins: By number from the beginning.
        arms: By request id.
        incumbents: The incumbents' mean cost, from a time on, in ms of virtual time from the beginning.
        promotions: Times at which a scope's incumbent changed, in ms of virtual time from the beginning.
        withdrawals: Times at which an arm was withdrawn.
    """

    bin_ms: int = 60_000
    instance_ms: int = 0
    bad_ms: int = 0
    quality: float = 0.0
    regret: float = 0.0
    bins: dict[int, Bin] = field(default_factory=dict)
    arms: dict[str, ArmTruth] = field(default_factory=dict)
    incumbents: list[tuple[int, float]] = field(default_factory=list)
    promotions: list[int] = field(default_factory=list)
    withdrawals: list[int] = field(default_factory=list)

    def account(self, system: System, effect: Effect, declared: Effect, from_ms: int, to_ms: int) -> None:
        """An instance ran a configuration for a while.

        Args:
            system: Of the configuration.
            effect: What it did.
            declared: What the declared values would have done.
            from_ms: Since the beginning; the instance's time before is accounted for.
            to_ms: Likewise.
        """
        lived = to_ms - from_ms
        if lived <= 0:
            return
        bad = worse(effect, declared)
        q = quality(system, effect.cost)
        self.instance_ms += lived
        self.bad_ms += lived * bad
        self.quality += 0.0 if math.isnan(q) else q * lived
        self.regret += (effect.cost / system.best - 1) * lived
        part = self.part(to_ms)
        part.instance_ms += lived
        part.bad_ms += lived * bad
        part.cost += effect.cost * lived

    def part(self, at_ms: int) -> Bin:
        """The bin of a moment."""
        number = at_ms // self.bin_ms
        if number not in self.bins:
            self.bins[number] = Bin()
        return self.bins[number]

    def on(self, request_id: str, begun: Callable[[], ArmTruth], instances: int) -> None:
        """An instance begins to run an arm; ``begun`` tells of one that is new, ``instances`` live in all."""
        arm = self.arms.get(request_id)
        if arm is None:
            arm = self.arms[request_id] = begun()
        arm.running += 1
        arm.share = max(arm.share, arm.running / max(instances, 1))

    def off(self, request_id: str, at_ms: int) -> None:
        """An instance runs an arm no more."""
        arm = self.arms[request_id]
        arm.running -= 1
        arm.off_ms = at_ms

    def reported(self, request_id: str, at_ms: int) -> None:
        """An instance reports what it measured of an arm."""
        arm = self.arms[request_id]
        if arm.first_report_ms is None:
            arm.first_report_ms = at_ms

    def broke(self, request_id: str, at_ms: int) -> None:
        """The worker withdrew an arm."""
        self.withdrawals.append(at_ms)
        if request_id in self.arms:
            self.arms[request_id].broken_ms = at_ms

    def exposures_ms(self) -> list[int]:
        """Of bad arms that nobody runs any more: from the first report to the last instance off it."""
        return [
            max(arm.off_ms - arm.first_report_ms, 0)
            for arm in self.arms.values()
            if arm.bad and not arm.running and arm.first_report_ms is not None and arm.off_ms is not None
        ]
