"""A worker that is asked to stop is gone within its time, whatever a library is doing."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from typing import Self

from .exits import ExitCode, end_process

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """In this context SIGTERM and SIGINT ask the process to stop, and are heard at once.

    Python runs a handler only when the main thread comes back from a library, and a look-up that no name server answers
    holds it there for minutes. So a thread of its own reads where Python's signal handler in C writes. Only in the main
    thread, and not beside an event loop's own signal handlers, which want the same place.

    Args:
        stop_timeout_s: The process ends after so long even where stopping is not done.
    """

    def __init__(self, stop_timeout_s: float) -> None:
        self._stop_timeout_s = stop_timeout_s
        self._stop: Callable[[], object] | None = None
        self._left = threading.Event()

    def then(self, stop: Callable[[], object]) -> None:
        """What begins to stop the worker from now on, called by another thread; until now, ending the process did."""
        self._stop = stop

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # noqa: FBT003 - socket's
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # The kernel does not deliver to the first process of a container a signal for which it has no handler.
        self._before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        threading.Thread(target=self._listen, name="oppertune-signals", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._left.set()
        self._writer.close()

    def _listen(self) -> None:
        with self._reader:
            while numbers := self._reader.recv(64):
                if not set(_SIGNALS).isdisjoint(numbers):
                    self._end()
                    return

    def _end(self) -> None:
        if self._stop is None:
            end_process("asked to stop", ExitCode.STOPPED)
        with contextlib.suppress(RuntimeError):  # the event loop has just ended
            self._stop()
        if not self._left.wait(self._stop_timeout_s):
            end_process(f"not stopped within {self._stop_timeout_s:.0f} s: leaving", ExitCode.STOPPED)
