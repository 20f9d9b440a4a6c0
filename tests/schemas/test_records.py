"""What travels: bounds are kept, unknown fields ignored, other versions refused, and the stored schemas current."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oppertune.schemas import (
    ConfigRecord,
    ContextEvent,
    DeadLetterHeaders,
    MetricEvent,
    RoundRecord,
    TunerSpec,
    reduce_context,
)
from oppertune.schemas.base import MAX_EVENT_BYTES, MAX_METRICS, MAX_SUMMARY_BINS, Scalar
from oppertune.schemas.configs import ARM_KINDS, MAX_PINNED, STATUSES
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
CONFIGURATION = {"values": {"p": 1}, "hash": "h"}
CONFIG: dict[str, Any] = {
    "v": 1,
    "tuner": "t",
    "scope": "",
    "incarnation": 0,
    "version": 1,
    "status": "tuning",
    "incumbent": CONFIGURATION,
    "arms": [{**CONFIGURATION, "arm": "a", "request_id": "r", "round": 1, "kind": "explore", "share": 1.0}],
    "salt": "0",
    "lease_s": 30.0,
    "published_ms": 0,
    "interval_s": 10.0,
    "settle_s": 0.0,
    "heartbeat_s": 10.0,
}
ROUND = {
    "v": 1,
    "tuner": "t",
    "scope": "",
    "incarnation": 0,
    "round": 1,
    "arm": "a",
    "kind": "explore",
    "request_id": "r",
    "outcome": "measured",
    "closed_ms": 0,
}
SPEC: dict[str, Any] = {"name": "t", "parameters": [{"name": "p", "type": "integer", "val": 1, "min": 0, "max": 9}]}


@pytest.mark.parametrize("name", RECORDS)
def test_the_stored_json_schema_is_current(name):
    assert (STORED / f"{name}.schema.json").read_text() == schema_text(RECORDS[name]), (
        "run: python -m oppertune.schemas.export"
    )


def test_no_schema_is_stored_that_no_record_has():
    assert {p.name for p in STORED.glob("*.json")} == {f"{name}.schema.json" for name in RECORDS}


def test_unknown_fields_are_ignored():
    assert MetricEvent.from_bytes(json.dumps({**METRIC, "new": 1})).id == "1"


def with_kind(kind):
    return {**CONFIG, "arms": [CONFIG["arms"][0] | {"kind": kind}]}


OPEN_WORDS: dict[
    str, tuple[type[ConfigRecord | RoundRecord], Callable[[object], dict[str, Any]], Callable[[Any], object]]
] = {
    "status": (ConfigRecord, lambda word: {**CONFIG, "status": word}, lambda record: record.status),
    "arm kind": (ConfigRecord, with_kind, lambda record: record.arms[0].kind),
    "round kind": (RoundRecord, lambda word: {**ROUND, "kind": word}, lambda record: record.kind),
    "outcome": (RoundRecord, lambda word: {**ROUND, "outcome": word}, lambda record: record.outcome),
}


@pytest.mark.parametrize("field", OPEN_WORDS)
def test_a_word_of_a_newer_worker_is_read_as_it_came(field):
    model, made, word_of = OPEN_WORDS[field]
    record = model.from_bytes(json.dumps(made("a-newer-word")))
    assert word_of(record) == "a-newer-word"
    assert word_of(model.from_bytes(record.to_bytes())) == "a-newer-word"


@pytest.mark.parametrize("word", [None, "", "x" * 129, 3, ["tuning"], {}])
@pytest.mark.parametrize("field", OPEN_WORDS)
def test_what_is_no_word_is_refused(field, word):
    model, made, _ = OPEN_WORDS[field]
    if (field, word) == ("round kind", None):
        return  # of metrics that missed their round
    with pytest.raises(ValidationError):
        model.from_bytes(json.dumps(made(word)))


@pytest.mark.parametrize(("model", "name"), [(ConfigRecord, "status"), (RoundRecord, "kind"), (RoundRecord, "outcome")])
def test_the_schema_tells_the_known_words_and_takes_others(model, name):
    known, other, *_ = model.model_json_schema()["properties"][name]["anyOf"]
    assert other == {"type": "string", "minLength": 1, "maxLength": 128}
    words = {"status": STATUSES, "kind": ARM_KINDS}.get(name, ("measured", "failed", "skipped"))
    assert set(words) <= set(known["enum"])


def test_the_rest_of_a_record_with_a_new_word_is_held_to_its_bounds():
    for wrong in ({"lease_s": -1}, {"salt": ""}, {"arms": [with_kind("new")["arms"][0] | {"share": 1.5}]}):
        with pytest.raises(ValidationError):
            ConfigRecord.model_validate({**CONFIG, "status": "new", **wrong})


def test_a_record_of_an_earlier_worker_says_nothing_of_stages_or_pinned_units():
    record = ConfigRecord.model_validate(CONFIG)
    assert (record.stage, record.stages, record.pinned, record.first_report_s) == (None, [], {}, [])
    assert (record.why, record.by) == ("", "")


def test_as_many_units_can_be_pinned_as_every_record_can_carry():
    most = {f"host-{n}": "incumbent" for n in range(MAX_PINNED)}
    assert len(ConfigRecord.model_validate({**CONFIG, "pinned": most}).pinned) == 100
    for wrong in (most | {"one-more": "incumbent"}, {"host": ""}, {"": "incumbent"}, {"h" * 201: "e1"}):
        with pytest.raises(ValidationError, match="pinned"):
            ConfigRecord.model_validate({**CONFIG, "pinned": wrong})
    for seconds in ([-1.0], [float("inf")], [1.0] * 17):
        with pytest.raises(ValidationError, match="first_report_s"):
            ConfigRecord.model_validate({**CONFIG, "first_report_s": seconds})


def test_two_entries_of_one_request_are_two_pieces_of_an_arm():
    [entry] = with_kind("explore")["arms"]
    record = ConfigRecord.model_validate({**CONFIG, "arms": [entry | {"share": 0.25}, entry | {"share": 0.5}]})
    assert [arm.share for arm in record.arms] == [0.25, 0.5]


def test_a_summary_of_as_many_bins_as_there_may_be_fits_an_event():
    bins = {str(n - 40_000): 99_999 for n in range(MAX_SUMMARY_BINS)}
    count = 2 * 99_999 * MAX_SUMMARY_BINS
    most = {"count": count, "sum": 0.0, "sum_sq": 0.0, "min": 0.0, "max": 0.0, "bins": bins, "negative": bins}
    event = MetricEvent.model_validate({**METRIC, "metrics": {"m" * 100: most}})
    assert len(event.to_bytes()) < MAX_EVENT_BYTES
    one_more = {**bins, "-1": 99_999}
    with pytest.raises(ValidationError, match="bins"):
        MetricEvent.model_validate({**METRIC, "metrics": {"m": most | {"bins": one_more, "count": count + 99_999}}})


def test_an_event_has_so_many_metrics_at_most():
    metrics = {f"m{n}": 1.0 for n in range(MAX_METRICS)}
    assert len(MetricEvent.model_validate({**METRIC, "metrics": metrics}).metrics) == MAX_METRICS
    with pytest.raises(ValidationError, match="metrics"):
        MetricEvent.model_validate({**METRIC, "metrics": metrics | {"one more": 1.0}})


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
        ({"target": {"reward": 1}, "rollout": {"enabled": False}}, "rollout"),
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
    wrong: list[dict[str, Scalar] | None] = [None, {}]
    wrong += [{"load": "x", "zone": "eu"}, {"load": True, "zone": "eu"}, {"load": float("nan"), "zone": 1}]
    for bad in wrong:
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
