"""What a tuner may do now: an operator's hold, the spec's mode, and pinned values, as questions and answers.

=========  =====================================  ========  =========  ==========================
hold       what instances run                     measured  exploring  it is left behind by
=========  =====================================  ========  =========  ==========================
none       the incumbent, and what is tried       yes       yes
observe    the incumbent                          yes       no         ``observe``, ``rollback``
frozen     the incumbent                          yes       no         ``freeze``
paused     the incumbent                          no        no         ``pause``
killed     the declared values, without any pin   no        no         ``kill``
=========  =====================================  ========  =========  ==========================

The spec's ``mode: observe`` is as the hold of that name, for good. A hold is the tuner's: a context that appears later
obeys it. It ends by ``resume``, by its own time, and with the tuner; nothing else lifts it.
"""

from collections.abc import Mapping

from ...core.values import ParameterValue
from ...schemas.configs import ArmKind, TunerStatus
from ...schemas.events import Command
from ...schemas.state import Hold, HoldKind, ScopeState, TunerState

STATUS_OF: Mapping[HoldKind, TunerStatus] = {
    "paused": "paused",
    "observe": "observing",
    "frozen": "frozen",
    "killed": "killed",
}
"""The status that tells the fleet of a hold."""


def measures(tuner: TunerState) -> bool:
    """Whether rounds are opened at all, if only of the incumbent."""
    return tuner.hold is None or tuner.hold.kind in {"observe", "frozen"}


def explores(tuner: TunerState) -> bool:
    """Whether anything but the incumbent may be tried: the learner's, or a candidate for the incumbent's place."""
    return tuner.hold is None and tuner.spec.mode == "auto"


def goes_on(tuner: TunerState, kind: ArmKind) -> bool:
    """Whether an open request of a kind may be measured to its end."""
    return explores(tuner) or (measures(tuner) and kind == "baseline")


def fallback(tuner: TunerState, scope: ScopeState) -> dict[str, ParameterValue]:
    """What an instance of a scope runs that tries nothing: the incumbent, or what was declared while it is killed."""
    killed = tuner.hold is not None and tuner.hold.kind == "killed"
    return tuner.spec.declared() if killed else scope.incumbent.values


def is_over(tuner: TunerState, now_ms: int) -> bool:
    """Whether the hold has reached its own end at a partition time."""
    return tuner.hold is not None and tuner.hold.until_ms is not None and tuner.hold.until_ms <= now_ms


def due_ms(tuner: TunerState) -> int | None:
    """When the hold ends by itself; ``None`` where there is none, or it never does."""
    return tuner.hold.until_ms if tuner.hold is not None else None


def stands(hold: Hold | None, kind: HoldKind, until_ms: int | None) -> bool:
    """Whether a hold of this kind and end is what stands."""
    return hold is not None and (hold.kind, hold.until_ms) == (kind, until_ms)


def begun(kind: HoldKind, command: Command, now_ms: int) -> Hold:
    """The hold that a command wants."""
    return Hold(kind=kind, by=command.author, reason=command.reason, since_ms=now_ms, until_ms=command.until_ms)


def after_rollback(hold: Hold | None, command: Command, now_ms: int) -> Hold:
    """What holds a tuner after a rollback, until it is resumed: what held it before, else ``observe``."""
    if hold is not None and hold.until_ms is None:
        return hold
    return begun(hold.kind if hold is not None else "observe", command, now_ms)


def pinned(tuner: TunerState, scope: ScopeState) -> dict[str, ParameterValue]:
    """The values that all arms of a scope have, whatever is asked for: the incumbent has them, too."""
    return {name: pin.value for name, pin in (tuner.pins | scope.pins).items()}
