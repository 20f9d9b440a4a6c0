"""Reading partitions by hand: to an end that was asked for, for as long as was said, and only the newest."""

import threading
import time

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from oppertune.core.errors import BrokerUnreachable
from oppertune.streams.broker import BrokerSettings, read_table, reading
from oppertune.streams.broker.reading import end_offsets, headers_of, raise_unless_it_passes, read_to_end


def write(settings: BrokerSettings, partition: int, *values: str, key: str = "k", **headers: str) -> None:
    producer = Producer(settings.producer())
    for value in values:
        producer.produce(settings.topic("state"), value, key, partition=partition, headers=list(headers.items()))
    assert producer.flush(10) == 0


def test_it_reads_on_to_the_end_that_was_asked_for_though_the_broker_names_one_before_it(embedded):
    write(embedded, 1, "old")
    later = threading.Timer(0.5, write, (embedded, 1, "new"))
    later.start()
    assert read_table(embedded, "state", [1], ends={1: 2}) == {1: {"k": b"new"}}
    later.join()


def test_an_end_that_is_not_reached_in_time_is_an_error_and_no_table(embedded):
    write(embedded, 1, "old")
    began = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=r"state could not be read to its end: .* took over 0\.4 s"):
        read_table(embedded, "state", [1], ends={1: 2}, timeout_s=0.4)
    assert 0.4 <= time.monotonic() - began < 5


def test_a_broker_that_falls_silent_is_told_and_one_that_goes_on_may_take_any_time(embedded, monkeypatch):
    monkeypatch.setattr(reading, "_SILENCE_S", 2.0)  # a busy machine may hold up a writer for a second
    writers = [threading.Timer(0.6 * i, write, (embedded, 2, f"{i}")) for i in range(1, 6)]
    for writer in writers:
        writer.start()
    values = [message.value() for message in read_to_end(embedded, "state", [2], ends={2: 5})]
    assert values == [b"1", b"2", b"3", b"4", b"5"], "3 s in all"
    with pytest.raises(BrokerUnreachable, match=r"sent nothing for 2 s"):
        list(read_to_end(embedded, "state", [2], ends={2: 6}))


def test_only_the_newest_so_many_of_each_partition(embedded):
    write(embedded, 0, *"abcde")
    write(embedded, 3, *"fg")
    found = [(message.partition(), message.value()) for message in read_to_end(embedded, "state", [0, 3], last=2)]
    assert sorted(found) == [(0, b"d"), (0, b"e"), (3, b"f"), (3, b"g")]
    assert end_offsets(embedded, ["state", "metrics"], [0, 1]) == {
        0: {"state": 5, "metrics": 0}, 1: {"state": 0, "metrics": 0}
    }  # fmt: skip


def test_headers_are_bytes_and_none_where_a_record_has_none(embedded):
    write(embedded, 0, "with", reason="not_json", detail="")
    write(embedded, 0, "without")
    assert [headers_of(message) for message in read_to_end(embedded, "state", [0])] == [
        [("reason", b"not_json"), ("detail", b"")],
        [],
    ]


@pytest.mark.parametrize("code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._TRANSPORT])
def test_what_passes_is_waited_for(code):
    raise_unless_it_passes(KafkaError(code))


def test_what_does_not_pass_is_raised():
    with pytest.raises(KafkaException):
        raise_unless_it_passes(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
