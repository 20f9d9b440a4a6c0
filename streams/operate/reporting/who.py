"""Who wanted what a tuner does, since when and why, in a line for people: holds, pins, versions, proposals."""

from ....schemas.state import Hold, HoldKind, Pin, Proposal, Version
from ..times import when

_WORDS: dict[HoldKind, str] = {
    "paused": "paused",
    "observe": "only observing",
    "frozen": "frozen",
    "killed": "killed",
}
RUNS: dict[HoldKind, str] = {
    "paused": "the fleet runs the incumbent, and nothing is measured",
    "observe": "the fleet runs the incumbent, and it is measured",
    "frozen": "the fleet runs the incumbent, and it is measured",
    "killed": "the fleet runs the declared values, and nothing is measured",
}
"""What a hold means for the fleet."""


def of_hold(hold: Hold) -> str:
    """A hold.

    >>> of_hold(Hold(kind="frozen", by="ada", reason="errors", since_ms=0))
    'frozen by ada since 1970-01-01 00:00:00 UTC, until it is resumed: errors'
    """
    until = when(hold.until_ms) if hold.until_ms is not None else "it is resumed"
    return _because(f"{_WORDS[hold.kind]} by {hold.by} since {when(hold.since_ms)}, until {until}", hold.reason)


def of_pin(name: str, pin: Pin) -> str:
    """A pinned value."""
    return _because(f"{name} is pinned to {pin.value} by {pin.by} since {when(pin.since_ms)}", pin.reason)


def of_version(version: Version) -> str:
    """A version, and what made it the incumbent."""
    gain = f", gain {version.gain:.4g}" if version.gain is not None else ""
    return _because(f"version {version.number}, by {version.by} since {when(version.since_ms)}{gain}", version.reason)


def of_proposal(proposal: Proposal) -> str:
    """Who proposed a configuration."""
    return _because(f"proposed by {proposal.by} on {when(proposal.since_ms)}", proposal.reason)


def _because(said: str, reason: str) -> str:
    return f"{said}: {reason}" if reason else said
