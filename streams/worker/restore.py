"""The state of a partition, read from the ``state`` topic before anything is folded."""

import logging

from ...core.deadline import Deadline
from ...core.errors import Refused
from ..broker import read_table
from .log_offsets import LogOffsets
from .settings import WorkerSettings

log = logging.getLogger(__name__)

_WAIT_S = 0.2
"""Between two questions whether a foreign transaction has ended: short beside a restore, and five a second burden no
broker."""

_ASK_S = 10.0
"""For one of these questions, a change of the partition's leader included."""


def read_state(settings: WorkerSettings, log_offsets: LogOffsets, partition: int) -> dict[str, bytes]:
    """The newest committed value of every key, deleted ones left out. Values stay bytes: most are never decoded.

    The partition's writer must be open: from then on nobody else can commit to it.

    1. Ask for the end, and for the end of what is committed.
    2. Where the two differ, somebody has a transaction open on ``state``: wait for its end. A reader stops at
       an open transaction: it would miss the newest committed records, and events would be learned twice.
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
        # All its time for each answer: with what is left of that for restoring, a worker that has only waited for a
        # transaction would say in the end that the broker does not answer.
        end = log_offsets.ends([place], _ASK_S)[place]
        committed = log_offsets.committed_ends([place], _ASK_S)[place]
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
        timeout_s=max(deadline.remaining(), _ASK_S),
        ends={partition: end},
        client={"group.id": settings.group, "log_level": 2},  # the group is one that a worker has the right to
    )[partition]
