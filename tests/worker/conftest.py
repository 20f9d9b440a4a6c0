"""Worker processes that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oppertune.streams.broker import BrokerSettings
from worker.processes import Worker


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers, ``worker("a", broker, watchdog_s=3)``; the ends of their logs are shown where the test failed."""
    made: list[Worker] = []

    def make(name: str, broker: BrokerSettings, **flags: float) -> Worker:
        made.append(Worker(tmp_path, name, broker, **flags))
        return made[-1]

    yield make
    for one in made:
        one.end()
        print(f"--- {one.name}\n{one.log[-3000:]}")  # noqa: T201 - pytest shows it where the test failed
