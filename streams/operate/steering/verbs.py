"""What an operator can ask of a tuner: the table of verbs. What each does to the tuner is in ``processor/commands.py``.

A new verb is a row here, a function there, and its word in the schema of commands (``schemas/events.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from ....schemas.events import Command
from ....schemas.state import HoldKind, TunerState
from ...processor.holds import stands

Shape = Literal["tuner", "hold", "rollback", "pin", "unpin", "set"]
"""What a verb takes on the command line besides what all take; a command of each is in ``commands/verbs.py``."""

Seen = Callable[[Command, TunerState | None], bool]
"""Whether a tuner's newest record, ``None`` where it was deleted, shows that a command was carried out."""


def _is_taken_up(command: Command, state: TunerState | None) -> bool:
    return state is not None and command.id in state.commands


def _is_gone(_: Command, state: TunerState | None) -> bool:
    return state is None


def _is_any(_: Command, __: TunerState) -> bool:
    return True


def _is_not(kind: HoldKind) -> Callable[[Command, TunerState], bool]:
    return lambda command, state: not stands(state.hold, kind, command.until_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb.

    Attributes:
        word: On the command line, and the kind of its command event.
        help: What it does, for ``--help``.
        example: What stands behind the word in the example of ``--help``.
        done: The word for it in JSON, once it is done.
        said: The sentence for people then; ``{name}`` is the tuner's.
        is_seen: What is awaited.
        shape: What it takes.
        is_needed: Whether there is anything to do for a tuner as it stands; else no command is sent. (Whether a spec
            changes anything, only the worker can tell.)
        not_needed: The sentence for people then.
        asks_first: Whether a person is asked before what was learned is given up, and a script must say ``--yes``.
    """

    word: str
    help: str
    example: str
    done: str
    said: str
    shape: Shape = "tuner"
    is_seen: Seen = _is_taken_up
    is_needed: Callable[[Command, TunerState], bool] = _is_any
    not_needed: str = ""
    asks_first: bool = False


VERBS: Final = {
    verb.word: verb
    for verb in (
        Verb(
            word="apply",
            help="Apply a spec: a new tuner, or a changed one, which keeps what is sound of what was learned."
            "\n\nValidates, publishes, and waits until a worker has taken it up (exit code 0), refused it (6), or none"
            " answered (5).",
            example="checkout.yaml --reason 'try larger pools'",
            done="applied",
            said="tuner {name} is applied; see it with: oppertune tuner show {name}",
            not_needed="tuner {name} has this spec already: nothing is changed",
        ),
        Verb(
            word="delete",
            help="Delete a tuner and all it learned: its apps return to their declared defaults.",
            example="checkout --yes --reason 'service is retired'",
            done="deleted",
            said="tuner {name} is deleted",
            is_seen=_is_gone,
            asks_first=True,
        ),
        Verb(
            word="pause",
            help="Stop trying things: the fleet runs the incumbent until the tuner is resumed. What was learned is"
            " kept.",
            example="checkout --reason 'load test until noon'",
            done="paused",
            said="tuner {name} is paused: the fleet runs the incumbent; go on with: oppertune tuner resume {name}",
            shape="hold",
            is_needed=_is_not("paused"),
            not_needed="tuner {name} is paused already",
        ),
        Verb(
            word="freeze",
            help="Hold the incumbent: the fleet runs it, and it is measured, but nothing is tried until the tuner is"
            " resumed. What is being tried is withdrawn at once.",
            example="checkout --reason 'errors since noon'",
            done="frozen",
            said="tuner {name} is frozen: the fleet runs the incumbent; go on with: oppertune tuner resume {name}",
            shape="hold",
            is_needed=_is_not("frozen"),
            not_needed="tuner {name} is frozen already",
        ),
        Verb(
            word="observe",
            help="Watch without a hand on anything: as freeze does, but as the usual condition of a tuner that nobody"
            " distrusts. A rollback ends in it.",
            example="checkout --until 2100-01-31T08:00Z --reason 'holidays'",
            done="observing",
            said="tuner {name} only observes: the fleet runs the incumbent; go on with: oppertune tuner resume {name}",
            shape="hold",
            is_needed=_is_not("observe"),
            not_needed="tuner {name} only observes already",
        ),
        Verb(
            word="kill",
            help="Take the tuner out of the fleet: all run the declared values, whatever was found or pinned, until it"
            " is resumed. What was learned is kept.",
            example="checkout --reason 'is it the tuner?'",
            done="killed",
            said="tuner {name} is killed: the fleet runs the declared values; go on with: oppertune tuner resume"
            " {name}",
            shape="hold",
            is_needed=_is_not("killed"),
            not_needed="tuner {name} is killed already",
        ),
        Verb(
            word="resume",
            help="Go on with a tuner that is held (by pause, freeze, observe, kill or a rollback), or suspended for a"
            " fault that is mended.",
            example="checkout --reason 'load test is over'",
            done="resumed",
            said="tuner {name} goes on",
            is_needed=lambda _, state: state.hold is not None or state.suspended is not None,
            not_needed="tuner {name} is not standing still",
        ),
        Verb(
            word="rollback",
            help="Make an earlier incumbent the incumbent again, by its number in history, default: the one before, and"
            " try nothing until the tuner is resumed.",
            example="checkout 1 --reason 'errors since version 2'",
            done="rolled back",
            said="tuner {name} is rolled back, and tries nothing until: oppertune tuner resume {name}; what it runs"
            " now: oppertune tuner history {name}",
            shape="rollback",
        ),
        Verb(
            word="pin",
            help="Give parameters a value that all instances run from now on, whatever is asked for; others are tuned"
            " on.",
            example="checkout pool=20 --reason 'the database has 40 connections'",
            done="pinned",
            said="tuner {name} runs these values everywhere; tune them again with: oppertune tuner unpin {name}",
            shape="pin",
        ),
        Verb(
            word="unpin",
            help="Tune pinned parameters again. The incumbent keeps their values until something better is found.",
            example="checkout pool --reason 'the database has grown'",
            done="unpinned",
            said="tuner {name} tunes these parameters again",
            shape="unpin",
        ),
        Verb(
            word="set",
            help="Propose values: they are judged against the incumbent next. With --now they are the incumbent at"
            " once, as a version that can be rolled back. What is not named stays as in the incumbent.",
            example="checkout pool=40 mode=fast --reason 'as in the load test'",
            done="set",
            said="tuner {name} has taken the values; what becomes of them: oppertune tuner show {name}",
            shape="set",
        ),
        Verb(
            word="reset",
            help="Forget what was learned and begin anew, from the declared values, with the same spec.",
            example="checkout --yes --reason 'new hardware'",
            done="reset",
            said="tuner {name} begins anew, from the declared values",
            asks_first=True,
        ),
    )
}
"""All verbs by their words, in the order in which help lists them."""
