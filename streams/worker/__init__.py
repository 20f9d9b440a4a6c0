"""Faust consumes, one transaction per batch and partition publishes. The only package that imports Faust.

The path of an event: ``transport.py`` (what a fetch brought) → ``app.py`` (the agent) → ``partition_loop.py`` (fold,
then one transaction) → ``writer.py`` (the transaction). The path of a partition: ``ownership.py`` (which partitions are
ours) → ``restore.py`` (its state) → ``partition_loop.py``. Beside them: ``ticker.py`` (time without traffic),
``watchdog.py``, ``checks.py`` (before joining), ``stopping.py`` (signals), ``run.py`` (start to exit code). What is
seen from outside: ``status.py`` → ``health.py`` (its condition in a word) and ``metrics.py`` → ``pages.py`` (both over
HTTP).
"""

if __name__ != "oppertune.streams.worker":
    raise ImportError(
        f"import this package as 'oppertune.streams.worker', not as {__name__!r}: "
        "install the project (pip install -e .)"
    )

from .adopt import adopt
from .exits import ExitCode
from .run import run_worker
from .settings import WorkerSettings
from .status import PartitionStatus, WorkerStatus

__all__ = ["ExitCode", "PartitionStatus", "WorkerSettings", "WorkerStatus", "adopt", "run_worker"]
