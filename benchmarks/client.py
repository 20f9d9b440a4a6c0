"""What does the client cost the app that it runs in? Time of a call, CPU, threads, memory, and the import.

An app with one parameter follows one arm; the broker is the embedded one, so that nothing waits for a network. Times of
a call are the best of seven: with nothing else going on, which is what the app's own thread pays.

All else is of fresh processes that run nothing but the client, as medians of five. Memory is how far what the process
holds of RAM (RSS) grows by the import, and again by a client that is started and ready. Threads are those of a cluster
of one broker: librdkafka has two more for each further broker. ``at rest`` is the CPU of a client that waits for
news. ``in all`` is the CPU of a process that records 50,000 measurements a second, over their number: the call, the
summary and its way to Kafka. All of them must have arrived there, or there is no figure.

Run: python benchmarks/client.py [--quick] [--json]. Without --quick it writes docs/benchmarks/client.md, in about a
minute.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Mapping

from confluent_kafka import Producer
from pages import FOLDER, machine, table

from oppertune.schemas import Arm, ConfigRecord, Configuration, MetricEvent
from oppertune.schemas.events import MeasuredSummary
from oppertune.schemas.keys import partition_of, values_hash
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker
from oppertune.streams.broker.reading import read_to_end
from oppertune.streams.client import Integer, TunerClient

TUNER = "bench"
PARTITIONS = 4

ROWS = (
    ("read_ns", "read a value: `client['pool_size']`", "{:,.0f} ns"),
    ("snapshot_ns", "take a snapshot: `client.snapshot()`", "{:,.0f} ns"),
    ("assign_ns", "assign a unit: `client.assign('job-1')`", "{:,.0f} ns"),
    ("record_ns", "record a measurement: `client.record('latency_ms', 1.5)`", "{:,.0f} ns"),
    ("measure_ns", "time a block: `with client.measure('latency_ms'): pass`", "{:,.0f} ns"),
    ("in_all_cpu_ns", "CPU in all of a measurement", "{:,.0f} ns"),
    ("rest_cpu_ms_per_s", "CPU at rest, of a second", "{:.1f} ms"),
    ("import_s", "import", "{:.2f} s"),
    ("ready_s", "from `start()` to following the record", "{:.3f} s"),
    ("import_mib", "memory by the import", "{:.1f} MiB"),
    ("start_mib", "memory by a client", "{:.1f} MiB"),
    ("import_threads", "threads by the import (numpy's)", "{:.0f}"),
    ("python_threads", "threads of Python by a client", "{:.0f}"),
    ("librdkafka_threads", "threads of librdkafka by a client", "{:.0f}"),
)
"""Name in JSON, words and form on the page."""

APP = """
import json, sys, threading, time

def size():
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])

rest_s, count = float(sys.argv[1]), int(sys.argv[2])
bare_mib, bare_threads = size()
began = time.perf_counter()
from oppertune.streams.client import Integer, TunerClient
import_s = time.perf_counter() - began
imported_mib, imported_threads = size()

began = time.perf_counter()
client = TunerClient("bench", [Integer("pool_size", 10, min=1, max=100)]).start()
while client.tuner_status is None and time.perf_counter() < began + 10:
    time.sleep(0.001)  # a thousandth of what is timed
ready_s = time.perf_counter() - began
print("listening", flush=True)
if not client.wait_ready(10):
    sys.exit(f"the client did not get ready: {client.problems}")
started_mib, started_threads = size()
python_threads = threading.active_count() - 1

began, began_cpu = time.perf_counter(), time.process_time()
time.sleep(rest_s)  # what is measured is a client that has nothing to do
rest_cpu_ms_per_s = (time.process_time() - began_cpu) / (time.perf_counter() - began) * 1e3

began, began_cpu = time.monotonic(), time.process_time()
for n in range(count):
    client.record("work_ms", 1.0 + n % 100)
    if n % 500 == 0:
        # The rate that the page names: what summing up costs for each measurement depends on how many there are.
        time.sleep(max(0.0, began + n / 50_000 - time.monotonic()))
in_all_cpu_ns = (time.process_time() - began_cpu) / count * 1e9
client.close()

print(json.dumps({
    "import_s": import_s,
    "import_mib": imported_mib - bare_mib,
    "import_threads": imported_threads - bare_threads,
    "ready_s": ready_s,
    "start_mib": started_mib - imported_mib,
    "python_threads": python_threads,
    "librdkafka_threads": started_threads - imported_threads - python_threads,
    "rest_cpu_ms_per_s": rest_cpu_ms_per_s,
    "in_all_cpu_ns": in_all_cpu_ns,
}))
"""
"""An app that measures itself: nothing is imported before the client but what the measuring needs."""


def publish(settings: BrokerSettings) -> None:
    """One config record with one arm."""
    values = {"pool_size": 42}
    record = ConfigRecord(
        v=1,
        tuner=TUNER,
        scope="",
        incarnation=1,
        version=1,
        status="tuning",
        incumbent=Configuration(values={"pool_size": 10}, hash="incumbent"),
        arms=[
            Arm(arm="a", request_id="r", round=1, kind="explore", share=1.0, values=values, hash=values_hash(values))
        ],
        salt="1",
        lease_s=600,
        published_ms=int(time.time() * 1000),
        interval_s=1,
        settle_s=0,
        heartbeat_s=10,
    )
    producer = Producer(settings.producer())
    producer.produce(
        settings.topic("configs"), record.to_bytes(), TUNER.encode(), partition=partition_of(TUNER, PARTITIONS)
    )
    producer.flush(10)


def calls(settings: BrokerSettings, share: float) -> dict[str, float]:
    """Nanoseconds of each call; ``share`` of the usual repetitions."""

    def ns(statement: str, usual: int) -> float:
        number = int(usual * share)
        return min(timeit.repeat(statement, globals={"client": client}, number=number, repeat=7)) / number * 1e9

    parameters = [Integer("pool_size", 10, min=1, max=100)]
    with (
        tempfile.TemporaryDirectory() as folder,
        TunerClient(TUNER, parameters, settings=settings, state_dir=folder) as client,
    ):
        until = time.monotonic() + 10
        while client.tuner_status is None and time.monotonic() < until:
            time.sleep(0.001)  # nothing is timed yet
        publish(settings)  # renewed, as by a worker: what was there before is not run
        if not client.wait_ready(10):
            raise SystemExit(f"the client did not get ready: {client.problems}")
        return {
            "read_ns": ns("client['pool_size']", 500_000),
            "snapshot_ns": ns("client.snapshot()", 500_000),
            "assign_ns": ns("client.assign('job-1')", 50_000),
            "record_ns": ns("client.record('latency_ms', 1.5)", 10_000),
            "measure_ns": ns("with client.measure('latency_ms'): pass", 10_000),
        }


def app(settings: BrokerSettings, rest_s: float, count: int) -> dict[str, float]:
    """What a fresh process finds of itself."""
    with tempfile.TemporaryDirectory() as folder:
        there = {"BOOTSTRAP": settings.bootstrap, "PREFIX": settings.prefix, "EMBEDDED": "1"}
        environment = os.environ | {f"OPPERTUNE_{name}": value for name, value in there.items()}
        with subprocess.Popen(
            [sys.executable, "-c", APP, str(rest_s), str(count)],
            env=environment | {"XDG_STATE_HOME": folder},
            stdout=subprocess.PIPE,
        ) as process:
            if process.stdout is None or process.stdout.readline() != b"listening\n":
                raise SystemExit("the app did not begin to listen")
            publish(settings)  # renewed, as by a worker: what was there before is not run
            out, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the app failed")
    found: dict[str, float] = json.loads(out)
    return found


def arrived(settings: BrokerSettings) -> int:
    """How many measurements of the fresh processes did."""
    events = [MetricEvent.from_bytes(m.value() or b"") for m in read_to_end(settings, "metrics", range(PARTITIONS))]
    summaries = [event.metrics.get("work_ms") for event in events]
    return sum(summary.count for summary in summaries if isinstance(summary, MeasuredSummary))


def measure(*, quick: bool) -> dict[str, float]:
    processes, rest_s, count = (1, 0.2, 5_000) if quick else (5, 5.0, 100_000)
    with EmbeddedBroker() as broker:
        publish(broker.settings)
        print("calls ...", file=sys.stderr, flush=True)
        figures = calls(broker.settings, 0.01 if quick else 1)
        apps = []
        for _ in range(processes):
            print("a fresh process ...", file=sys.stderr, flush=True)
            apps.append(app(broker.settings, rest_s, count))
        if (found := arrived(broker.settings)) != processes * count:
            raise SystemExit(f"{found} of {processes * count} measurements arrived: there are no figures")
    return figures | {name: statistics.median(one[name] for one in apps) for name in apps[0]}


def page(figures: Mapping[str, float]) -> str:
    return table(["what", "cost"], [[words, form.format(figures[name])] for name, words, form in ROWS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one process, a moment each: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    options = parser.parse_args()
    figures = measure(quick=options.quick)
    print(page(figures))
    if not options.quick:
        about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
        made = f"{machine('confluent-kafka', 'numpy')} Made by `python benchmarks/client.py`."
        (FOLDER / "client.md").write_text(f"# Client\n\n{about}\n\n{made}\n\n{page(figures)}\n")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
