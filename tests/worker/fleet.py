"""A fleet in one object: applies tuners, follows their configurations, sends numbered rewards. No worker code."""

import time
from typing import Any, Self

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from kafkas import value_of


def spec(name: str, heartbeat_s: float = 600.0, **measurement: Any) -> dict[str, Any]:
    return {
        "name": name,
        "parameters": [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}],
        "algorithm": {"name": "bluefin", "args": {"random_seed": 7}},
        "measurement": {
            "interval_s": 1.0,
            "min_samples": 30,
            "min_instance_share": 0,
            "min_duration_s": 0,
            "settle_s": 0,
            **measurement,
        },
        "deadlines": {"activation_s": 3600, "measurement_s": 3600},
        "rollout": {"enabled": False},
        "heartbeat_s": heartbeat_s,
    }


class Fleet:
    """One instance of an app per tuner. Rewards are 1, 2, 3, …, one metric event each, dealt out in turn."""

    def __init__(self, bootstrap: str, prefix: str, tuners: int = 8, **measurement: Any) -> None:
        self.prefix = prefix
        self.names = [f"tuner-{i}" for i in range(tuners)]
        self.sent = 0
        self.acknowledged = 0
        self.failed = 0
        self.arms: dict[str, dict[str, Any]] = {}
        self.published: dict[str, int] = {}
        self._measurement = measurement
        self._seq = dict.fromkeys(self.names, -1)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "enable.idempotence": True,
                "message.timeout.ms": 120_000,
                "log_level": 2,
            }
        )
        self._configs = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{prefix}fleet",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "log_level": 2,
            }
        )
        topic = self._configs.list_topics(f"{prefix}configs", 10).topics[f"{prefix}configs"]
        self._configs.assign([TopicPartition(f"{prefix}configs", p, OFFSET_BEGINNING) for p in topic.partitions])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._configs.close()
        self._producer.purge()

    def apply(self) -> None:
        """Apply a spec for every tuner, and say that an instance of each is here."""
        for name in self.names:
            command = {"v": 1, "id": f"apply-{name}", "kind": "apply", "tuner": name, "author": "test"}
            self._send("commands", name, {**command, "spec": spec(name, **self._measurement)})
        self.flush()

    def here(self) -> None:
        for name in self.names:
            event = {"v": 1, "id": f"{name}-{time.time_ns()}", "tuner": name, "instance": "app", "ttl_s": 3600}
            self._send("contexts", name, event)
        self.flush()

    def start(self, within_s: float = 30) -> None:
        """Apply, appear, and wait until every tuner has an arm to run."""
        self.apply()
        deadline = time.monotonic() + within_s
        appear = 0.0
        while len(self.arms) < len(self.names):
            assert time.monotonic() < deadline, f"only {len(self.arms)} of {len(self.names)} tuners have an arm"
            if time.monotonic() > appear:
                # There is no order between topics: an appearance may be folded before its tuner is there.
                self.here()
                appear = time.monotonic() + 1
            self.follow(0.1)

    def follow(self, wait_s: float = 0.0) -> None:
        """Take over the newest configurations."""
        while messages := self._configs.consume(1000, wait_s):
            wait_s = 0.0
            for message in messages:
                if message.error() is None and message.value() is not None:
                    record = orjson.loads(value_of(message))
                    self.published[record["tuner"]] = message.timestamp()[1]
                    if record["arms"]:
                        self.arms[record["tuner"]] = {**record["arms"][0], "scope": record["scope"]}

    def reward(self, count: int = 1) -> None:
        """Send the next numbered rewards."""
        for _ in range(count):
            self.sent += 1
            name = self.names[self.sent % len(self.names)]
            self._send("metrics", name, self.metric(name, self.sent))

    def metric(self, name: str, value: float) -> dict[str, Any]:
        arm = self.arms[name]
        self._seq[name] += 1
        return {
            "v": 1,
            "id": f"{name}-{self._seq[name]}",
            "tuner": name,
            "instance": "app",
            "boot": "1",
            "seq": self._seq[name],
            "scope": arm["scope"],
            "round": arm["round"],
            "arm": arm["arm"],
            "request_id": arm["request_id"],
            "values_hash": arm["hash"],
            "interval_s": 1.0,
            "active_for_s": 5.0,
            "metrics": {"reward": value},
        }

    def reward_until(self, total: int, per_s: float) -> None:
        """Follow configurations and send rewards at a steady rate until so many are sent in all."""
        began, before = time.monotonic(), self.sent
        while self.sent < total:
            due = min(before + int((time.monotonic() - began) * per_s), total)
            self.reward(due - self.sent)
            self._producer.poll(0)
            self.follow(0.01)

    def poll(self, seconds: float) -> None:
        """Let this much time pass, serving deliveries."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._producer.poll(0.1)

    def flush(self, within_s: float = 30) -> None:
        left = self._producer.flush(within_s)
        assert left == 0, f"{left} records were not delivered within {within_s} s"

    def _send(self, topic: str, name: str, event: dict[str, Any]) -> None:
        self._producer.produce(
            self.prefix + topic, key=name.encode(), value=orjson.dumps(event), on_delivery=self._delivered
        )

    def _delivered(self, error: Any, _: Any) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1
