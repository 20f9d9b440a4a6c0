"""What an app sees at a moment: its values, where they come from, and which arm each unit runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ...core.assignment import choose, position
from .active_request import ActiveRequest, Inbox
from .offer import Offer, OfferedArm, Refusal
from .real_threads import wait_until
from .snapshot import Snapshot
from .status import Source, Status


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
        pinned: What units run that an operator pinned, whatever their position.
        problems: What was wrong with what was received.
        restart: Parameters that need a restart of the app.
        awaiting_restart: Those of them for which the instance's own configuration waits.
        refusal: What the instance itself was to run, and cannot.
    """

    status: Status
    source: Source
    own: Snapshot
    incumbent: Snapshot
    arms: tuple[tuple[float, Snapshot], ...] = ()
    salt: str = ""
    pinned: Mapping[str, Snapshot] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    awaiting_restart: tuple[str, ...] = ()
    refusal: Refusal | None = None

    def assigned(self, unit: str) -> Snapshot:
        """What a unit runs."""
        if (pinned := self.pinned.get(unit)) is not None:
            return pinned
        return (choose(self.arms, position(self.salt, unit)) if self.arms else None) or self.incumbent

    @property
    def requests(self) -> list[ActiveRequest]:
        """The requests that units of this process are measured under."""
        requests = (snapshot.active_request for _, snapshot in self.arms)
        return list(dict.fromkeys(request for request in requests if request is not None))  # an arm may have two pieces


class CurrentView:
    """The one place that holds the view: the client's thread swaps it, the app reads it from any thread.

    There is no lock: a view never changes, and an attribute is replaced in one step. (So a fork in the midst of a swap
    finds the old view or the new one.)

    Attributes:
        view: The view now.
    """

    __slots__ = ("_ready", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self._ready = False

    def swap(self, view: View) -> None:
        """Another view from now on."""
        self.view = view
        self._ready = view.status is Status.READY

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until a view that was swapped in is ``READY``; returns whether it is."""
        return wait_until(lambda: self._ready, timeout_s)


def view_of(
    offer: Offer,
    unit: str = "",
    requests: Mapping[tuple[str, str], ActiveRequest] | None = None,
    *,
    own: ActiveRequest | None = None,
    inbox: Inbox | None = None,
) -> View:
    """The view of what is offered.

    Args:
        offer: What the app can run.
        unit: The instance's own unit; where the offer has no arms it makes no difference.
        requests: The active request of each of the offer's arms that is measured, by the key of its terms.
        own: The instance's own, where that is another: it may have come to an arm later than other units here.
        inbox: Sees what is measured under no request.
    """
    incumbent = Snapshot(offer.incumbent, inbox=inbox)

    def snapshot(arm: OfferedArm | None) -> Snapshot:
        return Snapshot(arm.values, (requests or {})[arm.terms.key]) if arm is not None and arm.terms else incumbent

    arm = offer.arm_of(unit)
    return View(
        offer.status,
        offer.source,
        own=Snapshot(arm.values, own) if arm is not None and own is not None else snapshot(arm),
        incumbent=incumbent,
        arms=tuple((arm.share, snapshot(arm)) for arm in offer.arms),
        salt=offer.salt,
        pinned={name: snapshot(arm) for name, arm in offer.pinned.items()},
        problems=offer.problems,
        refusal=arm.refusal if arm is not None else None,
    )


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
    instead = view.incumbent.other(running.own.values) if keeps else view.incumbent

    def followed(snapshot: Snapshot) -> Snapshot:
        return instead if needing(snapshot) else snapshot

    said = f"{', '.join(awaiting)} changed, and needs a restart of the app: accept_restart() takes what waits"
    return replace(
        view,
        source=running.source if awaiting and keeps else view.source,
        own=followed(view.own),
        incumbent=instead,
        arms=tuple((share, followed(snapshot)) for share, snapshot in view.arms),
        pinned={unit: followed(snapshot) for unit, snapshot in view.pinned.items()},
        problems=(*view.problems, said) if awaiting else view.problems,
        restart=names,
        awaiting_restart=awaiting,
    )
