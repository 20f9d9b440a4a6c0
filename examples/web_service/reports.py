"""What the service does, whatever server it runs in: reports, compressed, of which some are kept."""

import json
import zlib
from collections import OrderedDict
from threading import Lock
from time import perf_counter

from oppertune.streams.client import Integer, Tuned

PARAMETERS = [Integer("level", val=9, min=1, max=9), Integer("kept", val=0, min=0, max=200, step=10)]
"""How hard zlib tries, and how many compressed reports are kept. As in spec.yaml."""

KIB_PER_MS = 2.5
"""What a customer's line takes: 20 Mbit/s."""


class Reports:
    """Compressed reports.

    Args:
        tuned: The client, by which they are compressed and kept, and which is told how that went.
    """

    def __init__(self, tuned: Tuned) -> None:
        self._tuned = tuned
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lock = Lock()
        tuned.on_change(self._forget)

    def answer(self, number: int) -> bytes:
        """A report as it is sent."""
        now = self._tuned.snapshot()  # one configuration for one request
        began = perf_counter()
        body = self._found(number) or self._kept_of(number, _compressed(number, now["level"]), now["kept"])
        now.record("waits_ms", (perf_counter() - began) * 1000 + len(body) / 1024 / KIB_PER_MS)
        now.record("kept_kib", sum(map(len, list(self._kept.values()))) / 1024)
        return body

    def _found(self, number: int) -> bytes | None:
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
            return self._kept.get(number)

    def _kept_of(self, number: int, body: bytes, most: int) -> bytes:
        with self._lock:
            self._kept[number] = body
            while len(self._kept) > most:
                self._kept.popitem(last=False)
        return body

    def _forget(self, _new: object, _old: object) -> None:
        """What one configuration compressed would tell nothing of another."""
        with self._lock:
            self._kept.clear()


def _compressed(number: int, level: int) -> bytes:
    rows = [{"row": i, "price": i * 7919 % (10_007 + number), "name": f"article {i * number}"} for i in range(800)]
    return zlib.compress(json.dumps(rows).encode(), level)
