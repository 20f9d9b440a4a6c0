"""Nobody waits for librdkafka to take a handle down.

Destroying one waits for its threads, and those for what they are in: a look-up that no name server answers holds them
for minutes.
"""

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def let_go(handles: list[object]) -> None:
    """Destroy handles in a thread of their own. The caller keeps no other reference: the last one would wait."""
    threading.Thread(target=handles.clear, name="oppertune-let-go", daemon=True).start()


def leave(code: int) -> NoReturn:
    """End the process as the interpreter does, but leave what is still in memory to the kernel."""
    atexit._run_exitfuncs()  # noqa: SLF001 - others' clean-up is done; only the destruction of objects is not
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no reader; closed; none at all
            stream.flush()
    os._exit(code)
