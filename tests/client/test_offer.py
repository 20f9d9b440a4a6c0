"""What an app can run of what the records say, where these use words of a newer worker."""

import orjson
import pytest

from oppertune.core.assignment import position
from oppertune.streams.client import Status
from oppertune.streams.client.config_follower import ConfigFollower
from oppertune.streams.client.offer import offer_of
from oppertune.streams.client.parameters import Parameters

from .conftest import INCUMBENT, PARAMETERS, TUNER, arm, record
from .test_config_follower import FEATURES
from .views import view_of_offer

OWN = Parameters(PARAMETERS)


def offered(*arms, context=None, now=0.0, **more):
    follower = ConfigFollower(TUNER, context)
    follower.take(TUNER, orjson.dumps(record(*arms, **more)), 0.0, live=True)
    return offer_of(follower.current(now), OWN)


@pytest.mark.parametrize("now", [0.0, 1e6], ids=["leased", "lapsed"])
def test_under_an_unknown_status_everybody_runs_the_incumbent_unmeasured(now):
    offer = offered(arm(42, name="plus", share=0.5), arm(60, name="minus", share=0.5), status="winding-down", now=now)
    view = view_of_offer(offer)
    assert (view.status, view.arms, view.requests) == (Status.READY, (), [])
    for unit in (view.own, *(view.assigned(f"job-{n}") for n in range(50))):
        assert (unit.values, unit.request_id) == (INCUMBENT, None)
    [problem] = view.problems
    assert "'winding-down'" in problem
    assert "upgrade oppertune-streams" in problem


def test_the_unknown_status_of_a_tuner_whose_scope_has_no_record_is_said_too():
    [problem] = offered(features=FEATURES, context={"region": "eu"}, status="new").problems
    assert "'new'" in problem
    problems = offered(features=FEATURES, context={"region": "mars"}, status="new").problems
    assert ["region" in problems[0], "'new'" in problems[1]] == [True, True]


def test_an_arm_of_an_unknown_kind_keeps_its_piece_and_its_units_run_the_incumbent_unmeasured():
    arms = [arm(40 + n, name=f"arm{n}", share=0.25) for n in range(4)]
    known = view_of_offer(offered(*arms))
    newer = view_of_offer(offered(arms[0], arms[1] | {"kind": "shadow"}, *arms[2:]))
    assert newer.status is Status.READY
    pieces = set()
    for n in range(200):
        unit = f"job-{n}"
        piece = int(position("1", unit) * 4)
        pieces.add(piece)
        assert known.assigned(unit).arm == f"arm{piece}"
        now = newer.assigned(unit)
        if piece == 1:
            assert (now.values, now.arm, now.request_id) == (INCUMBENT, None, None)
        else:
            assert (now.values, now.request_id) == (known.assigned(unit).values, known.assigned(unit).request_id)
    assert pieces == {0, 1, 2, 3}
    assert len(newer.requests) == 3
    [problem] = newer.problems
    assert "'shadow'" in problem
    assert "arm1" in problem
    assert "upgrade oppertune-streams" in problem


def test_an_offer_is_the_same_for_the_same_records_and_makes_no_request():
    assert offered(arm(42), arm(1000)) == offered(arm(42), arm(1000))
    first, refused = offered(arm(42, share=0.5), arm(1000, name="wide", share=0.5)).arms
    assert first.terms.key == ("candidate-1", arm(42)["hash"])
    assert (refused.terms, refused.values) == (None, INCUMBENT)
