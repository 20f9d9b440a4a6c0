"""Batches that cannot be read are lost record by record, and what is behind them is read."""

import logging
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from oppertune.core.errors import Refused
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.processor import Unreadable
from oppertune.streams.worker import WorkerSettings, checks, unreadable

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
PLACE = TP("p.contexts", 3)
HEADER = 61
"""Bytes of a batch before its records; the checksum covers those from 21 on."""


def batch(first: int, count: int, codec: str, size: int = 0) -> bytearray:
    made = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 22,
    )
    for n in range(count):
        made.append(n, timestamp=1_000 + n, key=b"k", value=b"value %d " % (first + n) * 20 + bytes(size), headers=[])
    raw = bytearray(made.build())
    raw[0:8] = first.to_bytes(8)  # as the broker does; the checksum does not cover it
    return raw


def recompute_checksum(raw: bytearray) -> None:
    from aiokafka.record.util import calc_crc32c_py

    raw[17:21] = calc_crc32c_py(bytes(raw[21:])).to_bytes(4)


def read(*batches: bytearray, offset: int = 0) -> list[Any]:
    records = unreadable._PartitionRecords(
        PLACE, MemoryRecords(bytes(b"".join(batches))), [], offset, None, None, True, fetcher.READ_COMMITTED
    )
    return list(records)


def fates(found: list[Any]) -> list[tuple[int, bool]]:
    return [(record.offset, isinstance(record.value, Unreadable)) for record in found]


@pytest.mark.parametrize("codec", CODECS)
def test_every_compression_is_read(codec: str) -> None:
    found = read(batch(0, 3, codec), batch(3, 2, codec))
    assert fates(found) == [(offset, False) for offset in range(5)]
    assert found[4].value == b"value 4 " * 20


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_with_a_wrong_checksum_is_lost_and_what_is_behind_it_is_read(
    codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = batch(3, 4, codec)
    damaged[-5] ^= 0xFF
    found = read(batch(0, 3, codec), damaged, batch(7, 1, codec))
    assert fates(found) == [*((o, False) for o in (0, 1, 2)), *((o, True) for o in (3, 4, 5, 6)), (7, False)]
    assert all(record.timestamp <= 0 for record in found[3:7]), "no time is told by what is damaged"
    assert [r.message for r in caplog.records] == [
        "p.contexts-3: what is at offsets 3 to 6 cannot be read, and is lost: its checksum is wrong"
    ]


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_whose_compression_cannot_be_undone_is_lost(codec: str) -> None:
    broken = batch(3, 4, codec)
    broken[HEADER : HEADER + 12] = bytes(12)
    recompute_checksum(broken)
    assert fates(read(broken, batch(7, 1, codec))) == [*((o, True) for o in (3, 4, 5, 6)), (7, False)]


def test_a_batch_without_its_codec_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.codec.cramjam", None)
    compressed = batch(0, 2, "gzip")
    compressed[22] = compressed[22] & ~7 | CODECS["lz4"]
    recompute_checksum(compressed)
    assert fates(read(compressed, batch(2, 1, "none"))) == [(0, True), (1, True), (2, False)]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_unfolds_to_more_than_memory_should_hold_is_lost(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable.survive_unreadable_batches()
    monkeypatch.setattr(unreadable, "_MOST_BYTES", 100_000)
    fits, too_large = batch(0, 1, codec, size=90_000), batch(1, 1, codec, size=1_000_000)
    assert len(too_large) < 100_000
    assert fates(read(fits, too_large, batch(2, 1, codec))) == [(0, False), (1, True), (2, False)]


def test_of_a_batch_that_ends_too_early_the_first_records_are_read() -> None:
    short = batch(0, 4, "none")
    del short[-100:]
    short[8:12] = (len(short) - 12).to_bytes(4)
    recompute_checksum(short)
    assert fates(read(short)) == [(0, False), (1, False), (2, False), (3, True)]


def test_a_header_that_promises_millions_of_records_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    damaged = batch(5, 2, "none")
    damaged[23:27] = (2**31 - 1).to_bytes(4)
    with caplog.at_level(logging.CRITICAL):
        assert len(read(damaged)) == unreadable._MOST


def test_reading_goes_on_in_the_middle_of_a_lost_batch() -> None:
    damaged = batch(3, 4, "none")
    damaged[-5] ^= 0xFF
    assert fates(read(damaged, offset=5)) == [(5, True), (6, True)]


def test_a_worker_that_lacks_a_codec_says_so_before_it_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unreadable.missing_codecs() == []
    monkeypatch.setattr("aiokafka.codec.cramjam", None)
    with pytest.raises(Refused, match=r"snappy, lz4, zstd could not be read here.*cramjam"):
        checks.check(WorkerSettings(BrokerSettings("127.0.0.1:1", "p.")))
