"""Tuners as the ``state`` topic holds them: reading needs no worker."""

from dataclasses import dataclass, field, replace
from time import sleep, time_ns

from ....core.errors import CommandFailed
from ....schemas.keys import OFFSETS_KEY, is_partitions, partition_of, tuner_of
from ....schemas.state import PartitionOffsets, ScopeState, TunerState
from ...broker import BrokerSettings, partition_count, read_table
from ...broker.reading import end_offsets
from ...processor import SOURCES
from ...processor.config_record import status_of
from ...processor.presence import present
from ..exit_codes import ExitCode
from .partition_progress import PartitionProgress, partition_progress

_BETWEEN_LOOKS_S = 2.0
"""Enough for a worker that catches up to commit something, and not too long for who waits for the answer."""


@dataclass(slots=True)
class TunerView:
    """A tuner as its records say.

    Attributes:
        name: The tuner's name.
        state: Its own record, ``None`` where it cannot be read.
        scopes: Its scopes, the one without context first.
        unreadable: Why a record cannot be read; empty where all can.
        partition: How far its partition was applied.
    """

    name: str
    state: TunerState | None = None
    scopes: list[ScopeState] = field(default_factory=list)
    unreadable: str = ""
    partition: PartitionProgress = field(default_factory=PartitionProgress)

    @property
    def status(self) -> str:
        """One word for all its scopes."""
        if self.unreadable or self.state is None:
            return "unreadable"
        words = {status_of(self.state, scope) for scope in self.scopes}
        for word in ("suspended", "killed", "paused", "frozen", "rolling", "tuning", "observing"):
            if word in words:
                return word
        # Where the target is reached and nobody is left to run the incumbent, it is its being parked that counts.
        return "achieved" if any(scope.arms for scope in self.scopes) else "parked"

    def instances(self, now_ms: int) -> int:
        """How many are present at a wall time, as far as it is known."""
        known_ms = self.partition.presence_known_ms(now_ms)
        return sum(len(present(scope, known_ms)) for scope in self.active_scopes)

    @property
    def active_scopes(self) -> list[ScopeState]:
        """The scopes worth showing: of a tuner with contexts, the one without is only the fallback."""
        return [scope for scope in self.scopes if scope.scope] or self.scopes


def read_tuner(settings: BrokerSettings, name: str) -> TunerView | None:
    """The tuner of a name. Where its events seem to wait, a second look tells whether a worker applies them."""
    view = read_tuners(settings, name).get(name)
    if view is None or not view.partition.stalled(time_ns() // 1_000_000):
        return view
    before = view.partition.applied
    sleep(_BETWEEN_LOOKS_S)
    view = read_tuners(settings, name).get(name)
    if view is not None:
        view.partition = replace(view.partition, moving=view.partition.applied > before)
    return view


def must_exist(name: str, view: TunerView | None) -> TunerView:
    """The tuner that was read.

    Raises:
        CommandFailed: There is none of the name.
    """
    if view is None:
        raise CommandFailed(f"there is no tuner {name!r}; see: oppertune tuner list", ExitCode.NOT_FOUND)
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
    tables = read_table(settings, "state", partitions, timeout_s=timeout_s)
    holding: dict[str, int] = {}
    for partition, records in tables.items():
        for key, value in records.items():
            if not is_partitions(key) and name in {None, tuner_of(key)}:
                _add(views.setdefault(tuner_of(key), TunerView(tuner_of(key))), key, value)
                holding[tuner_of(key)] = partition
    ends = end_offsets(settings, SOURCES, sorted(set(holding.values()))) if holding else {}
    progress = {partition: partition_progress(_offsets(tables[partition]), ends[partition]) for partition in ends}
    for view in views.values():
        view.partition = progress[holding[view.name]]
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
