"""Publish a command, and wait until the state shows it or a dead letter says why not."""

from dataclasses import dataclass
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from ...core.errors import BrokerUnreachable, TopicsInvalid
from ...schemas.events import Command
from ...schemas.keys import partition_of
from ...schemas.state import TunerState
from ..broker import BrokerSettings, partition_count
from .codes import CommandFailed, ExitCode
from .reading import newest


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command: the tuner's state with it, or without the tuner after a deletion."""

    state: TunerState | None


def ask(settings: BrokerSettings, command: Command, *, timeout_s: float) -> Answer:
    """Send a command to the fleet's workers and wait for its effect.

    1. Stand at the ends of the partitions where an answer would appear.
    2. Publish the command.
    3. Read until the tuner's state names the command, is gone (delete), or a dead letter carries its id.

    Raises:
        CommandFailed: Refused, or no worker answered in time.
        BrokerUnreachable: The broker did not take the command.
    """
    partition = partition_of(command.tuner, partition_count(settings, "state"))
    consumer = Consumer(settings.consumer() | {"isolation.level": "read_committed", "fetch.wait.max.ms": 50})
    try:
        # 1.
        topics = ("state", "dead-letters")
        consumer.assign([newest(consumer, settings.topic(topic), partition, 0) for topic in topics])
        # 2.
        _publish(settings, command)
        # 3.
        deadline = monotonic() + timeout_s
        while monotonic() < deadline:
            for message in consumer.consume(1000, 0.1):
                if message.error() is None and (answer := _answer(settings, command, message)) is not None:
                    return answer
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} fails: {error.args[0].str()}. Try again"
        ) from error
    finally:
        consumer.close()
    raise CommandFailed(
        f"no worker took up the command within {timeout_s:g} s; it is published, and the next worker will."
        f" Is one running? Start one with: oppertune worker --bootstrap {settings.bootstrap}",
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
    undelivered = producer.flush(30)
    if any(error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED for error in failures):
        raise TopicsInvalid(f"this user may not Write topic {settings.topic(Command.topic)}: only operators may")
    if undelivered or failures:
        said = ", ".join(error.str() for error in failures) or "no answer in 30 s"
        raise BrokerUnreachable(f"the broker did not take the command: {said}")


def _answer(settings: BrokerSettings, command: Command, message: Message) -> Answer | None:
    if message.topic() == settings.topic("dead-letters"):
        headers = {str(header[0]): _text(header[1]) for header in message.headers() or ()}
        if headers.get("event_id") == command.id and headers.get("topic") == Command.topic:
            reason = headers.get("detail") or headers.get("reason", "")
            raise CommandFailed(f"refused by the worker: {reason}", ExitCode.REFUSED)
        return None
    if _text(message.key()) != command.tuner:
        return None
    value = message.value()
    if value is None:
        return Answer(None) if command.kind == "delete" else None
    state = TunerState.from_bytes(value)
    return Answer(state) if command.id in state.commands else None


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
