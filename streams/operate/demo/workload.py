"""The service that the demo tunes: an order service on SQLite, with a mix of small reads and writes.

Every setting is real. :meth:`OrderStore.apply` puts it into effect between two operations of the running store, reads
it back from SQLite, and complains if it did not take; the latencies are those of real transactions on a real file.
"""

import random
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ....core.errors import InvalidArgument, OppertuneError
from ....core.values import Categorical, Integer, ValueType

PARAMETERS: Final[list[ValueType]] = [
    Categorical("journal_mode", "DELETE", ("DELETE", "TRUNCATE", "PERSIST", "WAL")),
    Categorical("synchronous", "FULL", ("NORMAL", "FULL")),
    Integer("cache_size_kib", 2000, 500, 64_000, 500),
    Integer("mmap_size_mib", 0, 0, 256, 16),
    Categorical("temp_store", "DEFAULT", ("DEFAULT", "FILE", "MEMORY")),
    Integer("wal_autocheckpoint", 1000, 100, 10_000, 100),
    Categorical("rows_per_transaction", "1", ("1", "4", "16")),
]
"""What may be tuned, with SQLite's own defaults as declared values (and one write per transaction).

- ``journal_mode``: how a transaction is made atomic; ``WAL`` appends to a log, the others keep a rollback journal.
- ``synchronous``: ``FULL`` makes every commit durable. ``NORMAL`` in WAL mode may lose the last commits when the power
  fails, and never corrupts the file; with a rollback journal there is a very small chance of corruption on file systems
  of old. OFF, which gives up consistency too, is not on offer.
- ``cache_size_kib``: page cache of the connection.
- ``mmap_size_mib``: how much of the file is read through a memory map; 0 is none.
- ``temp_store``: where sorting and temporary tables spill.
- ``wal_autocheckpoint``: pages in the log before they are copied back into the file.
- ``rows_per_transaction``: writes gathered into one transaction; they wait for it at most :data:`MAX_BATCH_WAIT_S`. A
  few sizes rather than a range: the best may be the smallest, and BlueFin never quite reaches the edge of a range.
"""

WRITE_SHARE: Final[Mapping[str, float]] = {"read-heavy": 0.2, "write-heavy": 0.7}
"""Share of writes among the operations, for each of the demo's two kinds of traffic."""

MAX_BATCH_WAIT_S: Final = 0.020
"""How long a transaction that is not full stays open for more writes."""

_CODES: Final[Mapping[str, Mapping[str, int]]] = {
    "synchronous": {"NORMAL": 1, "FULL": 2},
    "temp_store": {"DEFAULT": 0, "FILE": 1, "MEMORY": 2},
}
"""Settings that SQLite reports as numbers."""

_MIB: Final = 1024 * 1024

_PREFILLED_ORDERS: Final = 20_000
_CUSTOMERS: Final = 200
_ITEMS_PER_ORDER: Final = 3
_STATUSES: Final = ("placed", "paid", "packed", "shipped", "delivered")

_SCHEMA: Final = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, status TEXT NOT NULL, total_cents INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX orders_of_customer ON orders (customer, id);
CREATE TABLE items (
    order_id INTEGER NOT NULL, line INTEGER NOT NULL, product INTEGER NOT NULL, quantity INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) WITHOUT ROWID;
"""
_INSERT_ORDER: Final = "INSERT INTO orders VALUES (?, ?, ?, ?, ?)"
_INSERT_ITEM: Final = "INSERT INTO items VALUES (?, ?, ?, ?)"
_NOTE: Final = "Please leave the parcel with the neighbours if nobody opens."


class SettingRefused(OppertuneError, RuntimeError):  # noqa: N818 - named like the library's other errors
    """SQLite did not take a setting: the file is in use by others, or its library was built without the feature."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A write whose transaction is still open."""

    kind: str
    arrived_s: float


class OrderStore:
    """One order service: a SQLite file, its only connection, and the operations of its traffic.

    Not for several threads. Times are those of :func:`time.perf_counter`.

    Args:
        path: The file to create. What is there already, with its journal and log, is replaced.
        write_share: Share of operations that write, 0 to 1.
        seed: Seed of the data and of the operations' sequence.

    Attributes:
        path: The file.
        write_share: Share of operations that write.
        values: The settings in effect: the declared ones at first.

    Raises:
        InvalidArgument: ``write_share`` is not between 0 and 1.
    """

    def __init__(self, path: Path | str, *, write_share: float, seed: int) -> None:
        if not 0.0 <= write_share <= 1.0:
            raise InvalidArgument(f"write_share must be between 0 and 1, not {write_share}")
        self.path = Path(path)
        self.write_share = write_share
        self.values: dict[str, object] = {}
        self._random = random.Random(seed)  # noqa: S311 - traffic, not secrets
        self._rows_per_transaction = 1
        self._waiting: list[_Waiting] = []
        self._batch_due_s = 0.0
        self._completed: list[tuple[str, float]] = []
        for suffix in ("", "-journal", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._next_id = 1
        self._prefill()
        self._connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            self.apply({p.name: p.val for p in PARAMETERS})
        except BaseException:
            self._connection.close()
            raise

    def _prefill(self) -> None:
        """Create the tables and the orders of the past, as fast as SQLite can: nothing is at stake yet."""
        orders = [self._new_order() for _ in range(_PREFILLED_ORDERS)]
        items = [item for order in orders for item in self._new_items(order[0])]
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            connection.executemany(_INSERT_ORDER, orders)
            connection.executemany(_INSERT_ITEM, items)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _new_order(self) -> tuple[int, int, str, int, str]:
        order_id = self._next_id
        self._next_id += 1
        return order_id, self._random.randrange(_CUSTOMERS), _STATUSES[0], self._random.randrange(100, 50_000), _NOTE

    def _new_items(self, order_id: int) -> list[tuple[int, int, int, int]]:
        draw = self._random.randrange
        return [(order_id, line, draw(5000), draw(1, 6)) for line in range(_ITEMS_PER_ORDER)]

    # Settings

    def apply(self, values: Mapping[str, object]) -> dict[str, object]:
        """Put settings into effect, between two operations. Writes that wait are committed first, under the old ones.

        Args:
            values: Legal values by the parameters' names; what is left out stays as it is.

        Returns:
            The same names, with the values that SQLite reports.

        Raises:
            InvalidArgument: A name or a value is not one of :data:`PARAMETERS`; nothing has changed.
            SettingRefused: SQLite did not take a setting. Those before it, in the order of the parameters, are in
                effect.
        """
        known = {p.name: p for p in PARAMETERS}
        for name, value in values.items():
            if name not in known:
                raise InvalidArgument(f"{name!r} is not a setting of the store; it has {', '.join(known)}")
            if not known[name].contains(value):
                raise InvalidArgument(f"{value!r} is not a legal value of {name}: {known[name].to_dict()}")
        self._commit()
        applied: dict[str, object] = {}
        for name in (n for n in known if n in values):
            wanted = values[name]
            actual = self._apply_one(name, wanted)
            if actual != wanted:
                raise SettingRefused(f"SQLite did not take {name} = {wanted}: it reports {actual}")
            self.values[name] = applied[name] = actual
        return applied

    def _apply_one(self, name: str, value: object) -> object:
        """Apply one legal value outside of any transaction; the value that SQLite reports afterwards."""
        if name == "journal_mode":
            return self._apply_journal_mode(str(value))
        if name in _CODES:
            return self._apply_named(name, str(value), _CODES[name])
        number = int(str(value))
        if name == "cache_size_kib":
            return -self._apply_number("cache_size", -number)
        if name == "mmap_size_mib":
            return self._apply_number("mmap_size", number * _MIB) // _MIB
        if name == "rows_per_transaction":
            self._rows_per_transaction = number
            return str(number)
        return self._apply_number(name, number)

    def _apply_journal_mode(self, mode: str) -> str:
        current = self._pragma("journal_mode").upper()
        if current == mode:
            return mode
        if current == "WAL":
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
            if busy:
                raise SettingRefused(f"{self.path} is open elsewhere, so its log cannot be emptied to leave WAL")
        try:
            self._connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        except sqlite3.OperationalError as error:
            raise SettingRefused(f"SQLite did not take journal_mode = {mode}: {error}") from error
        return self._pragma("journal_mode").upper()

    def _apply_named(self, pragma: str, value: str, codes: Mapping[str, int]) -> str:
        code = self._apply_number(pragma, codes[value])
        return next((name for name, known in codes.items() if known == code), f"{pragma} {code}")

    def _apply_number(self, pragma: str, number: int) -> int:
        if int(self._pragma(pragma)) != number:
            self._connection.execute(f"PRAGMA {pragma} = {number}").fetchall()
        return int(self._pragma(pragma))

    def _pragma(self, name: str) -> str:
        # All rows, always: a statement that is not run to its end holds a lock, and refuses the next setting.
        return str(self._connection.execute(f"PRAGMA {name}").fetchall()[0][0])

    # Operations

    @property
    def due_s(self) -> float | None:
        """When the waiting writes must be committed, or None where none waits."""
        return self._batch_due_s if self._waiting else None

    def operate(self, arrived_s: float) -> list[tuple[str, float]]:
        """Do the next operation of the mix.

        Args:
            arrived_s: When it arrived: its latency counts from there, so time spent in a queue counts too.

        Returns:
            The operations completed by now, as kind and latency in seconds. A read is complete at once, and may see
            writes of this store that are not committed yet; a write is complete when its transaction commits, so it
            may come with a later call.
        """
        writes = self._random.random() < self.write_share
        if writes:
            self._write(arrived_s)
        else:
            kind = self._read()
            self._completed.append((kind, time.perf_counter() - arrived_s))
        if self._waiting and (
            len(self._waiting) >= self._rows_per_transaction or time.perf_counter() >= self._batch_due_s
        ):
            self._commit()
        return self._take_completed()

    def flush_due(self, now_s: float) -> list[tuple[str, float]]:
        """Commit the waiting writes if the oldest has waited long enough; the operations completed."""
        if self._waiting and now_s >= self._batch_due_s:
            self._commit()
        return self._take_completed()

    def flush(self) -> list[tuple[str, float]]:
        """Commit the waiting writes; the operations completed and not returned yet, those of :meth:`apply` too."""
        self._commit()
        return self._take_completed()

    def _take_completed(self) -> list[tuple[str, float]]:
        completed = self._completed
        if completed:
            self._completed = []
        return completed

    def _commit(self) -> None:
        if not self._waiting:
            return
        self._connection.execute("COMMIT")
        now_s = time.perf_counter()
        self._completed.extend((w.kind, now_s - w.arrived_s) for w in self._waiting)
        self._waiting.clear()

    def _write(self, arrived_s: float) -> None:
        execute = self._connection.execute
        if not self._waiting:
            execute("BEGIN IMMEDIATE")
            self._batch_due_s = time.perf_counter() + MAX_BATCH_WAIT_S
        if self._random.random() < 0.5:
            kind = "insert"
            order = self._new_order()
            execute(_INSERT_ORDER, order)
            self._connection.executemany(_INSERT_ITEM, self._new_items(order[0]))
        else:
            kind = "update"
            status = self._random.choice(_STATUSES)
            execute("UPDATE orders SET status = ? WHERE id = ?", (status, self._random.randrange(1, self._next_id)))
        self._waiting.append(_Waiting(kind, arrived_s))

    def _read(self) -> str:
        execute = self._connection.execute
        if self._random.random() < 0.7:
            order_id = self._random.randrange(1, self._next_id)
            execute("SELECT customer, status, total_cents FROM orders WHERE id = ?", (order_id,)).fetchall()
            execute("SELECT line, product, quantity FROM items WHERE order_id = ?", (order_id,)).fetchall()
            return "point"
        execute(
            "SELECT id, status, total_cents, note FROM orders WHERE customer = ? ORDER BY id DESC LIMIT 50",
            (self._random.randrange(_CUSTOMERS),),
        ).fetchall()
        return "scan"

    # Closing

    def close(self) -> None:
        """Commit what waits, and close the file. May be called again."""
        try:
            self._commit()
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
