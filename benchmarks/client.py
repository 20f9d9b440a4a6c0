"""What the client costs its app: import, reading a value, recording a measurement, and summarising it.

Run: ``python benchmarks/client.py [--json]``. Needs no broker: one is embedded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import timeit

from confluent_kafka import Producer

from oppertune.schemas import Arm, ConfigRecord, Configuration
from oppertune.schemas.keys import partition_of, values_hash
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker
from oppertune.streams.client import Integer, TunerClient

TUNER = "bench"
PARTITIONS = 4
IMPORT = "import time; t = time.perf_counter(); import oppertune.streams.client; print(time.perf_counter() - t)"


def import_s(repetitions: int = 5) -> float:
    """Median time of the import in fresh interpreters."""
    runs = [subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True) for _ in range(repetitions)]
    return statistics.median(float(run.stdout) for run in runs)


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


def us(statement: str, client: TunerClient, number: int) -> float:
    """Microseconds of a statement: the best of seven."""
    return min(timeit.repeat(statement, globals={"client": client}, number=number, repeat=7)) / number * 1e6


def in_all_us(client: TunerClient, count: int = 100_000) -> float:
    """CPU microseconds of the whole process per measurement at a steady 50,000 per second: summarised and reported."""
    began_cpu, began = time.process_time(), time.monotonic()
    for n in range(count):
        client.record("latency_ms", 1.0 + n % 100)
        if n % 500 == 0:
            time.sleep(max(0.0, began + n / 50_000 - time.monotonic()))
    return (time.process_time() - began_cpu) / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    as_json = parser.parse_args().json
    figures = {"import_s": round(import_s(), 3)}
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory() as folder:
        publish(broker.settings)
        parameters = [Integer("pool_size", 10, min=1, max=100)]
        with TunerClient(TUNER, parameters, settings=broker.settings, state_dir=folder) as client:
            began = time.perf_counter()
            if not client.wait_ready(10):
                raise SystemExit(f"the client did not get ready: {client.problems}")
            figures["ready_s"] = round(time.perf_counter() - began, 3)
            figures["read_us"] = round(us("client['pool_size']", client, 500_000), 3)
            figures["snapshot_us"] = round(us("client.snapshot()", client, 500_000), 3)
            figures["assign_us"] = round(us("client.assign('job-1')", client, 50_000), 3)
            figures["record_us"] = round(us("client.record('latency_ms', 1.5)", client, 10_000), 3)
            figures["measure_us"] = round(us("with client.measure('latency_ms'): pass", client, 10_000), 3)
            figures["record_in_all_cpu_us"] = round(in_all_us(client), 3)
            figures["dropped"] = client.dropped
    for name, figure in figures.items():
        print(f"{name:24}{figure:>10}")
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
