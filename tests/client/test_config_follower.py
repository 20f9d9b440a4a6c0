import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.schemas import ConfigRecord
from oppertune.schemas.context import Feature, reduce_context
from oppertune.streams.client.config_follower import ConfigFollower, FollowedRecord

from .conftest import TUNER, arm, record

FEATURES = [{"name": "region", "values": ["eu", "us"]}]


def scope_of(region):
    return reduce_context([Feature(name="region", values=["eu", "us"])], {"region": region}).id


def take(follower, *arms, now=0.0, live=True, scope="", **more):
    key = f"{TUNER}/{scope}" if scope else TUNER
    follower.take(key, orjson.dumps(record(*arms, scope=scope, **more)), now, live=live)


def read(followed: FollowedRecord) -> ConfigRecord:
    """The record that is followed: there must be one."""
    assert followed.record is not None
    return followed.record


def followed_by(follower: ConfigFollower) -> ConfigRecord:
    """The record that a follower follows at first."""
    return read(follower.current(0.0))


def test_nothing_is_known_before_a_record_comes():
    assert ConfigFollower(TUNER).current(0.0).kind == "unknown"


def test_an_arm_is_trusted_for_a_lease_from_the_arrival_of_its_record():
    follower = ConfigFollower(TUNER)
    take(follower, arm(), lease_s=30.0, now=100.0)
    assert follower.current(129.9).arms
    after = follower.current(130.0)
    assert (after.arms, after.lapsed, after.waits_s) == (False, True, 0.0)
    assert after.record is not None


def test_a_record_that_was_there_before_gives_no_lease_until_it_is_renewed():
    follower = ConfigFollower(TUNER)
    take(follower, arm(), lease_s=30.0, live=False)
    before = follower.current(0.0)
    assert (before.arms, before.lapsed, before.waits_s) == (False, True, 10.0)
    take(follower, arm(), lease_s=30.0, now=8.0, published_ms=2_000)
    renewed = follower.current(8.0)
    assert (renewed.arms, renewed.waits_s) == (True, 0.0)
    assert follower.current(38.0).lapsed


def test_what_is_read_anew_keeps_its_lease_and_a_newer_version_waits_for_its_own():
    follower = ConfigFollower(TUNER)
    take(follower, arm(), lease_s=30.0)
    assert follower.current(0.0).arms
    for published_ms in (1_000, 2_000):  # itself, and a renewal that was missed: of unknown age
        take(follower, arm(), lease_s=30.0, now=20.0, live=False, published_ms=published_ms)
        assert follower.current(29.9).arms
        assert follower.current(30.0).lapsed
    take(follower, arm(2, round_=2), lease_s=30.0, now=20.0, live=False, version=2, published_ms=3_000)
    assert follower.current(20.0).waits_s == 10.0


def test_a_renewal_lengthens_the_lease_and_changes_nothing_else():
    follower = ConfigFollower(TUNER)
    take(follower, arm(), lease_s=30.0)
    before = follower.current(0.0)
    take(follower, arm(), lease_s=30.0, now=20.0, published_ms=2_000)
    assert follower.current(49.9).mark == before.mark
    assert follower.current(50.0).lapsed


def test_a_record_without_arms_never_lapses():
    follower = ConfigFollower(TUNER)
    take(follower, lease_s=1.0)
    assert not follower.current(1e9).lapsed


@pytest.mark.parametrize("older", [{"version": 4}, {"incarnation": 1, "version": 9}, {"published_ms": 1}])
def test_a_record_that_is_older_than_the_held_one_is_ignored(older):
    follower = ConfigFollower(TUNER)
    held = {"incarnation": 2, "version": 5, "published_ms": 5_000}
    take(follower, arm(1), **held)
    follower.current(0.0)
    take(follower, arm(2), now=20.0, **(held | older))
    followed = follower.current(20.0)
    assert read(followed).arms[0].values["pool"] == 1
    assert follower.current(30.0).lapsed


@given(versions=st.lists(st.integers(0, 9), min_size=1), reads=st.data())
def test_in_whatever_order_records_come_the_newest_is_followed(versions, reads):
    follower = ConfigFollower(TUNER)
    best = -1
    for version in versions:
        take(follower, arm(version + 1), version=version)
        if reads.draw(st.booleans()):  # a record that was never asked for may be overtaken unread
            assert followed_by(follower).version >= best
            best = followed_by(follower).version
    assert followed_by(follower).version >= best


def test_records_of_other_tuners_on_the_partition_are_none_of_ours():
    follower = ConfigFollower(TUNER)
    for key in ("other", f"{TUNER}2", f"{TUNER}2/abc"):
        follower.take(key, b"not even JSON", 0.0, live=True)
    assert follower.current(0.0).kind == "unknown"
    assert follower.unreadable == {}


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
    follower = ConfigFollower(TUNER)
    take(follower, arm(7))
    follower.current(0.0)
    follower.take(TUNER, value, 0.0, live=True)
    assert followed_by(follower).arms[0].values["pool"] == 7
    assert TUNER in follower.unreadable[TUNER]
    take(follower, arm(8), version=2)
    assert followed_by(follower).arms[0].values["pool"] == 8
    assert follower.unreadable == {}


def test_a_record_with_words_of_a_newer_worker_is_followed():
    follower = ConfigFollower(TUNER)
    take(follower, arm(7))
    assert followed_by(follower).status == "tuning"
    take(follower, arm(8, kind="newer"), version=2, status="newer")
    followed = follower.current(0.0)
    assert (read(followed).version, read(followed).status) == (2, "newer")
    assert str(read(followed).arms[0].kind) == "newer"
    assert follower.unreadable == {}
    assert [r.version for r in follower.known()] == [2]


def test_features_name_the_scope_and_until_it_has_a_record_the_tuners_incumbent_is_followed():
    follower = ConfigFollower(TUNER, {"region": "eu", "host": "h1"})
    take(follower, features=FEATURES)
    followed = follower.current(0.0)
    assert (read(followed).scope, followed.arms, followed.problem) == ("", False, "")
    take(follower, arm(), features=FEATURES, scope=scope_of("eu"))
    assert followed_by(follower).scope == scope_of("eu")
    assert follower.current(0.0).arms
    follower.context = {"region": "us"}
    assert followed_by(follower).scope == ""


@pytest.mark.parametrize("context", [None, {}, {"region": "mars"}])
def test_a_context_that_is_not_what_the_spec_declares_is_a_problem_and_has_no_arm(context):
    follower = ConfigFollower(TUNER, context)
    take(follower, arm(), features=FEATURES)
    followed = follower.current(0.0)
    assert not followed.arms
    assert "region" in followed.problem


def test_a_scope_of_an_earlier_life_of_the_tuner_is_not_followed():
    follower = ConfigFollower(TUNER, {"region": "eu"})
    take(follower, arm(), features=FEATURES, scope=scope_of("eu"), incarnation=1)
    take(follower, features=FEATURES, incarnation=2)
    assert followed_by(follower).scope == ""


def test_a_deleted_tuner_is_told_from_an_unknown_one_and_may_come_back():
    follower = ConfigFollower(TUNER)
    take(follower, arm(), incarnation=5)
    follower.take(TUNER, None, 0.0, live=True)
    assert follower.current(0.0).kind == "deleted"
    take(follower, arm(3), incarnation=4)
    assert followed_by(follower).arms[0].values["pool"] == 3


def test_a_copy_goes_its_own_way():
    follower = ConfigFollower(TUNER)
    take(follower, arm())
    copy = follower.copy()
    follower.take(TUNER, None, 0.0, live=True)
    assert isinstance(copy.current(0.0).record, ConfigRecord)
