"""Asking the broker about the topics, and for them: creating, deleting, counting partitions, telling ids."""

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import ClusterMetadata, ConfigResource, NewTopic, ResourceType

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable, OppertuneError, TopicsInvalid
from . import error_codes
from .handles import AdminClient
from .settings import BrokerSettings
from .topics import TOPICS, create_command

T = TypeVar("T")

# Waiting for an answer ends this much after its request has timed out: its reason is worth more than "too late".
_SPARE_S = 1.0

# Their public names: confluent-kafka marks errors of the client, and not of the broker, with an underscore.
_SILENT = {
    error_codes.TRANSPORT,
    error_codes.TIMED_OUT,
    error_codes.ALL_BROKERS_DOWN,
    KafkaError.REQUEST_TIMED_OUT,
}
_FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}


def create_topics(
    settings: BrokerSettings, *, partitions: int = 8, replication: int = 1, timeout_s: float = 30.0
) -> set[str]:
    """Create the topics that are missing, and wait until every one can be used. What is there stays as it is.

    Args:
        settings: Where the broker is.
        partitions: Of each topic; where some are there already, the others get as many as those.
        replication: Copies of each partition. From three on, a record counts as written when two have it.
        timeout_s: For each question to the broker.

    Returns:
        Full names of those that were created.

    Raises:
        TopicsInvalid: The broker refuses to create one.
        BrokerUnreachable: It does not answer in time.
    """
    if settings.embedded:
        return touch_topics(settings, timeout_s=timeout_s)
    admin = AdminClient(settings.confluent())
    cluster = metadata_of(admin, settings, timeout_s)
    there = partitions_of(cluster, settings)
    missing = [name for name in TOPICS if name not in there]
    if not missing:
        return set()
    if replication > len(cluster.brokers):
        raise TopicsInvalid(
            f"replication {replication} needs as many brokers, and there are {len(cluster.brokers)}:"
            f" give --replication {len(cluster.brokers)}, or start more brokers"
        )
    if there:
        partitions = next(iter(there.values()))  # the others must have as many
    new = [_new_topic(settings, name, partitions, replication) for name in missing]
    futures: dict[str, Future[None]] = admin.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s)
    created: set[str] = set()
    for topic, future in futures.items():
        try:
            future.result(timeout_s + _SPARE_S)
        except (KafkaException, TimeoutError) as error:
            if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:  # someone else was faster
                raise _failure(error, f"create {topic}", settings) from error
        else:
            created.add(topic)
    _wait_for(created, admin, settings, timeout_s)
    return created


def _new_topic(settings: BrokerSettings, name: str, partitions: int, replication: int) -> NewTopic:
    config = dict(TOPICS[name])
    if replication >= 3:
        # By default one copy is enough to acknowledge a record, which is then lost with that broker.
        config["min.insync.replicas"] = "2"
    return NewTopic(settings.topic(name), partitions, replication, config=config)


def _wait_for(topics: set[str], admin: AdminClient, settings: BrokerSettings, timeout_s: float) -> None:
    """Return when the brokers know of new topics; they are told a moment after the controller has made them."""
    deadline = Deadline(timeout_s)
    while unknown := topics - metadata_of(admin, settings, timeout_s).topics.keys():
        if deadline.passed:
            raise BrokerUnreachable(f"created, but not to be seen after {timeout_s:g} s: {', '.join(sorted(unknown))}")
        deadline.sleep(0.05)


def touch_topics(settings: BrokerSettings, *, timeout_s: float = 30.0) -> set[str]:
    """Bring the topics into being on the embedded broker, which creates what is asked for by name."""
    admin = AdminClient(settings.confluent())
    for name in TOPICS:
        try:
            admin.list_topics(settings.topic(name), timeout=timeout_s)
        except KafkaException as error:
            raise _failure(error, f"make {settings.topic(name)}", settings) from error
    return {settings.topic(name) for name in TOPICS}


def _code(error: KafkaException | TimeoutError) -> int | None:
    return error.args[0].code() if isinstance(error, KafkaException) else None


def _failure(error: KafkaException | TimeoutError, what: str, settings: BrokerSettings) -> OppertuneError:
    """What to raise when the broker did not do something: is it silent, or does it refuse?"""
    code = _code(error)
    if not isinstance(error, KafkaException) or code in _SILENT:
        said = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
        return BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not {what}: {said}. Is it running, and is it overloaded?"
        )
    said = error.args[0].str()
    if code in _FORBIDDEN:
        return TopicsInvalid(
            f"this user may not {what} ({said}): let it Describe and DescribeConfigs topics"
            f" {settings.prefix}*, and Create them where it is to create them"
        )
    if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return TopicsInvalid(f"a topic is missing ({said}); run: {create_command(settings)}")
    return TopicsInvalid(f"the broker at {settings.bootstrap} does not {what}: {said}")


def metadata_of(admin: AdminClient, settings: BrokerSettings, timeout_s: float) -> ClusterMetadata:
    """What the brokers know of themselves and of all topics.

    Raises:
        TopicsInvalid: This user may not know it.
        BrokerUnreachable: No broker answers in time.
    """
    try:
        return admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise _failure(error, "list its topics", settings) from error


def partitions_of(metadata: ClusterMetadata, settings: BrokerSettings) -> dict[str, int]:
    """Number of partitions of each topic that is there, by bare name."""
    return {
        name: len(metadata.topics[settings.topic(name)].partitions)
        for name in TOPICS
        if settings.topic(name) in metadata.topics
    }


def settings_of(
    admin: AdminClient, settings: BrokerSettings, names: Iterable[str], timeout_s: float
) -> dict[str, dict[str, str]]:
    """The settings that topics have, by full name; errors as for :func:`metadata_of`.

    Args:
        admin: Asks.
        settings: Where the broker is.
        names: Bare names of topics that are there.
        timeout_s: For the answer.
    """
    resources = [ConfigResource(ResourceType.TOPIC, settings.topic(name)) for name in names]
    if not resources:
        return {}
    answers: dict[ConfigResource, Future[dict[str, Any]]] = admin.describe_configs(resources, request_timeout=timeout_s)
    return {
        resource.name: {key: entry.value for key, entry in _answer(answer, settings, timeout_s).items()}
        for resource, answer in answers.items()
    }


def _answer(answer: Future[T], settings: BrokerSettings, timeout_s: float) -> T:
    try:
        return answer.result(timeout_s + _SPARE_S)
    except (KafkaException, TimeoutError) as error:
        raise _failure(error, "describe its topics", settings) from error


def partition_count(settings: BrokerSettings, name: str, *, timeout_s: float = 15.0) -> int:
    """Number of partitions of a topic, by bare name.

    Raises:
        TopicsInvalid: It is not there.
        BrokerUnreachable: The broker does not answer in time.
    """
    admin = AdminClient(settings.confluent())
    if settings.embedded:
        touch_topics(settings, timeout_s=timeout_s)
    count = partitions_of(metadata_of(admin, settings, timeout_s), settings).get(name, 0)
    if not count:
        raise TopicsInvalid(f"topic {settings.topic(name)} is missing; run: {create_command(settings)}")
    return count


def topic_ids(settings: BrokerSettings, *, timeout_s: float = 15.0) -> dict[str, str]:
    """The broker's ids of the topics, by bare name: a topic that was deleted and recreated has another.

    Empty for the embedded broker, which tells none.

    Raises:
        TopicsInvalid: One is missing, or may not be described.
        BrokerUnreachable: The broker does not answer in time.
    """
    if settings.embedded:
        return {}
    admin = AdminClient(settings.confluent())
    names = {settings.topic(name): name for name in TOPICS}
    answers = admin.describe_topics(TopicCollection(list(names)), request_timeout=timeout_s)
    return {names[topic]: str(_answer(answer, settings, timeout_s).topic_id) for topic, answer in answers.items()}


def delete_topics(settings: BrokerSettings, *, timeout_s: float = 30.0) -> None:
    """Delete all topics of the prefix: for tests, and the demo on a real Kafka.

    Raises:
        TopicsInvalid: The broker refuses.
        BrokerUnreachable: It does not answer in time.
    """
    admin = AdminClient(settings.confluent())
    there = partitions_of(metadata_of(admin, settings, timeout_s), settings)
    if not there:
        return
    futures: dict[str, Future[None]] = admin.delete_topics(
        [settings.topic(name) for name in there], operation_timeout=timeout_s, request_timeout=timeout_s
    )
    for topic, future in futures.items():
        try:
            future.result(timeout_s + _SPARE_S)
        except (KafkaException, TimeoutError) as error:
            if _code(error) != KafkaError.UNKNOWN_TOPIC_OR_PART:  # someone else was faster
                raise _failure(error, f"delete {topic}", settings) from error
