"""A fleet in a test's world: instances that follow the config record, each on its own, and report every interval."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oppertune.core.assignment import choose, position
from oppertune.schemas.configs import Arm
from world import World

Latency = Callable[[Mapping[str, Any]], float]


@dataclass
class Fleet:
    """Instances of one scope; ``latency`` says how slow a configuration is, in milliseconds, at the median."""

    world: World
    size: int
    latency: Latency
    seed: int = 1
    measurements: int = 30
    noise: float = 0.05
    errors: Callable[[Mapping[str, Any]], float] | None = None
    names: list[str] = field(default_factory=list)
    ran: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = [f"i{n:03d}" for n in range(self.size)]
        self.random = random.Random(self.seed)
        self.host = {name: self.random.gauss(0, 0.1) for name in self.names}

    def arms(self) -> dict[str, Arm | None]:
        """What each instance runs now: an arm of the record, or nothing of it."""
        record = self.world.config()
        shares = [(arm.share, arm) for arm in record.arms]
        return {name: choose(shares, position(record.salt, name)) for name in self.names}

    def count(self) -> dict[str, int]:
        """How many instances run each arm."""
        found: dict[str, int] = {}
        for arm in self.arms().values():
            found[arm.arm if arm is not None else ""] = found.get(arm.arm if arm is not None else "", 0) + 1
        return found

    def here(self) -> None:
        """Each instance says that it is here, and what it runs."""
        arms = self.arms() if "checkout" in self.world.configs else dict.fromkeys(self.names)
        for name in self.names:
            arm = arms[name]
            running = arm is not None and arm.kind != "withdrawn"
            self.world.here(name, **({"request_id": arm.request_id} if arm is not None and running else {}))
        self.world.fold()

    def report(self, name: str, arm: Arm) -> None:
        """An instance reports an interval under an arm."""
        if arm.kind == "withdrawn":
            return
        level = self.latency(arm.values) * 2.718281828 ** self.host[name]
        load = 2.718281828 ** self.random.gauss(0, self.noise)
        values = [level * load * self.random.lognormvariate(0, 0.3) for _ in range(self.measurements)]
        metrics: dict[str, Any] = {"latency_ms": values}
        if self.errors is not None:
            share = self.errors(arm.values)
            metrics["errors"] = [float(self.random.random() < share) for _ in range(self.measurements)]
        event = self.world.metric_event(name, metrics=metrics) | {
            "round": arm.round,
            "arm": arm.arm,
            "request_id": arm.request_id,
            "values_hash": arm.hash,
        }
        self.world.send("metrics", event)

    def interval(self, *, silent: Callable[[str, Arm], bool] = lambda *_: False) -> None:
        """An interval passes, and each reports at the end of its own, one after the other."""
        arms = self.arms()
        self.ran.append({name: arm.arm if arm is not None else "" for name, arm in arms.items()})
        for name in self.names:
            self.world.now_ms += 1000 // len(self.names)
            arm = arms[name]
            if arm is not None and not silent(name, arm):
                self.report(name, arm)
                self.world.fold()
        self.world.now_ms += 1000 % len(self.names)
        self.here()

    def play(self, intervals: int) -> None:
        """Several of them."""
        for _ in range(intervals):
            self.interval()
