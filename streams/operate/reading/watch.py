"""What happens, as it happens: rounds that close, incumbents, changes of status, dead letters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Event as Stop
from time import time_ns

from confluent_kafka import KafkaException, Message
from pydantic import ValidationError

from ....core.deadline import Deadline
from ....core.errors import BrokerUnreachable, OppertuneError
from ....schemas.configs import ConfigRecord
from ....schemas.keys import partition_of, tuner_of
from ....schemas.records import RoundRecord
from ....schemas.state import ScopeState
from ...broker import BrokerSettings, partition_count
from ...broker.handles import Consumer
from ...broker.reading import raise_unless_it_passes, start_of_last, text
from ..outputs import WatchEvent
from .dead_letters import dead_letter
from .rounds import closed_round
from .tuners import TunerView, read_tuners

_TOPICS = ("rounds", "configs", "dead-letters")
_QUIET_S = 5.0
"""After so long without a record, the broker is asked whether it is there."""
_AGAIN_S = 60.0
"""While it is away, it is told so often."""
_PROBE_S = 2.0
"""For its answer; Ctrl-C waits for it, too."""


@dataclass(slots=True)
class Watched:
    """What is known of each context, so that only changes are told.

    Attributes:
        read: Reads a tuner's state; ``None`` where it cannot be read.
        statuses: The newest by key.
        values: What rounds are compared with, by scope: the newest round, or the incumbent beside others.
        judged: Of the newest round that judged a recommendation, by scope.
        not_shared: Which parameters apps and spec do not share, by scope.
        scopes: As they were read last: what their incumbents are.
    """

    read: Callable[[str], TunerView | None]
    statuses: dict[str, str] = field(default_factory=dict)
    values: dict[str, Mapping[str, object]] = field(default_factory=dict)
    judged: dict[str, Mapping[str, object]] = field(default_factory=dict)
    not_shared: dict[str, list[str]] = field(default_factory=dict)
    scopes: dict[str, ScopeState] = field(default_factory=dict)


def watch_events(
    settings: BrokerSettings, name: str | None, stop: Stop, *, last: int = 0, rounds: int | None = None
) -> Iterator[WatchEvent]:
    """Everything from now on, until told to stop.

    Args:
        settings: Where the broker is.
        name: Only of this tuner.
        stop: Ends it.
        last: Begin with about so many records of each partition that are there already.
        rounds: End after so many closed rounds.

    Raises:
        BrokerUnreachable: The topics cannot be found, at the start; later silence is an event.
    """
    partitions = partition_count(settings, "rounds")
    followed = range(partitions) if name is None else [partition_of(name, partitions)]
    # Errors of the connection are what the broker is asked for below, not to be printed among the lines.
    consumer = Consumer(settings.consumer() | {"error_cb": lambda _: None, "log_level": 0})
    watched = Watched(partial(_tuner, settings))
    left, quiet, away, again = rounds, Deadline(_QUIET_S), False, Deadline(_AGAIN_S)
    probed = settings.topic("rounds")
    try:
        consumer.assign(
            [start_of_last(consumer, settings.topic(topic), p, last) for topic in _TOPICS for p in followed]
        )
        while not stop.is_set() and (left is None or left > 0):
            messages = [m for m in consumer.consume(200, 0.2) if _is_record(m)]
            if messages or quiet.passed:
                was_away, away = away, not messages and not _answers(consumer, probed)
                quiet = Deadline(_QUIET_S)
                if away != was_away or (away and again.passed):
                    again = Deadline(_AGAIN_S)
                    said = "does not answer; waiting for it" if away else "answers again"
                    yield WatchEvent(
                        what="broker", time_ms=time_ns() // 1_000_000, said=f"the broker at {settings.bootstrap} {said}"
                    )
            for message in messages:
                for event in _read(settings, message, name, watched):
                    if event.what == "round" and left is not None:
                        left -= 1
                        if left < 0:
                            return
                    yield event
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not let its topics be read: {error.args[0].str()}"
        ) from error
    finally:
        consumer.close()


def _is_record(message: Message) -> bool:
    if (error := message.error()) is not None:
        raise_unless_it_passes(error)
    return error is None


def _answers(consumer: Consumer, topic: str) -> bool:
    try:
        consumer.list_topics(topic, timeout=_PROBE_S)
    except KafkaException:
        return False
    return True


def _read(settings: BrokerSettings, message: Message, name: str | None, watched: Watched) -> Iterator[WatchEvent]:
    topic, time_ms = (message.topic() or "").removeprefix(settings.prefix), message.timestamp()[1]
    if topic == "dead-letters":
        found = dead_letter(message)
        if found is not None and name in {None, found.headers.tuner}:
            yield WatchEvent(
                what="dead_letter",
                time_ms=time_ms,
                tuner=found.headers.tuner,
                said=f"{found.headers.reason}: {found.headers.detail}",
                place=found.place,
            )
    elif topic == "rounds":
        closed = closed_round(message.value())
        if closed is not None and name in {None, closed.tuner}:
            yield from _closed(closed, watched)
    elif name in {None, tuner_of(text(message.key()))}:
        yield from _status(message, time_ms, watched)


def _closed(closed: RoundRecord, watched: Watched) -> Iterator[WatchEvent]:
    scope = f"{closed.tuner}/{closed.scope}"
    values = dict(closed.values or {})
    before = watched.values.get(scope, {})
    changed = {name: value for name, value in values.items() if before.get(name) != value}
    beside = closed.schedule == "beside"
    if not beside or closed.kind == "baseline":
        watched.values[scope] = values
    if closed.kind in {"candidate", "confirm"}:
        watched.judged[scope] = values
    common = {"time_ms": closed.closed_ms, "tuner": closed.tuner, "context": closed.context, "round": closed.round}
    yield WatchEvent.model_validate(
        common
        | {
            "what": "round",
            "kind": closed.kind,
            "arm": closed.arm if beside else "",
            "stage": closed.stage if beside else None,
            "units": closed.units,
            "outcome": closed.outcome,
            "reward": closed.reward,
            "better": closed.relative.theta if closed.relative else None,
            "better_se": (closed.relative.se or None) if closed.relative else None,
            "values": values,
            "changed": changed,
            "said": closed.why,
        }
    )
    for said in _news(watched.not_shared.get(scope, []), closed.not_shared or []):
        yield WatchEvent.model_validate(common | {"what": "parameters", "said": said})
    watched.not_shared[scope] = closed.not_shared or []
    if closed.incumbent:
        yield WatchEvent.model_validate(common | {"what": "incumbent"} | _won(closed, scope, watched))


def _news(before: list[str], now: list[str]) -> list[str]:
    """What is new of the parameters that apps and spec do not share."""
    if before and not now:
        return ["apps and spec share all parameters again"]
    return [said for said in now if said not in before]


def _won(closed: RoundRecord, scope: str, watched: Watched) -> dict[str, object]:
    """What a round's end made the incumbent: the round itself may have played the one before, to judge between them.

    As ``tuner best`` has it; where another has taken its place since, as far as rounds tell: its reward is not known.
    """
    end = (closed.incarnation, closed.round)
    known = watched.scopes.get(scope)
    if known is None or _since(known) < end:
        view = watched.read(closed.tuner)
        watched.scopes |= {f"{closed.tuner}/{one.scope}": one for one in (view.scopes if view is not None else ())}
        known = watched.scopes.get(scope)
    if known is not None and _since(known) == end:
        return {"values": known.incumbent.values, "reward": known.incumbent.reward, "said": "found better"}
    return {"values": watched.judged.get(scope, {}), "reward": None, "said": "found better, and replaced since"}


def _since(scope: ScopeState) -> tuple[int, int]:
    """Which round's end made a scope's incumbent."""
    return scope.incarnation, scope.incumbent.since_round


def _tuner(settings: BrokerSettings, name: str) -> TunerView | None:
    try:
        return read_tuners(settings, name).get(name)
    except OppertuneError:  # away, or not to be read by this user: what is followed tells all else
        return None


def _status(message: Message, time_ms: int, watched: Watched) -> Iterator[WatchEvent]:
    key, value = text(message.key()), message.value()
    tuner = tuner_of(key)
    if value is None:
        if watched.statuses.pop(key, None) is not None or key == tuner:
            yield WatchEvent(what="status", time_ms=time_ms, tuner=tuner, status="deleted")
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
    yield WatchEvent(what="status", time_ms=time_ms, tuner=tuner, context=record.context, status=now, said=said)
