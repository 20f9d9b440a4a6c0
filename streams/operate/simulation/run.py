"""A simulation: the real processor, a simulated fleet, and a virtual clock between them.

Events go to the processor as bytes, as a worker hands them over, and its effects are committed as a worker commits
them: state and config records by key. What is simulated is the fleet, the network and time; nothing of the processor.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from ....core.errors import CommandFailed
from ....schemas.records import RoundRecord
from ....schemas.spec import TunerSpec
from ....schemas.state import PartitionOffsets
from ...processor import SOURCES, Partition, Received
from ..exit_codes import ExitCode
from .agenda import Agenda, Entry
from .fleet import HOUR_MS, Fleet, Topic
from .instance import Instance, parsed
from .options import FleetOptions
from .system import Effect, System
from .truth import BINS, Truth

START_MS = 1_700_006_400_000
"""When virtual time begins: a midnight."""

FOLD_MS = 1000
"""The worker folds what has come, and lets time pass, so often."""

PUBLISH_MS = 20
"""From the end of a fold to the moment at which records can be read."""

_KEPT_VERSION = 1


@dataclass
class Kept:
    """A simulation in a file.

    Attributes:
        v: Version of this shape.
        what: Of which simulation: a hash of spec, system and options.
        now_ms: Virtual time.
        state: The worker's state records.
        offsets: Of the topics: how many records each has.
        pending: Records that no fold has seen: topic, time, value.
        instances: The fleet.
        agenda: What is to happen; ``planned`` says how many entries there ever were.
        planned: See above.
        random: State of the generator.
        fleet: Its few numbers.
        values: Configurations by hash.
        newest: Config records by scope.
        truth: The accounts.
        asked: Ids of the requests that a learner asked for.
        incumbents: Hash of the incumbent by scope.
        configs: Newest published config record by scope.
        outcomes: Closed rounds by outcome.
    """

    v: int
    what: str
    now_ms: int
    state: dict[str, bytes]
    offsets: dict[str, int]
    pending: list[tuple[str, int, bytes]]
    instances: list[Instance]
    agenda: list[Entry]
    planned: int
    random: dict[str, Any]
    fleet: dict[str, float]
    sent: dict[str, int]
    values: dict[str, dict[str, str | int | float]]
    running: dict[str, int]
    newest: dict[str, bytes]
    truth: Truth
    asked: list[str]
    incumbents: dict[str, str]
    configs: dict[str, bytes]
    outcomes: dict[str, int]


_KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)


class Simulation:
    """A fleet, tuned by the real processor, on a virtual clock.

    Args:
        spec: What is tuned.
        written: The spec as it was written, for the command that applies it.
        system: What a configuration does.
        options: What the fleet is like.
        hours: How long it will last; the picture's scale. It may be run for less, and gone on with for longer.

    Raises:
        InvalidArgument: The spec's objective cannot be simulated.

    Attributes:
        truth: The accounts.
        fleet: The instances.
        now_ms: Virtual time.
        asked: Ids of the requests that the learner asked for and that were published.
        outcomes: Closed rounds by outcome.
        stranded: Instances that ran something on trial when the worker came back from being away.
    """

    def __init__(
        self, spec: TunerSpec, written: Mapping[str, Any], system: System, options: FleetOptions, hours: float
    ) -> None:
        self.spec, self.system, self.options = spec, system, options
        self.truth = Truth(bin_ms=max(round(hours * HOUR_MS / BINS), 1))
        self.now_ms = START_MS
        self.asked: dict[str, None] = {}
        self.outcomes: dict[str, int] = {}
        self.stranded = 0
        self._was_away = False
        self._incumbents: dict[str, str] = {}
        self._configs: dict[str, bytes] = {}
        self._state: dict[str, bytes] = {}
        self._offsets = dict.fromkeys(SOURCES, 0)
        self._pending: list[Received] = []
        self._agenda = Agenda()
        self.fleet = Fleet(spec, system, options, self._agenda, self.truth, send=self._receive, start_ms=START_MS)
        self._partition = Partition.restore(0, 1, {}, topic_ids={})
        self._what = _fingerprint(written, system, options)
        command = {"v": 1, "id": "apply", "kind": "apply", "tuner": spec.name, "author": "simulation", "spec": written}
        self._receive("commands", orjson.dumps(command))
        self._fold()
        self._agenda.plan(START_MS + FOLD_MS, "fold")
        self.fleet.populate()

    def run(self, hours: float, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass.

        Args:
            hours: Until so many hours have passed since the beginning.
            stop: Asked once a virtual second: whether to stop before that.

        Returns:
            Whether the end was reached.
        """
        end_ms = START_MS + round(hours * HOUR_MS)
        agenda, fleet = self._agenda, self.fleet
        while agenda.entries[0].at_ms <= end_ms:
            entry = agenda.next()
            self.now_ms = entry.at_ms
            if entry.what == "fold":
                agenda.plan(entry.at_ms + FOLD_MS, "fold")
                away = self._away()
                if self._was_away and not away:
                    self.stranded += fleet.on_trial()
                self._was_away = away
                if not away:
                    self._fold()
                if stop():
                    break
            elif entry.what == "switch":
                fleet.account(entry.at_ms)
                self._note_incumbents()
            else:
                fleet.happen(entry)
        else:
            self.now_ms = end_ms
        fleet.account(self.now_ms)
        return self.now_ms >= end_ms

    @property
    def hours(self) -> float:
        """Virtual time since the beginning."""
        return (self.now_ms - START_MS) / HOUR_MS

    def dispositions(self) -> dict[str, dict[str, int]]:
        """What became of all events that were folded, as the processor counted them: by topic."""
        offsets = PartitionOffsets.from_bytes(self._state["@offsets"])
        return {topic: {str(d): n for d, n in s.dispositions.items()} for topic, s in offsets.sources.items()}

    def waiting(self) -> int:
        """Events that no fold has seen yet."""
        return len(self._pending)

    @property
    def scopes(self) -> list[str]:
        """Ids of the contexts that have an answer."""
        return sorted(self._incumbents)

    def incumbent_values(self, scope: str) -> dict[str, str | int | float]:
        """The incumbent of a context."""
        return dict(parsed(self._configs[scope]).incumbent.values)

    def incumbent_effect(self, scope: str) -> Effect:
        """What the incumbent of a context does now."""
        return self.fleet.effect_of(self.incumbent_values(scope), self.now_ms)

    def incumbent_costs(self) -> list[tuple[float, float]]:
        """How the incumbents' mean cost went: hours since the beginning, and the cost from then on."""
        return [(at_ms / HOUR_MS, cost) for at_ms, cost in self.truth.incumbents]

    # -- the worker's part

    def _receive(self, topic: Topic | str, value: bytes) -> None:
        key = self.spec.name.encode()
        self._pending.append(Received(topic, self._offsets[topic], self.now_ms, key, value))
        self._offsets[topic] += 1

    def _away(self) -> bool:
        at_h = self.options.away_at_h
        if at_h is None:
            return False
        since_ms = self.now_ms - START_MS - at_h * HOUR_MS
        return 0 <= since_ms < 1000 * self.options.away_s

    def _fold(self) -> None:
        due_ms = self._partition.next_due_ms()
        if not self._pending and (due_ms is None or due_ms > self.now_ms):
            return
        ends = dict.fromkeys(SOURCES, self.now_ms)
        pending, self._pending = self._pending, []
        effects = self._partition.fold(pending, read_to_end_ms=ends, log_starts={})
        for key, state in effects.state.items():
            if state is None:
                self._state.pop(key, None)
            else:
                self._state[key] = state
        for _, closed in effects.rounds:
            self._closed(RoundRecord.from_bytes(closed))
        for config in effects.configs.values():
            if config is not None:
                self._published(config)

    def _published(self, config: bytes) -> None:
        record = parsed(config)
        if self.spec.context.features and not record.scope:
            return  # of the tuner itself: nobody's scope
        for arm in record.arms:
            if arm.kind == "explore":
                self.asked[arm.request_id] = None
        before = self._incumbents.get(record.scope)
        self._incumbents[record.scope], self._configs[record.scope] = record.incumbent.hash, config
        if before != record.incumbent.hash:
            if before is not None:
                self.truth.promotions.append(self.now_ms - START_MS)
            self._note_incumbents()
        self._agenda.plan(self.now_ms + PUBLISH_MS, "record", value=config)

    def _note_incumbents(self) -> None:
        costs = [self.incumbent_effect(scope).cost for scope in self.scopes]
        self.truth.incumbents.append((self.now_ms - START_MS, sum(costs) / len(costs)))

    def _closed(self, closed: RoundRecord) -> None:
        if closed.kind is None:
            return  # metrics that missed their round
        self.outcomes[closed.outcome] = self.outcomes.get(closed.outcome, 0) + 1
        if str(closed.outcome) == "broken":
            self.truth.broke(closed.request_id, self.now_ms - START_MS)

    # -- kept in a file

    def kept(self) -> bytes:
        """All of it, to be gone on with: as JSON."""
        fleet = self.fleet
        return _KEPT.dump_json(
            Kept(
                v=_KEPT_VERSION,
                what=self._what,
                now_ms=self.now_ms,
                state=self._state,
                offsets=self._offsets,
                pending=[(r.topic, r.timestamp_ms, r.value or b"") for r in self._pending],
                instances=fleet.instances,
                agenda=self._agenda.entries,
                planned=self._agenda.planned,
                random=dict(fleet.rng.bit_generator.state),
                fleet={"shock": fleet.shock, "shock_ms": fleet.shock_ms, "missing": fleet.missing}
                | {"stranded": self.stranded, "was_away": self._was_away},
                sent=fleet.sent,
                values={hash_: dict(values) for hash_, values in fleet.values.items()},
                running=fleet.running,
                newest=fleet.newest,
                truth=self.truth,
                asked=list(self.asked),
                incumbents=self._incumbents,
                configs=self._configs,
                outcomes=self.outcomes,
            )
        )

    def go_on(self, kept: bytes) -> None:
        """Take over what was kept of the same simulation.

        Raises:
            CommandFailed: It is of another one, or cannot be read.
        """
        try:
            found = _KEPT.validate_json(kept)
        except ValidationError as error:
            raise CommandFailed("the kept file is no simulation, or a damaged one", ExitCode.INVALID) from error
        if found.v != _KEPT_VERSION or found.what != self._what:
            raise CommandFailed(
                "the kept file is of another simulation, with another spec, system, fleet or seed: name another file",
                ExitCode.INVALID,
            )
        fleet, self.truth = self.fleet, found.truth
        self.now_ms, self._state, self._offsets = found.now_ms, found.state, found.offsets
        self._pending = []
        behind = dict(found.offsets)
        for topic, at_ms, value in reversed(found.pending):
            behind[topic] -= 1
            self._pending.append(Received(topic, behind[topic], at_ms, self.spec.name.encode(), value))
        self._pending.reverse()
        self._agenda = Agenda(found.agenda, found.planned)
        fleet.take_over(found.instances, self._agenda, found.truth, found.random)
        fleet.shock, fleet.shock_ms = found.fleet["shock"], round(found.fleet["shock_ms"])
        self.stranded, self._was_away = round(found.fleet["stranded"]), bool(found.fleet["was_away"])
        fleet.missing, fleet.sent = round(found.fleet["missing"]), found.sent
        fleet.values, fleet.running, fleet.newest = dict(found.values), found.running, found.newest
        self.asked, self.outcomes = dict.fromkeys(found.asked), found.outcomes
        self._incumbents, self._configs = found.incumbents, found.configs
        self._partition = Partition.restore(0, 1, self._state, topic_ids={})


def _fingerprint(written: Mapping[str, Any], system: System, options: FleetOptions) -> str:
    known = [written, [system.best, system.low, system.median, system.high, system.breaks_at], asdict(options)]
    return hashlib.sha256(orjson.dumps(known, option=orjson.OPT_SORT_KEYS)).hexdigest()
