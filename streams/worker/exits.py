"""How a worker ends: its exit codes, and the one way to end at once.

Errors that lead to an exit code: ``BrokerUnreachable`` to ``UNAVAILABLE``, ``Refused`` and ``TopicsInvalid`` to
``REFUSED``, ``Fenced`` to ``RESTART`` where the partition is still assigned here.
"""

import os
import sys
from enum import IntEnum
from typing import NoReturn


class ExitCode(IntEnum):
    """Exit codes of a worker, those of sysexits.h: a supervisor restarts all but ``STOPPED`` and ``REFUSED``."""

    STOPPED = 0
    """Asked to stop, and did."""
    UNAVAILABLE = 69
    """The broker did not answer in time."""
    FAULT = 70
    """A fault of ours, or an error that nobody foresaw. The next owner starts from the last transaction."""
    RESTART = 75
    """Fenced, or stuck: nothing is wrong with the data, start again."""
    REFUSED = 78
    """Topics or state are not as they must be: a person must act, starting again will not help."""


def end_process(reason: str, code: ExitCode = ExitCode.FAULT) -> NoReturn:
    """End at once, without cleaning up: the next owner does again what was not committed.

    The reason goes to the process's own stderr, which no logging set-up redirects.
    """
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"oppertune worker ends ({code.name.lower()}, {code.value}): {reason}\n")
        sys.__stderr__.flush()
    os._exit(code)
