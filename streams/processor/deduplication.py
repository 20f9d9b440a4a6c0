"""Each event counts once, however often it comes: a metric event under its request, a context event of its boot.

Numbered events (boot and seq) are known by a high-water mark and a window of bits per producer; others by a hash of
their id. What metric events counted is remembered while their request is open: later copies are late. What context
events counted is remembered beyond the boot's goodbye (``presence.py``).
"""

import hashlib

from ...schemas.events import ContextEvent, MetricEvent
from ...schemas.state import OpenRequest, Producer, Window
from .disposition import Disposed

WINDOW = 1024
"""So far behind its producer's newest event a metric event may come and still be told from a duplicate."""

CONTEXT_WINDOW = 128
"""The same for context events: twenty minutes of heartbeats, in 32 bytes of state for each instance."""

ALL_COUNTED = (1 << CONTEXT_WINDOW) - 1
"""A window of which every number was counted."""

CONTEXT_IDS = 32
"""Ids of context events remembered per instance that does not number them: five minutes of heartbeats."""

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


def count_context(producer: Producer, event: ContextEvent) -> bool:
    """Remember a context event of its boot; says whether it is the newest one.

    Raises:
        Disposed: As :func:`count_once`.
    """
    if event.seq is not None:
        newest = event.seq > producer.high
        _count(producer, event.seq, CONTEXT_WINDOW)
        return newest
    mark = hashlib.sha256(event.id.encode()).hexdigest()[:8]
    ids = producer.ids or []
    if mark in ids:
        raise Disposed("duplicate", "seen", letter=False)
    producer.ids = [*ids, mark][-CONTEXT_IDS:]
    return True


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
    _count(window, seq, WINDOW)


def _count(window: Window, seq: int, width: int) -> None:
    ahead = seq - window.high
    if ahead > 0:
        window.mask = (window.mask << min(ahead, width) | 1) & ((1 << width) - 1)
        window.high = seq
        return
    if -ahead >= width:
        raise Disposed("refused", "too_old", f"event {seq} is {-ahead} behind its producer's newest, {window.high}")
    bit = 1 << -ahead
    if window.mask & bit:
        raise Disposed("duplicate", "seen", letter=False)
    window.mask |= bit
