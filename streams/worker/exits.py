"""How a worker ends: exit codes, the errors that lead to them, and the one way to end at once.

::

    WorkerError (OppertuneError)
    ├── Refused      a person must act: the message says what to do             exit 78
    └── Fenced       another worker owns the partition: drop it

Beside them ``core.errors.BrokerUnreachable``: start again when the broker answers (exit 69).
"""

import os
import sys
from enum import IntEnum
from typing import NoReturn

from ...core.errors import OppertuneError

# ruff: noqa: N818 - an error is named by what the caller should do, as in core.errors


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
    """Topics or state are not as they must be: a person must act, starting again alone will not help."""


class WorkerError(OppertuneError):
    """Root of the worker's own errors."""


class Refused(WorkerError):
    """Topics or state are not as they must be; the message says what to do."""


class Fenced(WorkerError):
    """A newer producer of the same partition exists: nothing that this one still writes will be seen."""


def end_process(reason: str, code: ExitCode = ExitCode.FAULT) -> NoReturn:
    """End at once, without cleaning up: what is not committed is another owner's to do.

    The reason goes to the process's own stderr, which no logging set-up redirects.
    """
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"oppertune worker ends ({code.name.lower()}, {code.value}): {reason}\n")
        sys.__stderr__.flush()
    os._exit(code)
