"""A worker from start to exit code."""

import asyncio
import contextlib
import gc
import logging
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust

from ...core.errors import BrokerUnreachable, TopicsInvalid
from ..processor import Partition
from .app import create_app
from .checks import check
from .deadline import Deadline
from .ends import LogEnds
from .exits import ExitCode, end_process
from .logs import RateLimit
from .ownership import Ownership, Restore, Topics
from .settings import WorkerSettings
from .status import WorkerStatus
from .ticker import Ticker
from .watchdog import Watchdog

log = logging.getLogger(__name__)

_THREADS = 64

_GC_THRESHOLDS = (50_000, 20, 100)
"""Thousands of records wait in memory, and Python's cyclic collector went through them all again and again: with its
defaults it took a tenth of the time at 40,000 events/s. Nothing of a record is part of a cycle."""


def run_worker(
    settings: WorkerSettings, *, status: WorkerStatus | None = None, restore: Restore = Partition.restore
) -> int:
    """Work until SIGTERM or SIGINT. Blocks; call it in the main thread.

    1. Check topics and settings, before joining the group.
    2. Join, restore what is assigned, fold what comes.
    3. Asked to stop: finish the transactions under way, leave the group.

    Args:
        settings: Where the broker is, and patience.
        status: Kept up to date, to be read from other threads.
        restore: Makes a partition from its state; another than the processor's only in tests.

    Returns:
        An exit code, see :class:`ExitCode`. Faults do not come back: they end the process at once.
    """
    with _readable_logs(), tempfile.TemporaryDirectory(prefix="oppertune-worker-") as directory:
        try:
            topics = check(settings)
        except TopicsInvalid as error:
            log.error("%s", error)  # noqa: TRY400 - said to people; the traceback would tell them nothing
            return ExitCode.REFUSED
        except BrokerUnreachable as error:
            log.error("%s", error)  # noqa: TRY400 - as above
            return ExitCode.UNAVAILABLE
        asyncio.run(_work(settings, topics, status or WorkerStatus(), restore, Path(directory)))
        return ExitCode.STOPPED


async def _work(settings: WorkerSettings, topics: Topics, status: WorkerStatus, restore: Restore, folder: Path) -> None:
    ends = LogEnds(settings)
    ownership = Ownership(settings, topics, ends, status, restore)
    app = create_app(settings, ownership, folder)
    ticker = Ticker(settings, ownership, ends, status, app)
    watchdog = Watchdog(settings, status)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The default, six threads on two processors, could all be waiting for transactions while time must pass.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="oppertune"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.set_threshold(*_GC_THRESHOLDS)
    watchdog.start()
    log.info("joining the group %s", settings.group)
    running = [
        asyncio.ensure_future(work)
        for work in (app.start(), ticker.run(), ticker.beat(), _until_crashed(app), stop.wait())
    ]
    try:
        await _first_end(running, stop)
        await _leave(settings, app, ownership, running)
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
        await asyncio.sleep(0.1)
    raise RuntimeError(f"Faust crashed: {app.crash_reason!r}") from app.crash_reason


async def _leave(settings: WorkerSettings, app: faust.App, ownership: Ownership, running: list[Any]) -> None:
    """Leave the group and let transactions end. Neither is needed for correctness, so neither may take for ever."""
    deadline = Deadline(settings.stop_timeout_s)
    log.info("stopping")
    for task in running:
        task.cancel()
    stopping = asyncio.ensure_future(_stop(app, ownership))
    done, _ = await asyncio.wait([stopping], timeout=deadline.remaining())
    if not done:
        end_process(f"not stopped within {settings.stop_timeout_s:.0f} s: leaving", ExitCode.STOPPED)
    await asyncio.gather(*running, return_exceptions=True)
    log.info("stopped")


async def _stop(app: faust.App, ownership: Ownership) -> None:
    ownership.leave()
    await app.stop()
    await ownership.release()


@contextlib.contextmanager
def _readable_logs() -> Iterator[None]:
    limit, handlers = RateLimit(), list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(limit)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(limit)
