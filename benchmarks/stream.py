"""How fast does a worker fold, and how soon does an app have the next configuration? By learner, and of plain Faust.

``events/s``: a worker is started on metric events that are there already, of 100 tuners with three parameters; each
thirtieth event of a tuner closes a round, so that its learner learns and proposes. Counted from the worker's "ready" to
the timestamp of the journal record that applied the last one. All of them must have been applied, or there is no
figure. ``times Faust``: over a plain Faust agent on a part of these events, with a table update and a send for each.
``CPU s``: of the worker process, for 100,000 events.

``p50`` to ``max``: milliseconds from sending a metric that closes a round, until ``snapshot()`` of a TunerClient is of
the next round, its learner's own time included; one round after another, of one more tuner of the same worker. The
snapshot is looked at every fifth of a millisecond, and no change is waited for: a learner may propose what the app runs
already, and that calls no callback.

``auto`` is the default, and most of what a worker does with it is its own; rounds of ``bluefin`` cost next to nothing.
The broker, the load and the worker share one machine.

Run on an idle machine, with a real Kafka (OPPERTUNE_TEST_BOOTSTRAP, else ../shared/kafka/run-kafka): python
benchmarks/stream.py [--quick] [--json] [--algorithm NAME,…] [--events N] [--rounds N]. With both learners and without
--quick it writes docs/benchmarks/stream.md, in some five minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from pages import FOLDER, machine, stop_on_signals, table
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kafkas import LocalKafka, run_kafka, unique_prefix
from oppertune.core.values import Integer, ParameterValue, Real, ValueType
from oppertune.schemas import Command, ConfigRecord, JournalRecord, MetricEvent
from oppertune.schemas.keys import partition_of, values_hash
from oppertune.streams.broker import BrokerSettings, create_topics, read_table, require_broker, topic_ids
from oppertune.streams.client import Snapshot, TunerClient
from oppertune.streams.processor import Partition, Received

LEARNERS = ("auto", "bluefin")
PARTITIONS = 4
PER_ROUND = 30
PARAMETERS: tuple[ValueType, ...] = (
    Integer("pool", val=10, min=1, max=100),
    Integer("batch", val=100, min=10, max=1000, step=10),
    Real("ratio", val=0.5, min=0.0, max=1.0),
)
LOOK_S = 0.0002
"""Between two looks at the client's snapshot: far less than what is measured, and little of a core."""

OPPERTUNE = Path(sys.executable).with_name("oppertune")


def spec(name: str, samples: int, algorithm: str) -> dict[str, object]:
    return {
        "name": name,
        "algorithm": {"name": algorithm},
        "parameters": [parameter.to_dict() for parameter in PARAMETERS],
        "measurement": {"interval_s": 1.0, "min_samples": samples, "min_duration_s": 0.0, "min_instance_share": 0.0},
        "heartbeat_s": 3600.0,
        "lease_s": 3600.0,
        "deadlines": {"measurement_s": 36000.0, "activation_s": 36000.0},
        "rollout": {"enabled": False},
    }


def reward(values: Mapping[str, ParameterValue], number: int) -> float:
    """A hill, and something that varies: a learner is spared no work by rewards that are all alike."""
    pool, batch, ratio = (float(values[name]) for name in ("pool", "batch", "ratio"))
    off = (pool / 100 - 0.7) ** 2 + (batch / 1000 - 0.3) ** 2 + (ratio - 0.6) ** 2
    return 1.0 - off + 0.01 * (number % 7)


class Load(NamedTuple):
    """How much is measured; rounds of the latency come after some that are not timed, for connections are new then."""

    tuners: int = 100
    events: int = 300_000
    faust_events: int = 30_000
    rounds: int = 300
    rounds_before: int = 20


QUICK = Load(tuners=10, events=2 * 10 * PER_ROUND, faust_events=100, rounds=5, rounds_before=1)


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
        for _ in range(PER_ROUND):
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
                    metrics={"reward": reward(arm.values, number)},
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


def prepared(settings: BrokerSettings, learner: str, load: Load) -> list[tuple[str, bytes]]:
    """Tuners with an open round each; then the events, which are sent while no worker is there."""
    names = [f"bench-{i}" for i in range(load.tuners)]
    apply(settings, [spec(name, PER_ROUND, learner) for name in names])
    with worker(settings):
        wait_for_configs(settings, names, arms=False)
        here(settings, names)
        wait_for_configs(settings, names, arms=True)
    say(f"{learner}: making {load.events:,} events ...")
    with threadpool_limits(1, user_api="blas"):  # as in a worker: else sums may differ in their last bits
        made = foreseen(settings, names, load.events)
    produce(settings, "metrics", made)
    return made


def throughput(settings: BrokerSettings, running: Worker, events: int) -> dict[str, float]:
    """Of a worker that has just become ready."""
    before_s = running.cpu_s()
    last_s, count = applied(settings, events, 900)
    cpu_s = running.cpu_s() - before_s
    if any(" ERROR " in line for line in running.log):
        raise RuntimeError("".join(running.log[-20:]))
    return {"events_per_s": count / (last_s - running.ready_s), "cpu_s_per_100k_events": cpu_s / count * 100_000}


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


def faust_idiom(bootstrap: str, made: list[tuple[str, bytes]]) -> float:
    """Events per second."""
    with topics(bootstrap) as settings, tempfile.TemporaryDirectory() as folder:
        produce(settings, "metrics", made)
        done = subprocess.run(
            [sys.executable, "-c", IDIOM, "worker", "-l", "error", "--without-web"],
            env={
                **os.environ,
                "IDIOM_BOOTSTRAP": bootstrap,
                "IDIOM_PREFIX": settings.prefix,
                "IDIOM_TOTAL": str(len(made)),
                "IDIOM_FOLDER": folder,
            },
            stdout=subprocess.DEVNULL,  # it shows a banner
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    rates = [float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("RATE")]
    if not rates:
        raise RuntimeError("the Faust idiom did not finish:\n" + done.stderr[-3000:])
    return rates[0]


def next_round(client: TunerClient, last: str | None) -> Snapshot:
    """The client's first snapshot of another request than the last one."""
    deadline = time.monotonic() + 20
    while (snapshot := client.snapshot()).request_id in (None, last):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no round came after {last}: {client.problems}")
        time.sleep(LOOK_S)  # looking without a pause would take the core from the client that is looked at
    return snapshot


def latency(settings: BrokerSettings, learner: str, load: Load) -> list[float]:
    """Milliseconds from sending a metric to the round that it led to, at an app."""
    name = "bench-latency"
    apply(settings, [spec(name, 1, learner)])
    took = []
    producer = Producer(settings.producer() | {"linger.ms": 0})
    with (
        tempfile.TemporaryDirectory() as folder,
        TunerClient(name, PARAMETERS, settings=settings, instance="app", state_dir=folder) as client,
    ):
        snapshot = next_round(client, None)
        for number in range(load.rounds_before + load.rounds):
            # By then the client has announced what it runs; sooner, that would be timed with the next round.
            time.sleep(0.03)
            event = MetricEvent(
                v=1,
                id=f"l{number}",
                tuner=name,
                instance="app",
                boot="bench",
                seq=number,
                round=snapshot.round or 0,
                arm=snapshot.arm or "",
                request_id=snapshot.request_id or "",
                values_hash=values_hash(snapshot.values),
                interval_s=1.0,
                active_for_s=5.0,
                metrics={"reward": reward(snapshot.values, number)},
            )
            sent = time.perf_counter()
            producer.produce(settings.topic("metrics"), key=name, value=event.to_bytes())
            producer.poll(0)
            snapshot = next_round(client, snapshot.request_id)
            took.append((time.perf_counter() - sent) * 1000)
    return took[load.rounds_before :]


def measure(settings: BrokerSettings, learner: str, events: int, load: Load) -> dict[str, Any]:
    """The figures of a worker; ``events`` are there already."""
    say(f"{learner}: folding them ...")
    with worker(settings) as running:
        folded = throughput(settings, running, events)
        say(f"{learner}: {load.rounds} rounds of one app ...")
        took = latency(settings, learner, load)
    percentiles = {f"latency_p{p}_ms": float(np.percentile(took, p)) for p in (50, 90, 99)}
    return {
        "learner": learner,
        "events": events,
        "rounds": len(took),
        **folded,
        **percentiles,
        "latency_max_ms": max(took),
    }


@contextmanager
def topics(bootstrap: str) -> Iterator[BrokerSettings]:
    """Under a prefix of their own; deleted in the end with what Faust made there, for the Kafka may be someone's."""
    settings = BrokerSettings(bootstrap=bootstrap, prefix=unique_prefix())
    create_topics(settings, partitions=PARTITIONS)
    try:
        yield settings
    finally:
        admin = AdminClient(settings.confluent())
        names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(settings.prefix)]
        for deleted in admin.delete_topics(names).values():
            deleted.result(10)


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


def page(rows: list[dict[str, Any]]) -> str:
    head = ["worker with", "events/s", "times Faust", "CPU s", "p50 ms", "p90 ms", "p99 ms", "max ms"]
    return table(head, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    formats = {"events_per_s": ",.0f", "times_faust": ".1f", "cpu_s_per_100k_events": ".2f"}
    formats |= {f"latency_{name}_ms": ".1f" for name in ("p50", "p90", "p99", "max")}
    return [row["learner"], *(format(row[key], of) if key in row else "–" for key, of in formats.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few events and rounds: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--algorithm", default=",".join(LEARNERS), help="learners, by commas (default: %(default)s)")
    parser.add_argument("--events", type=int, default=Load().events, help="for a worker (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=Load().rounds, help="for the latency (default: %(default)s)")
    options = parser.parse_args()
    load = QUICK if options.quick else Load(events=options.events, rounds=options.rounds)
    learners = tuple(options.algorithm.split(","))
    rows: list[dict[str, Any]] = []
    stop_on_signals()  # else a broker that was started here would go on
    with a_kafka() as bootstrap:
        require_broker(BrokerSettings(bootstrap=bootstrap), timeout_s=5)
        for learner in learners:
            with topics(bootstrap) as settings:
                made = prepared(settings, learner, load)
                rows.append(measure(settings, learner, len(made), load))
        say("plain Faust ...")
        faust = faust_idiom(bootstrap, made[: load.faust_events])
    rows = [row | {"times_faust": row["events_per_s"] / faust} for row in rows]
    found = page([*rows, {"learner": "plain Faust", "events_per_s": faust}])
    print(found)
    if not options.quick and learners == LEARNERS:
        about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
        size = f"{load.events:,} events for a worker, {load.faust_events:,} for plain Faust; {load.rounds} rounds."
        versions = machine("faust-streaming", "confluent-kafka", "numpy")
        made_by = f"{size} {versions} Made by `python benchmarks/stream.py`."
        (FOLDER / "stream.md").write_text(f"# Stream\n\n{about}\n\n{made_by}\n\n{found}\n")
    if options.json:
        print(json.dumps({"rows": rows, "faust_events_per_s": faust}))


if __name__ == "__main__":
    main()
