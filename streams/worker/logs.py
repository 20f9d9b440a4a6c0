"""Logging that stays readable while a broker is away, and tells no secrets."""

import logging
from time import monotonic

_BURST = 3
"""Records of one place in the code that pass before it is limited: enough to see what goes wrong."""

_EVERY_S = 10.0
"""After that, one record per place in so long."""

_NOISY = ("aiokafka", "faust", "mode")


def keep_secrets() -> None:
    """Drop aiokafka's debug records of requests: they hold each request whole, the password of the login included."""
    logging.getLogger("aiokafka.conn").addFilter(_no_requests)


def _no_requests(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


class RateLimit(logging.Filter):
    """Keeps a log readable while a broker is away, when Faust and aiokafka write some 50 error lines a second.

    The first few records of a place in the code pass, then one every ten seconds, which says how many were held back.

    Only for loggers below Faust's and aiokafka's names. Put it on handlers: a filter on a logger does not see what is
    logged to its children.
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        if record.levelno < logging.WARNING or record.name.partition(".")[0] not in _NOISY:
            return True
        place, now = (record.pathname, record.lineno), monotonic()
        since, written, held = self._places.get(place, (now, 0, 0))
        if now - since >= _EVERY_S:
            if held:
                record.msg, record.args = f"{record.getMessage()} (and {held} more such lines held back)", None
            since, written, held = now, 0, 0
        if written < _BURST:
            self._places[place] = (since, written + 1, held)
            return True
        self._places[place] = (since, written, held + 1)
        return False
