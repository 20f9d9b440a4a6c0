"""Worker processes on the embedded broker: what needs no real Kafka."""

from collections.abc import Callable
from pathlib import Path

from oppertune.streams.broker import BrokerSettings
from worker.fleet import Fleet
from worker.ledger import settled
from worker.processes import Worker

MakeWorker = Callable[..., Worker]
HERE = Path(__file__).parent


def test_it_tunes_stops_and_goes_on_after_a_kill(embedded: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", embedded).start()
    one.wait_ready()
    with Fleet(embedded.bootstrap, embedded.prefix, tuners=4, min_samples=30) as fleet:
        fleet.start()
        fleet.reward_until(500, per_s=500)
        fleet.flush()
        one.kill()
        fleet.reward_until(700, per_s=500)
        one.start()
        one.wait_ready(within_s=30)
        fleet.reward_until(1_000, per_s=500)
        fleet.flush()
        ledger = settled(embedded)
        assert sum(ledger.dispositions.values()) == 1_000
        assert ledger.rounds > 10
    code, seconds = one.stop()
    assert code == 0
    assert seconds < 5


def test_a_fault_in_a_fold_ends_the_process_with_the_reason(embedded: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", embedded).start(HERE / "failing_worker.py")
    one.wait_ready()
    with Fleet(embedded.bootstrap, embedded.prefix, tuners=1) as fleet:
        fleet.apply()
        assert one.wait_exit() == 70
    assert "oppertune worker ends (fault, 70): partition" in one.log
    assert "ZeroDivisionError: a fault of ours" in one.log


def test_a_broker_that_does_not_answer_ends_it_with_its_own_code(worker: MakeWorker) -> None:
    one = worker("a", BrokerSettings("127.0.0.1:1", "nowhere."), start_timeout_s=1.0).start()
    assert one.wait_exit() == 69
    assert "no Kafka broker answers at 127.0.0.1:1" in one.log


def test_a_worker_needs_no_folder_to_write_in(embedded: BrokerSettings, worker: MakeWorker) -> None:
    one = worker("a", embedded).start(HERE / "folderless_worker.py")
    one.wait_ready()
    assert one.stop()[0] == 0
