"""A worker from start to exit code."""

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import faust
from threadpoolctl import threadpool_limits

from ...core.errors import BrokerUnreachable, Refused, TopicsInvalid
from ..processor import Partition
from .app import create_app
from .checks import Topics, check
from .exits import ExitCode, end_process
from .log_offsets import LogOffsets
from .logs import RateLimit
from .ownership import Ownership, Restore
from .pages import pages
from .settings import WorkerSettings
from .status import WorkerStatus
from .stopping import StopSignals
from .ticker import Ticker
from .watchdog import Watchdog

log = logging.getLogger(__name__)

_THREADS = 64
"""Each owned partition blocks one while it commits, and the default number of partitions is 8; a few more ask for
offsets. A thread that waits costs next to nothing."""

_WARN_FIRST_S = 1.0
"""A broker that is there answers sooner; then the warning is never seen."""

_WARN_S = 60.0
"""After that: often enough to see that it is still waiting."""

_CRASH_POLL_S = 0.1
"""Faust announces a crash by an attribute alone; looking at it costs nothing, and until then nothing is folded."""

_GC_THRESHOLDS = (50_000, 20, 100)
"""Thousands of records wait in memory, and with its defaults Python's cyclic collector walked through them again and
again: a tenth of all time at 40,000 events/s. No record is part of a cycle."""


def run_worker(
    settings: WorkerSettings, *, status: WorkerStatus | None = None, restore: Restore = Partition.restore
) -> int:
    """Work until SIGTERM or SIGINT. Blocks; call it in the main thread.

    1. Serve health and metrics, where a port is named, from here to the end.
    2. Check topics and settings, before joining the group.
    3. Join, restore what is assigned, fold what comes.
    4. Asked to stop: finish the transactions under way, leave the group.

    Args:
        settings: Where the broker is, and how long to wait for what.
        status: Kept up to date, to be read from other threads.
        restore: Makes a partition from its state; another than the processor's only in tests.

    Returns:
        An exit code, see :class:`ExitCode`. Faults do not come back: they end the process at once.
    """
    status = status or WorkerStatus()
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(StopSignals(settings.stop_timeout_s))
        stack.enter_context(_readable_logs(settings.broker.bootstrap))
        # Learners' matrices are small. On a busy machine, or in a container with few of its machine's cores, numpy's
        # threads only wait for each other: a round of the surrogate took four times as long.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        try:
            stack.enter_context(pages(settings, status))
            topics = _check(settings, status)
        except (TopicsInvalid, Refused) as error:
            log.error("%s", error)  # noqa: TRY400 - for people, whom a traceback tells nothing
            return ExitCode.REFUSED
        except BrokerUnreachable as error:
            log.error("%s", error)  # noqa: TRY400 - as above
            return ExitCode.UNAVAILABLE
        asyncio.run(_work(settings, topics, status, restore, signals))
        return ExitCode.STOPPED


def _check(settings: WorkerSettings, status: WorkerStatus) -> Topics:
    """The start-up checks; while no broker answers, the log says now and then that they are waiting."""
    answered = threading.Event()

    def warn() -> None:
        wait_s = _WARN_FIRST_S
        while not answered.wait(wait_s):
            log.warning("waiting for a broker at %s", settings.broker.bootstrap)
            wait_s = _WARN_S

    status.enter("waiting_for_broker")
    threading.Thread(target=warn, name="oppertune-waiting", daemon=True).start()
    try:
        topics = check(settings)
    finally:
        answered.set()
    status.total_partitions = topics.partitions
    status.answered = monotonic()
    return topics


async def _work(
    settings: WorkerSettings, topics: Topics, status: WorkerStatus, restore: Restore, signals: StopSignals
) -> None:
    log_offsets = LogOffsets(settings)
    ownership = Ownership(settings, topics, log_offsets, status, restore)
    app = create_app(settings, ownership)
    ticker = Ticker(settings, ownership, log_offsets, status, app)
    watchdog = Watchdog(settings, status)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # By default there would be six threads on two processors: all could wait for transactions, and no tick get through.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="oppertune"))
    signals.then(lambda: loop.call_soon_threadsafe(stop.set))
    gc.set_threshold(*_GC_THRESHOLDS)
    status.enter("running")
    watchdog.start()
    log.info("joining the group %s", settings.group)
    running = [
        asyncio.ensure_future(work)
        for work in (app.start(), ticker.run(), ticker.beat(), _until_crashed(app), stop.wait())
    ]
    try:
        await _first_end(running, stop)
        status.enter("stopping")
        await _leave(app, ownership, running)
    finally:
        watchdog.leave()


async def _first_end(running: list[Any], stop: asyncio.Event) -> None:
    """Wait until asked to stop. ``app.start`` ends when the app has started; whatever else ends is a fault."""
    start = running[0]
    pending = set(running)
    while not stop.is_set():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            error = None if ended.cancelled() else ended.exception()
            if error is not None:
                log.error("the worker failed", exc_info=error)
                end_process(f"{type(error).__name__}: {error}")
            if ended is not start and not stop.is_set():
                end_process("a part of the worker ended by itself")


async def _until_crashed(app: faust.App) -> None:
    while not app.crashed:  # noqa: ASYNC110 - Faust has no public event for it
        await asyncio.sleep(_CRASH_POLL_S)
    raise RuntimeError(f"Faust crashed: {app.crash_reason!r}") from app.crash_reason


async def _leave(app: faust.App, ownership: Ownership, running: list[Any]) -> None:
    """Leave the group and let transactions end. Nothing is lost where either fails, or takes longer than there is."""
    log.info("stopping")
    for task in running:
        task.cancel()
    await asyncio.gather(_stop(app, ownership), *running, return_exceptions=True)
    log.info("stopped")


async def _stop(app: faust.App, ownership: Ownership) -> None:
    ownership.leave()
    await app.stop()
    await ownership.release()


@contextlib.contextmanager
def _readable_logs(bootstrap: str) -> Iterator[None]:
    limit, handlers = RateLimit(bootstrap), list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(limit)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(limit)
