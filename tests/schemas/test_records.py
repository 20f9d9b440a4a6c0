"""What travels: bounds are kept, unknown fields ignored, other versions refused, and the stored schemas current."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oppertune.schemas import ContextEvent, DeadLetterHeaders, MetricEvent, TunerSpec, reduce_context
from oppertune.schemas.export import RECORDS, schema_text
from oppertune.schemas.keys import murmur2, partition_of, request_id, scope_key, state_scope_key, tuner_of, values_hash

STORED = Path(__file__).parents[2] / "schemas" / "json"
METRIC = {
    "v": 1,
    "id": "1",
    "tuner": "t",
    "instance": "a",
    "round": 1,
    "arm": "candidate",
    "request_id": "r",
    "values_hash": "h",
    "interval_s": 1.0,
    "active_for_s": 1.0,
    "metrics": {"m": 1.0},
}
SPEC = {"name": "t", "parameters": [{"name": "p", "type": "integer", "val": 1, "min": 0, "max": 9}]}


@pytest.mark.parametrize("name", RECORDS)
def test_the_stored_json_schema_is_current(name):
    assert (STORED / f"{name}.schema.json").read_text() == schema_text(RECORDS[name]), (
        "run: python -m oppertune.schemas.export"
    )


def test_no_schema_is_stored_that_no_record_has():
    assert {p.name for p in STORED.glob("*.json")} == {f"{name}.schema.json" for name in RECORDS}


def test_unknown_fields_are_ignored():
    assert MetricEvent.from_bytes(json.dumps({**METRIC, "new": 1})).id == "1"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_major_version_is_refused(version):
    with pytest.raises(ValidationError, match="v"):
        MetricEvent.from_bytes(json.dumps({**METRIC, "v": version}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tuner": "Upper"},
        {"tuner": "with/slash"},
        {"tuner": "@offsets"},
        {"instance": ""},
        {"instance": "x" * 201},
        {"round": -1},
        {"interval_s": 0},
        {"active_for_s": -1},
        {"weight": 0},
        {"metrics": {}},
        {"metrics": {"m": []}},
        {"metrics": {"m": "1"}},
        {"metrics": {"m": 1e101}},
        {"metrics": {f"m{i}": 1 for i in range(65)}},
        {"metrics": {"m": [0.0] * 10_001}},
        {"metrics": {"m": {"count": 2, "sum": 1, "sum_sq": 1, "min": 1, "max": 0, "zeros": 2}}},
        {"metrics": {"m": {"count": 2, "sum": 1, "sum_sq": 1, "min": 0, "max": 1, "zeros": 1}}},
        {"boot": "b"},
        {"seq": 1},
    ],
    ids=str,
)
def test_bounds_are_kept(wrong):
    with pytest.raises(ValidationError):
        MetricEvent.from_bytes(json.dumps({**METRIC, **wrong}))


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_in_another_way(raw):
    try:
        ContextEvent.from_bytes(raw)
    except ValidationError:
        return


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"parameters": []}, "parameters"),
        ({"parameters": SPEC["parameters"] * 2}, "declared twice: p"),
        ({"parameters": [{"name": "p", "type": "integer", "val": 10, "min": 0, "max": 9}]}, "10"),
        ({"parameters": [{"name": "p", "type": "real", "val": 0.05, "min": 0, "max": 1, "step": 0.1}]}, "step"),
        ({"colour": "red"}, "colour"),
        ({"target": {"reward": 1}, "confirmation": {"enabled": False}}, "confirmation"),
        ({"objective": {"measured": "a", "function": "b"}}, "name one"),
        ({"objective": {"range": {"low": 1, "high": 1}}}, "low must be below high"),
        ({"context": {"features": [{"name": "f", "values": [1], "bins": [1]}]}}, "not both"),
        ({"context": {"features": [{"name": "f", "bins": [2, 1]}]}}, "ascend"),
        ({"objective": {"terms": [{"metric": "m", "aggregate": "p955", "goal": "minimize"}]}}, "aggregate"),
    ],
    ids=lambda w: str(w)[:40],
)
def test_a_spec_that_contradicts_itself_is_refused_and_says_where(wrong, said):
    with pytest.raises(ValidationError, match=said):
        TunerSpec.model_validate({**SPEC, **wrong})


def test_a_context_is_reduced_to_the_declared_features_before_it_is_named():
    features = TunerSpec.model_validate(
        {**SPEC, "context": {"features": [{"name": "load", "bins": [10, 100]}, {"name": "zone"}]}}
    ).context.features
    near = reduce_context(features, {"load": 11, "zone": "eu", "other": 1})
    assert near == reduce_context(features, {"load": 99.5, "zone": "eu"})
    assert near.data == {"load": 1, "zone": "eu"}
    assert near.id != reduce_context(features, {"load": 100, "zone": "eu"}).id
    for bad in (None, {}, {"load": "x", "zone": "eu"}, {"load": True, "zone": "eu"}, {"load": float("nan"), "zone": 1}):
        with pytest.raises(ValueError, match="context"):
            reduce_context(features, bad)


@pytest.mark.parametrize(
    ("data", "hashed"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)  # fmt: skip
def test_murmur2_is_kafkas(data, hashed):
    assert murmur2(data) == hashed & 0xFFFFFFFF


def test_keys_name_a_tuner_and_a_scope():
    assert (scope_key("t", ""), scope_key("t", "c"), state_scope_key("t", "")) == ("t", "t/c", "t/")
    assert {tuner_of(k) for k in ("t", "t/", "t/c")} == {"t"}
    assert 0 <= partition_of("checkout", 7) < 7


def test_a_request_id_depends_on_all_that_names_it():
    base = ("t", 1, "s", 2, "a")
    others = [
        ("u", 1, "s", 2, "a"),
        ("t", 2, "s", 2, "a"),
        ("t", 1, "r", 2, "a"),
        ("t", 1, "s", 3, "a"),
        ("t", 1, "s", 2, "b"),
    ]
    assert len({request_id(*names) for names in (base, *others)}) == 6
    assert request_id(*base) == request_id(*base)


def test_a_configurations_hash_does_not_depend_on_order():
    assert values_hash({"a": 1, "b": 2.5}) == values_hash({"b": 2.5, "a": 1})
    assert values_hash({"a": 1}) != values_hash({"a": 2})


def test_the_headers_of_a_dead_letter_are_read_as_they_were_written():
    headers = DeadLetterHeaders(
        reason="not_json",
        detail="no JSON: é",
        disposition="dead_letter",
        topic="metrics",
        partition=3,
        offset=17,
        timestamp_ms=1,
        size=5,
    )
    assert DeadLetterHeaders.from_headers(headers.to_headers()) == headers
    assert DeadLetterHeaders.from_headers([*headers.to_headers(), ("trace", b"\xff")]) == headers
    with pytest.raises(ValidationError):
        DeadLetterHeaders.from_headers([("reason", b"somebody else's")])
