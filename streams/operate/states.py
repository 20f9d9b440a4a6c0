"""Tuners as the ``state`` topic holds them: reading needs no worker."""

from dataclasses import dataclass, field, replace
from time import sleep, time_ns

from confluent_kafka import KafkaException

from ...core.errors import BrokerUnreachable
from ...schemas.keys import OFFSETS_KEY, partition_of, tuner_of
from ...schemas.state import PartitionOffsets, ScopeState, TunerState
from ..broker import BrokerSettings, partition_count
from ..broker.table import read_table
from ..processor import SOURCES
from .reading import ends
from .waiting import Standing, standing

_BETWEEN_LOOKS_S = 2.0


@dataclass(slots=True)
class TunerView:
    """A tuner as its records say.

    Attributes:
        name: The tuner's name.
        state: Its own record, ``None`` where it cannot be read.
        scopes: Its scopes, the one without context first.
        unreadable: Why a record cannot be read; empty where all can.
        standing: How far its partition was applied; only where one tuner was asked for.
    """

    name: str
    state: TunerState | None = None
    scopes: list[ScopeState] = field(default_factory=list)
    unreadable: str = ""
    standing: Standing = field(default_factory=Standing)

    @property
    def status(self) -> str:
        """One word for a list."""
        if self.unreadable or self.state is None:
            return "unreadable"
        if self.state.suspended is not None:
            return "suspended"
        if self.state.paused:
            return "paused"
        if self.scopes and any(s.arms for s in self.scopes):
            return "achieved" if all(s.achieved for s in self.scopes if s.arms) else "tuning"
        return "parked"


def read_tuner(settings: BrokerSettings, name: str) -> TunerView | None:
    """The tuner of a name. Where its events seem to wait, a second look tells whether a worker applies them."""
    view = read_tuners(settings, name).get(name)
    if view is None or not view.standing.stalled(time_ns() // 1_000_000):
        return view
    before = view.standing.applied
    sleep(_BETWEEN_LOOKS_S)
    view = read_tuners(settings, name).get(name)
    if view is not None:
        view.standing = replace(view.standing, moving=view.standing.applied > before)
    return view


def read_tuners(settings: BrokerSettings, name: str | None = None, *, timeout_s: float = 30.0) -> dict[str, TunerView]:
    """All tuners, or the one of a name, from ``state``.

    Raises:
        BrokerUnreachable: The topic cannot be read in time.
        TopicsInvalid: It is not there.
    """
    count = partition_count(settings, "state")
    partitions = range(count) if name is None else [partition_of(name, count)]
    views: dict[str, TunerView] = {}
    try:
        tables = read_table(settings, "state", partitions, timeout_s=timeout_s)
    except KafkaException as error:
        raise BrokerUnreachable(
            f"the broker at {settings.bootstrap} does not let state be read: {error.args[0].str()}"
        ) from error
    for records in tables.values():
        for key, value in records.items():
            if key != OFFSETS_KEY and name in {None, tuner_of(key)}:
                _add(views.setdefault(tuner_of(key), TunerView(tuner_of(key))), key, value)
    if name in views:
        [(partition, records)] = tables.items()
        views[name].standing = standing(_offsets(records), ends(settings, SOURCES, partition))
    for view in views.values():
        if view.state is not None:
            view.scopes = [s for s in view.scopes if s.incarnation == view.state.incarnation]
        view.scopes.sort(key=lambda s: s.scope)
    return dict(sorted(views.items()))


def _offsets(records: dict[str, bytes]) -> PartitionOffsets | None:
    try:
        return PartitionOffsets.from_bytes(records[OFFSETS_KEY]) if OFFSETS_KEY in records else None
    except ValueError:  # of a newer version: its lag is not known
        return None


def _add(view: TunerView, key: str, value: bytes) -> None:
    try:
        if "/" in key:
            view.scopes.append(ScopeState.from_bytes(value))
        else:
            view.state = TunerState.from_bytes(value)
    except ValueError as error:
        view.unreadable = f"{key}: {type(error).__name__}"
