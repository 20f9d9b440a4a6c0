"""The topics of a fleet: what there must be, creating it, and saying what is wrong with what there is."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from ...core.errors import BrokerUnreachable, TopicsInvalid
from .settings import BrokerSettings

_MIB = 1024 * 1024
_DAY_MS = 24 * 60 * 60 * 1000

LARGE_BYTES = 8 * _MIB
"""A record of state or a dead letter may be as large as this."""

_INPUT = {"cleanup.policy": "delete", "retention.ms": 7 * _DAY_MS, "message.timestamp.type": "LogAppendTime"}
_TABLE = {
    "cleanup.policy": "compact",
    # Kafka never compacts the active segment: small ones make restoring read little more than the newest values.
    "segment.bytes": 16 * _MIB,
    "segment.ms": 10 * 60 * 1000,
    "min.cleanable.dirty.ratio": 0.1,
    "max.compaction.lag.ms": 60 * 60 * 1000,
    "delete.retention.ms": _DAY_MS,
}
_LARGE = {"max.message.bytes": LARGE_BYTES + 64 * 1024}

TOPICS: Mapping[str, Mapping[str, str]] = {
    name: {k: str(v) for k, v in settings.items()}
    for name, settings in {
        "contexts": _INPUT,
        "metrics": _INPUT,
        "commands": _INPUT | {"retention.ms": 90 * _DAY_MS},
        "configs": _TABLE,
        "state": _TABLE | _LARGE,
        "journal": {"cleanup.policy": "delete", "retention.ms": 30 * _DAY_MS} | _LARGE,
        "rounds": {"cleanup.policy": "delete", "retention.ms": 90 * _DAY_MS},
        "dead-letters": {"cleanup.policy": "delete", "retention.ms": 30 * _DAY_MS} | _LARGE,
    }.items()
}
"""Bare names of all topics, and the settings that each is created with."""

_MUST = ("cleanup.policy", "message.timestamp.type")
"""Settings without which results would be wrong; the others are advice."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a topic, and what to do about it.

    Attributes:
        topic: Full name of the topic.
        what: What is wrong.
        remedy: What to do.
    """

    topic: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what}; {self.remedy}"


def create_topics(
    settings: BrokerSettings, *, partitions: int = 8, replication: int = 1, timeout_s: float = 30.0
) -> set[str]:
    """Create the topics that are missing, and wait until every one can be used.

    Returns:
        Full names of those that were created.

    Raises:
        TopicsInvalid: The broker refuses to create one.
        BrokerUnreachable: It does not answer in time.
    """
    if settings.embedded:
        return touch_topics(settings, timeout_s=timeout_s)
    admin = AdminClient(settings.confluent())
    there = _partitions(admin, settings, timeout_s)
    missing = [name for name in TOPICS if name not in there]
    if there:
        partitions = next(iter(there.values()))  # the others must have as many
    new = [NewTopic(settings.topic(name), partitions, replication, config=dict(TOPICS[name])) for name in missing]
    created: set[str] = set()
    if new:
        futures: dict[str, Future[None]] = admin.create_topics(
            new, operation_timeout=timeout_s, request_timeout=timeout_s
        )
        for topic, future in futures.items():
            try:
                future.result(timeout_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TopicsInvalid(f"the broker does not create {topic}: {error.args[0].str()}") from error
            else:
                created.add(topic)
    return created


def touch_topics(settings: BrokerSettings, *, timeout_s: float = 30.0) -> set[str]:
    """Bring the topics into being on the embedded broker, which creates what is asked for by name."""
    admin = AdminClient(settings.confluent())
    for name in TOPICS:
        try:
            admin.list_topics(settings.topic(name), timeout=timeout_s)
        except KafkaException as error:
            raise BrokerUnreachable(f"the embedded broker at {settings.bootstrap} does not answer: {error}") from error
    return {settings.topic(name) for name in TOPICS}


def check_topics(settings: BrokerSettings, *, timeout_s: float = 15.0) -> list[Problem]:
    """What is wrong with the topics; nothing is found wrong with the embedded broker's.

    Raises:
        BrokerUnreachable: The broker does not answer in time.
    """
    if settings.embedded:
        return []
    admin = AdminClient(settings.confluent())
    there = _partitions(admin, settings, timeout_s)
    problems = [
        Problem(settings.topic(name), "is missing", f"run: {_create_command(settings)}")
        for name in TOPICS
        if name not in there
    ]
    if len(counts := set(there.values())) > 1:
        most = max(counts)
        problems += [
            Problem(
                settings.topic(name), f"has {count} partitions, others {most}", "all must have as many: recreate it"
            )
            for name, count in there.items()
            if count != most
        ]
    found = _settings_of(admin, [settings.topic(name) for name in there], timeout_s)
    for name in there:
        problems += _differences(settings.topic(name), TOPICS[name], found[settings.topic(name)])
    return problems


def _create_command(settings: BrokerSettings) -> str:
    prefix = f" --prefix {settings.prefix}" if settings.prefix != "oppertune." else ""
    return f"oppertune topics create --bootstrap {settings.bootstrap}{prefix}"


def _differences(topic: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> list[Problem]:
    problems = [
        Problem(topic, f"{key} is {found.get(key)}, must be {wanted[key]}", f"set {key}={wanted[key]} on the topic")
        for key in _MUST
        if key in wanted and found.get(key) != wanted[key]
    ]
    needed = int(wanted.get("max.message.bytes", 0))
    if int(found.get("max.message.bytes", 0)) < needed:
        what = f"max.message.bytes is {found.get('max.message.bytes')}, must be {needed} or more"
        problems.append(Problem(topic, what, f"set max.message.bytes={needed} on the topic"))
    return problems


def _partitions(admin: AdminClient, settings: BrokerSettings, timeout_s: float) -> dict[str, int]:
    """Number of partitions of each topic that is there, by bare name."""
    try:
        metadata = admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise BrokerUnreachable(f"the broker at {settings.bootstrap} does not answer: {error.args[0].str()}") from error
    return {
        name: len(metadata.topics[settings.topic(name)].partitions)
        for name in TOPICS
        if settings.topic(name) in metadata.topics
    }


def _settings_of(admin: AdminClient, topics: list[str], timeout_s: float) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    answers: dict[ConfigResource, Future[dict[str, Any]]] = admin.describe_configs(resources, request_timeout=timeout_s)
    try:
        return {
            resource.name: {key: entry.value for key, entry in answer.result(timeout_s).items()}
            for resource, answer in answers.items()
        }
    except KafkaException as error:
        raise BrokerUnreachable(f"the broker does not describe its topics: {error.args[0].str()}") from error


def partition_count(settings: BrokerSettings, name: str, *, timeout_s: float = 15.0) -> int:
    """Number of partitions of a topic, by bare name.

    Raises:
        TopicsInvalid: It is not there.
        BrokerUnreachable: The broker does not answer in time.
    """
    admin = AdminClient(settings.confluent())
    if settings.embedded:
        touch_topics(settings, timeout_s=timeout_s)
    count = _partitions(admin, settings, timeout_s).get(name, 0)
    if not count:
        raise TopicsInvalid(f"topic {settings.topic(name)} is missing; run: {_create_command(settings)}")
    return count


def topic_ids(settings: BrokerSettings, *, timeout_s: float = 15.0) -> dict[str, str]:
    """The broker's ids of the topics, by bare name: a topic that was deleted and recreated has another.

    Empty for the embedded broker, which tells none.

    Raises:
        BrokerUnreachable: The broker does not answer in time.
    """
    if settings.embedded:
        return {}
    admin = AdminClient(settings.confluent())
    names = {settings.topic(name): name for name in TOPICS}
    answers = admin.describe_topics(TopicCollection(list(names)), request_timeout=timeout_s)
    try:
        return {names[topic]: str(answer.result(timeout_s).topic_id) for topic, answer in answers.items()}
    except KafkaException as error:
        raise BrokerUnreachable(f"the broker does not describe its topics: {error.args[0].str()}") from error


def delete_topics(settings: BrokerSettings, *, timeout_s: float = 30.0) -> None:
    """Delete all topics of the prefix: for tests, and the demo on a real Kafka.

    Raises:
        BrokerUnreachable: The broker does not delete them in time.
    """
    admin = AdminClient(settings.confluent())
    there = _partitions(admin, settings, timeout_s)
    if not there:
        return
    futures: dict[str, Future[None]] = admin.delete_topics(
        [settings.topic(name) for name in there], operation_timeout=timeout_s, request_timeout=timeout_s
    )
    for topic, future in futures.items():
        try:
            future.result(timeout_s)
        except KafkaException as error:
            raise BrokerUnreachable(f"the broker does not delete {topic}: {error.args[0].str()}") from error
