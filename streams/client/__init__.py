"""What an app imports: live configuration, metric recording, and the last known good values.

Light: needs neither Faust nor torch. Start at :class:`TunerClient`.
"""

from ...core.values import Categorical, Integer, Real
from ..broker import BrokerSettings
from .client import TunerClient
from .snapshot import Snapshot
from .view import Source, Status

__all__ = ["BrokerSettings", "Categorical", "Integer", "Real", "Snapshot", "Source", "Status", "TunerClient"]
