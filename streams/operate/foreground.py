"""Commands that go on until they are told to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from ..broker import EmbeddedBroker
from .outputs import BrokerStarted


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, for as long as the context lasts."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_broker(prefix: str, console: Console, *, as_json: bool) -> None:
    """Run the embedded broker until SIGINT or SIGTERM."""
    with until_told() as stop, EmbeddedBroker(prefix=prefix) as broker:
        if as_json:
            BrokerStarted(bootstrap=broker.bootstrap, prefix=prefix).show()
        else:
            console.print(f"embedded broker at {broker.bootstrap}, in memory, until Ctrl-C")
            console.print(f"a worker for it:  oppertune worker --embedded --bootstrap {broker.bootstrap}")
        stop.wait()
