"""What a worker's condition is, in one word and a sentence: a pure function of its status and the time.

Two questions are asked of it. *Is it alive?* If not, a supervisor should end it: only where its event loop stands
still. A broker that is away is no reason, since starting again would not bring it back. *Is it ready?* It is where
events are applied as they come. Every condition clears by itself when its cause does.

Of its words, ``status`` is what the worker records of itself, its ``phase`` where it is between start and end, and the
condition what follows from both. The pages show the condition as ``status``, the metrics as the label ``state``: those
names are public, and stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..processor.statistics import ScopeStatistics, TunerStatistics
from .broker_clock import SKEW_S, skew
from .settings import WorkerSettings
from .status import WorkerStatus

Word = Literal["starting", "waiting_for_broker", "rebalancing", "ready", "broker_silent", "stuck", "stopping"]

WORDS: dict[Word, str] = {
    "starting": "it has just begun",
    "waiting_for_broker": "no broker has answered since it started; it ends with exit code 69 if none does in time",
    "rebalancing": "the group deals out its partitions, or those it was given are being restored",
    "ready": "events are applied as they come; with no partition, it is there to take over",
    "broker_silent": "the broker does not answer: events wait in it, nothing is lost, and it goes on by itself",
    "stuck": "its event loop stands still, or it has lag and applies nothing: its watchdog will end it",
    "stopping": "it was asked to stop",
}
"""Every word, and what it means."""

SHOWN = 100
"""At most so many tuners are listed: a page that a probe fetches every few seconds stays small. All are counted."""


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's condition.

    Attributes:
        word: From the closed list.
        reason: A sentence for people.
        ready: Events are applied as they come.
        alive: It should not be ended.
    """

    word: Word
    reason: str
    ready: bool = False
    alive: bool = True


def health(status: WorkerStatus, settings: WorkerSettings, now: float) -> Health:
    """A worker's condition at a monotonic time."""
    return next(_conditions(status, settings, now))


def _conditions(status: WorkerStatus, settings: WorkerSettings, now: float) -> Iterator[Health]:
    """Every condition that holds, the cause before what follows from it.

    While the event loop stands still, no answer of the broker is seen; while the broker is silent, nothing is applied.
    """
    broker, since_s = settings.broker.bootstrap, now - status.since
    if status.phase == "starting":
        yield Health("starting", "it has just begun")
    if status.phase == "waiting_for_broker":
        yield Health("waiting_for_broker", f"waiting for a broker at {broker}, for {since_s:.0f} s so far")
    if status.phase == "stopping":
        yield Health("stopping", "it was asked to stop")
    if (still_s := now - status.beat) > settings.stuck_s:
        yield Health("stuck", f"the event loop has stood still for {still_s:.0f} s", alive=False)
    if (silent_s := now - (status.answered or status.since)) > settings.broker_silent_s:
        yield Health("broker_silent", f"the broker at {broker} has not answered for {silent_s:.0f} s: events wait")
    if (since := status.reconciling_since) is not None:  # another thread may clear it meanwhile
        yield Health("rebalancing", f"its partitions are being restored, for {now - since:.0f} s so far")
    if status.rebalancing or status.generation < 0:
        yield Health("rebalancing", "the group is dealing out its partitions")
    partitions = sorted(status.partitions.items())
    for number, partition in partitions:
        if partition.stuck_s > settings.stuck_s:
            nothing_s = f"{partition.stuck_s:.0f} s"
            yield Health(
                "stuck", f"partition {number} has a lag of {partition.lag} and applied nothing for {nothing_s}"
            )
    if not partitions:
        yield Health("ready", "no partition was given to it: the other workers hold them all", ready=True)
    here = f"{len(partitions)} of {status.total_partitions} partitions are here"
    if abs(ahead_s := status.clock_ahead_s or 0.0) > SKEW_S:
        here += f"; this machine's clock is {skew(ahead_s)}"
    yield Health("ready", here, ready=True)


def report(status: WorkerStatus, settings: WorkerSettings, now: float) -> dict[str, object]:
    """The condition and what belongs to it, for JSON: lists are cut at :data:`SHOWN`, and counted whole."""
    condition = health(status, settings, now)
    partitions = sorted(status.partitions.items())
    tuners = {name: tuner for _, partition in partitions for name, tuner in partition.statistics.tuners.items()}
    suspended = [(name, tuner.suspended) for name, tuner in sorted(tuners.items()) if tuner.suspended]
    waiting = [entry for name, tuner in sorted(tuners.items()) for entry in _waiting(name, tuner)]
    return {
        "status": condition.word,
        "reason": condition.reason,
        "ready": condition.ready,
        "alive": condition.alive,
        "partitions": [number for number, _ in partitions],
        "lag": status.lag,
        "lost": sum(partition.lost for _, partition in partitions),
        "broker": settings.broker.bootstrap,
        "broker_answered_s_ago": round(now - status.answered, 1) if status.answered is not None else None,
        "clock_ahead_s": status.clock_ahead_s,
        "tuners": len(tuners),
        "suspended": len(suspended),
        "suspended_tuners": [{"tuner": name, "reason": reason} for name, reason in suspended[:SHOWN]],
        "standing_still": sum(bool(context.standstill) for tuner in tuners.values() for context in tuner.contexts),
        "waiting": len(waiting),
        "waiting_tuners": waiting[:SHOWN],
    }


def _waiting(name: str, tuner: TunerStatistics) -> list[dict[str, str]]:
    """What a tuner's contexts wait for; one that is measuring what its instances report is at work, and not listed."""
    if tuner.suspended:
        return []
    if tuner.held in {"paused", "killed"}:
        return [{"tuner": name, "context": "", "why": f"it is {tuner.held}: oppertune tuner resume"}]
    if not tuner.contexts:
        return [{"tuner": name, "context": "", "why": "no instance has said that it is here"}]
    return [
        {"tuner": name, "context": context_name(context), "why": why}
        for context in tuner.contexts
        if (why := _why(context))
    ]


def _why(context: ScopeStatistics) -> str:
    if context.instances == 0:
        return "no instance is present" if context.round else "no instance has said that it is here"
    if context.standstill:
        return context.standstill
    if context.inactive:
        return f"no instance runs round {context.round} yet"
    return ""


def context_name(context: ScopeStatistics) -> str:
    """A context for people: ``traffic=read-heavy``; ``""`` for none."""
    return ",".join(f"{name}={value}" for name, value in sorted((context.data or {}).items()))
