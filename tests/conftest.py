"""Fixtures that several folders share: brokers in the order of the design, and a seed that is printed."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kafkas import LocalKafka, answers, free_port, run_kafka, unique_prefix, wait_for
from oppertune.core.errors import OppertuneError
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker, create_topics, delete_topics

GIVEN_SEED = os.environ.get("OPPERTUNE_TEST_SEED")
SEED = int(GIVEN_SEED or random.randrange(2**32))
_REPEAT = f"seed: {SEED} (repeat with OPPERTUNE_TEST_SEED={SEED})"


@pytest.hookimpl(tryfirst=True)  # before Hypothesis looks for its seed
def pytest_configure(config: pytest.Config) -> None:
    if GIVEN_SEED and config.getoption("--hypothesis-seed", None) is None:
        # Only where a run is repeated: a forced seed keeps Hypothesis from its database of failures.
        config.option.hypothesis_seed = GIVEN_SEED
    # Like Ctrl-C: fixtures end their brokers. By default SIGTERM (CI, timeout) would leave them running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_report_header() -> str:
    return _REPEAT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(_REPEAT)  # the header is not shown with -q


@pytest.fixture
def seed() -> int:
    return SEED


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of a real Kafka: given, run beside the checkout, or in a container; else the test skips, saying so."""
    if given := os.environ.get("OPPERTUNE_TEST_BOOTSTRAP"):
        yield given
        return
    if command := _local_command():
        broker = LocalKafka(command)
        try:
            yield broker.start().bootstrap
        finally:
            broker.close()
        return
    yield from _in_a_container()


def _local_command() -> Path | None:
    """What runs a broker here: ``../shared/kafka/run-kafka``, or Kafka's own scripts in KAFKA_HOME."""
    if command := run_kafka():
        return command
    home = os.environ.get("KAFKA_HOME")
    there = home and any(Path(home, "bin").glob("kafka-server-start*"))
    return Path(__file__).parent / "broker" / "run-kafka-home" if there and shutil.which("java") else None


_NO_LOCAL = "../shared/kafka/run-kafka and KAFKA_HOME, or Java, are missing"


def _in_a_container() -> Iterator[str]:
    if not _docker_answers():
        pytest.skip(f"no real Kafka: OPPERTUNE_TEST_BOOTSTRAP is not set, {_NO_LOCAL}, and no Docker engine answers")
    # Not testcontainers' KafkaContainer: it starts what only Confluent's images have in them.
    from testcontainers.core.container import DockerContainer

    port = free_port()
    settings = {
        "NODE_ID": 1,
        "PROCESS_ROLES": "broker,controller",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": 1,
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 1,
        "TRANSACTION_STATE_LOG_MIN_ISR": 1,
        "GROUP_INITIAL_REBALANCE_DELAY_MS": 0,
        "HEAP_OPTS": "-Xmx512m",
    }
    container = DockerContainer(
        "apache/kafka:4.1.0", env={f"KAFKA_{key}": str(value) for key, value in settings.items()}
    )
    with container.with_bind_ports(9092, port):
        wait_for(lambda: answers(f"127.0.0.1:{port}"), "Kafka in its container", 40, every_s=0.2)
        yield f"127.0.0.1:{port}"


def _docker_answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=5, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


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
        with suppress(OppertuneError):  # best effort: a test may have left its broker in any condition
            delete_topics(settings)


@pytest.fixture
def real(fleet_on: Callable[..., BrokerSettings]) -> BrokerSettings:
    """Topics under a prefix of their own on a real Kafka, four partitions each."""
    return fleet_on()


@pytest.fixture
def private_kafka() -> Iterator[LocalKafka]:
    """A broker of the test's own, to be paused, killed and started again."""
    command = _local_command()
    if command is None:
        pytest.skip(f"no broker to pause and kill: {_NO_LOCAL}")
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
