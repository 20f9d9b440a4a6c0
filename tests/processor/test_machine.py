"""The fold under any order, duplication, delay, crash and restart, against a model that shares no code with it."""

import itertools
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oppertune.core.types import Context
from oppertune.schemas.keys import OFFSETS_KEY
from oppertune.streams.processor import SOURCES, Received
from world import SPEC, World, running, spec

INSTANCES = ("a", "b", "c")
SAMPLES = 4
SMALL = spec(measurement={**SPEC["measurement"], "min_samples": SAMPLES, "min_instance_share": 0.0}, heartbeat_s=30.0)


def comparable(world: World) -> dict[str, object]:
    """What must be equal however the folding was batched or interrupted: all but the number of transactions."""
    state = {key: orjson.loads(value) for key, value in world.state.items()}
    state[OFFSETS_KEY].pop("transactions")
    return {"state": state, "configs": world.configs}


SHARED = {
    **SMALL,
    "context": {"features": [{"name": "region", "values": ["eu", "us"]}], "learner": "shared"},
    "deadlines": {"activation_s": 20.0, "measurement_s": 20.0},
}
"""Two scopes that learn together, and often end together. The one that is here first has the later key."""
REGIONS = {"a": "eu", "b": "us", "c": "us"}
SCOPES = {region: Context({"region": region}).id for region in ("us", "eu")}


class Interrupted(RuleBasedStateMachine):
    """A world that crashes before and after commits, beside one that folds the same batches undisturbed."""

    spec = SMALL

    def event_of(self, instance: str) -> dict[str, Any]:
        """A heartbeat."""
        return self.live.context_event(instance)

    def scope_of(self, instance: str) -> str:
        """Where an instance is."""
        return ""

    @initialize()
    def begin(self):
        self.live, self.calm = World(), World()
        self.waiting: list[Received] = []
        self.sent: dict[int, float] = {}
        self.rewards = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        here = self.event_of("a")
        for world in (self.live, self.calm):
            world.apply(self.spec)
            world.send("contexts", here)
            world.fold()

    def queue(self, topic, event):
        self.waiting.append(self.live.send(topic, event))

    @rule(instance=st.sampled_from(INSTANCES))
    def heartbeat(self, instance):
        self.queue("contexts", self.event_of(instance))

    @rule(instance=st.sampled_from(INSTANCES), copies=st.integers(1, 3))
    def reward(self, instance, copies):
        scope = self.scope_of(instance)
        if f"checkout/{scope}" not in self.live.state or not self.live.config(scope).arms:
            return
        number = next(self.rewards)
        event = self.live.metric_event(instance, float(number), scope)
        self.events.append(event)
        for _ in range(copies):
            self.queue("metrics", event)

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def again(self, data):
        self.queue("metrics", data.draw(st.sampled_from(self.events)))

    @rule(
        number=st.integers(1, 8),
        seconds=st.sampled_from([0, 0, 1, 40]),
        crash=st.sampled_from(["no", "before", "after"]),
    )
    def deliver(self, number, seconds, crash):
        batch, self.waiting = self.waiting[:number], self.waiting[number:]
        self.live.now_ms += seconds * 1000
        self.calm.now_ms = self.live.now_ms
        ends = {} if self.waiting else dict.fromkeys(SOURCES, self.live.now_ms)
        if crash == "before":
            self.live.partition.fold(batch, read_to_end_ms=ends, log_starts={})
            self.live.restore()
        for world in (self.live, self.calm):
            world.commit(world.partition.fold(batch, read_to_end_ms=ends, log_starts={}))
        if crash == "after":
            self.live.restore()
            replay = self.live.partition.fold(batch, read_to_end_ms=ends, log_starts={})
            assert not replay.rounds, "what was committed is not learned again"
            self.live.commit(replay)

    @invariant()
    def the_interrupted_world_is_where_the_undisturbed_one_is(self):
        if hasattr(self, "live"):
            assert comparable(self.live) == comparable(self.calm)
            assert self.live.rounds == self.calm.rounds

    @invariant()
    def every_consumed_record_has_one_disposition(self):
        if hasattr(self, "live"):
            source = self.live.offsets().sources["metrics"]
            assert sum(source.dispositions.values()) == source.next
            assert source.dispositions.get("applied", 0) <= len(self.events)

    @invariant()
    def each_round_learned_the_mean_of_rewards_that_no_other_round_counted(self):
        if not hasattr(self, "live"):
            return
        by_request: dict[str, list[float]] = {}
        for event in self.events:
            by_request.setdefault(event["request_id"], []).append(event["metrics"]["reward"])
        for closed in self.live.rounds:
            if closed.outcome == "measured":
                counted = closed.metrics["reward"].count
                assert closed.reward is not None
                total = closed.reward * counted
                possible = {sum(some) for some in itertools.combinations(by_request[closed.request_id], counted)}
                assert any(abs(total - p) < 1e-6 for p in possible)


TestInterrupted = Interrupted.TestCase
TestInterrupted.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class InterruptedTogether(Interrupted):
    """The same where two scopes share a learner."""

    spec = SHARED

    def event_of(self, instance: str) -> dict[str, Any]:
        """A heartbeat."""
        return self.live.context_event(instance, context={"region": REGIONS[instance]})

    def scope_of(self, instance: str) -> str:
        """Where an instance is."""
        return SCOPES[REGIONS[instance]]


TestInterruptedTogether = InterruptedTogether.TestCase
TestInterruptedTogether.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("first", ["eu", "us"])
@pytest.mark.parametrize("end", ["deadline", "reset", "pause"])
@pytest.mark.parametrize("algorithm", ["bluefin", "hybrid_solver", "auto", "uniform_random"])
def test_a_restart_makes_no_difference_to_scopes_that_end_together(algorithm, end, first):
    """Their shared learner learns in the order in which they are visited."""

    def ended(*, restart: bool) -> World:
        world = World()
        numbers = [p for p in SPEC["parameters"] if p["type"] != "categorical"]
        world.apply({**SHARED, "parameters": numbers, "algorithm": {"name": algorithm, "args": {"random_seed": 7}}})
        world.fold()
        for region in sorted(REGIONS.values(), key=lambda region: region != first):
            world.here(region, context={"region": region})
            world.fold()
        for region, scope in SCOPES.items():
            world.measured(region, len(region) + ord(region[0]) / 100, scope)
        world.fold()
        if restart:
            # a state topic has each key where it was written first, or last: neither is the order of keys
            world.state = dict(sorted(world.state.items(), reverse=True))
            world.restore()
        if end != "deadline":
            world.command(end)
            world.fold()
            world.command("resume")
        world.wait(21)
        return world

    straight, restarted = ended(restart=False), ended(restart=True)
    assert straight.rounds == restarted.rounds
    assert comparable(straight) == comparable(restarted)


def test_a_restart_makes_no_difference_to_the_order_in_which_tuners_end():
    def ended(*, restart: bool) -> World:
        world = World()
        for name in ("zebra", "ant"):
            world.apply({**SMALL, "name": name, "deadlines": {"activation_s": 20.0}})
            world.here(tuner=name)
        world.fold()
        if restart:
            world.state = dict(sorted(world.state.items()))
            world.restore()
        world.wait(21)
        return world

    assert [r.tuner for r in ended(restart=True).rounds] == [r.tuner for r in ended(restart=False).rounds]


def played(order: list[tuple[int, int]], batches: list[int]) -> World:
    """Three rounds of six rewards each; within its round, each event comes when ``order`` says, often twice."""
    world = World()
    world.apply(spec(measurement={**SPEC["measurement"], "min_samples": 6, "min_instance_share": 0.0}))
    for name in INSTANCES:
        world.here(name)
    world.fold()
    sizes = itertools.cycle(batches)
    for round_ in range(3):
        events = [world.metric_event(INSTANCES[i % 3], round_ + i * 0.1) for i in range(6)]
        for index, copies in order:
            for _ in range(copies):
                world.send("metrics", events[index])
        pending = world.pending()
        while pending:
            size = next(sizes)
            world.fold(pending[:size])
            pending = pending[size:]
    return world


ORDERS = st.permutations(range(6)).flatmap(
    lambda order: st.lists(st.integers(1, 3), min_size=6, max_size=6).map(
        lambda copies: list(zip(order, copies, strict=True))
    )
)


@given(order=ORDERS, batches=st.lists(st.integers(1, 9), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_order_duplication_and_batching_of_a_rounds_rewards_teaches_the_same(order, batches):
    straight = played([(i, 1) for i in range(6)], [1])
    mixed = played(order, batches)
    assert mixed.scope().learner == straight.scope().learner
    assert [r.reward for r in mixed.rounds if r.outcome == "measured"] == [r.reward for r in straight.rounds]
    assert mixed.config().arms == straight.config().arms
    assert mixed.dispositions()["applied"] == 18


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_a_round_under_way_is_the_same_state_in_whatever_order_its_measurements_came(rewards, random):
    def measured(order) -> object:
        world = running(spec(measurement={**SPEC["measurement"], "min_samples": 1000}))
        events = [world.metric_event(reward=reward) for reward in rewards]
        for n in order:
            world.send("metrics", events[n])
        world.fold()
        return orjson.loads(world.state["checkout/"])

    straight = list(range(len(rewards)))
    mixed = straight.copy()
    random.shuffle(mixed)
    assert measured(mixed) == measured(straight)


@given(
    script=st.lists(
        st.one_of(
            st.tuples(st.just("here"), st.sampled_from(INSTANCES)),
            st.tuples(st.just("reward"), st.sampled_from(INSTANCES)),
        ),
        min_size=1,
        max_size=40,
    ),
    batches=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    crashes=st.sets(st.integers(0, 40)),
)
@settings(max_examples=80, deadline=None)
def test_batches_and_crashes_make_no_difference(script, batches, crashes):
    """After a crash a consumer reads other batches than before it: the state and the dispositions are the same."""
    one = World()
    one.apply(SMALL)
    one.here("a")
    one.fold()
    log: list[Received] = []
    for kind, instance in script:
        record = one.here(instance) if kind == "here" else one.measured(instance, 0.25)
        log.append(record)
        one.fold([record])
    many = World()
    many.apply(SMALL)
    many.here("a")
    many.fold()
    rest, sizes, step = log, itertools.cycle(batches), 0
    while rest:
        size = next(sizes)
        if step in crashes:
            many.fold(rest[:size], lost=True)
            size = next(sizes)
        many.fold(rest[:size])
        rest, step = rest[size:], step + 1
    assert comparable(many) == comparable(one)
    closed = [[r for r in w.rounds if r.outcome == "measured"] for w in (one, many)]
    assert closed[0] == closed[1]
    assert Counter(many.dispositions()) == Counter(one.dispositions())
