"""Fixtures that several folders share: brokers in the order of the design, and a seed that is printed."""

import fcntl
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from kafkas import ROOT, LocalKafka, answers, free_port, run_kafka, unique_prefix, wait_for
from oppertune.core.errors import OppertuneError
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker, create_topics, delete_topics

hypothesis_settings.register_profile("unhurried", hypothesis_settings(), deadline=None)  # a busy machine is no failure
hypothesis_settings.load_profile("unhurried")

GIVEN_SEED = os.environ.get("OPPERTUNE_TEST_SEED")
# Drawn by the first process of a run, and inherited by those that it starts: all must shuffle alike.
SEED = int(GIVEN_SEED or os.environ.setdefault("OPPERTUNE_TEST_DRAWN_SEED", str(random.randrange(2**32))))
_REPEAT = f"seed: {SEED} (repeat with OPPERTUNE_TEST_SEED={SEED})"

_RUN = "OPPERTUNE_TEST_RUN"
"""Names a folder that all processes of a run share: locks, and where the real Kafka is."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis looks for its seed
def pytest_configure(config: pytest.Config) -> None:
    if GIVEN_SEED and config.getoption("--hypothesis-seed", None) is None:
        # Only where a run is repeated: a forced seed keeps Hypothesis from its database of failures.
        config.option.hypothesis_seed = GIVEN_SEED
    _check_environment()
    # Like Ctrl-C: fixtures end their brokers. By default SIGTERM (CI, timeout) would leave them running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("asyncio").addFilter(_note_if_forgotten)
    if _RUN not in os.environ:
        os.environ[_RUN] = tempfile.mkdtemp(prefix="oppertune-tests-")
        config.add_cleanup(_end_run)


def _check_environment() -> None:
    """Begin nothing in a ``.venv`` that is stale: a test that calls a script would make it anew under all others."""
    setup = ROOT / "scripts" / "setup"
    if _RUN in os.environ or Path(sys.prefix) != ROOT / ".venv" or not setup.is_file():
        return
    checked = subprocess.run([setup, "--check"], capture_output=True, text=True, check=False)
    if checked.returncode:
        pytest.exit(checked.stderr.strip(), pytest.ExitCode.USAGE_ERROR)


_forgotten: list[str] = []
"""What asyncio said of tasks and futures that ended with an error which nobody read."""


def _note_if_forgotten(record: logging.LogRecord) -> bool:
    """Keep what asyncio says while memory is collected; to show it there can break what was interrupted.

    A traceback is shown with the help of ``ast.parse``, which in CPython 3.11 fails if another ``ast.parse`` begins
    within it, as happens where the collection comes while a test reads source code.
    """
    if "never retrieved" not in record.getMessage():
        return True
    _forgotten.append(record.getMessage())
    return False


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    if _forgotten:
        said = "\n".join(_forgotten)
        _forgotten.clear()
        pytest.fail(f"this test, or one before it, forgot a task that failed:\n{said}", pytrace=False)


def _end_run() -> None:
    folder = Path(os.environ.pop(_RUN))
    if (running := folder / "kafka").exists():
        LocalKafka.end(json.loads(running.read_text()))
    shutil.rmtree(folder, ignore_errors=True)


def pytest_report_header() -> str:
    return _REPEAT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(_REPEAT)  # the header is not shown with -q


def pytest_itemcollected(item: pytest.Item) -> None:
    """The tests of a module run in one process, so that what they share is made once; unless they share nothing."""
    if item.get_closest_marker("spread") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.hookimpl(tryfirst=True)  # before pytest brings those together that share a fixture's parameter
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Modules in any order, and the tests of each; without ``--long``, not what takes long."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    order = random.Random(SEED)
    names = sorted(modules)
    order.shuffle(names)
    for name in names:
        order.shuffle(modules[name])
    items[:] = [item for name in names for item in modules[name]]


@pytest.hookimpl(wrapper=True, tryfirst=True)  # waiting for the machine is no part of a test's time
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that is marked ``alone`` waits until no other runs, and none begins beside it."""
    folder = Path(os.environ[_RUN])
    with (folder / "turnstile").open("w") as turnstile, (folder / "machine").open("w") as machine:
        fcntl.flock(turnstile, fcntl.LOCK_EX)  # held while an ``alone`` test waits, so that it need not wait for ever
        fcntl.flock(machine, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        return (yield)


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
        yield _one_for_all_processes(command)
        return
    yield from _in_a_container()


_started: list[LocalKafka] = []
"""Held until the process ends, so that Python does not warn of a broker that runs on: others may still need it."""


def _one_for_all_processes(command: Path) -> str:
    """The run's broker; the first process that needs it starts it, and the one that began the run ends it."""
    folder = Path(os.environ[_RUN])
    with (folder / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = folder / "kafka"
        if not running.exists():
            broker = LocalKafka(command).start()
            _started.append(broker)
            running.write_text(json.dumps(broker.handle()))
        return str(json.loads(running.read_text())["bootstrap"])


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
