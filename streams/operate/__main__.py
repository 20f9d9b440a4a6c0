"""The program ``oppertune``, which is ``python -m oppertune.streams.operate``, too: from its name to its exit code.

What it imports, the bare install has: a command line that is not installed is told in a sentence.
"""

import sys
from typing import NoReturn

from ...core.errors import MissingExtra
from ..broker.leaving import leave

_USAGE = 2
"""As :class:`ExitCode` has it, and for a supervisor: starting again will not help."""

_CLI = ("the command line of oppertune", "worker,cli")
_WORKER = ("a worker", "worker")
_NEEDED_BY = {
    "typer": _CLI,
    "rich": _CLI,
    "yaml": _CLI,
    "matplotlib": _CLI,
    "faust": _WORKER,
    "mode": _WORKER,
    "aiokafka": _WORKER,
    "prometheus_client": _WORKER,
    "threadpoolctl": _WORKER,
}
"""By package: what needs it, and the extras to install. Those of algorithms are in ``algorithms/all.py``."""


def run() -> NoReturn:
    """Run the command line, then end the process."""
    try:
        from .main import main  # noqa: PLC0415 - loads what may be missing

        main()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _NEEDED_BY:
            raise
        sys.stderr.write(f"error: {MissingExtra(*_NEEDED_BY[package])}\n")
        leave(_USAGE)
    except SystemExit as ended:
        # Here, where the error still holds the handles that it came by: nobody waits for them.
        leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
    leave(0)


if __name__ == "__main__":
    run()
