"""What happens, as it happens: rounds that close, incumbents, changes of status, dead letters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Stop
from time import monotonic, time_ns
from typing import Literal

from confluent_kafka import Consumer, KafkaException, Message
from pydantic import ValidationError
from rich.text import Text

from ...core.errors import BrokerUnreachable
from ...schemas.configs import ConfigRecord
from ...schemas.keys import partition_of
from ...schemas.records import RoundRecord
from ..broker import BrokerSettings, partition_count
from .letters import printable
from .outputs import Happening
from .reading import newest, refuse, text
from .rounds import closed_round

_TOPICS = ("rounds", "configs", "dead-letters")
_QUIET_S = 5.0
"""After so long without a record, the broker is asked whether it is there."""
_PROBE_S = 2.0

What = Literal["round", "incumbent", "status", "dead_letter", "broker"]


@dataclass(slots=True)
class Watched:
    """What is known of each context, so that only changes are told."""

    statuses: dict[str, str]
    values: dict[str, Mapping[str, object]]


def happenings(
    settings: BrokerSettings, name: str | None, stop: Stop, *, last: int = 0, rounds: int | None = None
) -> Iterator[Happening]:
    """Everything from now on, until told to stop.

    Args:
        settings: Where the broker is.
        name: Only of this tuner.
        stop: Ends it.
        last: Begin with about so many records of each partition that are there already.
        rounds: End after so many closed rounds.

    Raises:
        BrokerUnreachable: The topics cannot be found, at the start; later silence is told as a happening.
    """
    partitions = partition_count(settings, "rounds")
    places = range(partitions) if name is None else [partition_of(name, partitions)]
    # Errors of the connection are what the broker is asked for below, not to be printed among the lines.
    consumer = Consumer(settings.consumer() | {"error_cb": lambda _: None, "log_level": 0})
    watched, left, heard, away = Watched({}, {}), rounds, monotonic(), False
    probed = settings.topic("rounds")
    try:
        consumer.assign([newest(consumer, settings.topic(topic), p, last) for topic in _TOPICS for p in places])
        while not stop.is_set() and (left is None or left > 0):
            messages = [m for m in consumer.consume(200, 0.2) if _is_record(m)]
            if messages or monotonic() - heard > _QUIET_S:
                was_away, away = away, not messages and not _answers(consumer, probed)
                heard = monotonic()
                if away != was_away:
                    said = "does not answer; waiting for it" if away else "answers again"
                    yield Happening(what="broker", time_ms=_now_ms(), said=f"the broker at {settings.bootstrap} {said}")
            for message in messages:
                for happened in _read(settings, message, name, watched):
                    if happened.what == "round" and left is not None:
                        left -= 1
                        if left < 0:
                            return
                    yield happened
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not let its topics be read: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def _is_record(message: Message) -> bool:
    if (error := message.error()) is not None:
        refuse(error)
    return error is None


def _answers(consumer: Consumer, topic: str) -> bool:
    try:
        consumer.list_topics(topic, timeout=_PROBE_S)
    except KafkaException:
        return False
    return True


def _now_ms() -> int:
    return time_ns() // 1_000_000


def _read(settings: BrokerSettings, message: Message, name: str | None, watched: Watched) -> Iterator[Happening]:
    topic, time_ms = (message.topic() or "").removeprefix(settings.prefix), message.timestamp()[1]
    if topic == "dead-letters":
        headers = {str(header[0]): text(header[1]) for header in message.headers() or ()}
        if name in {None, headers.get("tuner")}:
            yield Happening(
                what="dead_letter",
                time_ms=time_ms,
                tuner=headers.get("tuner", ""),
                said=f"{headers.get('reason', '')}: {headers.get('detail', '')}",
                place=f"{message.partition()}:{message.offset()}",
            )
    elif topic == "rounds":
        closed = closed_round(message.value())
        if closed is not None and name in {None, closed.tuner}:
            yield from _closed(closed, watched)
    elif name in {None, text(message.key()).partition("/")[0]}:
        yield from _status(message, time_ms, watched)


def _closed(closed: RoundRecord, watched: Watched) -> Iterator[Happening]:
    scope = f"{closed.tuner}/{closed.scope}"
    values = dict(closed.values or {})
    before = watched.values.get(scope, {})
    changed = {name: value for name, value in values.items() if before.get(name) != value}
    watched.values[scope] = values
    common = {"time_ms": closed.closed_ms, "tuner": closed.tuner, "context": closed.context, "round": closed.round}
    yield Happening.model_validate(
        common
        | {
            "what": "round",
            "kind": closed.kind,
            "outcome": closed.outcome,
            "reward": closed.reward,
            "values": values,
            "changed": changed,
            "said": closed.why,
        }
    )
    if closed.incumbent:
        yield Happening.model_validate(
            common | {"what": "incumbent", "reward": closed.reward, "values": values, "said": "confirmed as better"}
        )


def _status(message: Message, time_ms: int, watched: Watched) -> Iterator[Happening]:
    key, value = text(message.key()), message.value()
    tuner = key.partition("/")[0]
    if value is None:
        if watched.statuses.pop(key, None) is not None or key == tuner:
            yield Happening(what="status", time_ms=time_ms, tuner=tuner, status="deleted")
        return
    try:
        record = ConfigRecord.from_bytes(value)
    except ValidationError:  # of a newer version
        return
    before, now = watched.statuses.get(key), record.status
    watched.statuses[key] = now
    if now == before or (before is None and now in {"tuning", "parked"}):
        return
    said = "lost again: tuning resumes" if before == "achieved" and now == "tuning" else ""
    yield Happening(what="status", time_ms=time_ms, tuner=tuner, context=record.context, status=now, said=said)


_COLOURS = {"measured": "green", "failed": "red", "skipped": "yellow", "superseded": "yellow"}
_STATUS_COLOURS = {"achieved": "bold cyan", "tuning": "green", "suspended": "bold red", "deleted": "bold yellow"}


def line(happened: Happening) -> Text:
    """A happening as one line for people."""
    clock = (
        datetime.fromtimestamp(happened.time_ms / 1000).astimezone().strftime("%H:%M:%S") if happened.time_ms else ""
    )
    context = " ".join(f"{k}={v}" for k, v in (happened.context or {}).items())
    where = Text.assemble(
        (f"{clock:8} ", "dim"), (printable(happened.tuner), "bold"), f" {context}" if context else "", " "
    )
    if happened.what == "round":
        reward = "-" if happened.reward is None else f"{happened.reward:.4g}"
        changed = ", ".join(f"{name}={_short(value)}" for name, value in happened.changed.items()) or "same values"
        return where.append_text(
            Text.assemble(
                f"round {happened.round} {happened.kind} ",
                (happened.outcome, _COLOURS.get(happened.outcome, "")),
                f" reward {reward}  {changed}" + (f"  ({happened.said})" if happened.said else ""),
            )
        )
    if happened.what == "incumbent":
        values = ", ".join(f"{name}={_short(value)}" for name, value in happened.values.items())
        return where.append(f"new incumbent, reward {happened.reward:.4g}: {values}", "bold green")
    if happened.what == "status":
        said = f": {happened.said}" if happened.said else ""
        return where.append(f"{happened.status}{said}", _STATUS_COLOURS.get(happened.status, "yellow"))
    place = f" (oppertune dead-letters show {happened.place})" if happened.place else ""
    return where.append(f"{happened.what.replace('_', ' ')}: {printable(happened.said)}{place}", "red")


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
