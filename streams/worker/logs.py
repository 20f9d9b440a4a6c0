"""Logging that stays readable while a broker is away, and tells no secrets."""

import logging
import re
from time import monotonic

_BURST = 3
"""Records of one place in the code that pass before it is limited: enough to see what goes wrong."""

_EVERY_S = 60.0
"""After that, one record per place in so long. Of a broker that is away, one in so long from all places."""

_NOISY = ("aiokafka", "faust", "mode", "oppertune.kafka")

_AWAY = re.compile(
    r"[Uu]nable (to )?connect|Connect(ion)? .*(failed|refused|closed|lost|reset)|[Dd]isconnected|brokers are down"
    r"|[Uu]nable to (update|request) metadata|Coordinator Request failed|coordinator dead|[Hh]eartbeat failed"
    r"|Failed (fetch messages|to resolve|to connect)|timed out|NodeNotReady|KafkaConnectionError|RequestTimedOut"
    r"|CoordinatorNotAvailable|NoBrokersAvailable"
)
"""What libraries say of a broker that is away, each part of them in its own words, some fifty times a second."""


def keep_secrets() -> None:
    """Drop aiokafka's debug records of requests: they hold each request whole, the password of the login included."""
    logging.getLogger("aiokafka.conn").addFilter(_no_requests)


def _no_requests(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


class RateLimit(logging.Filter):
    """Keeps a log readable while a broker is away: one line says so, and then one a minute.

    Of all else that Faust, aiokafka and librdkafka warn of, the first few records of a place in the code pass, then one
    a minute. Each says how many were held back.

    Put it on handlers: a filter on a logger does not see what is logged to its children.

    Args:
        bootstrap: Where the broker is.
    """

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self._bootstrap = bootstrap
        self._places: dict[tuple[str, int], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        if record.levelno < logging.WARNING:
            return True
        noisy = any(record.name == name or record.name.startswith(f"{name}.") for name in _NOISY)
        away = getattr(record, "broker_away", False) or (noisy and _AWAY.search(_said(record)) is not None)
        if not noisy and not away:
            return True
        place, burst = (("", 0), 1) if away else ((record.pathname, record.lineno), _BURST)
        now = monotonic()
        since, written, held = self._places.get(place, (now, 0, 0))
        said = (
            f"no connection to Kafka at {self._bootstrap}, or to a part of it: {record.getMessage()}"
            if away
            else record.getMessage()
        )
        if now - since >= _EVERY_S:
            if held:
                said = f"{said} (and {held} more such lines held back)"
            since, written, held = now, 0, 0
        if written >= burst:
            self._places[place] = (since, written, held + 1)
            return False
        self._places[place] = (since, written + 1, held)
        record.msg, record.args = said, None
        if away:
            record.exc_info = record.exc_text = None  # where in a library it was noticed helps nobody
        return True


def _said(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() if error is None else f"{record.getMessage()} {error!r}"
