"""A small HTTP service whose pool, cache and time-out are tuned while it serves.

    python examples/http_service/service.py --port 8080

GET /search/WORD finds products in a database and caches the answer; POST /prices/N changes the price of product N and
of some after it; GET /status says what is run. Options may come from the environment, too: SERVICE_PORT and so on.
"""

import argparse
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from store import CONNECTION_BYTES, PRODUCTS, BusyError, Cache, Pool, create
from web import Server

from oppertune.core.values import Categorical, Integer, Real
from oppertune.streams.client import TunerClient

PARAMETERS = [
    Integer("pool_size", val=10, min=1, max=16, log=True),
    Integer("timeout_ms", val=1000, min=20, max=2000, log=True),
    Integer("cache_entries", val=10, min=1, max=600, log=True),
    Real("ttl_s", val=0.5, min=0.1, max=10.0, log=True),
    Categorical("eviction", val="fifo", categories=("fifo", "lru")),
]


class Shop:
    """The service without its HTTP.

    Args:
        database: The file.
        tuned: The client, not started yet.
    """

    def __init__(self, database, tuned):
        create(database)
        self.tuned = tuned
        self.pool = Pool(database, tuned["pool_size"])  # the values at the start are no change
        self.cache = Cache(tuned["cache_entries"])
        self.traffic = "read-heavy"
        self._write_share = 0.0
        self._changes = 0
        self._lock = threading.Lock()
        tuned.on_change(self.apply)

    def apply(self, new, _old):
        """Pool and cache are resized here, on the client's thread; all else is read from the snapshot of a request."""
        self.pool.resize(new["pool_size"])
        self.cache.resize(new["cache_entries"])

    def handle(self, write, key):
        """Answer a request, and measure it under the configuration that it began with."""
        now = self.tuned.snapshot()
        self._notice(write)
        error = 0
        with now.measure("latency_ms"):
            try:
                answer = self.change(now, int(key)) if write else self.search(now, key)
            except (BusyError, sqlite3.OperationalError) as problem:
                error, answer = 1, str(problem).encode()
        now.record("error", error)
        now.record("memory_mb", self.memory_mb())
        return (503 if error else 200), answer

    def search(self, now, word):
        """The cheapest products with a word in their text, as JSON: from the cache, where it is young enough."""
        changes = self._changes
        found = self.cache.get(word, ttl_s=now["ttl_s"], lru=now["eviction"] == "lru")
        now.record("hit", found is not None)
        if found is not None:
            now.record("behind", changes - found[1])  # changes that this answer may not know of
            return found[0]
        with self.pool.connection(now["timeout_ms"] / 1000) as connection:
            query = "SELECT id, text, cents FROM products WHERE text LIKE ? ORDER BY cents LIMIT 100"
            answer = json.dumps(connection.execute(query, (f"%{word}%",)).fetchall()).encode()
        now.record("behind", 0)
        self.cache.put(word, answer, changes)
        return answer

    def change(self, now, product):
        """New prices for some products, in one transaction: only one connection can write at a time."""
        with self.pool.connection(now["timeout_ms"] / 1000) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for n in range(product, product + 100):
                connection.execute(
                    "UPDATE products SET cents = 100 + (cents + 37) % 9900 WHERE id = ?", (n % PRODUCTS,)
                )
            connection.execute("COMMIT")
        with self._lock:
            self._changes += 1
        return b"{}"

    def status(self):
        """What is run, and whether anything is wrong, for people and for health checks."""
        tuned = self.tuned
        known = {"instance": tuned.instance, "status": tuned.status, "problems": tuned.problems}
        return known | {"traffic": self.traffic, "memory_mb": self.memory_mb(), "values": dict(tuned.values)}

    def memory_mb(self):
        return (self.pool.open * CONNECTION_BYTES + self.cache.bytes) / 1e6

    def _notice(self, write):
        """Tell the client when the traffic has become of another kind: it may want another configuration."""
        with self._lock:
            self._write_share += 0.01 * (write - self._write_share)
            limit = 0.2 if self.traffic == "write-heavy" else 0.3  # not to and fro
            traffic = "write-heavy" if self._write_share > limit else "read-heavy"
            if traffic != self.traffic:
                self.traffic = traffic
                self.tuned.set_context({"traffic": traffic})


def option(parser, name, default, text):
    parser.add_argument(f"--{name}", default=os.environ.get(f"SERVICE_{name.upper()}", default), help=text)


def main():
    parser = argparse.ArgumentParser(description="A small HTTP service, tuned while it serves.")
    option(parser, "host", "127.0.0.1", "address to listen at")
    option(parser, "port", "8080", "port to listen at; 0: any that is free")
    option(parser, "database", "", "SQLite file, which instances may share; default: one of its own")
    option(parser, "values", "", "JSON file of values to start with, instead of the declared ones")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # leaves the blocks below, which close and say goodbye
    values = json.loads(Path(args.values).read_text()) if args.values else {}
    parameters = [replace(p, val=values.get(p.name, p.val)) for p in PARAMETERS]
    tuned = TunerClient("http-service", parameters, context={"traffic": "read-heavy"})
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(args.database or f"{folder}/shop.db", tuned)
        with Server((args.host, int(args.port)), shop) as server, tuned:
            print(f"http://{args.host}:{server.server_port}", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    main()
