"""A partition's world without Kafka: logs with offsets, a store of what was committed, a clock moved by hand."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from oppertune.schemas import ConfigRecord, JournalRecord, RoundRecord, ScopeState, TunerState
from oppertune.schemas.keys import OFFSETS_KEY, partition_of
from oppertune.schemas.records import FoldedRange
from oppertune.schemas.state import PartitionOffsets
from oppertune.streams.processor import SOURCES, DeadLetter, Effects, Partition, Received, Unreadable

SPEC: dict[str, Any] = {
    "name": "checkout",
    "parameters": [
        {"name": "mode", "type": "categorical", "val": "slow", "categories": ["slow", "fast"]},
        {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
        {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
    ],
    "algorithm": {"name": "hybrid_solver", "args": {"random_seed": 7}},
    "measurement": {"interval_s": 1.0, "min_samples": 3, "min_duration_s": 0},
    "rollout": {"enabled": False},
    "heartbeat_s": 10.0,
}


def hash_of(state: dict[str, bytes | None]) -> str:
    """What a journal record says of the state records that its transaction wrote, computed on its own."""
    parts = [part for key in sorted(state) for part in (key.encode(), state[key] or b"")]
    return hashlib.sha256(b"".join(part + b"\0" for part in parts)).hexdigest()


def spec(**changes: Any) -> dict[str, Any]:
    return {**SPEC, **changes}


@dataclass
class World:
    """Sends records to one partition, folds them, keeps what was committed."""

    partitions: int = 1
    number: int = 0
    now_ms: int = 1_000_000
    logs: dict[str, list[Received]] = field(default_factory=lambda: {topic: [] for topic in SOURCES})
    state: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)
    rounds: list[RoundRecord] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    topic_ids: dict[str, str] = field(default_factory=dict)
    _seq: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.partition = self.restore()

    def restore(self) -> Partition:
        partition = Partition.restore(self.number, self.partitions, self.state, topic_ids=self.topic_ids)
        self.partition = partition
        return partition

    # -- sending

    def send(self, topic: str, value: bytes | dict[str, Any] | None, *, key: bytes | None = None) -> Received:
        raw = orjson.dumps(value) if isinstance(value, dict) else value
        record = Received(topic, len(self.logs[topic]), self.now_ms, key, raw)
        self.logs[topic].append(record)
        return record

    def command(self, kind: str, name: str = "checkout", **more: Any) -> Received:
        id_ = more.pop("id", f"command-{len(self.logs['commands'])}")
        return self.send("commands", {"v": 1, "id": id_, "kind": kind, "tuner": name, "author": "test", **more})

    def apply(self, changed: dict[str, Any] | None = None, **more: Any) -> Received:
        given = changed or SPEC
        return self.command("apply", given["name"], spec=given, **more)

    def number_of(self, topic: str, instance: str) -> int:
        self._seq[topic, instance] = self._seq.get((topic, instance), -1) + 1
        return self._seq[topic, instance]

    def context_event(self, instance: str = "a", **more: Any) -> dict[str, Any]:
        seq = self.number_of("contexts", instance)
        event = {"v": 1, "id": f"{instance}-c{seq}", "tuner": "checkout", "instance": instance, "boot": "1", "seq": seq}
        return {**event, **more}

    def here(self, instance: str = "a", **more: Any) -> Received:
        return self.send("contexts", self.context_event(instance, **more))

    def metric_event(self, instance: str = "a", reward: Any = 0.5, scope: str = "", **more: Any) -> dict[str, Any]:
        arm = self.config(scope=scope, name=more.get("tuner", "checkout")).arms[0]
        seq = self.number_of("metrics", instance)
        event = {
            "v": 1,
            "id": f"{instance}-m{seq}",
            "tuner": "checkout",
            "instance": instance,
            "boot": "1",
            "seq": seq,
            "scope": scope,
            "round": arm.round,
            "arm": arm.arm,
            "request_id": arm.request_id,
            "values_hash": arm.hash,
            "interval_s": 1.0,
            "active_for_s": 5.0,
            "metrics": {"reward": reward},
        }
        return {**event, **more}

    def measured(self, instance: str = "a", reward: Any = 0.5, scope: str = "", **more: Any) -> Received:
        return self.send("metrics", self.metric_event(instance, reward, scope, **more))

    def nothing(self, topic: str) -> Received:
        """Stands in a log where a record was that is no more to be read."""
        return Received(topic, -1, 0, None, None)

    # -- folding

    def pending(self) -> list[Received]:
        after = self.partition.next_offsets()
        unread = [r for topic in SOURCES for r in self.logs[topic][after[topic] or 0 :]]
        return sorted(unread, key=lambda r: r.timestamp_ms)

    def fold(self, records: list[Received] | None = None, *, read_to_end: bool = False, lost: bool = False) -> Effects:
        """Fold what is pending (or the records given) and commit it; ``lost``: crash before the commit."""
        ends = dict.fromkeys(SOURCES, self.now_ms) if read_to_end else {}
        effects = self.partition.fold(
            self.pending() if records is None else records, read_to_end_ms=ends, log_starts={}
        )
        if lost:
            self.restore()
        else:
            self.commit(effects)
        return effects

    def commit(self, effects: Effects) -> None:
        for store, changes in ((self.state, effects.state), (self.configs, effects.configs)):
            for key, value in changes.items():
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
        self.rounds += [RoundRecord.from_bytes(value) for _, value in effects.rounds]
        self.letters += effects.dead_letters
        for record in effects.journal:
            hashed = JournalRecord.from_bytes(record).state_hash
            assert hashed == hash_of({key: value for key, value in effects.state.items() if key != OFFSETS_KEY})
        self.journal += effects.journal

    def replayed(self) -> "World":
        """Another world that only has the journal and the logs: it must come to the same state, record by record."""
        other = World(self.partitions, self.number, logs=self.logs, topic_ids=self.topic_ids)
        other.restore()
        for raw in self.journal:
            entry = JournalRecord.from_bytes(raw)
            upcoming = {topic: self._applied(topic, folded) for topic, folded in entry.folded.items()}
            records = list[Received]()
            for topic, count in entry.order:
                left = count
                while left:
                    records.append(upcoming[topic].pop(0))
                    left -= type(records[-1].value) is not Unreadable
            records += [r for rest in upcoming.values() for r in rest]
            starts = {topic: folded.first + folded.lost for topic, folded in entry.folded.items()}
            effects = other.partition.fold(records, read_to_end_ms=entry.ends_ms, log_starts=starts)
            assert [JournalRecord.from_bytes(again) for again in effects.journal] == [entry]
            other.commit(effects)
        return other

    def _applied(self, topic: str, folded: FoldedRange) -> list[Received]:
        lost = {offset for first, end in folded.unreadable or () for offset in range(first, end)}
        applied = [r for r in self.logs[topic] if folded.first <= r.offset < folded.next]
        return [r._replace(value=Unreadable()) if r.offset in lost else r for r in applied]

    def wait(self, seconds: float) -> Effects:
        """Let time pass with all sources read to their ends."""
        self.now_ms += round(seconds * 1000)
        return self.fold(read_to_end=True)

    def fall_silent(self) -> None:
        """Nothing more is heard of anybody until nobody counts as present, while a worker renews what it published."""
        until = max(p.expires_ms for key in self.state if "/" in key for p in self._scope_of(key).presence.values())
        while self.now_ms <= until:
            self.wait(1)

    # -- looking

    def config(self, scope: str = "", name: str = "checkout") -> ConfigRecord:
        return ConfigRecord.from_bytes(self.configs[f"{name}/{scope}" if scope else name])

    def tuner(self, name: str = "checkout") -> TunerState:
        return TunerState.from_bytes(self.state[name])

    def scope(self, scope: str = "", name: str = "checkout") -> ScopeState:
        return ScopeState.from_bytes(self.state[f"{name}/{scope}"])

    def _scope_of(self, key: str) -> ScopeState:
        return ScopeState.from_bytes(self.state[key])

    def offsets(self) -> PartitionOffsets:
        return PartitionOffsets.from_bytes(self.state[OFFSETS_KEY])

    def dispositions(self, topic: str = "metrics") -> dict[str, int]:
        return {str(name): count for name, count in self.offsets().sources[topic].dispositions.items()}

    def letter_reasons(self) -> list[str]:
        return [dict(letter.headers)["reason"].decode() for letter in self.letters]

    def play(self, rounds: int, reward: Any = 0.5, *, instance: str = "a", scope: str = "") -> None:
        """Play whole rounds; ``reward`` is a number or a function of the configuration."""
        for _ in range(rounds):
            self.now_ms += 1000
            value = reward(self.config(scope).arms[0].values) if callable(reward) else reward
            for _ in range(3):
                self.measured(instance, value, scope)
            self.fold()


def running(changed: dict[str, Any] | None = None, **context: Any) -> World:
    """A world whose tuner is applied and has one instance and an open round."""
    world = World()
    world.apply(changed)
    world.fold()
    world.here(**context)
    world.fold()
    return world


def name_on(partition: int, partitions: int) -> str:
    """A tuner name that belongs on a partition."""
    return next(n for n in (f"t{i}" for i in range(10_000)) if partition_of(n, partitions) == partition)
