"""Events in, effects out: matching, measuring, learning, and the next configuration. No Kafka, no clock.

The reading path: ``partition.py`` (the fold) → ``isolation.py`` (one tuner, undone when it raises) → ``tuner.py`` and
``commands.py`` (what an event, or an operator, does) → ``request.py`` (what is measured) → ``round.py`` (what becomes
of it) → ``changes.py`` (records). docs/architecture.md walks it with one event.
"""

from .effects import SOURCES, DeadLetter, Effects, Received, Unreadable
from .partition import Partition
from .statistics import PartitionStatistics

__all__ = ["SOURCES", "DeadLetter", "Effects", "Partition", "PartitionStatistics", "Received", "Unreadable"]
