"""The demo's parts, without Kafka: a real SQLite store under load, and how its results are shown."""

import io
import itertools
import math
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from rich.console import Console

from oppertune.core.errors import InvalidArgument
from oppertune.core.values import Categorical
from oppertune.streams.operate.demo import disk, load, run, workload
from oppertune.streams.operate.demo.compare import (
    DEFAULTS,
    REFERENCE,
    TUNED,
    Ratio,
    Side,
    measure_side,
    p95_ms,
    times_faster,
)
from oppertune.streams.operate.demo.comparison_table import comparison_table
from oppertune.streams.operate.demo.disk import is_real_disk, pick_work_dir
from oppertune.streams.operate.demo.load import RATE_PER_S, Load
from oppertune.streams.operate.demo.progress import ContextProgress
from oppertune.streams.operate.demo.workload import PARAMETERS, WRITE_SHARE, OrderStore, SettingRefused
from oppertune.streams.operate.reporting.picture import (
    RoundPoint,
    _draw_panel,
    lowest_shown,
    reward_picture,
    running_median,
)

MEMORY = "/dev/shm"  # noqa: S108
DECLARED = {p.name: p.val for p in PARAMETERS}
MODES = ("DELETE", "TRUNCATE", "PERSIST", "WAL")


@pytest.fixture(autouse=True)
def few_orders(monkeypatch):
    monkeypatch.setattr(workload, "_PREFILLED_ORDERS", 500)


@pytest.fixture
def store(tmp_path):
    with OrderStore(tmp_path / "orders.db", write_share=0.5, seed=1) as store:
        yield store


def rows(path, sql="SELECT count(*) FROM orders"):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()[0][0]
    finally:
        connection.close()


def random_values(rng):
    return {
        p.name: rng.choice(p.categories) if isinstance(p, Categorical) else p.at(rng.randint(0, p.n_steps))
        for p in PARAMETERS
    }


class TestSettings:
    def test_the_declared_values_are_in_effect_at_first(self, store):
        assert store.values == DECLARED

    def test_every_change_of_journal_mode_twice(self, store):
        for before, after in [*itertools.permutations(MODES, 2)] * 2:
            assert store.apply({"journal_mode": before}) == {"journal_mode": before}
            store.operate(time.perf_counter())
            assert store.apply({"journal_mode": after}) == {"journal_mode": after}
            assert store._connection.execute("PRAGMA journal_mode").fetchall() == [(after.lower(),)]
            log = store.path.with_name(store.path.name + "-wal")
            store._write(time.perf_counter())
            store.flush()
            assert log.exists() == (after == "WAL")

    def test_what_sqlite_itself_reports(self, store):
        store.apply(
            {
                "synchronous": "NORMAL",
                "cache_size_kib": 8000,
                "mmap_size_mib": 32,
                "temp_store": "MEMORY",
                "wal_autocheckpoint": 300,
            }
        )
        reported = {
            name: store._connection.execute(f"PRAGMA {name}").fetchall()[0][0]
            for name in ("synchronous", "cache_size", "mmap_size", "temp_store", "wal_autocheckpoint")
        }
        assert reported == {
            "synchronous": 1,
            "cache_size": -8000,
            "mmap_size": 32 * 1024 * 1024,
            "temp_store": 2,
            "wal_autocheckpoint": 300,
        }

    @pytest.mark.parametrize(
        "values",
        [{"journal_mode": "OFF"}, {"cache_size_kib": 501}, {"rows_per_transaction": "0"}, {"page_size": 4096}],
        ids=str,
    )
    def test_an_illegal_setting_changes_nothing(self, store, values):
        with pytest.raises(InvalidArgument, match=next(iter(values))):
            store.apply({"synchronous": "NORMAL"} | values)
        assert store.values == DECLARED

    @pytest.mark.parametrize("modes", [("DELETE", "WAL"), ("WAL", "DELETE")], ids="-".join)
    def test_a_setting_that_does_not_take_is_an_error(self, store, modes):
        before, after = modes
        store.apply({"journal_mode": before})
        store._connection.execute("PRAGMA busy_timeout = 50").fetchall()
        other = sqlite3.connect(store.path, isolation_level=None)
        try:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM orders").fetchall()
            with pytest.raises(SettingRefused):
                store.apply({"journal_mode": after})
        finally:
            other.close()
        assert store.apply({"journal_mode": after}) == {"journal_mode": after}

    def test_a_setting_that_sqlite_ignores_is_an_error(self, store, monkeypatch):
        monkeypatch.setattr(workload, "_MIB", 1024**4)  # far beyond what SQLite was built for
        with pytest.raises(SettingRefused, match="mmap_size_mib = 256"):
            store.apply({"mmap_size_mib": 256})

    def test_changes_under_load_lose_no_completed_write(self, tmp_path):
        rng = random.Random(7)
        path = tmp_path / "orders.db"
        completed: Counter[str] = Counter()
        with OrderStore(path, write_share=0.7, seed=7) as store:
            traffic = Load(store, 2000.0, 7)
            changes = 0

            def change():
                nonlocal changes
                if changes < 200 and sum(completed.values()) >= 3 * changes:
                    values = random_values(rng)
                    assert store.apply(values) == values
                    changes += 1

            deadline_s = time.monotonic() + 40.0
            while changes < 200 and time.monotonic() < deadline_s:
                traffic.run_for(0.25, lambda kind, _latency_s: completed.update([kind]), change)
            completed.update(kind for kind, _ in store.flush())
            in_flight = rows(path)  # a second connection sees what is committed, before any closing
        assert changes == 200
        assert in_flight == rows(path) == 500 + completed["insert"]
        assert rows(path, "SELECT count(*) FROM items") == 3 * rows(path)
        assert rows(path, "PRAGMA integrity_check") == "ok"
        assert completed["insert"] > 50 < completed["update"]


class TestOrderStore:
    def test_the_same_seed_gives_the_same_operations(self, tmp_path):
        kinds = []
        for name in "ab":
            with OrderStore(tmp_path / name, write_share=0.5, seed=3) as store:
                kinds.append([kind for _ in range(60) for kind, _ in store.operate(time.perf_counter())])
        assert kinds[0] == kinds[1]
        assert set(kinds[0]) == {"insert", "update", "point", "scan"}

    def test_an_older_file_is_replaced(self, tmp_path):
        for _ in range(2):
            with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
                store.apply({"journal_mode": "PERSIST"})
                for _ in range(9):
                    store.operate(time.perf_counter())
        assert rows(tmp_path / "a") < 510

    def test_writes_are_gathered_into_one_transaction(self, tmp_path, monkeypatch):
        monkeypatch.setattr(workload, "MAX_BATCH_WAIT_S", 60.0)
        with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
            store.apply({"rows_per_transaction": "4"})
            statements: list[str] = []
            store._connection.set_trace_callback(statements.append)
            sizes = [len(store.operate(time.perf_counter())) for _ in range(24)]
            store._connection.set_trace_callback(None)
        assert sizes == ([0] * 3 + [4]) * 6
        assert statements.count("COMMIT") == 6

    def test_a_waiting_write_is_committed_when_it_is_due(self, tmp_path):
        with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
            store.apply({"rows_per_transaction": "16"})
            arrived_s = time.perf_counter()
            assert store.operate(arrived_s) == []
            due_s = store.due_s
            assert due_s is not None
            assert due_s == pytest.approx(arrived_s + 0.020, abs=0.019)
            assert store.flush_due(due_s - 0.001) == []
            [(_, latency_s)] = store.flush_due(due_s)
            assert latency_s > 0
            assert store.due_s is None

    def test_a_change_completes_what_waits_and_keeps_it_for_the_next_call(self, tmp_path):
        with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
            store.apply({"rows_per_transaction": "16"})
            store.operate(time.perf_counter())
            store.apply({"journal_mode": "WAL"})
            assert len(store.flush()) == 1
            assert store.flush() == []

    def test_closing_commits_what_waits_and_may_be_repeated(self, tmp_path):
        with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
            store.apply({"rows_per_transaction": "16"})
            for _ in range(20):
                store._write(time.perf_counter())
            inserts = sum(w.kind == "insert" for w in store._waiting)
            store.close()
        assert rows(tmp_path / "a") == 500 + inserts > 500

    def test_a_share_outside_of_0_to_1_is_refused(self, tmp_path):
        with pytest.raises(InvalidArgument, match="write_share"):
            OrderStore(tmp_path / "a", write_share=1.5, seed=3)
        assert list(tmp_path.iterdir()) == []

    def test_prefilling_the_real_number_of_orders_is_quick(self, tmp_path, monkeypatch):
        monkeypatch.setattr(workload, "_PREFILLED_ORDERS", 20_000)
        start_s = time.process_time()
        with OrderStore(tmp_path / "a", write_share=0.5, seed=3):
            assert time.process_time() - start_s < 5.0  # typically 0.5 s
        assert rows(tmp_path / "a") == 20_000


class SlowStore:
    """Stands in for a store: operations that take a fixed time, and do nothing."""

    due_s = None

    def __init__(self, takes_s=0.0):
        self.takes_s = takes_s
        self.arrivals_s = []

    def operate(self, arrived_s):
        self.arrivals_s.append(arrived_s)
        time.sleep(self.takes_s)
        return [("point", time.perf_counter() - arrived_s)]

    def flush_due(self, now_s):
        return []


def slow_store(takes_s: float = 0.0) -> Any:
    """One, to be taken for a store."""
    return SlowStore(takes_s)


class TestLoad:
    def test_arrivals_are_evenly_spaced_across_calls(self):
        store = slow_store()
        traffic = Load(store, 100.0, 1)
        counts = [traffic.run_for(0.1, lambda kind, latency_s: None) for _ in range(4)]
        assert sum(counts) == len(store.arrivals_s) == pytest.approx(40, abs=2)
        gaps_s = [b - a for a, b in itertools.pairwise(store.arrivals_s)]
        assert gaps_s == pytest.approx([0.01] * len(gaps_s))

    def test_no_operation_begins_before_it_arrived(self):
        latencies_s: list[float] = []
        Load(slow_store(), 500.0, 1).run_for(0.2, lambda kind, latency_s: latencies_s.append(latency_s))
        assert len(latencies_s) > 80
        assert min(latencies_s) >= 0

    def test_latency_counts_the_wait_since_the_arrival(self):
        latencies_s: list[float] = []
        blocked = False

        def block_once():
            nonlocal blocked
            if not blocked and len(latencies_s) >= 10:
                blocked = True
                time.sleep(0.05)
                latencies_s.clear()

        Load(slow_store(), 200.0, 1).run_for(0.3, lambda kind, latency_s: latencies_s.append(latency_s), block_once)
        assert blocked
        # One arrival each 5 ms: those of the block waited for 45..50 ms, 40..45 ms, and so on.
        assert latencies_s[0] > 0.04
        assert latencies_s[0] - latencies_s[5] == pytest.approx(0.025, abs=0.01)

    def test_between_is_called_though_operations_never_pause(self):
        calls_s = []
        Load(slow_store(0.001), 5000.0, 1).run_for(0.3, lambda *_: None, lambda: calls_s.append(time.perf_counter()))
        assert len(calls_s) > 15

    def test_between_is_called_while_nothing_arrives(self):
        calls = []
        assert Load(slow_store(), 0.001, 1).run_for(0.2, lambda *_: None, lambda: calls.append(1)) == 0
        assert len(calls) > 10

    def test_a_backlog_beyond_the_bound_is_dropped_and_counted(self, monkeypatch):
        monkeypatch.setattr(load, "MAX_BACKLOG_S", 0.1)
        store = slow_store(0.005)
        traffic = Load(store, 1000.0, 1)
        latencies_s = []
        done = traffic.run_for(0.6, lambda kind, latency_s: latencies_s.append(latency_s))
        assert traffic.dropped > 200
        assert done + traffic.dropped == pytest.approx(500, abs=40)  # all but what waits at the end
        assert sorted(latencies_s)[len(latencies_s) // 2] < 0.15
        store.takes_s = 0.0
        latencies_s.clear()
        traffic.run_for(0.5, lambda kind, latency_s: latencies_s.append(latency_s))
        assert sorted(latencies_s)[len(latencies_s) // 2] < 0.01, "the queue of before is worked off"

    def test_after_a_restart_nothing_has_waited(self):
        traffic = Load(slow_store(), 100.0, 1)
        traffic.run_for(0.05, lambda *_: None)
        time.sleep(0.2)
        traffic.restart()
        assert traffic.run_for(0.05, lambda *_: None) <= 6

    def test_a_batch_is_committed_though_nothing_arrives(self, tmp_path):
        with OrderStore(tmp_path / "a", write_share=1.0, seed=3) as store:
            store.apply({"rows_per_transaction": "16"})
            latencies_s = []
            Load(store, 5.0, 1).run_for(0.35, lambda kind, latency_s: latencies_s.append(latency_s))
        assert latencies_s
        assert min(latencies_s) >= 0.019

    @pytest.mark.parametrize("rate_per_s", [0.0, -1.0, math.inf, math.nan])
    def test_a_rate_that_is_none_is_refused(self, rate_per_s):
        with pytest.raises(InvalidArgument, match="rate_per_s"):
            Load(slow_store(), rate_per_s, 1)

    def test_both_contexts_have_a_rate(self):
        assert RATE_PER_S.keys() == WRITE_SHARE.keys()


class TestCompare:
    def test_the_95th_percentile(self):
        assert p95_ms([i / 1000 for i in range(1, 101)]) == pytest.approx(95.0)
        assert p95_ms([0.002]) == pytest.approx(2.0)
        with pytest.raises(InvalidArgument, match="no latencies"):
            p95_ms([])

    def test_a_side_sums_up_its_repetitions(self):
        side = Side()
        assert math.isnan(side.median_p95_ms)
        for latency_s, ops_per_s in ((0.003, 10.0), (0.001, 30.0), (0.008, 20.0)):
            side.add([latency_s], ops_per_s)
        assert (side.min_p95_ms, side.median_p95_ms, side.max_p95_ms) == pytest.approx((1.0, 3.0, 8.0))
        assert (side.min_ops_per_s, side.median_ops_per_s, side.max_ops_per_s) == (10.0, 20.0, 30.0)

    def test_a_side_is_measured_under_its_values(self, store):
        values = DECLARED | {"journal_mode": "WAL", "synchronous": "NORMAL"}
        latencies_s, ops_per_s = measure_side(store, Load(store, 200.0, 1), values, settle_s=0.1, measure_s=0.5)
        assert store.values == values
        assert ops_per_s == pytest.approx(200.0, rel=0.2)
        assert len(latencies_s) == pytest.approx(100, abs=20)

    def test_the_fleet_measures_all_sides_in_turns_and_at_the_same_moments(self):
        tuned = {
            name: DECLARED | {"cache_size_kib": kib} for name, kib in (("read-heavy", 4000), ("write-heavy", 8000))
        }
        members = [FakeMember(traffic, n) for n, traffic in enumerate(("read-heavy", "write-heavy", "read-heavy"))]
        began_s = time.time()
        sides = compared(members, tuned, reference=True)
        for member in members:
            turns = [DECLARED, tuned[member.traffic], DECLARED | run.FAST]
            assert [o["values"] for o in member.orders] == turns * run.REPETITIONS
            assert member.orders[0]["at_s"] >= began_s + run.START_S, "the fleet ends its clients first"
        moments = {tuple(o["at_s"] for o in member.orders) for member in members}
        assert len(moments) == 1, "a slow disk must slow all processes' same side"
        turns_s = [b - a for a, b in itertools.pairwise(moments.pop()[:3])]
        assert min(turns_s) > run.SETTLE_S + run.MEASURE_S, "no turn reaches into the next"
        # Members 0 and 2 together: their p95 is that of the slower one, and their operations add up.
        of = sides["read-heavy"]
        assert of[DEFAULTS].p95_ms == pytest.approx([3.0] * run.REPETITIONS)
        assert of[TUNED].p95_ms == of[REFERENCE].p95_ms == pytest.approx([0.3] * run.REPETITIONS)
        assert of[DEFAULTS].ops_per_s == of[TUNED].ops_per_s == [200.0] * run.REPETITIONS
        assert sides["write-heavy"][TUNED].p95_ms == pytest.approx([0.2] * run.REPETITIONS)

    def test_what_is_not_clear_is_measured_again_but_not_for_ever(self):
        coin = random.Random(1)
        members = [FakeMember("read-heavy", 0, takes_s=lambda _: coin.choice((0.001, 0.004)))]
        compared(members, {"read-heavy": DECLARED | {"cache_size_kib": 4000}})
        repetitions = len(members[0].orders) // 2
        turn_s = run.SETTLE_S + run.MEASURE_S + run.SPARE_S
        assert repetitions == run.REPETITIONS + int(run.MORE_S / (2 * turn_s))

    def test_what_is_as_good_is_clear_too(self):
        members = [FakeMember("read-heavy", 0, takes_s=lambda _: 0.001)]
        compared(members, {"read-heavy": DECLARED | {"cache_size_kib": 4000}})
        assert len(members[0].orders) == 2 * run.REPETITIONS


class TestTimesFaster:
    def test_it_compares_neighbours_in_time(self):
        drifting = [1.0, 2.0, 4.0, 8.0, 16.0]
        ratio = times_faster(Side(p95_ms=drifting), Side(p95_ms=[x / 3 for x in drifting]))
        assert (ratio.low, ratio.median, ratio.high) == pytest.approx((3.0, 3.0, 3.0))

    @pytest.mark.parametrize(("n", "skipped"), [(5, 0), (7, 0), (8, 1), (10, 1), (11, 2), (20, 5)])
    def test_its_interval_holds_the_median_in_nine_of_ten_cases(self, n, skipped):
        ratios = [float(i) for i in range(1, n + 1)]
        ratio = times_faster(Side(p95_ms=ratios), Side(p95_ms=[1.0] * n))
        assert (ratio.low, ratio.high) == (1 + skipped, n - skipped)
        outside = 2 * sum(math.comb(n, k) for k in range(skipped + 1)) / 2**n
        assert outside <= 0.1 < outside + 2 * math.comb(n, skipped + 1) / 2**n, "and in no more than it must"

    def test_four_repetitions_tell_nothing(self):
        ratio = times_faster(Side(p95_ms=[8.0] * 4), Side(p95_ms=[1.0] * 4))
        assert (ratio.median, ratio.low, ratio.high) == (8.0, 0.0, math.inf)
        assert not ratio.is_decided

    @pytest.mark.parametrize(
        ("low", "high", "other", "decided"),
        [
            (1.01, 9.0, True, True),
            (0.2, 0.99, True, True),
            (0.9, 1.1, False, True),
            (0.8, 1.1, False, False),
            (0.9, 1.2, False, False),
        ],
    )
    def test_it_is_decided_where_1_is_excluded_or_all_is_as_good_as_1(self, low, high, other, decided):
        ratio = Ratio(1.0, low, high)
        assert (ratio.is_other_than_1, ratio.is_decided) == (other, decided)


def compared(members, tuned, *, reference=False):
    candidates = run._candidates(tuned, reference=reference)
    return run._compare(cast("Any", members), candidates, Console(file=io.StringIO()))


class FakeMember:
    """Stands in for a process of the fleet: the defaults take ``number + 1`` ms, anything else a tenth of that."""

    def __init__(self, traffic, number, takes_s=None):
        self.traffic = traffic
        self.takes_s = takes_s or (lambda values: (number + 1) / (1000 if values == DECLARED else 10_000))
        self.orders = []
        self.answers = []

    def tell(self, order):
        self.orders.append(order)
        self.answers.append({"latencies_s": [self.takes_s(order["values"])] * 10, "ops_per_s": 100.0})

    def hear(self):
        return self.answers.pop(0)


class TestDisk:
    @pytest.mark.skipif(not Path(MEMORY).is_mount(), reason="no /dev/shm here")
    def test_shared_memory_is_no_disk(self):
        assert not is_real_disk(MEMORY)
        assert not is_real_disk(f"{MEMORY}/not there/yet")

    @pytest.mark.parametrize(
        ("path", "real"),
        [
            ("/", True),
            ("/srv", True),
            ("/srv/fast", False),
            ("/srv/fast/x", False),
            ("/srv/faster", True),
            ("/srv/two words/x", False),
            ("/srv/covered", True),
            ("/srv/layer", False),
            ("/srv/container", True),
        ],
    )
    def test_the_mount_with_the_longest_path_counts(self, tmp_path, path, real):
        mountinfo = tmp_path / "mountinfo"
        mountinfo.write_text(
            "1 0 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"
            "2 1 0:5 / /srv/fast rw - tmpfs tmpfs rw,size=1k\n"
            "3 1 0:6 / /srv/two\\040words rw - ramfs none rw\n"
            "4 1 0:7 / /srv/covered rw - tmpfs tmpfs rw\n"
            "5 4 8:2 / /srv/covered rw - xfs /dev/sdb rw\n"
            "6 1 0:8 / /srv/layer rw - overlay overlay rw,lowerdir=/l,upperdir=/srv/fast/up,workdir=/w\n"
            "7 1 0:9 / /srv/container rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/up,workdir=/w\n"
            "a line that is none\n"
        )
        assert is_real_disk(path, mountinfo) is real

    def test_where_the_system_does_not_tell_it_is_a_disk(self, tmp_path):
        assert is_real_disk(MEMORY, tmp_path / "none")

    def test_memory_is_passed_over(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(disk, "is_real_disk", lambda path: path != tmp_path)
        folder, warning = pick_work_dir()
        assert folder != tmp_path
        assert warning == ""

    def test_memory_alone_comes_with_a_warning(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(disk, "is_real_disk", lambda path: False)
        folder, warning = pick_work_dir()
        assert folder == tmp_path
        assert "TMPDIR" in warning


def points():
    rng = random.Random(1)
    for context in ("read-heavy", "write-heavy"):
        for n in range(1, 41):
            failed = n % 13 == 0
            kind = ("explore", "explore", "confirm", "baseline")[n % 4]
            reward = None if n % 26 == 0 else -rng.random() / n
            yield RoundPoint(context, n, reward, kind, "failed" if failed else "measured", n in (9, 22), rng.random())


class TestPresentation:
    @pytest.mark.parametrize(
        "shown",
        [list(points()), [], [RoundPoint("a", 1, None, "explore", "failed", False, None)]],
        ids=["rounds", "none", "failed only"],
    )
    def test_the_picture_is_a_png_of_1200_by_700(self, tmp_path, shown):
        path = tmp_path / "rounds.png"
        reward_picture(shown, path)
        written = path.read_bytes()
        assert written.startswith(b"\x89PNG\r\n\x1a\n")
        assert (int.from_bytes(written[16:20]), int.from_bytes(written[20:24])) == (1200, 700)
        assert written.endswith(b"IEND\xaeB`\x82")

    def test_the_running_median_looks_back_only(self):
        assert running_median([5.0, 1.0, 3.0, 100.0], 3) == [5.0, 3.0, 3.0, 3.0]

    def test_a_disaster_does_not_set_the_scale(self):
        ordinary = [-1.0 - i / 20 for i in range(20)]
        assert lowest_shown(ordinary) == min(ordinary)
        assert lowest_shown([*ordinary, -1000.0]) == min(ordinary)
        assert lowest_shown([-3.0]) == -3.0

    def test_the_table_is_whole_at_80_columns(self):
        slow, fast = Side([33.721, 29.14, 441.2, 34.0, 34.0], [1000.4]), Side([0.2331, 0.211, 12.34, 0.2, 0.2], [999.9])
        text = drawn({"write-heavy": {DEFAULTS: slow, TUNED: fast, REFERENCE: slow}}, width=80)
        assert "34.0 (29.1–441)" in text
        assert "0.21 (0.20–12.3)" in text
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 80

    def test_gains_are_drawn_on_a_logarithmic_scale_and_none_is_cut_off(self):
        figure = Figure()
        axes = figure.subplots()
        gains = [1.0, 1.1, 0.9, 0.001, 8.0, 7.5]
        shown = [RoundPoint("a", i, gain, "explore", "measured", False, None) for i, gain in enumerate(gains)]
        _draw_panel(axes, shown, logarithmic=True)
        assert axes.get_yscale() == "log"
        low, high = axes.get_ylim()
        assert low < min(gains)
        assert high > max(gains)

    def test_arms_side_by_side_show_stages_what_was_withdrawn_and_the_course_of_the_incumbent(self):
        def arm(number, reward, kind, outcome="measured", stage=None):
            return RoundPoint("a", number, reward, kind, outcome, False, None, stage=stage, beside=True)

        axes = Figure().subplots()
        tried = [arm(1, 9.0, "explore"), arm(1, 1.0, "explore", "broken"), arm(2, None, "explore", "broken")]
        _draw_panel(
            axes, [*tried, arm(1, 2.0, "baseline"), arm(2, 2.5, "baseline"), arm(2, 3.0, "candidate", stage=1)],
            logarithmic=False,
        )  # fmt: skip
        drawn = [(str(line.get_label()), *np.asarray(line.get_data()).tolist()) for line in axes.get_lines()]
        assert ("median of the last 7", [1, 2], [2.0, 2.25]) in drawn, "the incumbent's alone"
        assert [(x, y) for label, x, y in drawn if label == "withdrawn"] == [([1], [1.0]), ([2], [0.04])]
        assert not [label for label, *_ in drawn if label == "failed or not measured"]
        stages = [(one.get_text(), one.xy) for one in axes.texts if isinstance(one, Annotation)]
        assert stages == [("1", (2, 3.0))]

    def test_the_table_tells_how_the_sides_compare(self):
        faster, as_good, unclear = ([x] * 5 for x in (0.5, 3.9, 4.1))
        unclear[0], unclear[1] = 1.0, 20.0
        of = {DEFAULTS: Side([4.0, 3.9, 4.1, 4.0, 4.0], [100.0, 99.0, 101.0]), TUNED: Side(faster, [120.0])}
        results = {
            "write-heavy": of,
            "read-heavy": {DEFAULTS: of[DEFAULTS], TUNED: Side(unclear, [1.0]), REFERENCE: Side(as_good, [1.0])},
            "silent": {DEFAULTS: Side(), TUNED: Side()},
        }
        lines = [x.strip("│").split("│") for x in drawn(results, width=120).splitlines() if x.startswith("│")]
        assert [[cell.strip() for cell in line] for line in lines] == [
            ["write-heavy", "defaults", "4.00 (3.90–4.10)", "", "100"],
            ["", "tuned", "0.50 (0.50–0.50)", "8.0× (7.8–8.2)", "120"],
            ["read-heavy", "defaults", "4.00 (3.90–4.10)", "", "100"],
            ["", "tuned", "4.10 (1.00–20.0)", "1.0×, not distinguishable", "1"],
            ["", "reference", "3.90 (3.90–3.90)", "1.0× (1.0–1.1)", "1"],
            ["silent", "defaults", "-", "", "-"],
            ["", "tuned", "-", "-", "-"],
        ]

    def test_when_what_the_reference_has_was_played_first(self):
        context = ContextProgress(played=[{"a": "1", "b": 2}, {"a": "2", "b": 2}, {"a": "2", "b": 3}])
        assert [context.first_with(x) for x in ({"a": "2"}, {"a": "2", "b": 3}, {"b": 4})] == [2, 3, None]


def drawn(results, width):
    text = io.StringIO()
    Console(file=text, width=width).print(comparison_table(results))
    return text.getvalue()


def test_a_baseline_that_was_measured_at_a_busy_start_does_not_count_alone():
    after = Side(p95_ms=[2.0, 3.0, 2.0, 4.0])
    baseline_ms = run._baseline_ms({"read-heavy": 90.0, "write-heavy": 5.0}, {"read-heavy": {DEFAULTS: after}})
    assert baseline_ms == {"read-heavy": 3.0, "write-heavy": 5.0}
