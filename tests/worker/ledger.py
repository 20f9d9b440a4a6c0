"""The verifier: reads the topics with its own consumer, and adds up. It shares no code with the worker.

Per partition, from what is committed:

- the journal's ranges of each source follow on each other without overlap, up to what ``@offsets`` says;
- every metric record is in exactly one range, with exactly one disposition;
- the values of the applied ones are what closed rounds and open requests hold: count, sum and, for what is open, the
  sum of squares.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from kafkas import value_of

SOURCES = ("commands", "contexts", "metrics")


def read(bootstrap: str, topic: str, *, committed: bool = True) -> dict[int, list[Message]]:
    """All records of a topic by partition, to the end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "ledger",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "log_level": 2,
        }
    )
    try:
        partitions = list(consumer.list_topics(topic, 10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        records: dict[int, list[Message]] = {p: [] for p in partitions}
        reading = set(partitions)
        for _ in range(600):
            if not reading:
                return records
            for message in consumer.consume(10_000, 0.1):
                error, partition = message.error(), message.partition()
                assert partition is not None
                if error is None:
                    records[partition].append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    reading.discard(partition)
        raise AssertionError(f"{topic} could not be read to its end")
    finally:
        consumer.close()


class Broker(Protocol):
    """Where to look."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def prefix(self) -> str: ...


@dataclass
class Ledger:
    """What the topics say happened.

    Attributes:
        sent: Values of all visible metric records, by partition and offset.
        fate: Disposition of each, by partition and offset.
        dispositions: How many of each.
        values: Counter of the values that were applied.
        closed: Count and sum of the rewards in closed rounds.
        open: Count, sum and sum of squares of the rewards in open requests.
        transactions: Journal records per partition.
        rounds: How many were closed with a reward.
        invisible: Offsets that were accounted for, but are not to be read: markers, aborted and deleted records.
        gaps: Offsets without a record, by source.
        lost: Offsets whose records were deleted unread, by source.
        states: Newest state records by key.
    """

    sent: dict[tuple[int, int], int] = field(default_factory=dict)
    fate: dict[tuple[int, int], str] = field(default_factory=dict)
    dispositions: Counter[str] = field(default_factory=Counter)
    values: Counter[int] = field(default_factory=Counter)
    closed: tuple[int, int] = (0, 0)
    open: tuple[int, int, int] = (0, 0, 0)
    rounds: int = 0
    invisible: int = 0
    transactions: dict[int, int] = field(default_factory=dict)
    gaps: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    states: dict[int, dict[str, Any]] = field(default_factory=dict)


def audit(bootstrap: str, prefix: str) -> Ledger:
    """Read everything and check what must hold whatever happened."""
    ledger = Ledger()
    for partition, messages in read(bootstrap, f"{prefix}state").items():
        newest = ledger.states[partition] = {}
        for message in messages:
            key = message.key()
            assert key is not None
            newest[key.decode()] = None if message.value() is None else orjson.loads(value_of(message))
    for partition, messages in read(bootstrap, f"{prefix}metrics").items():
        for message in messages:
            offset = message.offset()
            assert offset is not None
            ledger.sent[partition, offset] = orjson.loads(value_of(message))["metrics"]["reward"]
    _journal(ledger, bootstrap, prefix)
    _rewards(ledger, bootstrap, prefix)
    for place, value in ledger.sent.items():
        if ledger.fate.get(place) == "applied":
            ledger.values[value] += 1
    counted, total = ledger.closed[0] + ledger.open[0], ledger.closed[1] + ledger.open[1]
    assert ledger.dispositions["applied"] == counted, "applied rewards are not those in the rounds"
    if ledger.invisible == ledger.gaps["metrics"]:
        seen = sum(value * count for value, count in ledger.values.items())
        assert seen == total, "applied rewards do not add up to those in the rounds"
    return ledger


def settled(broker: Broker, within_s: float = 20.0) -> Ledger:
    """The ledger once every visible metric record has its fate.

    The topics are read one after another while the worker goes on, so an audit may fail for that alone. What is really
    lost or doubled stays so, and fails the last attempt.
    """
    deadline = time.monotonic() + within_s
    while True:
        last = time.monotonic() > deadline
        try:
            ledger = audit(broker.bootstrap, broker.prefix)
            unfated = ledger.sent.keys() - ledger.fate.keys()
            assert not unfated, f"{len(unfated)} of {len(ledger.sent)} metric records have no disposition"
        except (AssertionError, KeyError):
            if last:
                raise
            time.sleep(0.3)
        else:
            return ledger


def _journal(ledger: Ledger, bootstrap: str, prefix: str) -> None:
    for partition, messages in read(bootstrap, f"{prefix}journal").items():
        records = [orjson.loads(value_of(m)) for m in messages]
        ledger.transactions[partition] = len(records)
        assert [r["transaction"] for r in records] == list(range(1, len(records) + 1)), "transactions are numbered"
        if not records:
            continue
        sources = ledger.states[partition]["@offsets"]["sources"]
        for source in SOURCES:
            reached = None
            for folded in (r["folded"][source] for r in records if source in r["folded"]):
                assert reached is None or folded["first"] == reached, f"{source}-{partition}: a hole or an overlap"
                reached = folded["next"]
                assert folded["next"] - folded["first"] == (
                    sum(folded.get("dispositions", {}).values()) + folded.get("gaps", 0) + folded.get("lost", 0)
                )
                ledger.gaps[source] += folded.get("gaps", 0)
                ledger.lost[source] += folded.get("lost", 0)
                if source == "metrics":
                    ledger.dispositions.update(folded["dispositions"])
                    other = dict(folded.get("other", []))
                    for offset in range(folded["first"], folded["next"]):
                        if (partition, offset) in ledger.sent:
                            assert (partition, offset) not in ledger.fate
                            ledger.fate[partition, offset] = other.get(offset, "applied")
                        else:
                            ledger.invisible += 1
            assert reached is None or reached == sources[source]["next"], f"{source}-{partition}: journal and state"


def _rewards(ledger: Ledger, bootstrap: str, prefix: str) -> None:
    count = total = 0
    for messages in read(bootstrap, f"{prefix}rounds").values():
        for record in (orjson.loads(value_of(m)) for m in messages):
            if reward := record.get("metrics", {}).get("reward"):
                ledger.rounds += 1
                count += reward["count"]
                total += round(reward["mean"] * reward["count"])
    ledger.closed = (count, total)
    count = total = squares = 0
    for states in ledger.states.values():
        for record in states.values():
            for request in (record or {}).get("arms", []):
                if summary := request["metrics"].get("reward"):
                    count += summary["count"]
                    total += round(sum(summary["total"]))
                    squares += round(sum(summary["squares"]))
    ledger.open = (count, total, squares)
