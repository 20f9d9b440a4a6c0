"""Plays one fixed run of 2,000 events through the fold and writes down every record that it wrote, byte for byte.

    PYTHONPATH=tests .venv/bin/python tests/upgrade/record_run.py FILE.jsonl.xz        # plays, writes
    PYTHONPATH=tests .venv/bin/python tests/upgrade/record_run.py --compare OLD NEW    # two commits, on one machine

Two tuners: bluefin on numbers with a context, exponential weights on categories without one. Instances come, go and
crash; measurements are doubled, late, of other values, numbered and not; an operator pauses, resumes, applies and
resets; the process is restarted, and a commit lost, now and then. Everything is drawn from one seed.

The runs that are stored beside this file are those of earlier versions: what a later one must be able to read.
"""

import lzma
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from oppertune.schemas import ConfigRecord
from world import World

EVENTS = 2_000
SEED = 20_261_126

NUMBERS = {
    "name": "numbers",
    "parameters": [
        {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
        {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
    ],
    "algorithm": {"name": "bluefin", "args": {"random_seed": 7}},
    "context": {"features": [{"name": "traffic", "values": ["low", "high"]}]},
    "objective": {"terms": [{"metric": "latency", "aggregate": "p95", "goal": "minimize"}]},
    "measurement": {"interval_s": 1.0, "min_samples": 9, "min_duration_s": 0, "settle_s": 1.0},
    "confirmation": {"every": 8, "rounds": 2},
    "target": {"reward": -2.0, "rounds": 2},
    "heartbeat_s": 10.0,
}
CATEGORIES = {
    "name": "categories",
    "parameters": [
        {"name": "mode", "type": "categorical", "val": "slow", "categories": ["slow", "fast"]},
        {"name": "cache", "type": "categorical", "val": "lru", "categories": ["lru", "lfu", "none"]},
    ],
    "algorithm": {"name": "exponential_weights", "args": {"random_seed": 7}},
    "objective": {"measured": "reward", "range": {"low": 0.0, "high": 1.0}},
    "measurement": {"interval_s": 1.0, "min_samples": 3, "min_duration_s": 0},
    "heartbeat_s": 10.0,
}
TRAFFIC = {"a": "low", "b": "low", "c": "high", "d": "high"}


class Player:
    """Sends the run's events to a world, some at a time, and keeps all that each fold wrote."""

    def __init__(self) -> None:
        self.random = random.Random(SEED)
        self.world = World()
        self.lines: list[tuple[str, str, bytes | None]] = []
        self.sent = 0
        self.old: list[dict[str, Any]] = []

    def play(self) -> None:
        """All of it."""
        self.world.apply(NUMBERS)
        self.world.apply(CATEGORIES)
        self.sent = 2
        self.fold()
        while self.sent < EVENTS:
            for _ in range(self.random.randint(1, 8)):
                self.event()
                self.sent += 1
            self.world.now_ms += self.random.choice([0, 50, 400, 400, 1_500, 1_500, 9_000])
            if self.random.random() < 0.05:
                self.fold(lost=True)
            self.fold()
            if self.random.random() < 0.02:
                self.world.restore()
            if self.random.random() < 0.01:
                self.world.now_ms += 120_000
                self.fold()

    def fold(self, *, lost: bool = False) -> None:
        """Fold what is pending, and what time brings."""
        effects = self.world.fold(read_to_end=self.random.random() < 0.7, lost=lost)
        if lost:
            return
        self.lines += [("state", key, value) for key, value in effects.state.items()]
        self.lines += [("configs", key, value) for key, value in effects.configs.items()]
        self.lines += [("rounds", key, value) for key, value in effects.rounds]
        self.lines += [("journal", "", value) for value in effects.journal]
        for letter in effects.dead_letters:
            headers = {name: value.decode() for name, value in letter.headers}
            self.lines.append(("dead-letters", orjson.dumps(headers).decode(), letter.value))

    def inputs(self) -> list[tuple[str, str, bytes | None]]:
        """What was folded, with offset and timestamp as the key."""
        logs = self.world.logs
        return [(topic, f"{r.offset} {r.timestamp_ms}", r.value) for topic in sorted(logs) for r in logs[topic]]

    def event(self) -> None:
        """One event of any kind."""
        draw = self.random.random()
        if draw < 0.01:
            self.command()
        elif draw < 0.15:
            self.presence()
        elif draw < 0.22 and self.old:
            again = self.old[-3:] if self.random.random() < 0.7 else self.old
            self.world.send("metrics", self.random.choice(again))
        elif draw < 0.23:
            self.world.send("metrics", b"not json")
        else:
            self.metric()

    def command(self) -> None:
        """What an operator asks for."""
        kind = self.random.choice(["pause", "resume", "resume", "resume", "reset", "apply"])
        spec = self.random.choice([NUMBERS, CATEGORIES])
        if kind == "apply":
            self.world.apply({**spec, "heartbeat_s": 10.0 + self.random.randint(0, 2)})
        else:
            self.world.command(kind, str(spec["name"]))

    def presence(self) -> None:
        """An instance is here, runs what it read, or leaves."""
        name, instance = self.random.choice(["numbers", "categories"]), self.random.choice(list(TRAFFIC))
        more: dict[str, Any] = {"tuner": name}
        if name == "numbers":
            more["context"] = {"traffic": TRAFFIC[instance]}
        if (record := self.config(name, instance)) is not None and record.arms and self.random.random() < 0.5:
            more["request_id"] = record.arms[0].request_id
        if self.random.random() < 0.05:
            more["leaving"] = True
        self.world.here(instance, **more)

    def metric(self) -> None:
        """An instance measured something under what it last read."""
        name, instance = self.random.choice(["numbers", "categories"]), self.random.choice(list(TRAFFIC))
        record = self.config(name, instance)
        if record is None or not record.arms:
            self.presence()
            return
        arm = record.arms[0]
        seq = self.world.number_of("metrics", f"{name}.{instance}")
        event: dict[str, Any] = {
            "v": 1,
            "id": f"{name}-{instance}-m{seq}",
            "tuner": name,
            "instance": instance,
            "scope": record.scope,
            "round": arm.round,
            "arm": arm.arm,
            "request_id": arm.request_id,
            "values_hash": arm.hash if self.random.random() > 0.02 else "others",
            "interval_s": 1.0,
            "active_for_s": 5.0 if self.random.random() > 0.02 else 0.0,
            "metrics": self.measurements(name, arm.values),
        }
        if instance != "d":
            event |= {"boot": "1", "seq": seq}
        self.old = [*self.old[-200:], event]
        self.world.send("metrics", event)

    def measurements(self, name: str, values: Any) -> dict[str, Any]:
        """What the configuration's quality and some noise give."""
        noise = self.random.gauss(0.0, 0.05)
        if name == "categories":
            return {"reward": min(max(0.3 + 0.5 * (values["mode"] == "fast") + noise, 0.0), 1.0)}
        latency = 1.0 + abs(values["pool"] - 60) / 20 + abs(values["ratio"] - 0.2) + abs(noise)
        return {"latency": [latency, latency * 1.5, latency * 3.0], "errors": 0.0}

    def config(self, name: str, instance: str) -> ConfigRecord | None:
        """What an instance follows."""
        scopes = [key for key in sorted(self.world.configs) if key.startswith(f"{name}/")]
        if name == "categories" or not scopes:
            raw = self.world.configs.get(name)
            return ConfigRecord.from_bytes(raw) if raw is not None else None
        records = [ConfigRecord.from_bytes(self.world.configs[key]) for key in scopes]
        return next((r for r in records if r.context == {"traffic": TRAFFIC[instance]}), None)


def recorded(lines: list[tuple[str, str, bytes | None]]) -> bytes:
    """Lines of JSON: topic, key, and the value as text."""
    return b"\n".join(orjson.dumps([t, k, v.decode() if v is not None else None]) for t, k, v in lines) + b"\n"


def read(path: Path) -> list[tuple[str, str, str | None]]:
    """What was recorded."""
    return [tuple(orjson.loads(line)) for line in lzma.decompress(path.read_bytes()).splitlines()]


def differences(old: Path, new: Path) -> Iterator[str]:
    """What two runs wrote differently; in ``state``, ``open`` is now ``arms``, and ``@commands`` is new."""
    before, after = read(old), read(new)
    if added := [line for line in after if line[:2] == ("state", "@commands")]:
        yield f"{len(added)} new records of @commands"
        after = [line for line in after if line not in added]
    if len(before) != len(after):
        yield f"{len(before)} records, then {len(after)}"
    for number, (one, other) in enumerate(zip(before, after, strict=False)):
        if one == other:
            continue
        if one[:2] == other[:2] and one[2] and other[2]:
            was, now = orjson.loads(one[2]), orjson.loads(other[2])
            changed = sorted(k for k in was.keys() | now.keys() if was.get(k) != now.get(k))
            if one[0] == "journal" and changed == ["state_hash"]:
                yield "journal: state_hash (of other bytes)"
                continue
            opened = [was["open"]] if "open" in was else []
            if one[0] == "state" and set(changed) <= {"open", "arms"} and opened == now.get("arms", []):
                was.pop("open", None)
                now.pop("arms", None)
                same = list(was) == list(now) and orjson.dumps(was) == orjson.dumps(now)
                yield "state: open is arms, a list" if same else f"record {number}: other bytes beside arms"
                continue
        yield f"record {number}: {str(one)[:300]}\n   is {str(other)[:300]}"


def main() -> None:
    """Play, or compare."""
    if sys.argv[1] == "--compare":
        counted: dict[str, int] = {}
        for difference in differences(Path(sys.argv[2]), Path(sys.argv[3])):
            counted[difference] = counted.get(difference, 0) + 1
        for difference, count in counted.items():
            print(f"{count} x {difference}")
        print(f"{len(read(Path(sys.argv[3])))} records compared")
        return
    player = Player()
    player.play()
    Path(sys.argv[1]).write_bytes(lzma.compress(recorded(player.inputs() + player.lines)))
    topics = [topic for topic, _, _ in player.lines]
    print({topic: topics.count(topic) for topic in sorted(set(topics))}, f"{player.sent} events")
    print({source: player.world.dispositions(source) for source in ("commands", "contexts", "metrics")})
    outcomes = [r.outcome for r in player.world.rounds]
    print({outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})


if __name__ == "__main__":
    main()
