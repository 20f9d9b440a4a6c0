"""How a process ends that has used librdkafka: without waiting for it (see ``handles.py``)."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process as the interpreter does, but leave what is still in memory to the kernel."""
    atexit._run_exitfuncs()  # noqa: SLF001 - others' clean-up is done; only the destruction of objects is not
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no reader; closed; none at all
            stream.flush()
    os._exit(code)
