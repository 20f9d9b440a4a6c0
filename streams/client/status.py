"""The words for what an app runs: how far its values can be trusted, and where they come from."""

from enum import StrEnum


class Status(StrEnum):
    """How far the values can be trusted to be the newest."""

    READY = "READY"
    """They follow the newest config record, but for what needs a restart of the app."""
    STALE = "STALE"
    """They are the last known good ones: no worker renewed what was tried, or not yet, or Kafka was not reached yet."""
    DEFAULT = "DEFAULT"
    """They are those that the app was shipped with."""


class Source(StrEnum):
    """Where the values come from."""

    RECORD = "record"
    DISK = "disk"
    BOOTSTRAP = "bootstrap"
    DECLARED = "declared"
