"""Events in, effects out: matching, measuring, learning, and the next configuration. No Kafka, no clock.

The reading path: ``partition.py`` (the fold) → ``cell.py`` (one tuner, undone when it raises) → ``tuner.py`` (what an
event does) → ``scope.py`` (what is open and measured), ``confirm.py`` (who is the incumbent), ``reward.py``.
"""

from .effects import SOURCES, DeadLetter, Effects, Received
from .partition import AccountsDoNotBalanceError, Partition
from .statistics import PartitionStatistics

__all__ = [
    "SOURCES",
    "AccountsDoNotBalanceError",
    "DeadLetter",
    "Effects",
    "Partition",
    "PartitionStatistics",
    "Received",
]
