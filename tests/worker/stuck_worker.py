"""A worker whose folds never end."""

import sys
import threading
from typing import Any

from oppertune.streams.processor import Effects, Partition
from oppertune.streams.worker import run_worker
from oppertune.streams.worker.__main__ import configure_logging, parse


class Stuck(Partition):
    def fold(self, *_: Any, **__: Any) -> Effects:
        threading.Event().wait()
        return Effects()


if __name__ == "__main__":
    configure_logging()
    sys.exit(run_worker(parse(), restore=Stuck.restore))
