"""What ``oppertune watch`` tells, from records as a worker would write them: no worker is needed to follow a fleet."""

import itertools
import signal
import threading
import time

import pytest
from confluent_kafka import Producer

from kafkas import unique_prefix, wait_for
from oppertune.schemas import ConfigRecord, DeadLetterHeaders, RoundRecord
from oppertune.schemas.keys import partition_of
from oppertune.streams.broker import BrokerSettings, create_topics
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import WatchEvent
from oppertune.streams.operate.reading import watch
from oppertune.streams.operate.reading.watch import Watched, _closed, watch_events
from oppertune.streams.operate.reporting.watch_line import watch_line

NOW_MS = 1_700_000_000_000


def closed(number, *, tuner="shop", incumbent=False, values=None, reward=0.5, kind="explore", not_shared=None):
    return RoundRecord.model_validate(
        {
            "v": 1, "tuner": tuner, "scope": "", "incarnation": 1, "round": number, "arm": "a", "kind": kind,
            "request_id": f"r{number}", "outcome": "measured", "values": values or {"pool": number}, "reward": reward,
            "closed_ms": NOW_MS, "incumbent": incumbent, "not_shared": not_shared,
        }
    )  # fmt: skip


def config(status, *, tuner="shop"):
    return ConfigRecord.model_validate(
        {
            "v": 1, "tuner": tuner, "scope": "", "incarnation": 1, "version": 1, "status": status, "arms": [],
            "incumbent": {"values": {"pool": 10}, "hash": "0" * 16}, "salt": "s", "lease_s": 30, "published_ms": NOW_MS,
            "interval_s": 10, "settle_s": 0, "heartbeat_s": 10,
        }
    )  # fmt: skip


class Writer:
    """Writes to a tuner's partition, as a worker does."""

    def __init__(self, settings, partitions=4):
        self.settings, self.partitions, self.producer = settings, partitions, Producer(settings.producer())

    def write(self, topic, key, value, headers=None):
        partition = partition_of(key, self.partitions)
        self.producer.produce(self.settings.topic(topic), key=key, value=value, partition=partition, headers=headers)
        assert self.producer.flush(10) == 0

    def round(self, number, **more):
        record = closed(number, **more)
        self.write("rounds", record.tuner, record.to_bytes())

    def status(self, status, tuner="shop"):
        self.write("configs", tuner, config(status, tuner=tuner).to_bytes())

    def letter(self, tuner="shop", detail="no JSON", reason="not_json"):
        headers = DeadLetterHeaders(
            reason=reason, detail=detail, tuner=tuner, disposition="dead_letter", topic="metrics", partition=0,
            offset=7, timestamp_ms=NOW_MS, size=1,
        )  # fmt: skip
        self.write("dead-letters", tuner, b"?", headers.to_headers())


class Following:
    """What is told, gathered in the background from now on."""

    def __init__(self, settings, name="shop"):
        self.stop = threading.Event()
        self.told: list[WatchEvent] = []
        self.begun = watch_events(settings, name, self.stop, last=1000)
        self.thread = threading.Thread(target=lambda: self.told.extend(self.begun), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(15)
        assert not self.thread.is_alive(), "it ends when it is told"

    def until(self, number):
        return wait_for(lambda: self.told if len(self.told) >= number else None, f"{number} events: {self.told}", 25)


@pytest.fixture
def writer(workerless):
    return Writer(workerless)


def test_each_change_of_status_is_told_once_and_a_lost_target_as_such(writer):
    with Following(writer.settings) as following:
        for number, status in enumerate(["tuning", "achieved", "achieved", "tuning", "paused", "suspended"]):
            writer.status(status)
            writer.round(number)
        writer.write("configs", "shop", None)
        following.until(5 + 6)
    told = [(one.status, one.said) for one in following.told if one.what == "status"]
    assert told == [
        ("achieved", ""), ("tuning", "lost again: tuning resumes"), ("paused", ""), ("suspended", ""), ("deleted", ""),
    ]  # fmt: skip


def test_a_round_tells_what_changed_and_that_there_is_a_new_incumbent(writer):
    """Which one it is, the state says (``test_views_agree.py``); here is none, only a round that judged it."""
    with Following(writer.settings) as following:
        writer.round(1, values={"pool": 20, "gzip": "on"}, kind="confirm")
        writer.round(2, values={"pool": 10, "gzip": "on"}, kind="baseline", incumbent=True, reward=0.75)
        first, second, incumbent = following.until(3)
    assert (first.changed, second.changed) == ({"pool": 20, "gzip": "on"}, {"pool": 10})
    assert (incumbent.what, incumbent.round, incumbent.reward) == ("incumbent", 2, None)
    assert incumbent.values == {"pool": 20, "gzip": "on"}


def test_arms_side_by_side_are_named_and_compared_with_the_incumbent_beside_them():
    common = {"v": 1, "tuner": "shop", "scope": "", "incarnation": 0, "round": 3, "request_id": "r", "closed_ms": 5}
    arm = {
        "arm": "e2",
        "kind": "explore",
        "schedule": "beside",
        "units": 2,
        "values": {"pool": 20},
        "outcome": "broken",
    }
    baseline = {"arm": "baseline", "kind": "baseline", "schedule": "beside", "units": 18, "values": {"pool": 10}}
    watched = Watched(lambda _: None)
    lines = [
        str(watch_line(event))
        for one in (baseline | {"outcome": "measured"}, arm | {"relative": {"theta": -0.4, "se": 0.1}, "why": "slow"})
        for event in _closed(RoundRecord.model_validate(common | one), watched)
    ]
    assert "round 3 baseline on 18 measured" in lines[0]
    assert "round 3 e2 on 2 broken" in lines[1]
    assert "(-0.4 ± 0.1 beside the incumbent)  pool=20  (slow)" in lines[1]


def test_parameters_that_apps_and_spec_do_not_share_are_told_when_that_changes(writer):
    lacked, besides = "gzip is not tuned, …", "cache is not in the spec, …"
    with Following(writer.settings) as following:
        for number, said in enumerate((None, [lacked], [lacked, besides], [lacked, besides], [besides], None, None)):
            writer.round(number, not_shared=said)
        following.until(7 + 3)
    told = [(one.round, one.said) for one in following.told if one.what == "parameters"]
    assert told == [(1, lacked), (2, besides), (5, "apps and spec share all parameters again")]
    assert "parameters: gzip is not tuned" in str(watch_line(following.told[2]))


def test_other_tuners_are_left_out_and_followed_where_none_is_named(writer):
    with Following(writer.settings) as following, Following(writer.settings, None) as all_of_them:
        neighbour = next(n for n in map(str, range(100)) if partition_of(n, 4) == partition_of("shop", 4))
        writer.round(1, tuner=neighbour)
        writer.status("paused", tuner=neighbour)
        writer.letter(tuner=neighbour)
        writer.letter()
        following.until(1)
        all_of_them.until(4)
    assert [(one.what, one.tuner) for one in following.told] == [("dead_letter", "shop")]
    assert {one.tuner for one in all_of_them.told} == {"shop", neighbour}


def test_what_others_wrote_does_nothing_to_a_terminal(writer):
    with Following(writer.settings) as following:
        writer.letter(detail="\x1b[2J gone")
        [letter] = following.until(1)
    shown = str(watch_line(letter))
    assert "\x1b" not in shown
    assert r"\x1b[2J gone" in shown
    assert f"oppertune dead-letters show {letter.place}" in shown


def test_it_ends_after_so_many_rounds_and_restores_the_signals(writer, call):
    for number in range(5):
        writer.round(number)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ended = call("watch", "shop", "--last", "100", "--rounds", "3")
    assert (ended.code, ended.out.count(" measured ")) == (ExitCode.OK, 3)
    assert ended.err == ""
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_broker_that_stays_away_is_told_again_now_and_then(writer, monkeypatch):
    monkeypatch.setattr(watch, "_QUIET_S", 0.0)
    monkeypatch.setattr(watch, "_AGAIN_S", 0.5)
    monkeypatch.setattr(watch, "_answers", lambda *_: False)
    with Following(writer.settings) as following:
        following.until(3)
    told = following.told[:3]
    assert [one.said.endswith("does not answer; waiting for it") for one in told] == [True] * 3
    assert all(later.time_ms - one.time_ms >= 500 for one, later in itertools.pairwise(told))


@pytest.mark.kafka
def test_a_broker_that_is_paused_is_told_and_followed_on_when_it_is_back(private_kafka, monkeypatch):
    monkeypatch.setattr(watch, "_QUIET_S", 0.5)
    settings = BrokerSettings(bootstrap=private_kafka.bootstrap, prefix=unique_prefix())
    create_topics(settings, partitions=1)
    with Following(settings) as following:
        Writer(settings, 1).round(1)
        following.until(1)
        private_kafka.pause()
        following.until(2)
        private_kafka.go_on()
        following.until(3)
        Writer(settings, 1).round(2)
        following.until(4)
    told = [
        one.said.partition(private_kafka.bootstrap)[2] if one.what == "broker" else one.round for one in following.told
    ]
    assert told == [1, " does not answer; waiting for it", " answers again", 2]
    assert all(one.time_ms <= time.time_ns() // 1_000_000 for one in following.told)
