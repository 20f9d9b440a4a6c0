"""The demo's processes: a worker and a fleet, started, spoken to, and never left behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ....core.errors import OppertuneError
from ...broker import BrokerSettings


class ProcessEnded(OppertuneError):  # noqa: N818 - named as in core.errors
    """A process of the demo ended too soon; the message holds the end of its log."""


def _broker_flags(settings: BrokerSettings) -> list[str]:
    flags = ["--bootstrap", settings.bootstrap, "--prefix", settings.prefix]
    return [*flags, "--embedded"] if settings.embedded else flags


class Member:
    """One process of the fleet, on the other end of two pipes."""

    def __init__(self, settings: BrokerSettings, folder: Path, traffic: str, number: int) -> None:
        self.traffic = traffic
        self.instance = f"{traffic}-{number}"
        self._log = folder / f"{self.instance}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [
                    *(sys.executable, "-m", "oppertune.streams.operate.demo.service"),
                    *_broker_flags(settings),
                    *("--traffic", traffic, "--instance", self.instance, "--folder", str(folder)),
                    *("--seed", str(number)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def tell(self, order: dict[str, Any]) -> None:
        """Send an order."""
        if self._process.stdin is None or self._process.poll() is not None:
            raise self._ended()
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer; waits for it.

        Raises:
            ProcessEnded: There will be none.
        """
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def check(self) -> None:
        """Raise ProcessEnded if it has."""
        if self._process.poll() is not None:
            raise self._ended()

    def _ended(self) -> ProcessEnded:
        return ProcessEnded(f"{self.instance} ended:\n{self._log.read_text()[-2000:]}")

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def fleet(settings: BrokerSettings, folder: Path, traffics: list[str], instances: int) -> Iterator[list[Member]]:
    """That many processes, dealt out over the kinds of traffic. Each will say how its defaults do."""
    with ExitStack() as stack:
        members = []
        for number in range(instances):
            member = Member(settings, folder, traffics[number % len(traffics)], number)
            stack.callback(member.close)
            members.append(member)
        yield members


@contextmanager
def worker(settings: BrokerSettings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, for as long as the block lasts."""
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "oppertune.streams.operate", "worker", *_broker_flags(settings)], stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
