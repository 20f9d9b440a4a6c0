"""Publish a command, and wait until the state shows it or a dead letter says why not."""

import getpass
import uuid
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message
from pydantic import ValidationError

from ....core.deadline import Deadline
from ....core.errors import BrokerUnreachable, CommandFailed, TopicsInvalid
from ....schemas.base import explain
from ....schemas.events import Command
from ....schemas.keys import partition_of
from ....schemas.state import TunerState
from ...broker import BrokerSettings, partition_count
from ...broker.handles import Consumer, Producer
from ...broker.reading import start_of_last, text
from ..exit_codes import ExitCode
from ..reading.dead_letters import dead_letter
from ..text import printable
from .verbs import VERBS, Verb

_DELIVERY_S = 30.0
"""As long as a producer of ours goes on trying (``message.timeout.ms``)."""


def new_command(verb: Verb, name: str, *, author: str = "", reason: str = "", **more: object) -> Command:
    """A command for a tuner.

    Args:
        verb: What to do.
        name: The tuner's.
        author: Who asks; default: who is logged in.
        reason: Why.
        more: What the verb needs besides, as :class:`~oppertune.schemas.events.Command` has it.

    Raises:
        CommandFailed: An argument is none that a record could hold.
    """
    fields = {"v": 1, "id": str(uuid.uuid4()), "kind": verb.word, "tuner": name, "author": author or _me()}
    try:
        return Command.model_validate(fields | {"reason": reason} | more)
    except ValidationError as error:
        raise CommandFailed(f"no such command can be sent: {explain(error)}", ExitCode.USAGE) from error


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "unknown"


class _Effect(NamedTuple):
    """A command was taken up, and what became of its tuner."""

    state: TunerState | None


def send(settings: BrokerSettings, command: Command, *, timeout_s: float) -> TunerState | None:
    """Send a command to the fleet's workers and wait for its effect.

    1. Stand at the ends of the partitions where an answer would appear.
    2. Publish the command.
    3. Read until the tuner's state shows what the command's verb waits for, or a dead letter carries its id.

    Returns:
        The tuner's state with it; ``None`` where the tuner is gone.

    Raises:
        CommandFailed: Refused, or no worker answered in time.
        BrokerUnreachable: The broker did not take the command.
    """
    partition = partition_of(command.tuner, partition_count(settings, "state"))
    consumer = Consumer(settings.consumer() | {"isolation.level": "read_committed", "fetch.wait.max.ms": 50})
    try:
        # 1.
        topics = ("state", "dead-letters")
        consumer.assign([start_of_last(consumer, settings.topic(topic), partition, 0) for topic in topics])
        # 2.
        _publish(settings, command)
        # 3.
        deadline = Deadline(timeout_s)
        while not deadline.passed:
            for message in consumer.consume(1000, 0.1):
                if message.error() is None and (effect := _effect(settings, command, message)) is not None:
                    return effect.state
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} fails: {error.args[0].str()}. Try again"
        ) from error
    finally:
        consumer.close()
    embedded = " --embedded" if settings.embedded else ""
    raise CommandFailed(
        f"no worker took up the command within {timeout_s:g} s; it is published, and the next worker will."
        f" Is one running? Start one with: oppertune worker --bootstrap {settings.bootstrap}{embedded}",
        ExitCode.NO_WORKER,
    )


def _publish(settings: BrokerSettings, command: Command) -> None:
    failures: list[KafkaError] = []
    producer = Producer(settings.producer())
    try:
        producer.produce(
            settings.topic(Command.topic),
            key=command.tuner,
            value=command.to_bytes(),
            on_delivery=lambda error, _: failures.append(error) if error is not None else None,
        )
    except KafkaException as error:
        if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
            raise
        raise CommandFailed("the spec is too large to be sent: declare fewer categories", ExitCode.INVALID) from error
    undelivered = producer.flush(_DELIVERY_S)
    if any(error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED for error in failures):
        raise TopicsInvalid(f"this user may not Write topic {settings.topic(Command.topic)}: only operators may")
    if undelivered or failures:
        said = ", ".join(error.str() for error in failures) or f"no answer in {_DELIVERY_S:g} s"
        raise BrokerUnreachable(f"the broker did not take the command: {said}")


def _effect(settings: BrokerSettings, command: Command, message: Message) -> _Effect | None:
    """What a record says of the command; ``None`` where it says nothing.

    Raises:
        CommandFailed: It is the dead letter that says why a worker refused the command.
    """
    if message.topic() == settings.topic("dead-letters"):
        refused = dead_letter(message)
        if refused is not None and refused.headers.event_id == command.id and refused.headers.topic == Command.topic:
            reason = refused.headers.detail or refused.headers.reason
            raise CommandFailed(f"refused by the worker: {printable(reason)}", ExitCode.REFUSED)
        return None
    if text(message.key()) != command.tuner:
        return None
    value = message.value()
    state = TunerState.from_bytes(value) if value is not None else None
    return _Effect(state) if VERBS[command.kind].is_seen(command, state) else None
