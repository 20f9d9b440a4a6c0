"""One process of the demo's fleet: an order service that follows its tuner, and measures itself.

It measures its declared defaults, and says so. Then it is told what to do in lines of JSON on standard input:
``{"do": "tune"}``, and later, any number of times, ``{"do": "compare", ...}``, which measures one configuration from a
given moment on. The end of the input ends the process.
"""

import argparse
import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ...broker import BrokerSettings
from ...client import Snapshot, TunerClient
from .compare import measure_side, p95_ms
from .load import RATE_PER_S, Load
from .spec import METRIC, TUNER
from .workload import PARAMETERS, WRITE_SHARE, OrderStore

_SLICE_S = 0.2
_SETTLE_S = 0.3
_BASELINE_S = 1.5


class Service:
    """The store, its traffic, and the client that says how to run it."""

    def __init__(self, store: OrderStore, load: Load, client: TunerClient) -> None:
        self._store = store
        self._load = load
        self._client = client
        self._running: Snapshot | None = None

    def work(self, orders: "queue.Queue[dict[str, Any] | None]") -> dict[str, Any] | None:
        """Serve and follow the tuner until an order comes in."""
        while orders.empty():
            self._load.run_for(_SLICE_S, self._measured, self._follow)
        return orders.get()

    def _follow(self) -> None:
        """Between two operations: put a new configuration into effect, and only then say so."""
        wanted = self._client.snapshot()
        if wanted is not self._running:
            self._store.apply(wanted.values)
            self._running = wanted
            self._client.applied(wanted)

    def _measured(self, _kind: str, latency_s: float) -> None:
        if self._running is not None:
            self._running.record(METRIC, latency_s * 1000)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _listen(orders: "queue.Queue[dict[str, Any] | None]") -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    orders.put(None)


def main() -> None:
    """Run one process of the fleet."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "prefix", "traffic", "instance"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    settings = BrokerSettings.load(bootstrap=options.bootstrap, prefix=options.prefix, embedded=options.embedded)
    orders: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    write_share, rate_per_s = WRITE_SHARE[options.traffic], RATE_PER_S[options.traffic]
    with OrderStore(options.folder / f"{options.instance}.db", write_share=write_share, seed=options.seed) as store:
        load = Load(store, rate_per_s, options.seed)
        latencies_s, _ = measure_side(store, load, {}, settle_s=_SETTLE_S, measure_s=_BASELINE_S)
        _say({"default_p95_ms": p95_ms(latencies_s)})
        order = orders.get()
        if order is None:
            return
        client = TunerClient(
            TUNER,
            PARAMETERS,
            settings=settings,
            context={"traffic": options.traffic},
            instance=options.instance,
            state_dir=options.folder,
            auto_activate=False,
        )
        load.restart()
        with client:
            order = Service(store, load, client).work(orders)
        while order is not None:
            time.sleep(max(order["at_s"] - time.time(), 0))
            latencies_s, ops_per_s = measure_side(
                store, load, order["values"], settle_s=order["settle_s"], measure_s=order["measure_s"]
            )
            _say({"latencies_s": latencies_s, "ops_per_s": ops_per_s})
            order = orders.get()


if __name__ == "__main__":
    main()
