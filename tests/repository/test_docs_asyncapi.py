"""The AsyncAPI document: current, whole, and sound by itself. (The official schema and parser were run by hand.)"""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from oppertune.schemas import base
from oppertune.schemas.asyncapi import CHANNELS, text
from oppertune.schemas.export import RECORDS
from oppertune.streams.broker.topics import TOPICS
from oppertune.streams.worker.checks import NEEDED
from repository.documents import blocks

STORED = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
DOCUMENT = yaml.safe_load(STORED.read_text())


def resolved(reference: str):
    place = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def references(part) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [r for below in part.values() for r in references(below)]
    return [r for below in part for r in references(below)] if isinstance(part, list) else []


def test_the_stored_document_is_current():
    assert STORED.read_text() == text(), "run: python -m oppertune.schemas.asyncapi"


def test_every_topic_is_a_channel_with_its_clean_up():
    assert {
        name: ",".join(channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"])
        for name, channel in DOCUMENT["channels"].items()
    } == {name: settings["cleanup.policy"] for name, settings in TOPICS.items()}


def test_the_worker_sends_and_receives_what_it_asks_rights_for():
    asked = {(name, right.name) for name, rights in NEEDED.items() for right in rights}
    described = {(name, "WRITE") for name, c in CHANNELS.items() if c.sender == "worker"}
    described |= {(name, "READ") for name, c in CHANNELS.items() if c.receiver == "worker"}
    assert described == asked - {("state", "READ")}  # its own memory


def test_every_record_that_travels_is_a_message():
    travelling = {m.__name__ for m in RECORDS.values() if issubclass(m, base.Record)}
    assert set(DOCUMENT["components"]["messages"]) == travelling | {"DeadLetter"}
    for model in RECORDS.values():
        if issubclass(model, base.Record):
            assert model.__name__ in DOCUMENT["channels"][model.topic]["messages"]


def test_every_reference_leads_somewhere_and_every_operation_to_its_channels_messages():
    for reference in references(DOCUMENT):
        assert resolved(reference) is not None
    for name, operation in DOCUMENT["operations"].items():
        assert operation["action"] in {"send", "receive"}
        assert name.startswith(operation["tags"][0]["name"])
        own = operation["channel"]["$ref"] + "/messages/"
        assert operation["messages"]
        assert all(m["$ref"].startswith(own) for m in operation["messages"])
    for channel in DOCUMENT["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_one_of_draft_7(name):
    schema = DOCUMENT["components"]["schemas"][name]
    jsonschema.Draft7Validator.check_schema(schema)
    # Words of later drafts, which a validator of this one would pass over in silence.
    assert not {"$defs", "prefixItems", "dependentRequired", "unevaluatedProperties"} & set(
        re.findall(r'"([$\w]+)":', json.dumps(schema))
    )


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_the_examples_of_the_documents_are_messages_of_the_document(block):
    model = RECORDS[block.title.partition(":")[0]]
    if model.__name__ == "DeadLetterHeaders":
        schema = DOCUMENT["components"]["messages"]["DeadLetter"]["headers"]
    else:
        schema = {"$ref": f"#/components/schemas/{model.__name__}", "components": DOCUMENT["components"]}
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(json.loads(block.text))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(
            {name: value for name, value in json.loads(block.text).items() if name not in {"v", "topic"}}
        )
