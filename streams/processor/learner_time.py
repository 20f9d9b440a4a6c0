"""Time spent in learners, by algorithm, for the worker's metrics: the processor's only clock, and no fold reads it.

One tally for the whole process, whichever partitions it owns. A call that is undone, or repeated, took its time all the
same, and is counted.
"""

from collections.abc import Callable
from threading import Lock
from time import perf_counter
from typing import NamedTuple, ParamSpec, TypeVar

from .own_code import own

P = ParamSpec("P")
T = TypeVar("T")


class LearnerTime(NamedTuple):
    """What the learners of one algorithm took.

    Attributes:
        calls: How many of them there were.
        seconds: All of them together.
    """

    calls: int = 0
    seconds: float = 0.0


_spent: dict[str, LearnerTime] = {}
_lock = Lock()  # partitions are folded in threads, and Prometheus asks from another


def timed(algorithm: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a learner's method, and count the call and its time, also where it raises.

    Args:
        algorithm: Name of the learner's algorithm. As there is a learner, it is one of the finitely many that are
            installed: it may be a label of a metric.
        call: The method.
        args: What it is called with.
        kwargs: By name.
    """
    began_s = perf_counter()
    try:
        return own(call, *args, **kwargs)
    finally:
        took_s = perf_counter() - began_s
        with _lock:
            before = _spent.get(algorithm, LearnerTime())
            _spent[algorithm] = LearnerTime(before.calls + 1, before.seconds + took_s)


def spent() -> dict[str, LearnerTime]:
    """What learners took since the process began, by algorithm; a copy."""
    with _lock:
        return dict(_spent)
