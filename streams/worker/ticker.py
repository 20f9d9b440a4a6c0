"""Time without traffic: how far the sources are read, so that deadlines pass when nothing comes.

A source is read to its end as of time T of the broker's where T was taken before the broker was asked for the end, and
all before that end is applied. The other order would let time pass for an event that came between the two.
"""

import asyncio
import logging
import time
from collections.abc import Iterable

import faust
from faust.types import TP

from ...core.errors import BrokerUnreachable
from ..processor import SOURCES
from .broker_clock import SKEW_S, skew
from .exits import ExitCode, end_process
from .log_offsets import LogOffsets, Place
from .ownership import Ownership
from .partition_loop import PartitionLoop
from .settings import WorkerSettings
from .status import WorkerStatus

log = logging.getLogger(__name__)

_ASK_S = 2.0
"""Stopping waits for a question under way, and must be done within ``stop_timeout_s`` (4 s)."""

_BEAT_S = 0.5
"""Far below ``stuck_s`` and ``watchdog_s``, which look for beats that are missing."""

_PING_S = 1.0
"""How often the broker is asked while nothing is owned, just to know whether it answers: well below
``broker_silent_s``."""

_CUTS = 3
"""Answers in a row that must say that a log ends before what was applied of it: right after an election a new leader
may know of fewer records for a moment."""

_ROUND_TRIP_S = 1.0
"""Most that an ordinary answer takes; time beyond two ticks and this is a pause of the broker's."""


class Ticker:
    """Asks for the ends of all owned logs, one question per tick, then lets time pass on each partition.

    Args:
        settings: The worker's.
        ownership: Has the partitions.
        log_offsets: Whom to ask.
        status: Gets the lag and the event loop's beat.
        app: The Faust app, for its consumer.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        ownership: Ownership,
        log_offsets: LogOffsets,
        status: WorkerStatus,
        app: faust.App,
    ) -> None:
        self._settings = settings
        self._ownership = ownership
        self._log_offsets = log_offsets
        self._status = status
        self._app = app
        self._before: dict[int, tuple[PartitionLoop, float, int]] = {}
        self._cuts: dict[Place, int] = {}
        self._skewed = False
        self._away_since: float | None = None

    async def beat(self) -> None:
        """Show in the status that the event loop turns. Never returns."""
        while True:
            self._status.beat = time.monotonic()
            self._status.rebalancing = bool(self._app.rebalancing)
            await asyncio.sleep(_BEAT_S)

    async def run(self) -> None:
        """Tick. Never returns."""
        while True:
            await asyncio.sleep(self._settings.tick_s)
            await self.tick()

    async def tick(self) -> None:
        """Ask one question, and note what follows from the answer."""
        topic = self._settings.broker.topic
        owned = {n: o for n, o in self._ownership.owned.items() if n in self._status.partitions}
        now_s, asked_ms = time.monotonic(), time.time_ns() // 1_000_000
        readings = {number: o.status.clock.now_ms(now_s) for number, o in owned.items()}
        applied = {(topic(s), number): offset for number, o in owned.items() for s, offset in o.status.applied.items()}
        if not applied:
            if self._status.answered is None or time.monotonic() - self._status.answered > _PING_S:
                await self._ask([(topic(SOURCES[0]), 0)])
            return
        ends = await self._ask(applied)
        if ends is None:
            return
        self._look_for_cuts(applied, ends)
        for number, partition in owned.items():
            if partition.alive and self._ownership.owned.get(number) is partition:
                self._note(partition, {s: ends[topic(s), number] for s in SOURCES}, readings[number])
                partition.asked_ms = asked_ms
        self._say_skew()

    def _say_skew(self) -> None:
        """Say it once, and that it is over: whoever reads logs of several machines side by side must know."""
        ahead_s = self._status.clock_ahead_s or 0.0
        is_off = abs(ahead_s) > SKEW_S
        if is_off and not self._skewed:
            log.warning(
                "this machine's clock is %s; partition time is the broker's: put this one right (NTP)", skew(ahead_s)
            )
        elif self._skewed and not is_off:
            log.warning("this machine's clock agrees with the broker's again")
        self._skewed = is_off

    async def _ask(self, places: Iterable[Place]) -> dict[Place, int] | None:
        """The ends of logs; ``None`` where the broker does not answer."""
        try:
            ends = await asyncio.to_thread(self._log_offsets.committed_ends, places, _ASK_S)
        except BrokerUnreachable as error:
            log.warning("time stands still: %s", error, extra={"broker_away": True})  # one a minute: logs.py
            self._away_since = self._away_since or time.monotonic()
            return None
        self._status.answered = time.monotonic()
        if self._away_since is not None:
            log.info("the broker answers again, after %.0f s", time.monotonic() - self._away_since)
            self._away_since = None
        return ends

    def _look_for_cuts(self, applied: dict[Place, int], ends: dict[Place, int]) -> None:
        """End where a log was cut or its topic recreated.

        It ends before what was applied, so new records would look applied already.
        """
        self._cuts = {place: self._cuts.get(place, 0) + 1 for place, offset in applied.items() if ends[place] < offset}
        for place, times in self._cuts.items():
            if times >= _CUTS:
                end_process(
                    f"{place[0]}-{place[1]} ends at {ends[place]}, but was applied up to {applied[place]}: it was "
                    f"cut, or created again. Starting again says more",
                    ExitCode.RESTART,
                )

    def _note(self, owned: PartitionLoop, ends: dict[str, int], now_ms: int) -> None:
        status = owned.status
        lag = 0
        for source, end in ends.items():
            missing = self._missing(TP(self._settings.broker.topic(source), owned.number), status.applied[source], end)
            if missing:
                lag += missing
            else:
                owned.read_to_ms[source] = now_ms
        status.ends, status.lag = ends, lag
        status.read_to_ms = min(owned.read_to_ms.get(source, 0) for source in SOURCES)
        self._count_stuck(owned)
        owned.let_time_pass()

    def _missing(self, tp: TP, applied: int, end: int) -> int:
        """Offsets before the end that are still to be applied; 0 where the source was read to its end."""
        if applied >= end:
            return 0
        consumer = self._app.consumer
        read = consumer.positions.get(tp)
        if read is not None and applied >= read.reached and read.position > applied:
            # Between the two were only markers and aborted records, which a consumer never gets.
            applied = read.position
        if applied < end:
            consumer.positions_wanted.add(tp)
        return max(end - applied, 0)

    def _count_stuck(self, owned: PartitionLoop) -> None:
        """Count for how long there was lag and nothing was applied. Pauses of the broker do not count."""
        now, applied = time.monotonic(), sum(owned.status.applied.values())
        before = self._before.get(owned.number)
        self._before[owned.number] = (owned, now, applied)
        if not owned.status.lag or before is None or before[0] is not owned or before[2] != applied:
            owned.status.stuck_s = 0.0
        else:
            owned.status.stuck_s += min(now - before[1], 2 * self._settings.tick_s + _ROUND_TRIP_S)
