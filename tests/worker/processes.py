"""Worker processes for tests: started, watched through their logs, and never left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from kafkas import wait_for
from oppertune.streams.broker import BrokerSettings

SESSION_S = 6.0
"""Take-overs in tests come this long after a kill. Kafka takes no less by default (group.min.session.timeout.ms)."""

FAST = {"session_timeout_s": SESSION_S, "heartbeat_s": 1.0}


class Worker:
    """One worker process; its output is in ``log``."""

    def __init__(self, folder: Path, name: str, broker: BrokerSettings, **flags: float) -> None:
        self.name = name
        self.path = folder / f"{name}.log"
        self._broker = broker
        self._flags = {**FAST, **flags}
        self._begin = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, program: Path | None = None) -> "Worker":
        """Start it, or start it again; ``program`` instead of the worker's own entry."""
        entry = [str(program)] if program else ["-m", "oppertune.streams.worker"]
        place = [f"--bootstrap={self._broker.bootstrap}", f"--prefix={self._broker.prefix}"]
        timings = [f"--{key.replace('_', '-')}={value}" for key, value in self._flags.items()]
        self._begin = len(self.log)
        with self.path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *entry, *place, *timings, *(["--embedded"] if self._broker.embedded else [])],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    @property
    def log(self) -> str:
        return self.path.read_text() if self.path.exists() else ""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def owns(self) -> set[int]:
        """The partitions it last said it owns, since it was last started."""
        said = re.findall(r"generation \d+: partitions (.*)", self.log[self._begin :])
        if not said or said[-1] == "none":
            return set()
        owned: set[int] = set()
        for run in said[-1].split(", "):
            first, _, last = run.partition("-")
            owned |= set(range(int(first), int(last or first) + 1))
        return owned

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def wait_ready(self, partitions: int = 4, within_s: float = 20.0) -> None:
        self.wait_owns(set(range(partitions)), within_s)

    def wait_owns(self, partitions: set[int], within_s: float = 20.0) -> None:
        def owns() -> bool:
            assert self.alive, f"{self.name} ended with {self.process and self.process.returncode}:\n{self.log}"
            return self.owns == partitions

        wait_for(owns, f"{self.name} to own {partitions}", within_s)

    def kill(self) -> None:
        """SIGKILL; checks that it was alive until then."""
        assert self.alive, f"{self.name} was dead before:\n{self.log}"
        self.signal(signal.SIGKILL)
        assert self.process is not None
        assert self.process.wait(5) == -signal.SIGKILL

    def stop(self, within_s: float = 5.0) -> tuple[int, float]:
        """SIGTERM; its exit code, and the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        code = self.process.wait(within_s)
        return code, time.monotonic() - began

    def wait_exit(self, within_s: float = 20.0) -> int:
        assert self.process is not None
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {within_s} s:\n{self.log}") from None

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
