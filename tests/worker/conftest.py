"""Fixtures of the worker's tests: topics under a prefix of their own, and processes that end with the test."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from workers import Worker  # noqa: E402


@dataclass(frozen=True)
class Place:
    """A broker and a prefix."""

    bootstrap: str
    prefix: str


def create(bootstrap: str, prefix: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    big = {"max.message.bytes": "9000000"}
    new = [
        NewTopic(prefix + n, 4, 1, config={"message.timestamp.type": "LogAppendTime"})
        for n in ("contexts", "metrics", "commands")
    ]
    new += [NewTopic(prefix + n, 4, 1, config={"cleanup.policy": "compact", **big}) for n in ("state", "configs")]
    new += [NewTopic(prefix + n, 4, 1, config=big) for n in ("journal", "rounds", "dead-letters")]
    for f in admin.create_topics(new).values():
        f.result(20)


@pytest.fixture
def place() -> Place:
    place = Place(os.environ["OPPERTUNE_TEST_BOOTSTRAP"], f"t{uuid.uuid4().hex[:8]}.")
    create(place.bootstrap, place.prefix)
    return place


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers; ends them with the test, and shows the ends of their logs where it failed."""
    made: list[Worker] = []

    def make(name: str, place: Any, **flags: Any) -> Worker:
        made.append(Worker(tmp_path, name, place.bootstrap, place.prefix, **flags))
        return made[-1]

    yield make
    for one in made:
        one.end()
        print(f"--- {one.name}\n{one.log[-3000:]}")
