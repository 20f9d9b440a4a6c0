"""An app always has a configuration inside its own bounds, whatever it receives (G3)."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from oppertune.core.values import Categorical, Integer, Real, ValueType
from oppertune.schemas.context import Feature, reduce_context
from oppertune.streams.client import Source, Status
from oppertune.streams.client.config_follower import ConfigFollower
from oppertune.streams.client.offer import offer_of, plain_offer
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.view import view_of, without_restart

from .conftest import TUNER, arm, record
from .views import view_of_offer

OWN: list[ValueType] = [
    Integer("pool", 10, min=1, max=100, step=3),
    Categorical("mode", "slow", ["slow", "fast"]),
    Real("ratio", 0.5, min=0, max=1, step=0.1),
]
PARAMETERS = Parameters(OWN)
FEATURES = [{"name": "region", "values": ["eu", "us"]}]
SCOPES = {r: reduce_context([Feature(name="region", values=["eu", "us"])], {"region": r}).id for r in ("eu", "us")}

legal = st.fixed_dictionaries({"pool": st.just(13), "mode": st.just("fast"), "ratio": st.just(0.3)})
wild = st.dictionaries(
    st.sampled_from(["pool", "mode", "ratio", "other"]),
    st.integers(-5, 200) | st.floats(-1e9, 1e9) | st.text(max_size=5) | st.sampled_from(["fast", 4, 0.3, 1e99]),
)
values = legal | wild
names = st.sampled_from(["e1", "baseline", "candidate"])
kinds = st.sampled_from(["explore", "candidate", "baseline", "withdrawn", "shadow"])
shares = st.floats(0, 1)
arms = st.lists(
    st.builds(lambda v, n, s, k: arm(values=v, name=n, share=s, kind=k), values, names, shares, kinds), max_size=3
)
pins = st.dictionaries(st.sampled_from(["a", "job-0", "job-1"]), names | st.sampled_from(["incumbent", "e7"]))


def seen(followed, unit="a"):
    """The view of what is followed, each of its requests new."""
    return view_of_offer(offer_of(followed, PARAMETERS), unit)


def check(view):
    for snapshot in [view.own, view.incumbent, *(view.assigned(f"job-{n}") for n in range(5))]:
        assert snapshot.values.keys() == PARAMETERS.declared.keys()
        assert all(p.contains(snapshot[p.name]) for p in OWN)
        request = snapshot.active_request
        if request is not None:
            assert request.terms.arm.kind not in ("withdrawn", "shadow")
            asked = request.terms.arm.values
            assert all(snapshot[name] == value for name, value in asked.items() if name != "other")
            assert all(
                snapshot[name] == declared for name, declared in PARAMETERS.declared.items() if name not in asked
            )


@given(
    shipped=st.dictionaries(
        st.text(max_size=3) | st.just("pool"), st.none() | st.integers() | st.text() | st.lists(st.none())
    )
)
def test_what_was_shipped_or_kept_is_held_to_the_bounds_too(shipped):
    check(view_of(plain_offer(Status.DEFAULT, Source.BOOTSTRAP, PARAMETERS, shipped)))


class Fleet(RuleBasedStateMachine):
    """Records, garbage, deletions, contexts and time, in any order."""

    def __init__(self):
        super().__init__()
        self.follower = ConfigFollower(TUNER)
        self.now = 0.0
        self.version = 0
        self.running = view_of(plain_offer(Status.DEFAULT, Source.DECLARED, PARAMETERS, PARAMETERS.declared))

    @rule(
        tried=arms,
        pinned=pins,
        incumbent=values,
        region=st.sampled_from(["", "eu", "us"]),
        features=st.sampled_from([[], FEATURES]),
        older=st.booleans(),
        live=st.booleans(),
        incarnation=st.integers(0, 3),
    )
    def a_record_comes(self, tried, pinned, incumbent, region, features, older, live, incarnation):
        self.version += 0 if older else 1
        scope = SCOPES.get(region, "")
        more = {"features": features, "scope": scope, "incarnation": incarnation, "pinned": pinned}
        it = record(*tried, incumbent=incumbent, version=self.version, **more)
        self.follower.take(f"{TUNER}/{scope}" if scope else TUNER, orjson.dumps(it), self.now, live=live)

    @rule(garbage=st.binary(max_size=20) | st.sampled_from([b"{}", b'{"v":2}', b"null"]))
    def garbage_comes(self, garbage):
        self.follower.take(TUNER, garbage, self.now, live=True)

    @rule(key=st.sampled_from([TUNER, *(f"{TUNER}/{scope}" for scope in SCOPES.values())]))
    def a_record_is_deleted(self, key):
        self.follower.take(key, None, self.now, live=True)

    @rule(context=st.none() | st.fixed_dictionaries({"region": st.sampled_from(["eu", "us", "mars", 1])}))
    def the_context_changes(self, context):
        self.follower.context = context

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def the_app_restarts(self):
        view = seen(self.follower.current(self.now))
        self.running = without_restart(view, view, ["pool"])
        assert (self.running.own, self.running.awaiting_restart) == (view.own, ())

    @invariant()
    def without_a_restart_no_unit_runs_another_pool(self):
        before, pool = self.running, self.running.own["pool"]
        view = seen(self.follower.current(self.now))
        self.running = now = without_restart(view, before, ["pool", "unknown"])
        check(now)
        units = [now.own, now.incumbent, *(now.assigned(f"job-{n}") for n in range(5))]
        assert {unit["pool"] for unit in units} == {pool}
        assert bool(now.awaiting_restart) == (view.own["pool"] != pool)
        if now.awaiting_restart:
            assert now.own.active_request is None
            assert now.own.values == (view.incumbent if view.incumbent["pool"] == pool else before.own).values

    @invariant()
    def every_unit_runs_legal_values(self):
        followed = self.follower.current(self.now)
        view = seen(followed)
        check(view)
        assert (view.status is Status.STALE) == followed.lapsed
        if followed.lapsed or not followed.arms:
            assert view.requests == []
            assert all(view.assigned(unit) is view.incumbent for unit in ("a", "job-0", "job-1"))
            return
        pinned = {} if followed.record is None else followed.record.pinned
        for unit, name in pinned.items():
            assert view.assigned(unit).arm in (name, None)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
