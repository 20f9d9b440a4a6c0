"""How fast does a worker fold, and how soon does an app have the next configuration?

On a real Kafka (OPPERTUNE_TEST_BOOTSTRAP, else ../shared/kafka/run-kafka), one after the other:

1. **throughput**: a worker is started on preloaded metric events, 100 tuners, every thirtieth event of a tuner closes a
   round. Events per second from the worker's "ready" to the timestamp of the journal record that applied the last one.
   All of them must have been applied, or there is no figure.
2. **Faust idiom**: the same events through a plain Faust agent, a table update and a send per event.
3. **latency**: from sending a metric that closes a round to the callback of a TunerClient with the next configuration.
   Always with bluefin: a change is timed, and the default learner's first proposal is what the app runs already.

Run: python benchmarks/stream.py [--events N] [--algorithm NAME] [--json]. On an idle machine; it takes two minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kafkas import LocalKafka, run_kafka, unique_prefix
from oppertune.core.values import Integer, Real
from oppertune.schemas import Command, ConfigRecord, JournalRecord, MetricEvent
from oppertune.schemas.keys import partition_of, values_hash
from oppertune.streams.broker import BrokerSettings, create_topics, read_table, require_broker, topic_ids
from oppertune.streams.client import TunerClient
from oppertune.streams.processor import Partition, Received

PARTITIONS = 4
TUNERS = 100
PER_ROUND = 30
OPPERTUNE = Path(sys.executable).with_name("oppertune")


def spec(name: str, samples: int, algorithm: str) -> dict[str, object]:
    return {
        "name": name,
        "algorithm": {"name": algorithm},
        "parameters": [
            {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
            {"name": "batch", "type": "integer", "val": 100, "min": 10, "max": 1000, "step": 10},
            {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
        ],
        "measurement": {"interval_s": 1.0, "min_samples": samples, "min_duration_s": 0.0, "min_instance_share": 0.0},
        "heartbeat_s": 3600.0,
        "lease_s": 3600.0,
        "deadlines": {"measurement_s": 36000.0, "activation_s": 36000.0},
        "confirmation": {"enabled": False},
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Worker:
    """A worker process; knows when it became ready."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.ready_s = 0.0
        self.log: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [OPPERTUNE, "worker", "-b", settings.bootstrap, "--prefix", settings.prefix],
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._follow, daemon=True).start()
        if not self._ready.wait(30):
            raise RuntimeError("the worker did not become ready:\n" + "".join(self.log[-20:]))

    def _follow(self) -> None:
        for line in self._process.stderr or ():
            self.log.append(line)
            if "ready: partitions" in line:
                self.ready_s = time.time()
                self._ready.set()

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@contextmanager
def worker(settings: BrokerSettings) -> Iterator[Worker]:
    running = Worker(settings)
    try:
        yield running
    finally:
        running.stop()


def produce(settings: BrokerSettings, topic: str, records: list[tuple[str, bytes]]) -> None:
    producer = Producer(settings.producer() | {"queue.buffering.max.messages": 2_000_000, "linger.ms": 20})
    for key, value in records:
        producer.produce(settings.topic(topic), key=key, value=value)
    if producer.flush(120):
        raise RuntimeError("not everything was delivered")


def apply(settings: BrokerSettings, specs: list[dict[str, object]]) -> None:
    named = [(str(spec["name"]), spec) for spec in specs]
    commands = [Command(v=1, id=f"apply-{n}", kind="apply", tuner=n, author="benchmark", spec=s) for n, s in named]
    produce(settings, "commands", [(c.tuner, c.to_bytes()) for c in commands])


def here(settings: BrokerSettings, names: list[str]) -> None:
    event = {"v": 1, "id": "here", "instance": "host-1234"}
    produce(settings, "contexts", [(n, orjson.dumps({**event, "tuner": n})) for n in names])


def wait_for_configs(settings: BrokerSettings, names: list[str], *, arms: bool) -> None:
    """Until every tuner has published; with ``arms``, an open round. There is no order between topics to rely on."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        tables = read_table(settings, "configs", range(PARTITIONS))
        found = [ConfigRecord.from_bytes(value) for table in tables.values() for value in table.values()]
        if sum(1 for record in found if record.arms or not arms) == len(names):
            return
        time.sleep(0.2)
    raise RuntimeError("not every tuner " + ("opened a round" if arms else "was applied"))


def foreseen(settings: BrokerSettings, names: list[str], events: int) -> list[tuple[str, bytes]]:
    """Metric events for rounds that are yet to be opened: request ids and predictions follow from the state alone."""
    states = read_table(settings, "state", range(PARTITIONS))
    configs = read_table(settings, "configs", range(PARTITIONS))
    ids = topic_ids(settings)
    folds = {p: Partition.restore(p, PARTITIONS, states[p], topic_ids=ids) for p in range(PARTITIONS)}
    arms = {n: ConfigRecord.from_bytes(v).arms[0] for table in configs.values() for n, v in table.items()}
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    made: list[tuple[str, bytes]] = []
    numbers = dict.fromkeys(names, 0)
    while len(made) < events:
        batches: dict[int, list[Received]] = {p: [] for p in range(PARTITIONS)}
        for index in range(PER_ROUND):
            for name in names:
                arm, number = arms[name], numbers[name]
                numbers[name] += 1
                event = MetricEvent(
                    v=1,
                    id=f"{name}-{number}",
                    tuner=name,
                    instance="host-1234",
                    boot="b1",
                    seq=number,
                    round=arm.round,
                    arm=arm.arm,
                    request_id=arm.request_id,
                    values_hash=arm.hash,
                    interval_s=1.0,
                    active_for_s=5.0,
                    metrics={"reward": 0.5 + 0.01 * index},
                )
                raw = event.to_bytes()
                made.append((name, raw))
                partition = partition_of(name, PARTITIONS)
                batches[partition].append(Received("metrics", offsets[partition], 1, None, raw))
                offsets[partition] += 1
        for partition, batch in batches.items():
            for key, value in folds[partition].fold(batch, read_to_end_ms={}, log_starts={}).configs.items():
                arms[key] = ConfigRecord.from_bytes(value or b"").arms[0]
    return made


def applied(settings: BrokerSettings, expected: int, timeout_s: float) -> tuple[float, int]:
    """Time (epoch seconds) of the journal record that applied the last event, and the number of rounds closed."""
    consumer = Consumer(settings.consumer() | {"fetch.wait.max.ms": 20})
    consumer.assign([TopicPartition(settings.topic("journal"), p, 0) for p in range(PARTITIONS)])
    count, last_s, deadline = 0, 0.0, time.monotonic() + timeout_s
    while count < expected:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} of {expected} events were applied in {timeout_s:g} s")
        for message in consumer.consume(1000, 0.2):
            if message.error() is None:
                metrics = JournalRecord.from_bytes(message.value() or b"").folded.get("metrics")
                count += metrics.dispositions.get("applied", 0) if metrics is not None else 0
                last_s = max(last_s, message.timestamp()[1] / 1000)
    consumer.close()
    return last_s, count


def throughput(settings: BrokerSettings, events: int, algorithm: str) -> tuple[float, float, list[tuple[str, bytes]]]:
    names = [f"bench-{i}" for i in range(TUNERS)]
    apply(settings, [spec(name, PER_ROUND, algorithm) for name in names])
    with worker(settings):
        wait_for_configs(settings, names, arms=False)
        here(settings, names)
        wait_for_configs(settings, names, arms=True)
    say(f"making {events} events ...")
    made = foreseen(settings, names, events)
    produce(settings, "metrics", made)
    say("folding them ...")
    with worker(settings) as running:
        before_s = running.cpu_s()
        last_s, count = applied(settings, len(made), 300)
        cpu_s = running.cpu_s() - before_s
        if any(" ERROR " in line for line in running.log):
            raise RuntimeError("".join(running.log[-20:]))
    return count / (last_s - running.ready_s), cpu_s / count * 100_000, made


IDIOM = """
import os, sys, time, faust
bootstrap, prefix, total, folder = (os.environ["IDIOM_" + n] for n in ("BOOTSTRAP", "PREFIX", "TOTAL", "FOLDER"))
total = int(total)
app = faust.App(prefix + "idiom", broker="kafka://" + bootstrap, datadir=folder, web_enabled=False,
                consumer_auto_offset_reset="earliest", topic_disable_leader=True)
source = app.topic(prefix + "metrics", value_serializer="json")
out = app.topic(prefix + "configs", value_serializer="json")
table = app.Table("idiom", default=int, partitions=4)
began = done = 0
@app.agent(source)
async def fold(stream):
    global began, done
    async for event in stream:
        began = began or time.perf_counter()
        table[event["tuner"]] += 1
        await out.send(key=event["tuner"], value={"tuner": event["tuner"], "count": table[event["tuner"]]})
        done += 1
        if done == total:
            print("RATE", total / (time.perf_counter() - began), file=sys.__stderr__, flush=True)
            os._exit(0)
app.main()
"""


def faust_idiom(bootstrap: str, made: list[tuple[str, bytes]], events: int) -> float:
    settings = BrokerSettings(bootstrap=bootstrap, prefix=unique_prefix())
    create_topics(settings, partitions=PARTITIONS)
    produce(settings, "metrics", made[:events])
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", IDIOM, "worker", "-l", "error", "--without-web"],
            env={
                **os.environ,
                "IDIOM_BOOTSTRAP": bootstrap,
                "IDIOM_PREFIX": settings.prefix,
                "IDIOM_TOTAL": str(events),
                "IDIOM_FOLDER": folder,
            },
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    rates = [float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("RATE")]
    if not rates:
        raise RuntimeError("the Faust idiom did not finish:\n" + done.stderr[-3000:])
    return rates[0]


def latency(settings: BrokerSettings, rounds: int) -> list[float]:
    """Milliseconds from sending a metric to the callback with the configuration that it led to."""
    name = "bench-latency"
    parameters = [
        Integer("pool", val=10, min=1, max=100),
        Integer("batch", val=100, min=10, max=1000, step=10),
        Real("ratio", val=0.5, min=0.0, max=1.0),
    ]
    apply(settings, [spec(name, 1, "bluefin")])
    changed = threading.Event()
    arrived = [0.0]

    def note(*_: object) -> None:
        arrived[0] = time.perf_counter()
        changed.set()

    took = []
    producer = Producer(settings.producer() | {"linger.ms": 0})
    with (
        worker(settings),
        tempfile.TemporaryDirectory() as folder,
        TunerClient(name, parameters, settings=settings, instance="app", state_dir=folder, on_change=note) as client,
    ):
        for number in range(rounds + 20):
            if not changed.wait(20):
                raise RuntimeError(f"no configuration came after metric {number}")
            changed.clear()
            time.sleep(0.03)  # twenty to thirty a second, as in the spike
            snapshot = client.snapshot()
            event = MetricEvent(
                v=1,
                id=f"l{number}",
                tuner=name,
                instance="app",
                boot="bench",
                seq=number,
                round=snapshot.round or 0,
                arm=snapshot.arm or "",
                request_id=snapshot.request_id or "none",
                values_hash=values_hash(snapshot.values),
                interval_s=1.0,
                active_for_s=5.0,
                metrics={"reward": 0.5 + 0.001 * (number % 7)},
            )
            sent = time.perf_counter()
            producer.produce(settings.topic("metrics"), key=name, value=event.to_bytes())
            producer.poll(0)
            changed.wait(20)
            if number >= 20:
                took.append((arrived[0] - sent) * 1000)
    return took


@contextmanager
def a_kafka() -> Iterator[str]:
    if given := os.environ.get("OPPERTUNE_TEST_BOOTSTRAP"):
        yield given
        return
    command = run_kafka()
    if command is None:
        raise SystemExit("needs a real Kafka: set OPPERTUNE_TEST_BOOTSTRAP to one")
    broker = LocalKafka(command)
    try:
        yield broker.start().bootstrap
    finally:
        broker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="for the worker")
    parser.add_argument("--idiom-events", type=int, default=30_000, help="for the plain Faust idiom")
    parser.add_argument("--rounds", type=int, default=300, help="for the latency")
    parser.add_argument("--algorithm", default="bluefin", help="of the worker's tuners (default: bluefin)")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    with a_kafka() as bootstrap:
        settings = BrokerSettings(bootstrap=bootstrap, prefix=unique_prefix())
        require_broker(settings, timeout_s=5)
        create_topics(settings, partitions=PARTITIONS)
        rate, cpu_s, made = throughput(settings, options.events, options.algorithm)
        say(f"worker, {options.algorithm}: {rate:,.0f} events/s, {cpu_s:.2f} CPU s per 100,000")
        idiom = faust_idiom(bootstrap, made, min(options.idiom_events, len(made)))
        say(f"Faust idiom: {idiom:,.0f} events/s; the worker is {rate / idiom:.1f} times as fast")
        took = latency(settings, options.rounds)
    p50, p90, p99 = np.percentile(took, [50, 90, 99])
    say(f"metric to configuration at an app: p50 {p50:.1f}, p90 {p90:.1f}, p99 {p99:.1f}, max {max(took):.1f} ms")
    if options.json:
        print(
            json.dumps(
                {
                    "events_per_s": round(rate),
                    "faust_idiom_events_per_s": round(idiom),
                    "times_faust_idiom": round(rate / idiom, 1),
                    "cpu_s_per_100k_events": round(cpu_s, 3),
                    "latency_p50_ms": round(float(p50), 2),
                    "latency_p90_ms": round(float(p90), 2),
                    "latency_p99_ms": round(float(p99), 2),
                    "algorithm": options.algorithm,
                    "events": len(made),
                    "tuners": TUNERS,
                }
            )
        )


if __name__ == "__main__":
    main()
