"""One thread for torch: on the small matrices of a learner, several wait for each other longer than they work.

On a machine whose cores are all taken they spin, and a round takes five to ten times as long.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ONE_AT_A_TIME = threading.Lock()
"""The number of threads is the process's, and Optuna sets an environment variable besides. Two learners at once would
restore what the other has set."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, and no other learner compute with it; then as many as before."""
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
