"""What the client sends is what the fold takes."""

import orjson

from oppertune.core.assignment import choose
from oppertune.core.values import ParameterValue
from oppertune.schemas.keys import values_hash
from oppertune.streams.client.active_request import ActiveRequest
from oppertune.streams.client.config_follower import ConfigFollower
from oppertune.streams.client.event_builder import EventBuilder
from oppertune.streams.client.offer import offer_of
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.recorder import Recorder
from oppertune.streams.client.view import view_of
from world import World, spec

DECLARED: dict[str, ParameterValue] = {"mode": "slow", "pool": 10, "ratio": 0.5}
PARAMETERS = Parameters(DECLARED)


class Instance:
    """A client without Kafka: its parts, and a world to send to."""

    def __init__(self, world, name, parameters=PARAMETERS):
        self.world = world
        self.parameters = parameters
        self.events = EventBuilder("checkout", name, f"boot-{name}", parameters.declared)
        self.follower = ConfigFollower("checkout")
        self.recorder = Recorder()

    def follow(self):
        for key, value in self.world.configs.items():
            self.follower.take(key, value, 0.0, live=True)
        offer = offer_of(self.follower.current(0.0), self.parameters)
        requests = {arm.terms.key: ActiveRequest(arm.terms, self.recorder) for arm in offer.arms if arm.terms}
        for request in requests.values():
            request.activate()
        return view_of(offer, self.events.instance, requests)

    def send(self, *events):
        for event in events:
            self.world.send(event.topic, orjson.loads(event.value))

    def play(self, rewards):
        own = self.follow().own
        for reward in rewards:
            own.record("reward", reward)
        self.recorder.gather()
        self.send(*self.recorder.report_all(self.events))


def started(*instances):
    world = World()
    world.apply(spec(measurement={"interval_s": 1.0, "min_samples": 3 * len(instances), "min_duration_s": 0}))
    world.fold()
    made = [Instance(world, *given) for given in instances]
    for instance in made:
        instance.send(instance.events.presence(None, None))
    world.fold()
    return world, *made


def test_rounds_are_played_from_presence_to_reward():
    world, one, two = started(("one",), ("two",))
    for round_ in range(1, 6):
        for instance in (one, two):
            own = instance.follow().own
            assert own.values == world.config().arms[0].values
            instance.send(instance.events.presence(None, own.request_id))
        world.fold()
        assert world.scope().arms[0].activated_ms is not None
        for instance in (one, two):
            instance.play([0.25, 0.75, 0.5])
        world.fold()
        assert (world.rounds[-1].round, world.rounds[-1].reward) == (round_, 0.5)
    assert world.dispositions("contexts") == {"applied": 12}
    assert world.dispositions() == {"applied": 10}
    assert world.letters == []


def test_what_the_spec_lacks_runs_as_declared_and_is_measured_and_named():
    world, odd = started(("odd", Parameters({**DECLARED, "other": 1})))
    odd.play([0.5] * 5)
    world.fold()
    assert world.dispositions() == {"applied": 1}
    [closed] = world.rounds
    assert closed.not_shared == ["other is not in the spec, it runs as the app declares it: in odd"]


def test_while_one_app_lacks_a_parameter_what_it_runs_is_what_is_credited():
    older = Parameters({name: x for name, x in DECLARED.items() if name != "mode"})
    world, new, old = started(("new",), ("old", older))
    new.play([0.5] * 6)  # a round that began before the other came
    world.fold()
    for _ in range(10):
        arm = world.config().arms[0]
        assert arm.values["mode"] == DECLARED["mode"]
        for instance in (new, old):
            own = instance.follow().own
            assert own.request_id == arm.request_id
            assert own.values == {name: arm.values[name] for name in own.values}
            instance.play([0.5] * 3)
        world.fold()
    assert world.dispositions() == {"applied": 21}
    assert len(world.rounds) == 11
    old.send(old.events.presence(None, None, leaving=True))
    modes = set()
    for _ in range(10):
        new.play([0.5] * 6)
        world.fold()
        modes.add(world.config().arms[0].values["mode"])
    assert modes == {"slow", "fast"}


def test_an_app_that_comes_while_what_it_lacks_is_tried_runs_the_incumbent_and_the_learner_is_told_nothing():
    older = Parameters({name: x for name, x in DECLARED.items() if name != "mode"})
    world, new = started(("new",))
    while world.config().arms[0].values["mode"] == DECLARED["mode"]:
        new.play([0.5] * 3)
        world.fold()
    new.send(new.events.presence(None, None, leaving=True))
    tried, old = world.config().arms[0], Instance(world, "old", older)
    view = old.follow()
    assert (view.own.request_id, view.own.values) == (
        None,
        {n: world.config().incumbent.values[n] for n in older.declared},
    )
    assert view.refusal is not None
    old.send(old.events.presence(None, None, refusal=view.refusal))
    world.fold()
    closed = world.rounds[-1]
    assert (closed.request_id, closed.outcome, closed.told) == (tried.request_id, "skipped", None)
    assert "mode='fast' is of a parameter that this app lacks" in closed.why
    now = world.config().arms[0]
    assert now.request_id != tried.request_id
    assert now.values["mode"] == DECLARED["mode"]


def test_a_goodbye_parks_the_scope():
    world, one = started(("one",))
    one.send(one.events.presence(None, None, leaving=True))
    world.fold()
    assert world.scope().presence == {}


def test_hashes_are_the_processors():
    world, one = started(("one",))
    own = one.follow().own
    assert own.active_request.terms.arm.hash == values_hash(world.config().arms[0].values)
    assert choose([(world.config().arms[0].share, own)], 0.999) is own
