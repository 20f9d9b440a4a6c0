"""Write the AsyncAPI 3 document of all topics, docs/asyncapi.yaml: ``python -m oppertune.schemas.asyncapi [FILE]``.

A document describes one application, and a fleet has several: names of operations begin with the role they are of.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .base import SCHEMA_VERSION, Record
from .configs import ConfigRecord
from .events import Command, ContextEvent, MetricEvent
from .records import DeadLetterHeaders, JournalRecord, RoundRecord
from .spec import TunerSpec
from .state import CarriedOutCommands, PartitionOffsets, ScopeState, TunerState

Json = dict[str, Any]
Role = Literal["app", "operator", "worker"]

_TUNER = "the tuner's name"
_SCOPE = "the tuner's name, for a scope with `/` and its context id behind it"


@dataclass(frozen=True)
class _Channel:
    """A topic.

    Attributes:
        summary: What it is for.
        key: What a message's key is; empty where there is none.
        messages: What it carries; none where the value is as it was received.
        sender: Who writes it.
        receiver: Who reads it.
        cleanup: Kafka's clean-up policy.
    """

    summary: str
    key: str
    messages: tuple[type[Record], ...]
    sender: Role
    receiver: Role
    cleanup: Literal["delete", "compact"] = "delete"


CHANNELS = {
    "contexts": _Channel(
        "An instance says that it is here, in which context, and which request it runs.",
        _TUNER,
        (ContextEvent,),
        "app",
        "worker",
    ),
    "metrics": _Channel("What instances measured under a request.", _TUNER, (MetricEvent,), "app", "worker"),
    "commands": _Channel("What is tuned, and how: apply, pause, …", _TUNER, (Command,), "operator", "worker"),
    "configs": _Channel(
        "The newest configuration of each scope. An empty value deletes it.",
        _SCOPE,
        (ConfigRecord,),
        "worker",
        "app",
        "compact",
    ),
    "state": _Channel(
        "What the worker remembers. An empty value deletes it.",
        f"`@offsets`, `@commands`, {_SCOPE}: there is always a `/` in a scope's key",
        (TunerState, ScopeState, PartitionOffsets, CarriedOutCommands),
        "worker",
        "operator",
        "compact",
    ),
    "journal": _Channel("One record per transaction of the worker.", "", (JournalRecord,), "worker", "operator"),
    "rounds": _Channel(
        "Every closed round, with its reward or why it has none.", _TUNER, (RoundRecord,), "worker", "operator"
    ),
    "dead-letters": _Channel(
        "Records that could not be used, as received (at most 64 kB), with the reason in headers.",
        "as received",
        (),
        "worker",
        "operator",
    ),
}
"""By the topic's bare name."""


def document() -> Json:
    """The document as plain data."""
    models: list[type[BaseModel]] = [TunerSpec, *(m for channel in CHANNELS.values() for m in channel.messages)]
    _, found = models_json_schema([(m, "validation") for m in models], ref_template="#/components/schemas/{model}")
    schemas = {name: _draft_07(schema) for name, schema in found["$defs"].items()}
    # A worker judges it by itself, so that a bad spec costs a dead letter with a reason; people should see the schema.
    schemas["Command"]["properties"]["spec"]["anyOf"][0] = {"$ref": "#/components/schemas/TunerSpec"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "oppertune-streams",
            "version": str(SCHEMA_VERSION),
            "description": "Live tuning of a fleet of services over Kafka. Names of operations begin with a role: app,"
            " operator or worker. What the records mean is told in docs/wire-format.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "the fleet's own cluster"}},
        "channels": {name: _channel(name, channel) for name, channel in CHANNELS.items()},
        "operations": {
            name: operation
            for topic, channel in CHANNELS.items()
            for action, role in (("send", channel.sender), ("receive", channel.receiver))
            for name, operation in [_operation(topic, channel, action, role)]
        },
        "components": {
            "schemas": schemas,
            "messages": {
                name: message
                for topic, channel in CHANNELS.items()
                for name, message in _messages(topic, channel).items()
            },
            "parameters": {
                "prefix": {"default": "oppertune.", "description": "put before every topic's name, the same everywhere"}
            },
        },
    }


def _channel(topic: str, channel: _Channel) -> Json:
    return {
        "address": f"{{prefix}}{topic}",
        "summary": channel.summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic, channel)},
        "parameters": {"prefix": {"$ref": "#/components/parameters/prefix"}},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": [channel.cleanup]}, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: str, channel: _Channel, action: str, role: Role) -> tuple[str, Json]:
    name = f"{role}{action.capitalize()}{''.join(word.capitalize() for word in topic.split('-'))}"
    return name, {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": f"{role}: {action}s {topic}",
        "tags": [{"name": role}],
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in _messages(topic, channel)],
    }


def _messages(topic: str, channel: _Channel) -> Json:
    key = {"type": "string", "description": channel.key} if channel.key else {"type": "null"}
    common = {"bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}}}
    if topic == "dead-letters":
        headers = _draft_07(DeadLetterHeaders.model_json_schema())
        for name, schema in headers["properties"].items():  # whatever they say, headers say it as text
            said = {"description": schema["description"]} if "description" in schema else {}
            headers["properties"][name] = {"type": "string"} | said
        return {
            "DeadLetter": {
                "summary": channel.summary,
                "contentType": "application/octet-stream",
                "headers": headers,
                "payload": {"description": "as received"},
            }
            | common
        }
    messages = {}
    for model in channel.messages:
        name = model.__name__
        messages[name] = {"payload": {"$ref": f"#/components/schemas/{name}"}} | common
        if "request_id" in model.model_fields:
            messages[name]["correlationId"] = {"location": "$message.payload#/request_id"}
    return messages


def _draft_07(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """A schema of 2020-12 as pydantic writes it, in the words of draft 7, which are AsyncAPI's; titles left out."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain: Json = {}
    for key, value in schema.items():
        if key in {"title", "discriminator"}:  # OpenAPI's discriminator is another than AsyncAPI's
            continue
        if key == "properties":
            plain[key] = {name: _draft_07(part) for name, part in value.items()}
        elif key == "prefixItems":
            plain["items"] = _draft_07(value)
        else:
            plain[key] = value if key in {"default", "const", "enum"} else _draft_07(value)
    if "$ref" in plain and len(plain) > 1:  # draft 7 ignores what stands beside a reference
        plain = {"allOf": [{"$ref": plain.pop("$ref")}], **plain}
    return plain


def text() -> str:
    """The document as it is stored."""
    import yaml  # noqa: PLC0415 - an extra; nobody else here needs it

    apart = json.loads(json.dumps(document()))  # else parts that are shared become YAML's aliases
    return yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=110)


def main() -> None:
    """Write the document into the file given, by default the one of the docs."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "asyncapi.yaml"
    file.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
