"""Each event counts once under a request, however often it comes.

Numbered events (boot and seq) are known by a high-water mark and a window of bits per producer; others by a hash of
their id, remembered while the request is open.
"""

import hashlib

from ...schemas.events import MetricEvent
from ...schemas.state import OpenRequest, Window
from .disposition import Disposed

WINDOW = 1024
"""So far behind its producer's newest event an event may come and still be told from a duplicate."""

MAX_SEEN = 4096
"""Ids remembered per request: 80 kB of state. Whoever sends more numbers them."""

MAX_PRODUCERS = 10_000
"""Producers whose numbers are remembered per request, at most 370 bytes of state each: ten boots of each of a thousand
instances, within the 4 MB of a state record."""


def count_once(request: OpenRequest, event: MetricEvent) -> None:
    """Remember an event under its request.

    Raises:
        Disposed: It was counted before, or it cannot be known any more whether it was.
    """
    if event.boot is None or event.seq is None:
        _by_id(request, event)
    else:
        _by_number(request, f"{event.instance} {event.boot}", event.seq)


def _by_id(request: OpenRequest, event: MetricEvent) -> None:
    mark = hashlib.sha256(f"{event.instance}\n{event.id}".encode()).hexdigest()[:16]
    if mark in request.seen:
        raise Disposed("duplicate", "seen", letter=False)
    if len(request.seen) >= MAX_SEEN:
        raise Disposed("refused", "too_many_ids", f"more than {MAX_SEEN} events without boot and seq in one round")
    request.seen[mark] = 1


def _by_number(request: OpenRequest, producer: str, seq: int) -> None:
    window = request.windows.get(producer)
    if window is None:
        if len(request.windows) >= MAX_PRODUCERS:
            raise Disposed("refused", "too_many_producers", f"more than {MAX_PRODUCERS} producers in one round")
        window = request.windows[producer] = Window()
    ahead = seq - window.high
    if ahead > 0:
        window.mask = (window.mask << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
        window.high = seq
        return
    if -ahead >= WINDOW:
        raise Disposed("refused", "too_old", f"event {seq} is {-ahead} behind its producer's newest, {window.high}")
    bit = 1 << -ahead
    if window.mask & bit:
        raise Disposed("duplicate", "seen", letter=False)
    window.mask |= bit
