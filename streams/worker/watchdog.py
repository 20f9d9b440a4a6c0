"""Ends a worker that holds partitions but gets nowhere: it would keep them from workers that could go on."""

import threading
from time import monotonic

from .exits import ExitCode, end_process
from .settings import WorkerSettings
from .status import WorkerStatus

_LOOK_S = 0.5
"""Far below ``watchdog_s``, so that the count of looks is a measure of time."""


class Watchdog(threading.Thread):
    """A thread of its own, because what it watches is the event loop.

    Time is counted in its own looks, not by the clock: a process that was stopped for a while is not ended for that.

    Args:
        settings: The worker's.
        status: What the worker says of itself.
    """

    def __init__(self, settings: WorkerSettings, status: WorkerStatus) -> None:
        super().__init__(name="oppertune-watchdog", daemon=True)
        self._patience_s = settings.watchdog_s
        self._reconciling_patience_s = settings.watchdog_s + settings.restore_timeout_s + settings.transaction_timeout_s
        self._status = status
        self._leave = threading.Event()

    def run(self) -> None:
        """Look twice a second, until told to leave."""
        still_s, last_beat = 0.0, self._status.beat
        while not self._leave.wait(_LOOK_S):
            beat = self._status.beat
            still_s = still_s + _LOOK_S if beat == last_beat else 0.0
            last_beat = beat
            if reason := self._reason(still_s):
                end_process(f"watchdog: {reason}", ExitCode.RESTART)

    def leave(self) -> None:
        """Stop watching."""
        self._leave.set()

    def _reason(self, still_s: float) -> str | None:
        if still_s > self._patience_s:
            return f"the event loop stood still for {still_s:.0f} s"
        for number, partition in list(self._status.partitions.items()):
            if partition.stuck_s > self._patience_s:
                return (
                    f"partition {number} has a lag of {partition.lag} and applied nothing for {partition.stuck_s:.0f} s"
                )
        since = self._status.reconciling_since
        if since is not None and monotonic() - since > self._reconciling_patience_s:
            return f"an assignment was not reconciled within {self._reconciling_patience_s:.0f} s"
        return None
