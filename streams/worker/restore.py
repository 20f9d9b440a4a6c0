"""The state of a partition, read from the ``state`` topic before anything is folded."""

import logging

from ...core.deadline import Deadline
from ..broker import read_table
from .exits import Refused
from .log_offsets import LogOffsets
from .settings import WorkerSettings

log = logging.getLogger(__name__)

_WAIT_S = 0.2
"""How long to wait before asking again whether foreign transactions have ended."""


def read_state(settings: WorkerSettings, ends: LogOffsets, partition: int) -> dict[str, bytes]:
    """The newest committed value of every key, deleted ones left out. Values stay bytes: most are never decoded.

    The partition's writer must be open: from then on nobody else can commit to it.

    1. Ask for the end, and for the end of what is committed.
    2. Where the two differ, somebody has a transaction open on ``state``: wait for its end. Reading on regardless
       would stop before the newest committed records, and events be learned twice.
    3. Read to the end, keeping the newest per key.

    Raises:
        Refused: The foreign transaction stays open.
        BrokerUnreachable: The broker does not answer within the time for restoring.
    """
    deadline = Deadline(settings.restore_timeout_s)
    place = (settings.broker.topic("state"), partition)
    waiting = False
    while True:
        # 1.
        end = ends.ends([place], deadline.remaining(10))[place]
        committed = ends.committed_ends([place], deadline.remaining(10))[place]
        # 2.
        if committed >= end:
            break
        if deadline.passed:
            raise Refused(
                f"partition {partition} of {place[0]} has an open transaction at offset {committed} that is not a "
                f"worker's: only workers may write there. Find who does (kafka-transactions.sh find-hanging), "
                f"end it, and start again"
            )
        if not waiting:
            log.warning("partition %d: waiting for the end of an open transaction on %s", partition, place[0])
            waiting = True
        deadline.sleep(_WAIT_S)
    # 3.
    if end == 0:
        return {}
    return read_table(
        settings.broker,
        "state",
        [partition],
        timeout_s=deadline.remaining(),
        ends={partition: end},
        client={"group.id": settings.group, "log_level": 2},  # the group is one that a worker has the right to
    )[partition]
