"""The embedded broker in the foreground."""

import signal
import threading

from rich.console import Console

from ..broker import EmbeddedBroker
from .outputs import Broker


def run_broker(prefix: str, console: Console, *, as_json: bool) -> None:
    """Run until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with EmbeddedBroker(prefix=prefix) as broker:
        if as_json:
            Broker(bootstrap=broker.bootstrap, prefix=prefix).show()
        else:
            console.print(f"embedded broker at [bold]{broker.bootstrap}[/bold], in memory, until Ctrl-C")
            console.print(f"a worker for it:  oppertune worker --embedded --bootstrap {broker.bootstrap}")
        stop.wait()
