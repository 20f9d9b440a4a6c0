"""Fetched batches that cannot be read: their records are handed on as lost, and reading goes on behind them.

aiokafka raises where a batch's checksum is wrong or its compression cannot be undone, again at every attempt: one batch
of anybody's would end each worker of the fleet for good. One of a megabyte that unfolds to gigabytes would do so by its
memory. ``PartitionRecords`` and the decoders are private to aiokafka, which has no hook here;
tests/worker/test_faust_pins.py fails when they change.
"""

import gzip
import io
import logging
import mmap
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch

from ..processor import Unreadable

log = logging.getLogger(__name__)

_MOST = 2**20
"""More records than fit in any batch: a header that says more is damaged itself."""

_MOST_BYTES = 64 * 2**20
"""A batch unfolds to no more. Producers compress batches of a megabyte or less, so even a batch that fills the topics'
megabyte when compressed rarely needs half of it."""

_CODECS = {"snappy": codec.has_snappy, "lz4": codec.has_lz4, "zstd": codec.has_zstd}


def missing_codecs() -> list[str]:
    """Compressions that any producer may use, and that cannot be undone here."""
    return [name for name, is_there in _CODECS.items() if not is_there()]


def survive_unreadable_batches() -> None:
    """Have aiokafka's consumers hand on what cannot be read, instead of raising or running out of memory."""
    fetcher.PartitionRecords = _PartitionRecords
    module = sys.modules[DefaultRecordBatch.__module__]  # in C, or in Python where there is no wheel
    for name, decode in (("gzip_decode", _gzip), ("lz4_decode", _lz4), ("zstd_decode", _zstd)):
        setattr(module, name, decode)  # snappy cannot make much of little


def _gzip(payload: bytes | memoryview) -> bytes:
    unfolded = gzip.GzipFile(fileobj=io.BytesIO(payload)).read(_MOST_BYTES + 1)
    if len(unfolded) > _MOST_BYTES:
        raise ValueError("it unfolds to too much")
    return unfolded


def _lz4(payload: bytes | memoryview) -> bytes:
    import cramjam  # noqa: PLC0415 - missing_codecs says so where it is not there

    with mmap.mmap(-1, _MOST_BYTES) as room:  # takes memory only as it is written
        return room[: cramjam.lz4.decompress_into(payload, room)]


def _zstd(payload: bytes | memoryview) -> bytes:
    import cramjam  # noqa: PLC0415 - as above

    with mmap.mmap(-1, _MOST_BYTES) as room:
        return room[: cramjam.zstd.decompress_into(payload, room)]


@dataclass(slots=True)
class _Lost:
    """Stands for a record that could not be read, with what the fetcher asks of one."""

    offset: int
    value: Unreadable
    timestamp: int = -1
    timestamp_type: int = 0
    key: bytes | None = None
    checksum: int | None = None
    headers: tuple[()] = ()


class _Batch:
    """A batch whose records are there or lost; iterating over it never raises. All else is the batch's own."""

    def __init__(self, batch: Any, place: str) -> None:  # noqa: ANN401 - one of several classes of aiokafka's
        self._batch = batch
        self._place = place

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the batch's
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - the batch's: a marker's only record
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        reached = self._batch.base_offset
        try:
            for record in self._batch:
                yield record
                reached = record.offset + 1
        except Exception as error:  # noqa: BLE001 - each codec has its own
            why = f"{type(error).__name__}: {error}"
            yield from _lost(self._place, reached, self._batch.next_offset, why)


class _DamagedBatch:
    """A batch whose checksum is wrong: of its header only the offsets are used, since none of it can be trusted."""

    is_control_batch = is_transactional = False
    producer_id = None

    def __init__(self, batch: Any, place: str) -> None:  # noqa: ANN401 - as above
        self.base_offset = batch.base_offset
        self.next_offset = min(max(batch.next_offset, batch.base_offset + 1), batch.base_offset + _MOST)
        self._place = place

    def validate_crc(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return _lost(self._place, self.base_offset, self.next_offset, "its checksum is wrong")


def _lost(place: str, first: int, end: int, why: str) -> Iterator[_Lost]:
    log.error("%s: what is at offsets %d to %d cannot be read, and is lost: %s", place, first, end - 1, why)
    value = Unreadable(why.encode())
    return (_Lost(offset, value) for offset in range(first, end))


class _Batches:
    """aiokafka's batches of one fetch, each made safe to iterate over."""

    def __init__(self, records: Any, place: str) -> None:  # noqa: ANN401 - aiokafka's
        self._records = records
        self._place = place

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> _Batch | _DamagedBatch:
        batch = self._records.next_batch()
        return (_Batch if batch.validate_crc() else _DamagedBatch)(batch, self._place)


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    def __init__(self, tp: Any, records: Any, *args: Any) -> None:  # noqa: ANN401 - aiokafka's
        super().__init__(tp, _Batches(records, f"{tp.topic}-{tp.partition}"), *args)
        self._check_crcs = False  # each was looked at by then
