"""Real Kafka brokers for tests, found where there are any, and waiting for conditions."""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Self, TypeVar

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

ROOT = Path(__file__).parents[1]
T = TypeVar("T")
_reserved: list[IO[str]] = []


def wait_for(condition: Callable[[], T], what: str, deadline_s: float = 15.0, every_s: float = 0.02) -> T:
    """The first true value of a condition; fails, saying what was waited for, at the deadline."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(every_s)
    return value


def value_of(message: Message) -> bytes:
    """The value of a message that has one."""
    value = message.value()
    assert value is not None
    return value


def free_port() -> int:
    """A port that nobody listens on, nor on the next one, which a local Kafka takes for itself.

    Below the range from which the kernel takes ports for outgoing connections, one of which could come in between.
    While this process lives, no other test gets one of the two, here or in another process.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000, 2)
        with socket.socket() as probe, socket.socket() as following:
            try:
                probe.bind(("127.0.0.1", port))
                following.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        if reserve(port):
            return port


def reserve(port: int) -> bool:
    """Take a port for this process by a lock that the kernel releases at its end; whether nobody has it."""
    folder = Path(tempfile.gettempdir(), f"oppertune-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _reserved.append(lock)
    return True


def answers(bootstrap: str, timeout_s: float = 1.0) -> bool:
    """Whether a broker does."""
    try:
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=timeout_s)
    except KafkaException:
        return False
    return True


class LocalKafka:
    """A broker process of its own: it can be paused, killed and started again on the same data."""

    def __init__(self, command: Path) -> None:
        self._command = command
        self._folder = Path(tempfile.mkdtemp(prefix="oppertune-kafka-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"127.0.0.1:{self._port}"
        self.properties: list[str] = []

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._command, self._folder / "data", str(self._port), *self.properties],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for(self._answers_or_died, "Kafka to start", 40, every_s=0.1)
        except AssertionError as error:
            said = (self._folder / "log").read_text()[-3000:]
            self.close()
            raise AssertionError(f"{error}; it said:\n{said}") from error
        return self

    def _answers_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError("Kafka ended")
        return answers(self.bootstrap)

    def pause(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def files(self, pattern: str) -> list[Path]:
        """Its data."""
        return sorted(self._folder.glob(f"data/**/{pattern}"))

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def handle(self) -> dict[str, str | int]:
        """What another process needs to use the broker, and to :meth:`end` it."""
        return {"bootstrap": self.bootstrap, "pid": self.pid, "folder": str(self._folder)}

    @staticmethod
    def end(handle: Mapping[str, str | int]) -> None:
        """End a broker that another process has started."""
        with suppress(ProcessLookupError):
            os.killpg(int(handle["pid"]), signal.SIGKILL)
        shutil.rmtree(str(handle["folder"]), ignore_errors=True)


def run_kafka() -> Path | None:
    """The command that runs a broker, beside the checkout, where Java is there too."""
    command = ROOT.parent / "shared" / "kafka" / "run-kafka"
    return command if command.exists() and shutil.which("java") else None


def unique_prefix() -> str:
    """A prefix that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}."
