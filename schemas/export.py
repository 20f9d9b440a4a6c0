"""Write the JSON Schema of every record to ``schemas/json/``: ``python -m oppertune.schemas.export [FOLDER]``.

Without a folder, what else is made from the schemas is written too: the docs' AsyncAPI document and spec reference.
"""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from . import (
    CarriedOutCommands,
    Command,
    ConfigRecord,
    ContextEvent,
    DeadLetterHeaders,
    JournalRecord,
    MetricEvent,
    PartitionOffsets,
    RoundRecord,
    ScopeState,
    TunerSpec,
    TunerState,
    asyncapi,
    reference,
)

RECORDS: dict[str, type[BaseModel]] = {
    "command": Command,
    "config-record": ConfigRecord,
    "context-event": ContextEvent,
    "dead-letter-headers": DeadLetterHeaders,
    "journal-record": JournalRecord,
    "metric-event": MetricEvent,
    "partition-offsets": PartitionOffsets,
    "carried-out-commands": CarriedOutCommands,
    "round-record": RoundRecord,
    "scope-state": ScopeState,
    "tuner-spec": TunerSpec,
    "tuner-state": TunerState,
}


def schema_text(model: type[BaseModel]) -> str:
    """A record's JSON Schema as it is stored."""
    return json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write all schemas into the folder given, by default this package's ``json/``."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "json"
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in RECORDS.items():
        (folder / f"{name}.schema.json").write_text(schema_text(model))
    if len(sys.argv) == 1:
        asyncapi.main()
        reference.main()


if __name__ == "__main__":
    main()
