"""What a user may do with topics and groups: told before the work, and not by the error that it ends in."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, ConsumerGroupDescription, TopicDescription

from .handles import AdminClient
from .settings import BrokerSettings
from .topic_check import Problem

READ, WRITE = AclOperation.READ, AclOperation.WRITE


def missing_rights(
    settings: BrokerSettings,
    topics: Mapping[str, Collection[AclOperation]],
    *,
    group: str = "",
    timeout_s: float = 15.0,
) -> list[Problem]:
    """Rights that this user lacks, as far as the broker tells; none are missing where it asks nobody for rights.

    Args:
        settings: Where the broker is, and who we are.
        topics: By bare name, the operations that are needed.
        group: A consumer group to be a member of.
        timeout_s: For each question.
    """
    if settings.embedded:
        return []
    admin = AdminClient(settings.confluent())
    names = {settings.topic(name): needed for name, needed in topics.items()}
    answers = admin.describe_topics(
        TopicCollection(list(names)), include_authorized_operations=True, request_timeout=timeout_s
    )
    problems = []
    for topic, answer in answers.items():
        problems += [
            _problem(settings, topic, "topic", lacking) for lacking in _lacking(answer, names[topic], timeout_s)
        ]
    if group and _is_closed(admin, group, timeout_s):
        problems.append(_problem(settings, group, "group", READ))
    return problems


def _lacking(
    answer: "Future[TopicDescription]", needed: Collection[AclOperation], timeout_s: float
) -> list[AclOperation]:
    try:
        allowed = answer.result(timeout_s + 1).authorized_operations or []
    except (KafkaException, TimeoutError):
        return []  # that it is missing, or silent, is told elsewhere
    return [operation for operation in needed if operation not in allowed]


def _is_closed(admin: AdminClient, group: str, timeout_s: float) -> bool:
    answers: dict[str, Future[ConsumerGroupDescription]] = admin.describe_consumer_groups(
        [group], request_timeout=timeout_s
    )
    try:
        answers[group].result(timeout_s + 1)
    except (KafkaException, TimeoutError) as error:
        return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    return False


def _problem(settings: BrokerSettings, name: str, kind: str, operation: AclOperation) -> Problem:
    word = operation.name.capitalize()
    user = settings.sasl_username or "NAME"
    return Problem(
        name,
        f"this user may not {word} the {kind}",
        f"allow it: kafka-acls.sh --bootstrap-server {settings.bootstrap} --add --allow-principal User:{user}"
        f" --operation {word} --{kind} {name}",
    )
