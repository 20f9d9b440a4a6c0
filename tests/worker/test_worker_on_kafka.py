"""Real worker processes on a real Apache Kafka: start, stop, share, take over, survive."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kafkas import LocalKafka, answers, wait_for
from oppertune.streams.broker import BrokerSettings, create_topics
from oppertune.streams.broker.reading import headers_of
from worker.fleet import Fleet
from worker.ledger import Ledger, read, settled
from worker.processes import SESSION_S, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.spread]

MakeWorker = Callable[..., Worker]
NEVER = 10**9


def assert_exactly_once(ledger: Ledger, sent: int) -> None:
    """Each of the rewards 1..sent was applied once; so say their fates, their count, their sum and their squares."""
    numbers = range(1, sent + 1)
    assert ledger.dispositions == {"applied": sent}
    assert set(ledger.values) == set(numbers)
    assert max(ledger.values.values()) == 1
    assert ledger.open == (sent, sum(numbers), sum(n * n for n in numbers))


def test_it_starts_and_stops_within_five_seconds_of_sigterm(real: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    code, seconds = one.stop()
    assert code == 0
    assert seconds < 5
    assert "stopped" in one.log


def test_it_stops_while_it_is_still_starting(real: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", real).start()
    wait_for(lambda: "joining" in one.log, "it to begin", 20)
    code, seconds = one.stop()
    assert code == 0
    assert seconds < 5


def test_two_workers_share_the_partitions_each_with_all_its_sources(real: BrokerSettings, worker: MakeWorker) -> None:
    a, b = worker("a", real).start(), worker("b", real).start()
    wait_for(lambda: len(a.owns) == len(b.owns) == 2, "each to own two", 20)
    assert a.owns | b.owns == {0, 1, 2, 3}
    with Fleet(real.bootstrap, real.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward(400)
        fleet.flush()
        assert_exactly_once(settled(real), 400)
    assert b.stop()[0] == 0
    a.wait_ready()
    assert a.stop()[0] == 0


def test_sigkill_loses_and_doubles_nothing_of_ten_thousand_rewards(real: BrokerSettings, worker: MakeWorker) -> None:
    a, b = worker("a", real).start(), worker("b", real).start()
    wait_for(lambda: len(a.owns) == len(b.owns) == 2, "each to own two", 20)
    with Fleet(real.bootstrap, real.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward_until(2_000, per_s=1_000)
        a.kill()
        fleet.reward_until(4_000, per_s=1_000)
        b.wait_ready(within_s=3 * SESSION_S)
        a.start()
        wait_for(lambda: len(a.owns) == len(b.owns) == 2, "the killed one to be back", 20)
        fleet.reward_until(6_000, per_s=1_000)
        b.kill()
        a.kill()
        fleet.reward_until(8_000, per_s=2_000)
        b.start()
        fleet.reward_until(10_000, per_s=1_000)
        fleet.flush()
        assert fleet.failed == 0
        b.wait_ready(within_s=3 * SESSION_S)
        assert_exactly_once(settled(real), 10_000)


def test_a_zombie_is_fenced_and_nothing_of_it_is_seen(real: BrokerSettings, worker: MakeWorker) -> None:
    a, b = worker("a", real).start(), worker("b", real).start()
    wait_for(lambda: len(a.owns) == len(b.owns) == 2, "each to own two", 20)
    with Fleet(real.bootstrap, real.prefix, min_samples=30) as fleet:
        fleet.start()
        fleet.reward_until(1_000, per_s=500)
        a.signal(signal.SIGSTOP)
        try:
            until = time.monotonic() + 3 * SESSION_S
            while len(b.owns) < 4:
                assert time.monotonic() < until, b.log
                fleet.reward_until(fleet.sent + 50, per_s=500)
        finally:
            a.signal(signal.SIGCONT)
        fleet.reward_until(fleet.sent + 1_000, per_s=500)
        fleet.flush()
        wait_for(
            lambda: not a.alive or "restoring everything" in a.log or "given to another" in a.log,
            "the zombie to notice",
        )
        if not a.alive:
            assert a.wait_exit() == 75
            assert "fenced" in a.log
        ledger = settled(real)
        assert ledger.rounds > 50
        assert sum(ledger.dispositions.values()) == fleet.sent
        assert set(ledger.dispositions) <= {"applied", "late"}
        assert max(ledger.values.values()) == 1


def test_markers_and_aborted_records_of_an_app_are_gaps_and_time_passes_behind_them(
    real: BrokerSettings, worker: MakeWorker
) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    app = Producer(
        {
            "bootstrap.servers": real.bootstrap,
            "transactional.id": f"{real.prefix}app",
            "partitioner": "murmur2_random",
            "log_level": 2,
        }
    )
    app.init_transactions(10)
    with Fleet(real.bootstrap, real.prefix, tuners=1, min_samples=NEVER, heartbeat_s=3.0) as fleet:
        fleet.start()
        name, aborted = fleet.names[0], []
        value = 0
        for commit in (True, False, True, False):
            app.begin_transaction()
            for _ in range(3):
                value += 1
                event = fleet.metric(name, value)
                if not commit:
                    aborted.append(value)
                app.produce(f"{real.prefix}metrics", key=name.encode(), value=orjson.dumps(event))
            app.flush(10)
            if commit:
                app.commit_transaction(10)
            else:
                app.abort_transaction(10)
        # The log now ends in a marker behind aborted records: a consumer never gets a record of that place.
        ledger = settled(real)
        assert sorted(ledger.values) == [1, 2, 3, 7, 8, 9]
        # Leases are renewed by time alone, and time passes only while every source is known to be read to its end.
        began = fleet.published[name]
        fleet.follow(0.1)

        def renewed() -> bool:
            fleet.follow(0.1)
            return fleet.published[name] > began + 500

        wait_for(renewed, "time to pass behind the marker", 30)
        fleet.reward(1)
        fleet.flush()
        ledger = settled(real)
        assert ledger.gaps["metrics"] == 2 + 2 * 3 + 2, "two commit markers, six aborted records, two abort markers"
        assert not ledger.lost["metrics"]


def test_a_foreign_open_transaction_on_state_is_waited_for_then_refused(
    real: BrokerSettings, worker: MakeWorker
) -> None:
    stranger = Producer(
        {"bootstrap.servers": real.bootstrap, "transactional.id": f"{real.prefix}stranger", "log_level": 2}
    )
    stranger.init_transactions(10)
    stranger.begin_transaction()
    stranger.produce(f"{real.prefix}state", key=b"x", value=b"{}", partition=2)
    assert stranger.flush(10) == 0
    began = time.monotonic()
    one = worker("a", real, restore_timeout_s=6.0).start()  # several times what reading takes on a busy machine
    assert one.wait_exit(40) == 78
    assert time.monotonic() - began > 6
    assert "partition 2" in one.log
    assert "open transaction" in one.log
    waiting = worker("b", real, restore_timeout_s=20.0).start()
    wait_for(lambda: "waiting for the end of an open transaction" in waiting.log, "the worker to wait", 20)
    assert waiting.alive
    stranger.abort_transaction(10)
    waiting.wait_ready()


@pytest.mark.parametrize("running", [False, True])
def test_a_recreated_topic_is_refused_with_the_command_that_adopts_it(
    real: BrokerSettings, worker: MakeWorker, *, running: bool
) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    with Fleet(real.bootstrap, real.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward(80)
        fleet.flush()
        settled(real)
    if not running:
        assert one.stop()[0] == 0
    admin, topic = AdminClient({"bootstrap.servers": real.bootstrap}), f"{real.prefix}metrics"
    admin.delete_topics([topic])[topic].result(10)
    wait_for(lambda: topic not in admin.list_topics(timeout=5).topics, "the topic to be gone", 20)
    config = {"message.timestamp.type": "LogAppendTime"}
    admin.create_topics([NewTopic(topic, 4, 1, config=config)])[topic].result(10)
    if running:
        assert one.wait_exit(30) in {75, 78}, one.log
        gone = f"{topic}: is the topic gone|{topic}-. ends at (?:offset )?0"
        assert re.search(gone, one.log), one.log
    again = worker("b", real).start()
    assert again.wait_exit() == 78
    assert "oppertune topics adopt metrics" in again.log


def test_records_deleted_before_they_were_applied_are_counted_as_lost_and_it_goes_on(
    real: BrokerSettings, worker: MakeWorker
) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    with Fleet(real.bootstrap, real.prefix, tuners=1, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward(10)
        fleet.flush()
        before = settled(real)
        assert one.stop()[0] == 0
        fleet.reward(20)
        fleet.flush()
        partition = next(iter(before.sent))[0]
        admin, topic = AdminClient({"bootstrap.servers": real.bootstrap}), f"{real.prefix}metrics"
        deleted = admin.delete_records([TopicPartition(topic, partition, 25)])
        assert next(iter(deleted.values())).result(10).low_watermark == 25
        one.start()
        one.wait_ready()
        fleet.reward(5)
        fleet.flush()
        ledger = settled(real)
        assert ledger.lost["metrics"] == 15
        assert f"{topic}-{partition} begins at offset 25, but was applied up to 10 only" in one.log
        assert sorted(ledger.values) == list(range(26, 36))
        assert ledger.open[0] == 10 + 10


def appear(broker: BrokerSettings, name: str, compression: str, instances: int = 5) -> None:
    """Say in one compressed batch that instances of a tuner are here."""
    app = Producer(broker.producer() | {"compression.type": compression, "linger.ms": 200, "log_level": 2})
    for n in range(instances):
        event = {"v": 1, "id": f"{compression}-{n}", "tuner": name, "instance": f"{compression}-{n}", "ttl_s": 3600}
        app.produce(
            broker.topic("contexts"), key=name.encode(), value=orjson.dumps(event | {"context": {"x": "x" * 99}})
        )
    assert app.flush(10) == 0


def test_batches_in_every_compression_are_applied_whoever_chose_it(real: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    codecs = ("gzip", "snappy", "lz4", "zstd")
    with Fleet(real.bootstrap, real.prefix, tuners=1, min_samples=NEVER) as fleet:
        fleet.start()
        for codec in codecs:
            appear(real, fleet.names[0], codec)
        fleet.reward(3)
        fleet.flush()

        def present() -> bool:
            states = [state for partition in settled(real).states.values() for state in partition.values() if state]
            there = {name for state in states for name in state.get("presence", {})}
            return {f"{codec}-{n}" for codec in codecs for n in range(5)} <= there

        wait_for(present, "all instances to be there", 20)
        assert_exactly_once(settled(real), 3)
    assert not settled(real).lost["contexts"]
    assert one.alive


def test_a_batch_that_is_damaged_on_the_brokers_disk_is_lost_and_it_goes_on(
    private_kafka: LocalKafka, worker: MakeWorker
) -> None:
    broker = BrokerSettings(bootstrap=private_kafka.bootstrap, prefix="damaged.")
    create_topics(broker, partitions=1)
    one = worker("a", broker).start()
    one.wait_ready(1)
    with Fleet(broker.bootstrap, broker.prefix, tuners=1, min_samples=NEVER) as fleet:
        fleet.start()
        name = fleet.names[0]
        assert one.stop()[0] == 0
        appear(broker, name, "lz4")
        [log] = private_kafka.files("damaged.contexts-0/*.log")
        with log.open("r+b") as file:
            file.seek(-5, 2)
            byte = file.read(1)
            file.seek(-5, 2)
            file.write(bytes([byte[0] ^ 0xFF]))
        appear(broker, name, "zstd")
        fleet.reward(2)
        fleet.flush()
        one.start()
        one.wait_ready(1)
        wait_for(lambda: settled(broker).lost["contexts"], "the loss to be counted", 20)
        fleet.reward(2)
        fleet.flush()
        assert_exactly_once(settled(broker), 4)
        assert settled(broker).lost["contexts"] == 5
    assert "damaged.contexts-0: what is at offsets" in one.log
    assert one.alive


def test_partitions_that_were_idle_for_so_long_that_the_broker_forgot_who_writes_them_go_on(
    private_kafka: LocalKafka, worker: MakeWorker
) -> None:
    private_kafka.kill()
    private_kafka.properties = [
        "transactional.id.expiration.ms=2000",
        "transaction.remove.expired.transaction.cleanup.interval.ms=500",
    ]
    private_kafka.start()
    broker = BrokerSettings(bootstrap=private_kafka.bootstrap, prefix="idle.")
    create_topics(broker, partitions=2)
    one = worker("a", broker).start()
    one.wait_ready(2)

    def forgotten() -> bool:
        ids = read(broker.bootstrap, "__transaction_state", committed=False)
        newest = {m.key(): m.value() for messages in ids.values() for m in messages}
        return len(newest) == 2 and not any(newest.values())

    wait_for(forgotten, "both transactional ids to expire", 30, every_s=0.2)
    with Fleet(broker.bootstrap, broker.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward(80)
        fleet.flush()
        assert_exactly_once(settled(broker), 80)
    assert one.alive
    wait_for(lambda: len(re.findall("restoring it alone", one.log)) == 2, "both partitions to be restored", 30)
    assert len(re.findall("generation", one.log)) == 1, "it stayed in the group"


def test_a_missing_topic_ends_it_with_the_command_that_creates_topics(real: BrokerSettings, worker: MakeWorker) -> None:
    admin, topic = AdminClient({"bootstrap.servers": real.bootstrap}), f"{real.prefix}rounds"
    admin.delete_topics([topic])[topic].result(10)
    wait_for(lambda: topic not in admin.list_topics(timeout=5).topics, "the topic to be gone", 20)
    one = worker("a", real).start()
    assert one.wait_exit() == 78
    assert topic in one.log
    assert "oppertune topics create" in one.log


def test_restoring_reads_what_was_committed_and_offsets_follow_on(real: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", real).start()
    one.wait_ready()
    with Fleet(real.bootstrap, real.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        for total in (100, 200, 300):
            fleet.reward(100)
            fleet.flush()
            assert_exactly_once(settled(real), total)
            assert one.stop()[0] == 0
            one.start()
            one.wait_ready()
        assert one.log.count("restored 8 tuners") == 3
        letters = [m for letters in read(real.bootstrap, f"{real.prefix}dead-letters").values() for m in letters]
        assert not [m for m in letters if ("topic", b"metrics") in headers_of(m)]


def test_a_broker_that_stands_still_for_five_seconds_loses_nothing(
    private_kafka: LocalKafka, worker: MakeWorker
) -> None:
    broker = BrokerSettings(bootstrap=private_kafka.bootstrap, prefix="paused.")
    create_topics(broker, partitions=4)
    one = worker("a", broker, session_timeout_s=10.0).start()
    one.wait_ready()
    with Fleet(broker.bootstrap, broker.prefix, min_samples=NEVER) as fleet:
        fleet.start()
        fleet.reward_until(1_000, per_s=1_000)
        private_kafka.pause()
        try:
            fleet.reward(500)
            began = time.monotonic()
            assert not answers(broker.bootstrap, 1.0), "the broker is paused"
            fleet.poll(5 - (time.monotonic() - began))
        finally:
            private_kafka.go_on()
        fleet.reward_until(2_500, per_s=1_000)
        fleet.flush()
        ledger = settled(broker, 30)
        assert fleet.failed == 0
        assert_exactly_once(ledger, 2_500)
    assert one.alive
    assert len(re.findall("generation", one.log)) == 1, "it stayed in the group"
    assert one.log.count("\n") < 200, "the log stays readable"
    private_kafka.pause()
    assert not answers(broker.bootstrap, 1.0), "the broker is paused"
    code, seconds = one.stop(6)
    assert code == 0
    assert seconds < 5


def test_a_worker_that_gets_nowhere_is_ended_by_its_watchdog(real: BrokerSettings, worker: MakeWorker) -> None:
    stuck = worker("stuck", real, watchdog_s=2.0).start(Path(__file__).parent / "stuck_worker.py")
    stuck.wait_ready()
    with Fleet(real.bootstrap, real.prefix, tuners=1) as fleet:
        fleet.apply()
        assert stuck.wait_exit(15) == 75
        assert "watchdog" in stuck.log
        assert "applied nothing" in stuck.log
        healthy = worker("healthy", real).start()
        healthy.wait_ready(within_s=3 * SESSION_S)
        fleet.start()
