import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.schemas import ConfigRecord
from oppertune.schemas.context import Feature, reduce_context
from oppertune.streams.client.following import Following

from .conftest import TUNER, arm, record

FEATURES = [{"name": "region", "values": ["eu", "us"]}]


def scope_of(region):
    return reduce_context([Feature(name="region", values=["eu", "us"])], {"region": region}).id


def take(following, *arms, now=0.0, age_s=0.0, scope="", **more):
    key = f"{TUNER}/{scope}" if scope else TUNER
    following.take(key, orjson.dumps(record(*arms, scope=scope, **more)), age_s, now)


def test_nothing_is_known_before_a_record_comes():
    assert Following(TUNER).answer(0.0).kind == "unknown"


def test_an_arm_is_trusted_for_the_lease_less_the_records_age():
    following = Following(TUNER)
    take(following, arm(), lease_s=30.0, age_s=10.0, now=100.0)
    assert following.answer(119.9).arms
    after = following.answer(120.0)
    assert (after.arms, after.lapsed) == (False, True)
    assert after.record is not None


def test_a_clock_behind_the_brokers_does_not_lengthen_a_lease():
    following = Following(TUNER)
    take(following, arm(), lease_s=30.0, age_s=-1000.0)
    assert not following.answer(30.0).arms


def test_a_renewal_lengthens_the_lease_and_changes_nothing_else():
    following = Following(TUNER)
    take(following, arm(), lease_s=30.0)
    before = following.answer(0.0)
    take(following, arm(), lease_s=30.0, now=20.0, published_ms=2_000)
    assert following.answer(49.9).mark == before.mark
    assert following.answer(50.0).lapsed


def test_a_record_without_arms_never_lapses():
    following = Following(TUNER)
    take(following, lease_s=1.0)
    assert not following.answer(1e9).lapsed


@pytest.mark.parametrize("older", [{"version": 4}, {"incarnation": 1, "version": 9}, {"published_ms": 1}])
def test_a_record_that_is_older_than_the_held_one_is_ignored(older):
    following = Following(TUNER)
    held = {"incarnation": 2, "version": 5, "published_ms": 5_000}
    take(following, arm(1), **held)
    following.answer(0.0)
    take(following, arm(2), now=20.0, **(held | older))
    answer = following.answer(20.0)
    assert answer.record.arms[0].values["pool"] == 1
    assert following.answer(30.0).lapsed


@given(versions=st.lists(st.integers(0, 9), min_size=1), reads=st.data())
def test_in_whatever_order_records_come_the_newest_is_followed(versions, reads):
    following = Following(TUNER)
    best = -1
    for version in versions:
        take(following, arm(version + 1), version=version)
        if reads.draw(st.booleans()):  # a record that was never asked for may be overtaken unread
            assert following.answer(0.0).record.version >= best
            best = following.answer(0.0).record.version
    assert following.answer(0.0).record.version >= best


def test_records_of_other_tuners_on_the_partition_are_none_of_ours():
    following = Following(TUNER)
    for key in ("other", f"{TUNER}2", f"{TUNER}2/abc"):
        following.take(key, b"not even JSON", 0.0, 0.0)
    assert following.answer(0.0).kind == "unknown"
    assert following.unreadable == {}


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[1]",
        orjson.dumps(record(v=2)),
        orjson.dumps(record(tuner="other")),
        orjson.dumps(record(scope="abc")),
        orjson.dumps(record(lease_s=-1)),
        b'{"v":1,"incumbent":NaN}',
    ],
)
def test_an_unreadable_record_is_reported_and_the_held_one_kept(value):
    following = Following(TUNER)
    take(following, arm(7))
    following.answer(0.0)
    following.take(TUNER, value, 0.0, 0.0)
    assert following.answer(0.0).record.arms[0].values["pool"] == 7
    assert TUNER in following.unreadable[TUNER]
    take(following, arm(8), version=2)
    assert following.answer(0.0).record.arms[0].values["pool"] == 8
    assert following.unreadable == {}


def test_features_name_the_scope_and_until_it_has_a_record_the_tuners_incumbent_is_followed():
    following = Following(TUNER, {"region": "eu", "host": "h1"})
    take(following, features=FEATURES)
    answer = following.answer(0.0)
    assert (answer.record.scope, answer.arms, answer.problem) == ("", False, "")
    take(following, arm(), features=FEATURES, scope=scope_of("eu"))
    assert following.answer(0.0).record.scope == scope_of("eu")
    assert following.answer(0.0).arms
    following.context = {"region": "us"}
    assert following.answer(0.0).record.scope == ""


@pytest.mark.parametrize("context", [None, {}, {"region": "mars"}])
def test_a_context_that_is_not_what_the_spec_declares_is_a_problem_and_has_no_arm(context):
    following = Following(TUNER, context)
    take(following, arm(), features=FEATURES)
    answer = following.answer(0.0)
    assert not answer.arms
    assert "region" in answer.problem


def test_a_scope_of_an_earlier_life_of_the_tuner_is_not_followed():
    following = Following(TUNER, {"region": "eu"})
    take(following, arm(), features=FEATURES, scope=scope_of("eu"), incarnation=1)
    take(following, features=FEATURES, incarnation=2)
    assert following.answer(0.0).record.scope == ""


def test_a_deleted_tuner_is_told_from_an_unknown_one_and_may_come_back():
    following = Following(TUNER)
    take(following, arm(), incarnation=5)
    following.take(TUNER, None, 0.0, 0.0)
    assert following.answer(0.0).kind == "deleted"
    take(following, arm(3), incarnation=4)
    assert following.answer(0.0).record.arms[0].values["pool"] == 3


def test_a_copy_goes_its_own_way():
    following = Following(TUNER)
    take(following, arm())
    copy = following.copy()
    following.take(TUNER, None, 0.0, 0.0)
    assert isinstance(copy.answer(0.0).record, ConfigRecord)
