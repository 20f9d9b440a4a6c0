"""Fixtures that several folders share: brokers in the order of the design, and a seed that is printed."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from kafkas import LocalKafka, run_kafka, unique_prefix
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker, create_topics, delete_topics

SEED = int(os.environ.get("OPPERTUNE_TEST_SEED") or random.randrange(2**32))


def pytest_report_header() -> str:
    return f"seed: {SEED} (repeat with OPPERTUNE_TEST_SEED={SEED})"


@pytest.fixture
def seed() -> int:
    return SEED


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of a real Kafka: given, run beside the checkout, or in a container; else the test skips, saying so."""
    if given := os.environ.get("OPPERTUNE_TEST_BOOTSTRAP"):
        yield given
        return
    if command := run_kafka():
        broker = LocalKafka(command)
        try:
            yield broker.start().bootstrap
        finally:
            broker.close()
        return
    yield from _in_a_container()


def _in_a_container() -> Iterator[str]:
    tried = "OPPERTUNE_TEST_BOOTSTRAP is not set, ../shared/kafka/run-kafka or Java is missing"
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode:
        pytest.skip(f"no real Kafka: {tried}, and no Docker engine answers")
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer("apache/kafka:4.1.0").with_kraft() as container:
        yield container.get_bootstrap_server()


@pytest.fixture
def fleet_on(kafka: str) -> Iterator[Callable[..., BrokerSettings]]:
    """Makes topics under prefixes of their own on the real Kafka: ``fleet_on(partitions=4)``."""
    made: list[BrokerSettings] = []

    def make(partitions: int = 4) -> BrokerSettings:
        settings = BrokerSettings(bootstrap=kafka, prefix=unique_prefix())
        create_topics(settings, partitions=partitions)
        made.append(settings)
        return settings

    yield make
    for settings in made:
        delete_topics(settings)


@pytest.fixture
def real(fleet_on: Callable[..., BrokerSettings]) -> BrokerSettings:
    """Topics under a prefix of their own on a real Kafka, four partitions each."""
    return fleet_on()


@pytest.fixture
def private_kafka() -> Iterator[LocalKafka]:
    """A broker of the test's own, to be paused, killed and started again."""
    command = run_kafka()
    if command is None:
        pytest.skip("a broker to pause and kill needs ../shared/kafka/run-kafka and Java")
    broker = LocalKafka(command)
    try:
        yield broker.start()
    finally:
        broker.close()


@pytest.fixture
def embedded() -> Iterator[BrokerSettings]:
    """The embedded broker, with all topics."""
    with EmbeddedBroker(prefix=unique_prefix()) as broker:
        yield broker.settings
