"""Running copies of an app on a real Kafka, a TunerClient each, in threads of one process: what each ran, and when."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_NOT_AVAILABLE, Consumer, Producer, TopicPartition

from kafkas import value_of
from oppertune.core.values import Real
from oppertune.schemas import ConfigRecord
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.client import Snapshot, TunerClient

DECLARED = 10.0
POOL = Real("pool", val=DECLARED, min=1.0, max=100.0)
TUNER = "shop"

Latency = Callable[[Snapshot], float]


def spec(**changes: Any) -> dict[str, Any]:
    """A tuner whose apps report often, and whose arms are compared by their p95."""
    return {
        "name": TUNER,
        "parameters": [POOL.to_dict()],
        "algorithm": {"name": "auto", "args": {"random_seed": 3}},
        "objective": {"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "log": True}]},
        "measurement": {"interval_s": 1.0, "min_samples": 30},
        "heartbeat_s": 1.0,
        "lease_s": 60.0,
        "rollout": {"min_s": 1.0, "max_s": 30.0},
        **changes,
    }


class Change(NamedTuple):
    """An app runs other values from ``at_s`` on (epoch, seconds)."""

    at_s: float
    pool: float


class App:
    """One running copy. ``changes`` says what it ran since it began, its first values included."""

    def __init__(self, broker: BrokerSettings, folder: Path, name: str) -> None:
        self.name = name
        self.client = TunerClient(TUNER, [POOL], settings=broker, instance=name, state_dir=folder / name)
        self.changes = [Change(time.time(), self.client["pool"])]
        self.client.on_change(lambda new, _: self.changes.append(Change(time.time(), float(new["pool"]))))
        self.client.start()

    @property
    def pool(self) -> float:
        return float(self.client["pool"])


class Apps:
    """Copies of an app that all work at a steady rate; ``latency`` says how slow a configuration is, in milliseconds.

    Args:
        broker: The real Kafka.
        folder: For what the clients keep.
        size: How many copies.
        latency: By what a copy runs; the median of its requests.
        pause_s: Between two requests of a copy.
    """

    def __init__(
        self, broker: BrokerSettings, folder: Path, size: int, latency: Latency, pause_s: float = 0.025
    ) -> None:
        self._broker, self._folder, self._latency, self._pause_s = broker, folder, latency, pause_s
        self._random = random.Random(1)
        self.all = {name: App(broker, folder, name) for name in (f"i{n:02d}" for n in range(size))}
        self._over = threading.Event()
        self._work = threading.Thread(target=self._serve, daemon=True)
        self._host = {name: self._random.gauss(0, 0.1) for name in self.all}

    def __enter__(self) -> Self:
        self._work.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._work.join()
        closing = [threading.Thread(target=app.client.close, args=(2.0,)) for app in self.all.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _serve(self) -> None:
        while not self._over.wait(self._pause_s):
            for app in list(self.all.values()):
                snapshot = app.client.snapshot()
                usual = self._latency(snapshot) * 2.718281828 ** self._host[app.name]
                app.client.record("latency_ms", usual * self._random.lognormvariate(0, 0.3), snapshot)

    def restart(self, name: str) -> App:
        """End a copy, and start it again under its name, with what it kept."""
        self.all[name].client.close(2.0)
        self.all[name] = App(self._broker, self._folder, name)
        return self.all[name]

    def on(self, pool: float) -> set[str]:
        """Who runs these values now."""
        return {name for name, app in self.all.items() if app.pool == pool}

    def off(self, pool: float) -> set[str]:
        """Who runs others."""
        return self.all.keys() - self.on(pool)

    def last_change_s(self) -> float:
        """When the last of them changed its values (epoch, seconds)."""
        return max(app.changes[-1].at_s for app in self.all.values())

    def problems(self) -> dict[str, int]:
        """What the clients say is wrong, and how many say so."""
        return Counter(problem for app in self.all.values() for problem in app.client.problems)


class Published(NamedTuple):
    """A record and the broker's timestamp, in seconds."""

    at_s: float
    record: ConfigRecord

    def kinds(self) -> set[str]:
        return {arm.kind for arm in self.record.arms}

    def request_of(self, arm: str) -> str | None:
        return next((one.request_id for one in self.record.arms if one.arm == arm and one.kind != "withdrawn"), None)


class Topic:
    """A tuner's records of a topic, read on as they come."""

    def __init__(self, broker: BrokerSettings, topic: str, partitions: int = 4) -> None:
        self.messages: list[tuple[float, str, bytes]] = []
        self._consumer = Consumer(
            broker.consumer()
            | {"isolation.level": "read_committed", "fetch.wait.max.ms": 10, "enable.auto.commit": False}
        )
        place = TopicPartition(broker.topic(topic), partition_of(TUNER, partitions), OFFSET_BEGINNING)
        self._consumer.assign([place])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def follow(self, wait_s: float = 0.01) -> list[tuple[float, str, bytes]]:
        """What came since, as broker's timestamp in seconds, key and value."""
        new = []
        while messages := self._consumer.consume(1000, wait_s):
            wait_s = 0.0
            for message in messages:
                key, (kind, at_ms) = message.key(), message.timestamp()
                if message.error() is None and message.value() is not None and kind != TIMESTAMP_NOT_AVAILABLE:
                    new.append((at_ms / 1000, (key or b"").decode(), value_of(message)))
        self.messages += new
        return new


class Configs(Topic):
    """What was published for the tuner's one scope, renewals included."""

    def __init__(self, broker: BrokerSettings) -> None:
        super().__init__(broker, "configs")
        self.published: list[Published] = []

    def newest(self) -> Published | None:
        for at_s, _, value in self.follow():
            self.published.append(Published(at_s, ConfigRecord.from_bytes(value)))
        return self.published[-1] if self.published else None


def command(broker: BrokerSettings, kind: str, **more: Any) -> None:
    """Publish a command."""
    event = {"v": 1, "id": f"{kind}-{time.time_ns()}", "kind": kind, "tuner": TUNER, "author": "ops", **more}
    producer = Producer(broker.producer())
    producer.produce(broker.topic("commands"), key=TUNER, value=orjson.dumps(event))
    assert producer.flush(10) == 0
