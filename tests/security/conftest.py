"""A secured Kafka, and processes that log in to it as their environment says."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from kafkas import run_kafka, wait_for
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.client import TunerClient
from secured import USER, SecuredKafka

OPPERTUNE = [sys.executable, "-m", "oppertune.streams.operate"]
SPEC = {
    "name": "checkout",
    "parameters": [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}],
    "measurement": {"interval_s": 0.2, "min_samples": 1},
    "heartbeat_s": 1,
}


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    command = run_kafka()
    if command is None:
        pytest.skip("no secured Kafka: ../shared/kafka/run-kafka, or Java, is missing")
    broker = SecuredKafka(command, tmp_path_factory.mktemp("certificates"))
    try:
        broker.start()
        broker.admit(USER)
        yield broker
    finally:
        broker.close()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with settings of the connection, and no others of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPPERTUNE_")}
    return kept | {f"OPPERTUNE_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def running_worker(settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that says all it can."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*OPPERTUNE, "worker", "--log-level", "debug"], env=environment(settings), stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def until_second_round(settings: BrokerSettings, state_dir: Path) -> None:
    """Measure as an app does, until its configuration is of the second round: all the way there and back works."""
    with TunerClient("checkout", {"pool": 10}, settings=settings, state_dir=state_dir) as client:

        def second_round() -> bool:
            client.record("reward", 1.0)
            return (client.snapshot().round or 0) >= 2

        wait_for(second_round, "the second round", 25)
        assert client.problems == ()
