"""One simulated instance: what it knows and runs, and how it chooses its arm from a config record.

It follows docs/wire-format.md as a service in any language would, so nothing here knows what a worker means to do.
"""

from dataclasses import dataclass
from functools import lru_cache

from ....core.assignment import choose, position
from ....schemas.base import Scalar
from ....schemas.configs import ARM_KINDS, STATUSES, Arm, ConfigRecord

MEASURED_KINDS = frozenset(ARM_KINDS) - {"withdrawn"}
"""Kinds of arms that are run as they are. An arm of any other keeps its piece: its units run the incumbent."""


@dataclass(slots=True)
class Run:
    """A request that an instance runs.

    Attributes:
        request_id: Of the arm in the config record; so are the next three.
        round: Its round.
        arm: Its name.
        hash: Of its values.
        scope: Of the config record.
        active_ms: Since when these values are in effect.
        settled_ms: Measurements count from here.
        reported_ms: What was measured up to then is reported.
        tries: It is not what runs anyway: it reports early at first.
        due_ms: When the next report is due.
    """

    request_id: str
    round: int
    arm: str
    hash: str
    scope: str
    active_ms: int
    settled_ms: int
    reported_ms: int
    tries: bool = False
    due_ms: int = 0


@dataclass(slots=True)
class Instance:
    """An instance. What it draws once lasts for its life and those after it: the host stays.

    Attributes:
        who: Its index.
        name: Its own, by which arms are chosen.
        context: What it says of its situation; ``None`` where the spec has no features.
        scope: Id of its context.
        host: Logarithm of how much slower this host is than others.
        answer: How it answers to the load of the day; 1 is usual.
        lag_ms: From publishing to following.
        life: Counts its starts.
        alive: It is here.
        contexts: Number of its next context event in this life.
        metrics: Number of its next metric event.
        noise: Logarithm of its own noise, as of ``noise_ms``.
        noise_ms: See above.
        record: The config record that it follows; empty before there is one.
        order: Of that record.
        deaf_ms: No record comes to it before; then the newest does.
        leased_ms: The record's arms may be run until then.
        lease_awaited: A look at the end of its lease is planned.
        run: What it runs on trial; ``None``: the incumbent, unmeasured.
        values: Hash of the values in effect.
        crash_ms: When these values will end its process; 0: they will not.
        accounted_ms: Up to then its time is in the accounts.
    """

    who: int
    name: str
    context: dict[str, Scalar] | None
    scope: str
    host: float
    answer: float
    lag_ms: int
    life: int = 0
    alive: bool = False
    contexts: int = 0
    metrics: int = 0
    noise: float = 0.0
    noise_ms: int = 0
    record: bytes = b""
    order: tuple[int, int, int] = (-1, -1, -1)
    deaf_ms: int = 0
    leased_ms: int = 0
    lease_awaited: bool = False
    run: Run | None = None
    values: str = ""
    crash_ms: int = 0
    accounted_ms: int = 0

    @property
    def boot(self) -> str:
        """Name of this life."""
        return f"{self.name}.{self.life}"


@lru_cache(maxsize=1024)
def parsed(record: bytes) -> ConfigRecord:
    """A config record; all instances share one that is read."""
    return ConfigRecord.from_bytes(record)


def order_of(record: ConfigRecord) -> tuple[int, int, int]:
    """Records of a scope in the order in which they were decided; a renewal comes after what it renews."""
    return record.incarnation, record.version, record.published_ms


def arm_of(record: ConfigRecord, unit: str) -> Arm | None:
    """The arm that a unit runs while its lease holds; ``None``: the incumbent, unmeasured.

    Args:
        record: The newest of its scope.
        unit: The instance's name.
    """
    if record.status not in STATUSES:
        return None
    pinned = (getattr(record, "pinned", None) or {}).get(unit)
    if pinned is not None:
        arm = next((a for a in record.arms if a.arm == pinned), None)
    elif record.arms:
        arm = choose(((a.share, a) for a in record.arms), position(record.salt, unit))
    else:
        return None
    return arm if arm is not None and arm.kind in MEASURED_KINDS else None


def gap_ms(run: Run, record: ConfigRecord, now_ms: int) -> int:
    """Until the next report, in milliseconds: the interval; at first less, where the record asks for it."""
    interval_ms = max(round(record.interval_s * 1000), 1)
    first = record.first_report_s if run.tries else ()
    soon = (run.settled_ms + round(seconds * 1000) - now_ms for seconds in first)
    return min([interval_ms, *(gap for gap in soon if gap > 0)])
