"""Everything that travels on Kafka, as pydantic models; JSON Schema is generated from them."""

if __name__ != "oppertune.schemas":
    raise ImportError(
        f"import this package as 'oppertune.schemas', not as {__name__!r}: install the project (pip install -e .)"
    )

from .base import MAX_EVENT_BYTES, SCHEMA_VERSION, Record, explain
from .configs import Arm, ConfigRecord, Configuration
from .context import reduce_context
from .events import Command, ContextEvent, MetricEvent
from .records import DeadLetterHeaders, JournalRecord, RoundRecord
from .spec import TunerSpec
from .state import CarriedOutCommands, PartitionOffsets, ScopeState, TunerState

__all__ = [
    "MAX_EVENT_BYTES",
    "SCHEMA_VERSION",
    "Arm",
    "CarriedOutCommands",
    "Command",
    "ConfigRecord",
    "Configuration",
    "ContextEvent",
    "DeadLetterHeaders",
    "JournalRecord",
    "MetricEvent",
    "PartitionOffsets",
    "Record",
    "RoundRecord",
    "ScopeState",
    "TunerSpec",
    "TunerState",
    "explain",
    "reduce_context",
]
