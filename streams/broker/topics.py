"""The topics of a fleet: what there must be."""

from collections.abc import Mapping

from .settings import DEFAULT_PREFIX, BrokerSettings

_MIB = 1024 * 1024
_DAY_MS = 24 * 60 * 60 * 1000

LARGE_BYTES = 8 * _MIB
"""A record of state or a dead letter may be as large as this."""

_INPUT = {"cleanup.policy": "delete", "retention.ms": 7 * _DAY_MS, "message.timestamp.type": "LogAppendTime"}
_TABLE = {
    "cleanup.policy": "compact",
    # Kafka never compacts the active segment: small ones make restoring read little more than the newest values.
    "segment.bytes": 16 * _MIB,
    "segment.ms": 10 * 60 * 1000,
    "min.cleanable.dirty.ratio": 0.1,
    "max.compaction.lag.ms": 60 * 60 * 1000,
    "delete.retention.ms": _DAY_MS,
}
# All that the worker writes: one record too large for its topic would fail its partition's transaction for ever.
_LARGE = {"max.message.bytes": LARGE_BYTES + 64 * 1024}

TOPICS: Mapping[str, Mapping[str, str]] = {
    name: {k: str(v) for k, v in settings.items()}
    for name, settings in {
        "contexts": _INPUT,
        "metrics": _INPUT,
        "commands": _INPUT | {"retention.ms": 90 * _DAY_MS},
        "configs": _TABLE | _LARGE,
        "state": _TABLE | _LARGE,
        "journal": {"cleanup.policy": "delete", "retention.ms": 30 * _DAY_MS} | _LARGE,
        "rounds": {"cleanup.policy": "delete", "retention.ms": 90 * _DAY_MS} | _LARGE,
        "dead-letters": {"cleanup.policy": "delete", "retention.ms": 30 * _DAY_MS} | _LARGE,
    }.items()
}
"""Bare names of all topics, and the settings that each is created with."""


def create_command(settings: BrokerSettings) -> str:
    """The command that makes those that are missing, for people."""
    prefix = f" --prefix {settings.prefix}" if settings.prefix != DEFAULT_PREFIX else ""
    return f"oppertune topics create --bootstrap {settings.bootstrap}{prefix}"
