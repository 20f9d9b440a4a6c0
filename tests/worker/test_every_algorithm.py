"""Every registered algorithm, and one that is installed, in a stream: one worker process on the embedded broker."""

import time
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest

from kafkas import value_of
from narrowing import number
from oppertune.algorithms.all import ALGORITHMS, get_algorithm_class
from oppertune.algorithms.testing import some_reward
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real
from oppertune.schemas import RoundRecord
from oppertune.streams.broker import BrokerSettings
from worker.fleet import Fleet, spec
from worker.ledger import read
from worker.processes import Worker

PLUGINS = Path(__file__).parents[1] / "plugins"

PARAMETERS = (
    Categorical("mode", "slow", ("slow", "fast")),
    Integer("pool", 10, 1, 100),
    Real("ratio", 0.5, 0.0, 1.0),
)
JOBS = (1, 2)
SCOPES = {Context({"job": job}).id: job for job in JOBS}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "auto": {"features": ["job"]},
    "autoscope": {"features": [{"name": "job", "values": None}], "height": 1},
    "ddpg": {
        "state_config": [{"name": "job", "type": "integer", "val": 1, "min": 1, "max": 2}],
        "initial_random_steps": 1,
        "learn_loop_count": 2,
    },
    "surrogate": {"features": ["job"]},
}
"""What an algorithm needs to make use of the context, and to be done with warming up within the test."""

INSTALLED = "halving"
"""By the extension guide; an entry point of ``tests/plugins`` offers it."""

ROUNDS = 3


def spec_of(name: str) -> dict[str, Any]:
    """A tuner of the algorithm's name: two contexts, with a learner for both where it can make use of them."""
    cls = get_algorithm_class(name)
    tuned = [p.to_dict() for p in PARAMETERS if isinstance(p, cls.capabilities.supported_parameter_types)]
    learner = "shared" if cls.capabilities.supports_context else "per_context"
    return {
        **spec(name, min_samples=1),
        "parameters": tuned,
        "algorithm": {"name": name, "args": ARGUMENTS.get(name, {})},
        "context": {"features": [{"name": "job", "values": JOBS}], "learner": learner},
    }


class Everyone(Fleet):
    """An instance in each context of one tuner per algorithm; it answers every request with one reward, at once."""

    def __init__(self, broker: BrokerSettings) -> None:
        super().__init__(broker.bootstrap, broker.prefix, tuners=0)
        self.names = [*ALGORITHMS, INSTALLED]
        self._seq = dict.fromkeys(self.names, -1)
        self.answered: dict[tuple[str, str], list[str]] = {(name, scope): [] for name in self.names for scope in SCOPES}

    def apply(self) -> None:
        for name in self.names:
            command = {"v": 1, "id": f"apply-{name}", "kind": "apply", "tuner": name, "author": "test"}
            self._send("commands", name, {**command, "spec": spec_of(name)})
        self.flush()

    def here(self) -> None:
        for name, job in product(self.names, JOBS):
            event = {"v": 1, "id": f"{name}-{job}-{time.time_ns()}", "tuner": name, "instance": f"app-{job}"}
            self._send("contexts", name, {**event, "context": {"job": job}, "ttl_s": 3600})
        self.flush()

    def follow(self, wait_s: float = 0.0) -> None:
        for message in self._configs.consume(1000, wait_s):
            record = orjson.loads(value_of(message))
            answered = self.answered.get((record["tuner"], record["scope"]), [])  # without a context nobody is there
            for arm in record["arms"]:
                if arm["request_id"] not in answered:
                    answered.append(arm["request_id"])
                    self.arms[record["tuner"]] = {**arm, "scope": record["scope"]}
                    self._send("metrics", record["tuner"], self.metric(record["tuner"], some_reward(arm["values"])))

    def waiting(self) -> list[tuple[str, str]]:
        """Tuners and scopes of which too few rounds were answered: the next request says that one was closed."""
        return [where for where, ids in self.answered.items() if len(ids) <= ROUNDS]


def test_every_algorithm_is_told_its_rewards_in_each_context(
    embedded: BrokerSettings, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    one = worker("a", embedded).start()
    one.wait_ready()
    with Everyone(embedded) as fleet:
        fleet.apply()
        deadline, appear = time.monotonic() + 40, 0.0
        while waiting := fleet.waiting():
            assert one.alive
            assert time.monotonic() < deadline, f"no {ROUNDS} rounds of {waiting}"
            if time.monotonic() > appear:  # there is no order between topics: a tuner may come after who is here
                fleet.here()
                appear = time.monotonic() + 2
            fleet.follow(0.1)
        fleet.flush()
    rounds = _rounds(embedded)
    for where in fleet.answered:
        told = [r for r in rounds[where] if r.outcome == "measured"]
        assert len(told) >= ROUNDS, where
        assert [r.request_id for r in told] == fleet.answered[where][: len(told)]
        for closed in told:
            assert closed.context == {"job": SCOPES[where[1]]}
            assert closed.values is not None
            assert closed.told == closed.reward == pytest.approx(some_reward(closed.values))
    for scope in SCOPES:
        pools = [number((r.values or {})["pool"]) for r in rounds[INSTALLED, scope][:ROUNDS]]
        assert pools[0] > pools[-1], "it halves them with every reward"


def _rounds(broker: BrokerSettings) -> dict[tuple[str, str], list[RoundRecord]]:
    """The rounds of each tuner and scope, in order."""
    found = defaultdict(list)
    for messages in read(broker.bootstrap, broker.topic("rounds")).values():
        for message in messages:
            closed = RoundRecord.from_bytes(value_of(message))
            found[closed.tuner, closed.scope].append(closed)
    return found
