"""What an app sees at a moment: its values, where they come from, and which arm each unit runs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ...schemas.configs import Arm, ConfigRecord
from .assignment import choose, position
from .following import Answer
from .parameters import Parameters
from .resolve import effective_hash, resolve_arm, resolve_each
from .snapshot import Run, Snapshot


class Status(StrEnum):
    """How far the values can be trusted to be the newest."""

    READY = "READY"
    """They follow the newest config record, but for what needs a restart of the app."""
    STALE = "STALE"
    """They are the last known good ones: no worker renewed what was tried, or Kafka was not reached yet."""
    DEFAULT = "DEFAULT"
    """They are those that the app was shipped with."""


class Source(StrEnum):
    """Where the values come from."""

    RECORD = "record"
    DISK = "disk"
    BOOTSTRAP = "bootstrap"
    DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class View:
    """One state of a client: swapped as a whole, never changed.

    Attributes:
        status: How far the values can be trusted.
        source: Where they come from.
        own: What the instance itself runs.
        incumbent: What a unit runs that no arm is for.
        arms: The arms and their shares, in order.
        salt: Of the record, for assigning units.
        problems: What was wrong with what was received.
        restart: Parameters that need a restart of the app.
        awaiting_restart: Those of them for which the instance's own configuration waits.
    """

    status: Status
    source: Source
    own: Snapshot
    incumbent: Snapshot
    arms: tuple[tuple[float, Snapshot], ...] = ()
    salt: str = ""
    problems: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    awaiting_restart: tuple[str, ...] = ()

    def assigned(self, unit: str) -> Snapshot:
        """What a unit runs."""
        return (choose(self.arms, position(self.salt, unit)) if self.arms else None) or self.incumbent

    @property
    def runs(self) -> list[Run]:
        """The requests that are being tried."""
        return [snapshot.run for _, snapshot in self.arms if snapshot.run is not None]


def plain_view(status: Status, source: Source, parameters: Parameters, values: Mapping[str, Any]) -> View:
    """A view of one configuration, under no request."""
    resolved = resolve_each(parameters, values)
    snapshot = Snapshot(resolved.values)
    return View(status, source, snapshot, snapshot, problems=tuple(f"{source}: {p}" for p in resolved.problems))


def view_of(answer: Answer, unit: str, parameters: Parameters, run_for: "RunFor") -> View:
    """The view of what a tuner's records say.

    Args:
        answer: What they say.
        unit: The instance's own unit.
        parameters: The app's parameters: nothing outside them is ever run.
        run_for: Makes, or finds, the run of an arm.
    """
    record = answer.record
    if record is None:
        return plain_view(Status.DEFAULT, Source.DECLARED, parameters, parameters.declared)
    resolved = resolve_each(parameters, record.incumbent.values)
    incumbent = Snapshot(resolved.values)
    problems = [answer.problem] if answer.problem else []
    problems += [f"incumbent: {p}" for p in resolved.problems]
    arms: list[tuple[float, Snapshot]] = []
    for arm in record.arms if answer.arms else []:
        try:
            tried = resolve_arm(parameters, arm.values)
        except ValueError as error:
            problems.append(f"arm {arm.arm} is refused, the incumbent is run: {error}")
            arms.append((arm.share, incumbent))
            continue
        problems += [f"arm {arm.arm}: {p}" for p in tried.problems]
        arms.append((arm.share, Snapshot(tried.values, run_for(record, arm, effective_hash(arm, tried)))))
    status = Status.STALE if answer.lapsed else Status.READY
    view = View(status, Source.RECORD, incumbent, incumbent, tuple(arms), record.salt, tuple(problems))
    return View(status, Source.RECORD, view.assigned(unit), incumbent, view.arms, record.salt, view.problems)


def without_restart(view: View, running: View, restart: Iterable[str]) -> View:
    """What an app can follow of a view without a restart.

    In one process such a parameter has one value, and a configuration is taken whole or not at all: a part of it would
    be one that nobody asked for. In place of one that needs a restart the incumbent is run, so that what was only tried
    does not go on; where that needs one too, what runs already. Neither is measured.

    Args:
        view: What the records say.
        running: What the app runs.
        restart: Parameters that need a restart.
    """
    names = tuple(name for name in restart if name in running.own.values)

    def needing(snapshot: Snapshot) -> tuple[str, ...]:
        return tuple(name for name in names if snapshot.values[name] != running.own.values[name])

    awaiting = needing(view.own)
    keeps = bool(needing(view.incumbent))
    instead = Snapshot(running.own.values) if keeps else view.incumbent
    said = f"{', '.join(awaiting)} changed, and needs a restart of the app: accept_restart() takes what waits"
    return replace(
        view,
        source=running.source if awaiting and keeps else view.source,
        own=instead if awaiting else view.own,
        incumbent=instead,
        arms=tuple((share, instead if needing(snapshot) else snapshot) for share, snapshot in view.arms),
        problems=(*view.problems, said) if awaiting else view.problems,
        restart=names,
        awaiting_restart=awaiting,
    )


RunFor = Callable[[ConfigRecord, Arm, str], Run]
"""The run of an arm whose effective values have this hash."""
