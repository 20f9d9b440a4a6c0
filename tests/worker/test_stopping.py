"""A worker that is asked to stop is gone within its time, whatever a library is in, and so is a command."""

import re
import signal
import subprocess
import sys
import threading
from queue import Queue
from time import monotonic

import pytest

from kafkas import ROOT
from oppertune.streams.broker import handles

IN_A_LIBRARY = """
import ctypes
def in_a_library():
    # Like librdkafka that waits for a thread of its own: no signal brings the main thread back to Python.
    lock = lambda: ctypes.CDLL(None).pthread_mutex_lock(mutex)
    mutex = ctypes.create_string_buffer(64)
    lock()
    print("there", flush=True)
    lock()
"""

CHECKING = (
    IN_A_LIBRARY
    + """
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.worker import WorkerSettings, run
run.check = lambda settings: in_a_library()
run.run_worker(WorkerSettings(BrokerSettings("127.0.0.1:1")))
"""
)

STOPPING = (
    IN_A_LIBRARY
    + """
from oppertune.streams.worker.stopping import StopSignals
with StopSignals(0.5) as signals:
    signals.then(lambda: None)
    in_a_library()
"""
)

LEAVING = """
import asyncio, sys
from oppertune.streams.worker.stopping import StopSignals
async def work():
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals.then(lambda: loop.call_soon_threadsafe(stop.set))
    print("there", flush=True)
    await stop.wait()
with StopSignals(30.0) as signals:
    asyncio.run(work())
sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
@pytest.mark.parametrize(
    ("code", "within_s", "exit_code", "said"),
    [
        (CHECKING, 5.0, 0, "oppertune worker ends (stopped, 0): asked to stop\n"),
        (STOPPING, 5.0, 0, "oppertune worker ends (stopped, 0): not stopped within 0 s: leaving\n"),
        (LEAVING, 10.0, 7, ""),
    ],
    ids=["while it looks for a broker", "while it stops", "in time"],
)
def test_a_worker_stops_whatever_a_library_is_in(
    number: signal.Signals, code: str, within_s: float, exit_code: int, said: str
) -> None:
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            began = monotonic()
            process.send_signal(number)
            told = process.communicate(timeout=within_s)[1]
        finally:
            process.kill()
    assert monotonic() - began < within_s
    assert process.returncode == exit_code
    assert told.endswith(said)


def test_a_command_ends_when_it_has_said_what_is_wrong() -> None:
    code = """
import time
from oppertune.core.errors import BrokerUnreachable
from oppertune.streams.operate import main as command_line
from oppertune.streams.operate.__main__ import run
class Handle:
    def __del__(self):
        time.sleep(60)
def ask():
    handle = Handle()
    raise BrokerUnreachable("nobody answers")
command_line.app = ask
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (4, "error: nobody answers\n")


class Part:
    """Destroyed with what holds it."""

    def __init__(self, taken_down_by: Queue[int]) -> None:
        self._taken_down_by = taken_down_by

    def __del__(self) -> None:
        self._taken_down_by.put(threading.get_ident())


@pytest.mark.parametrize("kind", [handles.AdminClient, handles.Consumer, handles.Producer])
def test_whoever_drops_a_handle_last_does_not_wait_for_it(kind: type) -> None:
    by: Queue[int] = Queue()
    handle = kind({"bootstrap.servers": "127.0.0.1:1", "group.id": "x", "log_level": 0})
    if hasattr(handle, "close"):
        handle.close()
    handle.part = Part(by)
    del handle
    assert by.get(timeout=10) != threading.get_ident()


def test_every_handle_but_the_clients_and_the_embedded_brokers_is_of_that_kind() -> None:
    """The client's are taken down by its own thread; the embedded broker ends with its handle."""
    raw = re.compile(r"^from confluent_kafka(?:\.admin)? import .*\b(?:AdminClient|Consumer|Producer)\b", re.MULTILINE)
    users = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "streams").rglob("*.py") if raw.search(path.read_text())
    }
    assert users == {"streams/client/connection.py", "streams/broker/embedded.py"}
