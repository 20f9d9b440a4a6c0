"""A client's connection to Kafka: reads one partition of ``configs``, sends events, connects anew after a time-out.

All of it runs on the client's own thread. While the broker is away there is a problem to read, and a log line a minute.
"""

import ctypes
import logging
import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ...core.deadline import Deadline
from ...schemas.keys import partition_of, tuner_of
from ..broker import HARMLESS, BrokerSettings, error_codes, login_remedy, refuses_us
from .event_builder import Event

_log = logging.getLogger(__name__)

DELIVERY_TIMEOUT_S = 10.0
"""An event that was not delivered in this time is sent again by new handles: after a pause of the broker of 25 s, a
producer that went on waiting never delivered again (seen)."""

METADATA_TIMEOUT_S = 0.5
"""For the look-up of one topic. Leases and callbacks wait for it, so it is short; a broker answers in milliseconds."""

RETRY_S = 1.0
"""Between two tries to connect: an app notices soon that the broker is back, and a fleet does not storm it."""

REPORT_EVERY_S = 60.0
"""Between two log lines about what is wrong; ``problem`` always has the newest."""

MAX_WAITING_EVENTS = 500
"""Metric events kept while the broker is away. With those in flight they are 700: fewer than the 1,024 by which the
fold lets an instance's events lag behind, so none that is sent again is too old."""

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Of metric events kept while the broker is away: what an app's memory may pay for it. It counts only where events are
larger than 16 kB."""

MAX_IN_FLIGHT = 200
"""Events that the producer has, and has not delivered. A process runs a few requests and sends one event of each per
interval, so it is reached only by a broker that is slow; :data:`MAX_WAITING_EVENTS` tells why it is no larger."""

MAX_READ_AT_ONCE = 500
"""Messages taken from the consumer before they are worked on; more wait there."""

_TOPICS = ("configs", "contexts", "metrics")


@dataclass(frozen=True, slots=True)
class ConfigMessage:
    """A message of ``configs``.

    Attributes:
        key: Its key.
        value: Its value; ``None``: deleted.
        timestamp_ms: Its timestamp in milliseconds; not above 0 where it has none.
        live: It was written while this client listened, and not before.
    """

    key: str
    value: bytes | None
    timestamp_ms: int
    live: bool


class Connection:
    """Connection of one client to its tuner's partition.

    Args:
        settings: Where the broker is.
        tuner: The tuner's name.

    Attributes:
        caught_up: The partition of ``configs`` was read to its end.
        dropped: Measurements in events that were given up.
        problem: What is wrong now; empty where nothing is.
    """

    def __init__(self, settings: BrokerSettings, tuner: str) -> None:
        self.caught_up = False
        self.dropped = 0
        self.problem = ""
        self._settings = settings
        self._tuner = tuner
        self._partition: int | None = None
        self._end: int | None = None
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._history: dict[str, ConfigMessage] = {}
        self._presence: Event | None = None
        self._waiting: deque[Event] = deque()
        self._waiting_bytes = 0
        self._in_flight: set[Event] = set()
        self._refusal = ""
        self._broken = False
        self._retry_pause = Deadline(0.0)
        self._reported_at = -REPORT_EVERY_S

    # -- configs

    @property
    def connected(self) -> bool:
        """Whether the partition is known and being read."""
        return self._partition is not None

    def connect(self) -> None:
        """Try to find the partition and start reading it; blocks for a second or two at most."""
        if self._broken:
            self._close_handles()
            self._broken = False
            self._retry_pause = Deadline(0.0)
        if self.connected or not self._retry_pause.passed:
            return
        try:
            if self._consumer is None:
                self._consumer = Consumer(self._settings.consumer() | self._common() | {"enable.partition.eof": True})
            partitions = self._partitions(self._consumer)
        except KafkaException as error:
            self._retry_pause = Deadline(RETRY_S)
            if self._consumer is not None:
                self._consumer.poll(0)  # where it was told why
            self._wrong(self._refusal or f"no broker answers at {self._settings.bootstrap}: {error.args[0].str()}")
            return
        if partitions is None:
            self._retry_pause = Deadline(RETRY_S)
            return
        self._partition = partition_of(self._tuner, partitions)
        configs = self._settings.topic("configs")
        self._consumer.assign([TopicPartition(configs, self._partition, OFFSET_BEGINNING)])
        self.caught_up = False
        self._history.clear()
        self._end = _end_of(self._consumer, TopicPartition(configs, self._partition))
        self._right()

    def _partitions(self, consumer: Consumer) -> int | None:
        counts = set()
        for name in _TOPICS:
            topic = self._settings.topic(name)
            metadata = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics.get(topic)
            if metadata is not None and _forbidden(metadata.error):
                self._wrong(f"this user may not use topic {topic}: let it Read configs, Write contexts and metrics")
                return None
            if metadata is None or metadata.error is not None or not metadata.partitions:
                self._wrong(f"topic {topic} is not there: run oppertune topics create")
                return None
            counts.add(len(metadata.partitions))
        if len(counts) > 1:
            self._wrong(f"{', '.join(_TOPICS)} must have equal numbers of partitions: run oppertune topics check")
            return None
        return counts.pop()

    def poll(self, timeout_s: float) -> list[ConfigMessage]:
        """New config messages of the tuner; returns as soon as there is one.

        What was written before the reading began comes at once, when its end is reached, and only the newest of each
        key: an app does not live through history, nor through a deletion that was taken back long ago.
        """
        if self._consumer is None or not self.connected:
            return []
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        live = self.caught_up
        messages = [
            m
            for message in [first, *self._consumer.consume(MAX_READ_AT_ONCE, 0)]
            if (m := self._read(message)) is not None
        ]
        if live:
            return messages
        self._history.update((message.key, message) for message in messages)
        if not self.caught_up:
            return []
        newest = list(self._history.values())
        self._history.clear()
        return newest

    def _read(self, message: Message) -> ConfigMessage | None:
        error = message.error()
        if error is not None:
            if error.code() == error_codes.PARTITION_EOF:
                self.caught_up = True
                self._right()
            elif error.code() not in HARMLESS:
                if error.code() in _TOPIC_GONE:
                    self.renew()
                self._wrong(f"reading configs: {error.str()}")
            return None
        live = self.caught_up
        if self._end is not None and (message.offset() or 0) >= self._end - 1 and not live:
            self.caught_up = True
        key, value = message.key(), message.value()
        if not isinstance(key, bytes) or tuner_of(name := key.decode(errors="replace")) != self._tuner:
            return None
        written_ms = message.timestamp()[1]
        return ConfigMessage(name, value if isinstance(value, bytes) else None, written_ms, live=live)

    # -- events

    def send(self, event: Event) -> None:
        """Queue an event. Of presence only the newest waits; of measurements, the oldest are given up at the bound."""
        if event.topic == "contexts":
            self._presence = event
            return
        self._waiting.append(event)
        self._waiting_bytes += len(event.value)
        while len(self._waiting) > MAX_WAITING_EVENTS or self._waiting_bytes > MAX_WAITING_BYTES:
            oldest = self._waiting.popleft()
            self._waiting_bytes -= len(oldest.value)
            self._give_up(oldest, "too many wait for the broker")

    @property
    def idle(self) -> bool:
        """Whether everything was delivered."""
        return self._presence is None and not self._waiting and not self._in_flight

    def serve(self) -> None:
        """Hand over what waits, and look at what became of what was handed over. Does not block."""
        if self._partition is None:
            return
        if self._producer is None:
            self._producer = Producer(
                self._settings.producer()
                | self._common()
                | {"message.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000), "enable.idempotence": False}
            )
        self._producer.poll(0)
        while len(self._in_flight) < MAX_IN_FLIGHT and (event := self._next()) is not None:
            self._in_flight.add(event)
            try:
                self._producer.produce(
                    self._settings.topic(event.topic),
                    key=self._tuner.encode(),
                    value=event.value,
                    partition=self._partition,
                    on_delivery=partial(self._delivered, event),
                )
            except BufferError:
                self._again(event)
                return
            except KafkaException as error:
                self._in_flight.discard(event)
                self._give_up(event, error.args[0].str())

    def _next(self) -> Event | None:
        if self._presence is not None:
            event, self._presence = self._presence, None
            return event
        if not self._waiting:
            return None
        event = self._waiting.popleft()
        self._waiting_bytes -= len(event.value)
        return event

    def _delivered(self, event: Event, error: KafkaError | None, _: Message) -> None:
        if event not in self._in_flight:
            return  # of handles that were replaced
        if error is None:
            self._in_flight.discard(event)
            self._right()
        elif error.code() in _TRY_AGAIN | _TOPIC_GONE:
            self.renew()
            self._again(event)
            self._wrong(f"events are not delivered: {error.str()}")
        else:
            self._in_flight.discard(event)
            self._give_up(event, error.str())

    def _again(self, event: Event) -> None:
        """Queue an event once more. Sent twice it counts once: events are numbered."""
        self._in_flight.discard(event)
        if event.topic == "contexts":
            self._presence = self._presence or event
        else:
            self._waiting.appendleft(event)
            self._waiting_bytes += len(event.value)

    def _give_up(self, event: Event, why: str) -> None:
        self.dropped += event.measurements
        self._wrong(f"an event of {event.topic} was given up ({why}); measurements lost so far: {self.dropped}")

    # -- handles

    def _common(self) -> dict[str, Any]:
        return {"error_cb": self._noticed, "log_level": 2}  # what it logs of an absent broker, we say once a minute

    def _noticed(self, error: KafkaError) -> None:
        said = f"{self._settings.bootstrap}: {error.str()}"
        if refuses_us(error):
            # Kept until we are let in: librdkafka tells the same refusal once, and then only that nobody answers.
            said = self._refusal = f"{said}. {login_remedy(error, self._settings)}"
        self._wrong(said)

    def renew(self) -> None:
        """Connect anew with new handles: these may never deliver again. ``configs`` is read from its beginning."""
        self._broken = True

    def _close_handles(self) -> None:
        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        self._partition = None
        self.caught_up = False
        if producer is not None:
            producer.purge()
            producer.poll(0)
            for event in list(self._in_flight):
                self._again(event)
        if consumer is not None:
            consumer.close()

    def close(self) -> None:
        """Close the handles; what was not delivered is given up."""
        self._close_handles()
        lost = sum(event.measurements for event in self._waiting)
        if lost:
            self.dropped += lost
            _log.warning("closed with %d measurements undelivered", lost)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._presence = None

    def abandon(self) -> None:
        """In the child of a fork: never touch the parent's handles, not even to destroy them.

        Their threads are not there, and destroying a handle waits for its threads. So a reference is leaked.
        """
        for handle in (self._producer, self._consumer):
            if handle is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
        self._producer = self._consumer = self._partition = None
        self._retry_pause = Deadline(math.inf)

    # -- problems

    def _wrong(self, problem: str) -> None:
        self.problem = problem
        if monotonic() >= self._reported_at + REPORT_EVERY_S:
            self._reported_at = monotonic()
            _log.warning("tuner %s: %s", self._tuner, problem)

    def _right(self) -> None:
        self.problem = self._refusal = ""


def _end_of(consumer: Consumer, place: TopicPartition) -> int | None:
    """Where a partition ends now: an end that is told after a pause never comes where others write all the time."""
    try:
        _, end = consumer.get_watermark_offsets(place, timeout=METADATA_TIMEOUT_S)
    except KafkaException:  # the reading tells what is wrong; and its end, once nobody writes for a moment
        return None
    return int(end)


def _forbidden(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


_TOPIC_GONE = {
    error_codes.UNKNOWN_TOPIC,
    error_codes.UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_TRY_AGAIN = {
    error_codes.MESSAGE_TIMED_OUT,
    error_codes.PURGED_IN_QUEUE,
    error_codes.PURGED_IN_FLIGHT,
    error_codes.TIMED_OUT,
    error_codes.TRANSPORT,
}
