"""What an operator can ask of a tuner: the table of verbs. What each does to the tuner is in ``processor/commands.py``.

A new verb is a row here, a function there, and its word in the schema of commands (``schemas/events.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ....schemas.events import Command
from ....schemas.state import TunerState

Seen = Callable[[Command, TunerState | None], bool]
"""Whether a tuner's newest record, ``None`` where it was deleted, shows that a command was carried out."""


def _is_taken_up(command: Command, state: TunerState | None) -> bool:
    return state is not None and command.id in state.commands


def _is_gone(_: Command, state: TunerState | None) -> bool:
    return state is None


def _is_any(_: TunerState) -> bool:
    return True


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
    is_seen: Seen = _is_taken_up
    is_needed: Callable[[TunerState], bool] = _is_any
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
            is_needed=lambda state: not state.paused,
            not_needed="tuner {name} is paused already",
        ),
        Verb(
            word="resume",
            help="Go on with a tuner that was paused, or suspended for a fault that is mended.",
            example="checkout --reason 'load test is over'",
            done="resumed",
            said="tuner {name} goes on",
            is_needed=lambda state: state.paused or state.suspended is not None,
            not_needed="tuner {name} is not standing still",
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
