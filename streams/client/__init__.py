"""What an app imports: live configuration, metric recording, and the last known good values.

Light: needs neither Faust nor torch. Start at :class:`TunerClient`.
"""

from ...core.values import Categorical, Integer, Real
from ..broker import BrokerSettings
from .client import TunerClient
from .loop import Application, MetricsMonitor, RewardFunction, Runs, TuningLoop
from .offline import OfflineClient
from .snapshot import Snapshot
from .status import Source, Status
from .tuned import Tuned

__all__ = [
    "Application",
    "BrokerSettings",
    "Categorical",
    "Integer",
    "MetricsMonitor",
    "OfflineClient",
    "Real",
    "RewardFunction",
    "Runs",
    "Snapshot",
    "Source",
    "Status",
    "Tuned",
    "TunerClient",
    "TuningLoop",
]
