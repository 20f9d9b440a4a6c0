"""The unit of a duration, as the name of its metric says it: pure functions."""

import re
from functools import lru_cache

_PER_SECOND = {
    word: per_second
    for words, per_second in (
        ("s sec secs second seconds", 1.0),
        ("ms msec msecs millis millisecond milliseconds", 1e3),
        ("us usec usecs micros microsecond microseconds", 1e6),
        ("ns nsec nsecs nanos nanosecond nanoseconds", 1e9),
        ("minute minutes", 1 / 60),
        ("hour hours", 1 / 3600),
    )
    for word in words.split()
}
_WORD_ENDS = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")

DEFAULT_PER_SECOND = 1e3
"""Of a name without a unit: milliseconds."""


def per_second(metric: object) -> float:
    """How many of its unit a second is.

    The last word of the name that is a unit counts, as in ``request_duration_seconds``, ``latency_ms_p95`` or
    ``tookSeconds``; where none is, it is milliseconds. So it is where it is no name at all, which is refused elsewhere.
    """
    return _of_name(metric) if isinstance(metric, str) else DEFAULT_PER_SECOND


@lru_cache(maxsize=1024)
def _of_name(name: str) -> float:
    words = (word.lower() for word in reversed(_WORD_ENDS.split(name)))
    return next((_PER_SECOND[word] for word in words if word in _PER_SECOND), DEFAULT_PER_SECOND)
