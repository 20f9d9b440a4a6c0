"""The journal: one record per transaction, of what it folded, in what order, at what time, and what state it wrote."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from ...schemas.records import FoldedRange, JournalRecord
from ...schemas.state import PartitionOffsets
from .effects import Received

of_topic = attrgetter("topic")


def journal_record(
    offsets: PartitionOffsets,
    folded: Mapping[str, FoldedRange],
    fresh: Sequence[Received],
    read_to_end_ms: Mapping[str, int],
    state: Mapping[str, bytes | None],
) -> JournalRecord:
    """The record of one transaction.

    Args:
        offsets: What is applied of the partition after it.
        folded: What it applied of each source.
        fresh: The records that it applied, in the order of folding.
        read_to_end_ms: Per source, when it was last known to be read to its end.
        state: The state records that it writes, ``@offsets`` left out: their hash tells a replay whether it is right.
    """
    return JournalRecord(
        v=1,
        partition=offsets.partition,
        transaction=offsets.transactions,
        time_ms=offsets.time_ms,
        folded={topic: account for topic, account in folded.items() if account.next > account.first},
        order=[(topic, sum(1 for _ in run)) for topic, run in groupby(fresh, key=of_topic)],
        ends_ms={topic: ms for topic, ms in read_to_end_ms.items() if topic in folded},
        state_hash=state_hash(state),
    )


def state_hash(state: Mapping[str, bytes | None]) -> str:
    """Hash of the state records that a transaction writes: sha256 over keys and values, in the order of keys."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key]
        digest.update(key.encode() + b"\0" + (value if value is not None else b"") + b"\0")
    return digest.hexdigest()
