"""Threads of the operating system, also where gevent has made greenlets of Python's.

The client's thread waits inside librdkafka, which knows no greenlets: as a greenlet it would hold up all others. So it
gets what the functions were before they were patched, and what the app's side waits for, it waits for by
``time.sleep``, which lets greenlets go on.
"""

import _thread
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ...core.deadline import Deadline
from ...core.errors import Refused

_AT_IMPORT: dict[tuple[str, str], Any] = {
    ("_thread", "allocate_lock"): _thread.allocate_lock,
    ("_thread", "start_new_thread"): _thread.start_new_thread,
    ("time", "sleep"): time.sleep,
}


def _original(module: str, name: str) -> Any:  # noqa: ANN401 - of each function its own type
    """A function as it was before gevent patched it, before this module was imported or later."""
    monkey = sys.modules.get("gevent.monkey")
    return _AT_IMPORT[module, name] if monkey is None else monkey.get_original(module, name)


def new_lock() -> _thread.LockType:
    """A lock that never gives way to another greenlet."""
    lock: _thread.LockType = _original("_thread", "allocate_lock")()
    return lock


def real_sleep(seconds: float) -> None:
    """Sleep, this thread alone: for threads that are started here."""
    _original("time", "sleep")(seconds)


def greenlets() -> bool:
    """Whether Python's threads are gevent's greenlets here."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def refuse_eventlet() -> None:
    """Raise where eventlet has patched the locks that every thread takes.

    They are not made for threads (one that releases such a lock wakes nobody who waits in another), so a log line of
    ours could stop the app for good.

    Raises:
        Refused: It has.
    """
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        raise Refused(
            "the client does not run under eventlet, whose locks are not made for threads: use gevent, or threads;"
            " or let eventlet.monkey_patch(thread=False) leave threads alone"
        )


def start_thread(target: Callable[[], object], name: str) -> None:
    """Run a function on a thread of its own, which ends with the process at the latest.

    Raises:
        Refused: Under eventlet.
        RuntimeError: The machine has no room for a thread.
    """
    refuse_eventlet()
    if greenlets():
        _original("_thread", "start_new_thread")(target, ())
    else:
        threading.Thread(target=target, name=name, daemon=True).start()


def wait_until(true: Callable[[], bool], timeout_s: float, every_s: float = 0.01) -> bool:
    """Wait on one of the app's own threads or greenlets, letting others go on; returns whether it came true."""
    deadline = Deadline(timeout_s)
    while not true():
        if deadline.passed:
            return False
        time.sleep(deadline.remaining(every_s))  # looked up now: patched where the app's threads are greenlets
    return True
