"""What the service stands on: a database of products, a pool of connections to it, and a cache of answers."""

import random
import sqlite3
import threading
import time
from collections import OrderedDict
from contextlib import closing, contextmanager

PRODUCTS = 12_000
_ENDS = ("aro", "eni", "ilu", "oda", "ume", "ach", "elk", "ist", "orn", "ugg")
WORDS = [a + b + c for c in ("", "s", "ish", "er", "let") for a in "bdfgklmnprst" for b in _ENDS]
CONNECTION_BYTES = 2_000_000  # SQLite's page cache: 2 MB for each connection


class BusyError(Exception):
    """No connection came free in time."""


def connect(path):
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def create(path):
    """Fill the database, unless it is there: any number of instances may share a file."""
    chance = random.Random(1)
    rows = [(n, " ".join(chance.choices(WORDS, k=30)), chance.randrange(100, 9999)) for n in range(PRODUCTS)]
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, text TEXT, cents INTEGER)")
        connection.executemany("INSERT OR IGNORE INTO products VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")


class Pool:
    """Up to ``size`` connections, made when they are needed; ``size`` may change while they are in use."""

    def __init__(self, path, size):
        self._path = path
        self._size = size
        self._idle = []
        self._changed = threading.Condition()
        self.open = 0

    @contextmanager
    def connection(self, timeout_s):
        """Borrow a connection, and wait for locks of the database no longer than for the connection."""
        connection = self._take(timeout_s)
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(timeout_s * 1000)}")
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def resize(self, size):
        """Never touches a connection in use: what is too many then is closed when it comes back."""
        with self._changed:
            self._size = size
            surplus = [self._idle.pop() for _ in range(min(len(self._idle), max(self.open - size, 0)))]
            self.open -= len(surplus)
            self._changed.notify_all()
        for connection in surplus:
            connection.close()

    def _take(self, timeout_s):
        with self._changed:
            if not self._changed.wait_for(lambda: self._idle or self.open < self._size, timeout_s):
                raise BusyError(f"no connection in {timeout_s:g} s")
            if self._idle:
                return self._idle.pop()
            self.open += 1
        try:
            return connect(self._path)
        except sqlite3.Error:
            with self._changed:
                self.open -= 1
                self._changed.notify()
            raise

    def _give_back(self, connection):
        with self._changed:
            if self.open <= self._size:
                self._idle.append(connection)
                self._changed.notify()
                return
            self.open -= 1
        connection.close()


class Cache:
    """Answers by key, at most ``capacity`` of them; the one that goes is the oldest, or the least recently used."""

    def __init__(self, capacity):
        self._capacity = capacity
        self._entries = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key, *, ttl_s, lru):
        """The answer, and how many changes had been made when it was put; None if there is none that young."""
        with self._lock:
            answer, changes, put_at = self._entries.get(key, (None, 0, 0.0))
            if answer is None or time.monotonic() - put_at > ttl_s:
                return None
            if lru:
                self._entries.move_to_end(key)
            return answer, changes

    def put(self, key, answer, changes):
        with self._lock:
            self._drop(key)
            self._entries[key] = (answer, changes, time.monotonic())
            self.bytes += len(answer)
            self._shrink()

    def resize(self, capacity):
        with self._lock:
            self._capacity = capacity
            self._shrink()

    def _shrink(self):
        while len(self._entries) > self._capacity:
            self._drop(next(iter(self._entries)))

    def _drop(self, key):
        self.bytes -= len(self._entries.pop(key, (b"",))[0])
