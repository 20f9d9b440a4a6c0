"""What a tuner's records offer this app: every configuration inside its own bounds, or replaced. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ...core.assignment import choose, position
from ...schemas.configs import ARM_KINDS, INCUMBENT, STATUSES, Arm, ConfigRecord
from .active_request import RequestTerms
from .config_follower import FollowedRecord
from .parameters import Parameters, Values
from .resolve import not_shared, resolve_arm, resolve_each
from .status import Source, Status

_NEW_TO_UNITS = ("explore", "candidate")
"""Kinds of arms whose values may be bad: their first reports come early."""


class Refusal(NamedTuple):
    """A request that this app cannot run, and why."""

    request_id: str
    why: str


@dataclass(frozen=True, slots=True)
class OfferedArm:
    """A piece of the units, and what they run.

    Attributes:
        name: Of the arm.
        share: Its length.
        values: The arm's values; the incumbent's where the arm cannot be run.
        terms: How it is measured; ``None``: it is not, the incumbent is run.
        refusal: Of an arm that is outside of what the app can run.
    """

    name: str
    share: float
    values: Values
    terms: RequestTerms | None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What an app can run.

    Attributes:
        status: How far it can be trusted.
        source: Where it comes from.
        incumbent: What a unit runs that no arm is for.
        arms: The arms, in order.
        salt: For assigning units.
        pinned: Units with an arm of their own, whatever their position; ``None``: they run the incumbent.
        problems: What was wrong with what was received, a sentence each.
    """

    status: Status
    source: Source
    incumbent: Values
    arms: tuple[OfferedArm, ...] = ()
    salt: str = ""
    pinned: Mapping[str, OfferedArm | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def arm_of(self, unit: str) -> OfferedArm | None:
        """The arm that a unit is in; ``None``: it runs the incumbent."""
        if unit in self.pinned or not self.arms:
            return self.pinned.get(unit)
        return choose([(arm.share, arm) for arm in self.arms], position(self.salt, unit))


def plain_offer(status: Status, source: Source, parameters: Parameters, values: Mapping[str, Any]) -> Offer:
    """One configuration, under no request."""
    resolved = resolve_each(parameters, values)
    problems = [f"{source}: {p}" for p in (*not_shared(parameters, values), *resolved.problems)]
    return Offer(status, source, resolved.values, problems=tuple(problems))


def offer_of(followed: FollowedRecord, parameters: Parameters) -> Offer:
    """What the records that are followed offer.

    Args:
        followed: What they say.
        parameters: The app's parameters: nothing outside them is ever run.
    """
    record = followed.record
    if record is None:
        return plain_offer(Status.DEFAULT, Source.DECLARED, parameters, parameters.declared)
    incumbent = resolve_each(parameters, record.incumbent.values)
    problems = [followed.problem] if followed.problem else []
    known = record.status in STATUSES
    if known and followed.lapsed and not followed.waits_s:
        problems.append(f"no worker renewed what is tried for {record.lease_s:g} s: the incumbent is run")
    problems += not_shared(parameters, record.incumbent.values)
    problems += [f"incumbent: {p}" for p in incumbent.problems]
    if not known:
        problems.append(_unknown(f"the tuner's status {record.status!r}"))
    arms = []
    for arm in record.arms if known and followed.arms else []:
        offered, wrong = _offered(record, arm, incumbent.values, parameters)
        arms.append(offered)
        problems += wrong
    status = Status.STALE if known and followed.lapsed else Status.READY
    named = {arm.name: arm for arm in arms if arm.name != INCUMBENT}
    pinned = {unit: named.get(name) for unit, name in record.pinned.items()}
    return Offer(status, Source.RECORD, incumbent.values, tuple(arms), record.salt, pinned, tuple(problems))


def _offered(
    record: ConfigRecord, arm: Arm, incumbent: Values, parameters: Parameters
) -> tuple[OfferedArm, tuple[str, ...]]:
    """An arm, and what is wrong with it. One that cannot be run keeps its piece, so that no unit changes its arm."""
    instead = OfferedArm(arm.arm, arm.share, incumbent, None)
    if arm.kind == "withdrawn":
        return instead, ()
    if arm.kind not in ARM_KINDS:
        return instead, (_unknown(f"kind {arm.kind!r} of arm {arm.arm}"),)
    try:
        tried = resolve_arm(parameters, arm.values, record.incumbent.values)
    except ValueError as error:
        refused = replace(instead, refusal=Refusal(arm.request_id, str(error)))
        return refused, (f"arm {arm.arm} is refused, the incumbent is run: {error}",)
    first = tuple(record.first_report_s) if arm.kind in _NEW_TO_UNITS else ()
    terms = RequestTerms(arm, record.scope, record.interval_s, record.settle_s, first)
    return OfferedArm(arm.arm, arm.share, tried, terms), ()


def _unknown(what: str) -> str:
    """A word of a newer worker was read: what it asks for cannot be guessed, and the incumbent is always safe."""
    return f"{what} is unknown to this version, the incumbent is run: upgrade oppertune-streams"
