"""A worker whose folds raise: a fault of ours."""

import sys
from typing import Any

from oppertune.streams.processor import Effects, Partition
from oppertune.streams.worker import run_worker
from oppertune.streams.worker.__main__ import configure_logging, parse


class Failing(Partition):
    def fold(self, *_: Any, **__: Any) -> Effects:
        raise ZeroDivisionError("a fault of ours")


if __name__ == "__main__":
    configure_logging()
    sys.exit(run_worker(parse(), restore=Failing.restore))
