"""A tuner's topics without a worker: config records published by hand, events read as they come."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from kafkas import value_of, wait_for
from oppertune.core.values import Categorical, Integer, ValueType
from oppertune.schemas import ConfigRecord, ContextEvent, MetricEvent
from oppertune.schemas.keys import partition_of, values_hash
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.client import TunerClient

TUNER = "checkout"
PARAMETERS: list[ValueType] = [Integer("pool", 10, min=1, max=100), Categorical("mode", "slow", ["slow", "fast"])]
INCUMBENT = {"pool": 20, "mode": "slow"}


def arm(pool: Any = 42, mode: str = "fast", *, round_: int = 1, name: str = "candidate", **more: Any) -> dict[str, Any]:
    values = more.pop("values", {"pool": pool, "mode": mode})
    return {
        "arm": name,
        "request_id": f"{name}-{round_}",
        "round": round_,
        "kind": "explore",
        "share": 1.0,
        "values": values,
        "hash": values_hash(values),
        **more,
    }


def record(*arms: dict[str, Any], version: int = 1, **more: Any) -> dict[str, Any]:
    incumbent = more.pop("incumbent", INCUMBENT)
    return {
        "v": 1,
        "tuner": TUNER,
        "scope": "",
        "incarnation": 1,
        "version": version,
        "status": "tuning",
        "incumbent": {"values": incumbent, "hash": values_hash(incumbent)},
        "arms": arms,
        "salt": "1",
        "lease_s": 30.0,
        "published_ms": 1_000 * version,
        "interval_s": 0.2,
        "settle_s": 0.0,
        "heartbeat_s": 10.0,
        **more,
    }


def config(*arms: dict[str, Any], **more: Any) -> ConfigRecord:
    return ConfigRecord.model_validate(record(*arms, **more))


class Topics:
    """The topics as seen from the worker's side."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.contexts: list[ContextEvent] = []
        self.metrics: list[MetricEvent] = []
        self._published: dict[str, dict[str, Any]] = {}
        self._producer = Producer(settings.producer())
        self._consumer: Consumer | None = None
        self._partitions = 4

    def publish(self, *arms: dict[str, Any], key: str = TUNER, age_s: float = 0.0, **more: Any) -> None:
        it = record(*arms, **more)
        self.publish_raw(orjson.dumps(it), key=key, age_s=age_s)
        self._published[key] = it

    def renew(self) -> None:
        """Publish the newest records once more, as a worker does at a third of a lease."""
        for key, it in self._published.items():
            it["published_ms"] += 1
            self.publish_raw(orjson.dumps(it), key=key)

    def publish_raw(self, value: bytes | None, *, key: str = TUNER, age_s: float = 0.0) -> None:
        self._producer.produce(
            self.settings.topic("configs"),
            key=key.encode(),
            value=value,
            partition=partition_of(TUNER, self._partitions),
            timestamp=int((time.time() - age_s) * 1000),
        )
        assert self._producer.flush(10) == 0

    def read(self) -> "Topics":
        """Take over the events that have come."""
        if self._consumer is None:
            self._consumer = Consumer(self.settings.consumer())
            self._consumer.assign(
                [
                    TopicPartition(self.settings.topic(topic), p, OFFSET_BEGINNING)
                    for topic in ("contexts", "metrics")
                    for p in range(self._partitions)
                ]
            )
        while (message := self._consumer.poll(0.05)) is not None:
            if message.error() is not None:
                continue
            assert message.key() == TUNER.encode()
            assert message.partition() == partition_of(TUNER, self._partitions)
            if message.topic() == self.settings.topic("contexts"):
                self.contexts.append(ContextEvent.from_bytes(value_of(message)))
            else:
                self.metrics.append(MetricEvent.from_bytes(value_of(message)))
        return self

    def read_anew(self) -> None:
        """Read all from the beginning by a new consumer: after a pause of the broker, one of librdkafka's may go on
        asking under an old leader epoch for longer than a test waits (seen)."""
        self.close()
        self._consumer = None
        self.contexts.clear()
        self.metrics.clear()

    def measured(self, request_id: str, metric: str = "latency_ms") -> list[Any]:
        """Summaries of a metric that came for a request."""
        self.read()
        return [e.metrics[metric] for e in self.metrics if e.request_id == request_id and metric in e.metrics]

    def running(self, request_id: str | None) -> list[ContextEvent]:
        """Context events that name a request."""
        return [event for event in self.read().contexts if event.request_id == request_id]

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


@pytest.fixture
def topics(embedded: BrokerSettings) -> Iterator[Topics]:
    topics = Topics(embedded)
    yield topics
    topics.close()


MakeClient = Callable[..., TunerClient]


@pytest.fixture
def make(topics: Topics, tmp_path: Path) -> Iterator[MakeClient]:
    """Makes clients and starts them; they are closed at the end, and none may be slow about it.

    Where they can listen, they do when they are handed over, and what was published before is renewed.
    """
    made: list[TunerClient] = []

    def make(*, start: bool = True, listens: bool = True, **more: Any) -> TunerClient:
        given = {"settings": topics.settings, "state_dir": tmp_path / "state", "instance": "a", **more}
        client = TunerClient(TUNER, given.pop("parameters", PARAMETERS), **given)
        made.append(client)
        if start:
            client.start()
            if listens and not client._disabled:
                renew(topics, client)
        return client

    yield make
    for client in made:
        client.close(1.0)


def renew(topics: Topics, client: TunerClient) -> None:
    """Renew what was published, as soon as a client listens: only then it runs what is tried."""
    wait_for(lambda: client._agent.connection.caught_up, "the client to listen")
    topics.renew()


def until_values(client: TunerClient, **values: Any) -> None:
    wait_for(lambda: dict(client.values) | values == dict(client.values), f"values {values}, not {client.values}")


def until_renewed(topics: Topics, client: TunerClient, **values: Any) -> None:
    """Renew what was published until a client runs it, however often it connects anew meanwhile."""

    def runs() -> bool:
        topics.renew()
        return dict(client.values) | values == dict(client.values)

    wait_for(runs, f"values {values}", 40, every_s=1.0)  # a delivery that timed out first takes ten of them
