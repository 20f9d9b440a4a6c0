"""A worker where no folder is writable, as Python finds it: a read-only container with nothing mounted at /tmp."""

import sys
import tempfile

from oppertune.streams.worker import run_worker
from oppertune.streams.worker.__main__ import configure_logging, parse

if __name__ == "__main__":
    tempfile._candidate_tempdir_list = lambda: ["/proc/nowhere"]  # type: ignore[attr-defined]
    configure_logging()
    sys.exit(run_worker(parse()))
