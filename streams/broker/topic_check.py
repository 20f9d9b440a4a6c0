"""What is wrong with the topics that there are, and how to mend it."""

from collections.abc import Mapping
from dataclasses import dataclass

from .handles import AdminClient
from .settings import BrokerSettings
from .topic_admin import metadata_of, partitions_of, settings_of
from .topics import TOPICS, create_command

_MUST = ("cleanup.policy", "message.timestamp.type")
"""Settings without which results would be wrong; the others are advice."""


_READABLE = frozenset({"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"})
"""Compressions of a topic's batches that workers can undo, whatever a producer chose included."""


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


def check_topics(settings: BrokerSettings, *, timeout_s: float = 15.0) -> list[Problem]:
    """What is wrong with the topics; nothing is found wrong with the embedded broker's.

    Raises:
        BrokerUnreachable: The broker does not answer in time.
    """
    if settings.embedded:
        return []
    admin = AdminClient(settings.confluent())
    there = partitions_of(metadata_of(admin, settings, timeout_s), settings)
    problems = [
        Problem(settings.topic(name), "is missing", f"run: {create_command(settings)}")
        for name in TOPICS
        if name not in there
    ]
    if len(counts := set(there.values())) > 1:
        most = max(counts)
        # Adding partitions would leave the keys that are in it where nobody looks for them.
        problems += [
            Problem(
                settings.topic(name),
                f"has {count} partitions, others {most}",
                f"all must have as many: delete it (kafka-topics.sh --bootstrap-server {settings.bootstrap} --delete"
                f" --topic {settings.topic(name)}), then run: {create_command(settings)}",
            )
            for name, count in there.items()
            if count != most
        ]
    found = settings_of(admin, settings, list(there), timeout_s)
    for name in there:
        problems += _differences(settings, name, found[settings.topic(name)])
    return problems


def _set_command(settings: BrokerSettings, topic: str, key: str, value: object) -> str:
    return (
        f"set it: kafka-configs.sh --bootstrap-server {settings.bootstrap} --alter --entity-type topics"
        f" --entity-name {topic} --add-config {key}={value}"
    )


def _differences(settings: BrokerSettings, name: str, found: Mapping[str, str]) -> list[Problem]:
    wanted, topic = TOPICS[name], settings.topic(name)
    problems = [
        Problem(
            topic,
            f"{key} is {found.get(key)}, must be {wanted[key]}",
            _set_command(settings, topic, key, wanted[key]),
        )
        for key in _MUST
        if key in wanted and found.get(key) != wanted[key]
    ]
    compression = found.get("compression.type", "producer")
    if compression not in _READABLE:
        what = f"compression.type is {compression}, which no worker can read"
        problems.append(Problem(topic, what, _set_command(settings, topic, "compression.type", "producer")))
    needed, has = int(wanted.get("max.message.bytes", 0)), int(found.get("max.message.bytes", 0))
    if has < needed:
        what = f"max.message.bytes is {has}, must be {needed} or more"
        problems.append(Problem(topic, what, _set_command(settings, topic, "max.message.bytes", needed)))
    return problems
