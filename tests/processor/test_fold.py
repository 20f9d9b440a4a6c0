"""What the fold does with each kind of event, one rule a test."""

import math
from typing import Any

import orjson
import pytest

from narrowing import number
from oppertune.core.errors import InvalidState, TopicRecreated, TopicsInvalid
from oppertune.core.state import JsonDict, JsonValue
from oppertune.schemas.keys import values_hash
from oppertune.streams.processor import Partition, Received
from world import SPEC, World, name_on, running, spec


def test_an_applied_tuner_publishes_its_declared_values_until_somebody_is_present():
    world = World()
    world.apply()
    world.fold()
    config = world.config()
    assert config.status == "parked"
    assert config.arms == []
    assert config.incumbent.values == {"mode": "slow", "pool": 10, "ratio": 0.5}


def test_a_present_instance_opens_a_round_whose_arm_is_legal():
    world = running()
    config = world.config()
    assert config.status == "tuning"
    [arm] = config.arms
    assert arm.round == 1
    assert arm.share == 1.0
    assert arm.values["mode"] in {"slow", "fast"}
    assert 1 <= number(arm.values["pool"]) <= 100
    assert arm.hash == values_hash(arm.values)


def test_a_round_closes_when_the_rule_is_met_and_not_before():
    world = running()
    first = world.config().arms[0]
    for _ in range(2):
        world.measured()
    world.fold()
    assert world.rounds == []
    world.measured()
    world.fold()
    [closed] = world.rounds
    assert (closed.outcome, closed.reward, closed.told, closed.values) == ("measured", 0.5, 0.5, first.values)
    assert world.config().arms[0].round == 2


def test_enough_of_the_present_instances_must_have_reported():
    world = running(spec(measurement={**SPEC["measurement"], "min_instance_share": 0.5}))
    for name in "bcd":
        world.here(name)
    for _ in range(5):
        world.measured("a")
    world.fold()
    assert world.rounds == []
    world.measured("b")
    world.fold()
    assert world.rounds[0].instances == 2


def test_the_shortest_duration_is_waited_for_and_then_time_alone_closes_the_round():
    world = running(spec(measurement={**SPEC["measurement"], "min_duration_s": 5.0}))
    for _ in range(3):
        world.measured()
    world.fold()
    world.wait(4.9)
    assert world.rounds == []
    world.wait(0.2)
    assert world.rounds[0].outcome == "measured"


def test_a_numbered_event_counts_once_however_often_it_comes():
    world = running()
    event = world.metric_event()
    for _ in range(5):
        world.send("metrics", event)
    world.fold()
    assert world.dispositions() == {"applied": 1, "duplicate": 4}
    assert world.scope().arms[0].metrics["reward"].count == 1


def test_a_numbered_event_is_still_known_when_newer_ones_came_in_between():
    world = running(spec(measurement={**SPEC["measurement"], "min_samples": 100}))
    events = [world.metric_event() for _ in range(4)]
    for event in (*events, *events[:3]):
        world.send("metrics", event)
    world.fold()
    assert world.dispositions() == {"applied": 4, "duplicate": 3}


def test_an_event_that_is_not_numbered_counts_once_by_its_id():
    world = running()
    event = world.metric_event()
    del event["boot"], event["seq"]
    world.send("metrics", event)
    world.fold()
    world.restore()
    world.send("metrics", event)
    world.send("metrics", {**event, "id": "another"})
    world.fold()
    assert world.dispositions() == {"applied": 2, "duplicate": 1}


def test_a_metric_after_its_round_closed_is_late_and_rounds_says_so():
    world = running()
    late = world.metric_event()
    world.play(1)
    world.send("metrics", late)
    world.fold()
    assert world.dispositions() == {"applied": 3, "late": 1}
    assert (world.rounds[-1].outcome, world.rounds[-1].events) == ("late", 1)


@pytest.mark.parametrize(("after_ms", "disposition"), [(-1, "applied"), (0, "applied"), (1, "late")])
def test_the_deadline_is_judged_by_the_brokers_time_to_the_millisecond(after_ms, disposition):
    world = running(spec(deadlines={"measurement_s": 20.0}))
    world.measured()
    world.fold()
    world.now_ms = world.scope().arms[0].measure_by_ms + after_ms
    world.measured()
    world.fold()
    assert world.dispositions().get(disposition, 0) == (2 if disposition == "applied" else 1)


def test_a_metric_of_other_values_is_refused_and_never_credited():
    world = running()
    world.measured(values_hash="0" * 16)
    world.fold()
    assert world.dispositions() == {"refused": 1}
    assert world.letter_reasons() == ["values_differ"]
    assert world.scope().arms[0].metrics == {}


def test_a_metric_of_a_request_just_begun_is_settling():
    world = running(spec(measurement={**SPEC["measurement"], "settle_s": 2.0}))
    world.measured(active_for_s=1.9)
    world.measured(active_for_s=2.0)
    world.fold()
    assert world.dispositions() == {"settling": 1, "applied": 1}


def test_a_spec_that_learns_otherwise_supersedes_open_rounds():
    world = running()
    world.play(5)
    old = world.metric_event()
    before = world.tuner().incarnation
    world.apply(spec(algorithm={"name": "uniform_random"}))
    world.fold()
    assert world.rounds[-1].outcome == "superseded"
    assert world.tuner().incarnation != before
    assert world.config().arms[0].round == 7, "the instance is still present: the new spec's first round opens at once"
    world.send("metrics", old)
    world.fold()
    assert world.dispositions()["superseded"] == 1


def test_an_unchanged_spec_changes_nothing_but_is_acknowledged():
    world = running()
    world.play(3)
    round_before, incarnation = world.config().arms[0].round, world.tuner().incarnation
    command = world.apply(id="again")
    world.fold()
    assert (world.config().arms[0].round, world.tuner().incarnation) == (round_before, incarnation)
    assert "again" in world.tuner().commands
    world.send("commands", command.value)
    world.fold()
    assert world.dispositions("commands") == {"applied": 2, "duplicate": 1}


def test_deleting_a_tuner_leaves_no_record_behind():
    world = running()
    world.command("delete")
    world.fold()
    assert set(world.state) == {"@offsets", "@commands"}
    assert world.configs == {}
    world.here()
    world.fold()
    assert world.letter_reasons() == ["unknown_tuner"]


def test_a_tuner_deleted_and_applied_in_one_batch_is_a_new_one():
    world = running()
    world.play(2)
    world.command("delete")
    world.apply(id="new")
    world.here()
    world.fold()
    assert world.tuner().commands == ["new"]
    assert world.scope().round == 1


def test_pausing_publishes_the_incumbent_alone_and_resuming_goes_on_learning():
    world = running()
    world.play(3)
    world.command("pause")
    world.fold()
    assert (world.config().status, world.config().arms) == ("paused", [])
    world.command("resume")
    world.fold()
    assert world.config().arms[0].round == 5


def test_a_round_that_nobody_ran_is_skipped_and_not_told():
    world = running(spec(deadlines={"activation_s": 5.0}))
    world.wait(5.0)
    assert world.rounds == []
    world.wait(0.1)
    [closed] = world.rounds
    assert (closed.outcome, closed.told) == ("skipped", None)
    assert world.config().arms[0].round == 2


def test_a_round_that_ran_and_fell_silent_is_told_the_worst_reward_seen():
    world = running(spec(deadlines={"measurement_s": 5.0}))
    world.play(1, 0.9)
    world.play(1, 0.2)
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    world.fall_silent()
    [failed] = [r for r in world.rounds if r.outcome == "failed"]
    assert (failed.told, failed.why) == (0.2, "1 of the 1 instances that ran it fell silent")


NIGHT = spec(deadlines={"measurement_s": 5.0})


@pytest.mark.parametrize("every_s", [2, 10], ids=["often", "less often than the deadline"])
def test_instances_alive_without_anything_to_measure_say_nothing(every_s):
    """A quiet night is no failure: nothing is learned from it, whatever the round played."""
    world = running(NIGHT)
    world.play(2, 0.4)
    for _ in range(60 // every_s):
        world.here(request_id=world.config().arms[0].request_id)
        world.wait(every_s)
    night = world.rounds[2:]
    assert {(r.outcome, r.told, r.reward) for r in night} == {("skipped", None, None)}
    assert {r.why for r in night} == {"inconclusive: instances ran it, did not fall silent, and had nothing to measure"}
    assert world.scope().worst_reward == 0.4


def test_whether_an_instance_lives_is_waited_for_behind_the_deadline():
    world = running(NIGHT)
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    world.wait(9)
    assert world.rounds == [], "its next heartbeat is not due yet: it may be alive or dead"
    world.here()
    world.fold(read_to_end=True)
    assert world.rounds[0].outcome == "skipped"


def test_one_of_several_that_fell_silent_fails_a_round_only_where_too_few_are_left_to_judge_it():
    outcomes = {}
    for share in (0.5, 1.0):
        measurement = {**SPEC["measurement"], "min_instance_share": share}
        world = running(spec(deadlines={"measurement_s": 5.0}, measurement=measurement))
        request = world.config().arms[0].request_id
        for name in "ab":
            world.here(name, request_id=request)
        world.fold()
        for _ in range(8):
            world.here("a")
            world.wait(5)
        outcomes[share] = world.rounds[0].outcome
    assert outcomes == {0.5: "skipped", 1.0: "failed"}


def test_a_goodbye_is_no_silence():
    world = running(NIGHT)
    world.here(request_id=world.config().arms[0].request_id)
    world.here(leaving=True)
    world.fold()
    world.wait(5.1)
    assert (world.rounds[0].outcome, world.rounds[0].told) == ("skipped", None)


def test_a_metric_that_is_never_recorded_is_named():
    world = running(spec(deadlines={"measurement_s": 5.0}, objective={"measured": "latms"}))
    for _ in range(6):
        world.measured(metrics={"lat_ms": 3.0})
        world.wait(1)
    assert [(r.outcome, r.told, r.why) for r in world.rounds] == [
        ("skipped", None, "latms was never recorded; recorded: lat_ms")
    ]


def test_who_fell_silent_under_an_open_round_is_not_forgotten_for_newcomers():
    world = running(spec(max_instances=1, deadlines={"measurement_s": 60.0}))
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    world.fall_silent()
    world.here("b")
    world.fold()
    assert world.dispositions("contexts")["refused"] == 1
    while not world.rounds:
        world.wait(5)
    assert world.rounds[0].outcome == "failed"


def test_a_round_whose_lease_no_worker_renewed_is_skipped_and_not_told():
    """Where no worker renewed it, the fleet went back to the incumbent: that it fell silent says nothing of it."""
    world = running(spec(lease_s=5.0))
    world.play(1, 0.9)
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    measure_by_ms = world.scope().arms[0].measure_by_ms
    assert measure_by_ms is not None
    world.now_ms = measure_by_ms + 1
    world.fold(read_to_end=True)  # the first fold after the outage
    assert (world.rounds[-1].outcome, world.rounds[-1].told) == ("skipped", None)
    assert "lease ran out" in world.rounds[-1].why


def test_before_any_reward_a_silent_round_is_told_the_low_end_of_a_known_range():
    world = running(spec(deadlines={"measurement_s": 5.0}, objective={"range": {"low": 10, "high": 20}}))
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    world.fall_silent()
    assert world.rounds[0].told == 0.0


def test_a_configuration_that_kills_most_instances_is_not_judged_by_the_survivors():
    world = running(spec(deadlines={"measurement_s": 30.0}))
    world.play(1, 0.1)
    request = world.config().arms[0].request_id
    for name in "abcd":
        world.here(name, request_id=request)
    world.fold()
    for _ in range(20):
        world.now_ms += 2000
        world.measured("a", 0.99)
        world.fold(read_to_end=True)
    assert [(r.outcome, r.told) for r in world.rounds if r.request_id == request and r.kind] == [("failed", 0.1)]


def test_without_a_present_instance_the_scope_is_parked():
    world = running()
    world.wait(61)
    assert (world.config().status, world.config().arms) == ("parked", [])
    world.here()
    world.fold()
    assert world.config().status == "tuning"


def test_a_leaving_instance_is_present_no_more():
    world = running()
    world.here(leaving=True)
    world.fold()
    assert world.scope().presence == {}


def test_leases_are_renewed_at_a_third_of_their_length_and_only_then():
    world = running(spec(lease_s=30.0))
    published = world.config().published_ms
    assert not world.wait(9.9)
    effects = world.wait(0.2)
    assert list(effects.configs) == ["checkout"]
    assert world.config().published_ms > published
    assert world.config().version == 2, "a renewal is no new answer"


def test_an_empty_fold_without_effects_changes_nothing():
    world = running()
    before = dict(world.state)
    for _ in range(5):
        assert not world.wait(0.5)
    assert world.state == before


def test_an_outage_expires_nothing_that_was_answered_in_time():
    world = running(spec(deadlines={"measurement_s": 20.0}))
    world.measured()
    world.fold()
    answered = world.now_ms + 1000
    for _ in range(2):
        record = world.measured()
        world.logs["metrics"][-1] = Received("metrics", record.offset, answered, None, record.value)
    world.now_ms += 3_600_000
    metrics_unread = {"commands": world.now_ms, "contexts": world.now_ms}
    world.commit(world.partition.fold([], read_to_end_ms=metrics_unread, log_starts={}))
    assert world.rounds == [], "metrics are not read to their end: time stands"
    world.fold(read_to_end=True)
    assert world.rounds[0].outcome == "measured"


def test_partition_time_never_goes_back():
    world = running()
    world.wait(5)
    world.measured()
    world.fold(read_to_end=True)
    time_ms = world.offsets().time_ms
    world.now_ms -= 3_000
    world.measured()
    world.fold(read_to_end=True)
    assert world.offsets().time_ms >= time_ms


def test_an_event_is_never_before_the_partitions_time():
    """A broker's clock that was put back must not give anybody more time than there is."""
    world = running()
    world.now_ms += 5_000
    world.here()
    world.fold(read_to_end=True)
    began_ms = world.offsets().time_ms
    world.now_ms -= 4_000
    world.here("b")
    world.fold()
    assert world.scope().presence["b"].expires_ms == began_ms + 30_000


def test_contexts_have_learners_of_their_own():
    features = [{"name": "load", "values": ["light", "heavy"]}]
    world = World()
    world.apply(spec(context={"features": features}))
    world.fold()
    world.here("a", context={"load": "light", "ignored": 1})
    world.here("b", context={"load": "heavy"})
    world.fold()
    scopes = sorted(k.partition("/")[2] for k in world.configs if "/" in k)
    assert len(scopes) == 2
    assert world.config().features[0].name == "load", "the tuner's own record tells apps which features count"
    values = {world.config(s).arms[0].hash for s in scopes}
    assert len(values) == 2, "they explore different directions"
    world.play(2, instance="a", scope=scopes[0])
    assert world.scope(scopes[0]).round == 3
    assert world.scope(scopes[1]).round == 1


def test_contexts_can_share_one_learner():
    features = [{"name": "load", "bins": [10.0]}]
    world = World()
    world.apply(spec(context={"features": features, "learner": "shared"}))
    world.fold()
    world.here("a", context={"load": 3})
    world.here("b", context={"load": 30})
    world.fold()
    scopes = sorted(k.partition("/")[2] for k in world.configs if "/" in k)
    for scope in scopes * 2:
        world.play(1, instance="a" if scope == scopes[0] else "b", scope=scope)
    assert all(world.scope(s).learner is None for s in scopes)
    assert world.tuner().learner is not None
    world.restore()
    world.play(1, scope=scopes[0])


def test_an_instance_that_changes_its_context_moves():
    world = World()
    world.apply(spec(context={"features": [{"name": "load", "values": [1, 2]}]}))
    world.fold()
    world.here("a", context={"load": 1})
    world.fold()
    world.here("a", context={"load": 2})
    world.fold()
    present = [list(world.scope(k.partition("/")[2]).presence) for k in world.configs if "/" in k]
    assert sorted(present) == [[], ["a"]]


def test_too_many_contexts_are_refused_and_the_others_go_on():
    world = World()
    world.apply(spec(context={"features": [{"name": "load"}], "max_contexts": 2}))
    for load in range(4):
        world.here(f"i{load}", context={"load": load})
    world.fold()
    assert world.dispositions("contexts") == {"applied": 2, "refused": 2}


def test_a_recreated_topic_is_refused():
    world = World(topic_ids={"metrics": "one"})
    world.apply()
    world.fold()
    with pytest.raises(TopicRecreated, match="topics adopt"):
        Partition.restore(0, 1, world.state, topic_ids={"metrics": "two"})


def test_another_number_of_partitions_is_refused():
    world = running()
    with pytest.raises(TopicsInvalid, match="have 2 partitions, and had 1"):
        Partition.restore(0, 2, world.state, topic_ids={})


def test_a_partitions_own_record_that_cannot_be_read_is_refused():
    with pytest.raises(InvalidState, match="partition 3"):
        Partition.restore(3, 4, {"@offsets": b"{"}, topic_ids={})


def test_gaps_and_lost_records_are_counted_and_stop_nothing():
    world = running()
    for offset in (0, 5, 9):
        record = world.measured()
        world.logs["metrics"].pop()
        world.commit(
            world.partition.fold(
                [Received("metrics", offset, world.now_ms, None, record.value)],
                read_to_end_ms={},
                log_starts={"metrics": 3} if offset == 5 else {},
            )
        )
    source = world.offsets().sources["metrics"]
    assert (source.next, source.gaps, source.lost, source.dispositions) == (10, 5, 2, {"applied": 3})
    assert orjson.loads(world.journal[-2])["folded"]["metrics"]["lost"] == 2


def test_replayed_offsets_are_skipped():
    world = running()
    record = world.measured()
    world.fold()
    before = dict(world.state)
    assert not world.fold([record])
    assert world.state == before


def test_a_weighted_measurement_counts_as_often_as_it_stands_for():
    world = running(spec(objective={"terms": [{"metric": "ms", "aggregate": "mean", "goal": "minimize"}]}))
    world.send("metrics", world.metric_event(metrics={"ms": 10.0}, weight=3))
    world.send("metrics", world.metric_event(metrics={"ms": [2.0]}))
    world.fold()
    assert world.rounds[0].reward == -10.0, "three samples were enough"


def test_a_summary_counts_like_its_measurements():
    world = running(spec(objective={"terms": [{"metric": "ms", "aggregate": "p95", "goal": "minimize", "scale": 10}]}))
    summary = {"count": 3, "sum": 60.0, "sum_sq": 1400.0, "min": 10, "max": 30, "bins": {"116": 1, "150": 1, "171": 1}}
    world.send("metrics", world.metric_event(metrics={"ms": summary}))
    world.fold()
    assert world.rounds[0].reward == pytest.approx(-2.0, abs=1.0)
    assert world.rounds[0].metrics["ms"].mean == 20.0


def test_a_reward_that_is_not_finite_never_reaches_a_learner():
    term = {"metric": "ms", "aggregate": "mean", "goal": "minimize", "log": True}
    world = running(spec(objective={"terms": [term]}))
    for _ in range(3):
        world.send("metrics", world.metric_event(metrics={"ms": 0.0}))
    world.fold()
    assert (world.rounds[0].outcome, world.rounds[0].told) == ("skipped", None)


def test_rewards_are_scaled_to_their_known_range_and_not_cut_there():
    world = running(spec(objective={"range": {"low": 100, "high": 300}}))
    world.play(1, 150)
    world.play(1, 1000)
    world.play(1, 0)
    assert [r.reward for r in world.rounds] == [0.25, 4.5, -0.5]


def test_a_learner_that_needs_rewards_from_0_to_1_learns_from_others_as_from_the_nearest_end():
    def weights(*rewards: float) -> JsonValue:
        world = running(
            spec(
                parameters=[{"name": "policy", "type": "categorical", "val": "lru", "categories": ["lru", "lfu"]}],
                algorithm={"name": "exponential_weights", "args": {"random_seed": 3}},
                objective={"range": {"low": 100, "high": 300}},
            )
        )
        for reward in rewards:
            world.play(1, reward)
        assert [r.told for r in world.rounds] == [(reward - 100) / 200 for reward in rewards]
        state: JsonDict = world.scope().learner or {}
        return state["learner"]

    assert weights(1000, 0) == weights(300, 100) != weights(300, 150)


# -- bad input: one dead letter with its reason, and the next event is handled


def _bad(topic: str, reason: str, value: bytes | dict[str, Any] | None):
    return pytest.param(topic, reason, value, id=f"{topic}-{reason}-{str(value)[:24]}")


@pytest.mark.parametrize(
    ("topic", "reason", "value"),
    [
        _bad("metrics", "empty", b""),
        _bad("metrics", "empty", None),
        _bad("metrics", "not_json", b"{"),
        _bad("metrics", "not_json", b"\xff\xfe"),
        _bad("metrics", "invalid", b"[]"),
        _bad("metrics", "schema_version", b"{}"),
        _bad("metrics", "invalid", b'{"v": 1}'),
        _bad("contexts", "schema_version", {"v": 2, "id": "1", "tuner": "checkout", "instance": "a"}),
        _bad("contexts", "unknown_tuner", {"v": 1, "id": "1", "tuner": "nobody", "instance": "a"}),
        _bad("contexts", "invalid", {"v": 1, "id": "1", "tuner": "No/Body", "instance": "a"}),
        _bad("metrics", "too_large", b'{"v":1,"x":"' + b"x" * 300_000 + b'"}'),
        _bad(
            "commands", "spec_invalid", {"v": 1, "id": "1", "kind": "apply", "tuner": "t", "author": "me", "spec": {}}
        ),
        _bad("commands", "invalid", {"v": 1, "id": "1", "kind": "explode", "tuner": "t", "author": "me"}),
        _bad("commands", "unknown_tuner", {"v": 1, "id": "1", "kind": "pause", "tuner": "t", "author": "me"}),
    ],
)
def test_bad_input_costs_one_dead_letter_and_the_next_event_is_handled(topic, reason, value):
    world = running()
    world.send(topic, value)
    world.measured()
    world.fold()
    assert world.letter_reasons() == [reason]
    assert world.dispositions().get("applied") == 1
    assert all(len(letter.value or b"") <= 64 * 1024 for letter in world.letters)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300])
def test_numbers_out_of_bounds_are_dead_letters(number):
    world = running()
    event = world.metric_event()
    raw = orjson.dumps(event).replace(b'"reward":0.5', f'"reward":{number}'.replace("nan", "NaN").encode())
    raw = raw.replace(b"inf", b"Infinity")
    world.send("metrics", raw)
    world.measured()
    world.fold()
    assert world.letter_reasons() == ["invalid"]
    assert world.dispositions() == {"dead_letter": 1, "applied": 1}


def test_an_unknown_request_id_is_a_dead_letter():
    world = running()
    world.measured(request_id="00000000-0000-0000-0000-000000000000")
    world.measured()
    world.fold()
    assert world.letter_reasons() == ["unknown_request"]


def test_an_event_at_the_size_limit_is_handled():
    world = running()
    event = world.metric_event()
    event["padding"] = ""
    event["padding"] = "x" * (256 * 1024 - len(orjson.dumps(event)))
    world.send("metrics", event)
    event["padding"] += "x"
    world.send("metrics", event)
    world.fold()
    assert world.dispositions() == {"applied": 1, "dead_letter": 1}
    headers = dict(world.letters[0].headers)
    assert headers["reason"] == b"too_large"
    assert len(headers["sha256"]) == 64


def test_an_event_on_the_wrong_partition_is_a_dead_letter():
    name = name_on(1, 4)
    world = World(partitions=4, number=0)
    world.apply({**SPEC, "name": name})
    world.fold()
    assert world.letter_reasons() == ["wrong_partition"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": {"name": "no_such_algorithm"}},
        {"algorithm": {"name": "bluefin"}},
        {"algorithm": {"name": "hybrid_solver", "args": {"surprise": 1}}},
        {"objective": {"function": "not_installed"}},
        {"parameters": [{"name": "pool", "type": "integer", "val": 200, "min": 1, "max": 100}]},
        {"unknown_field": 1},
        {"name": "other"},
    ],
    ids=lambda w: next(iter(w)),
)
def test_a_spec_that_cannot_be_used_is_a_dead_letter_and_the_tuner_stays_as_it_was(wrong):
    world = running()
    before = world.tuner()
    world.command("apply", spec={**SPEC, **wrong}, id="bad-spec")
    world.measured()
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]
    headers = dict(world.letters[0].headers)
    assert headers["event_id"] == b"bad-spec", "whoever applied it can find it"
    assert headers["detail"]
    assert world.tuner() == before
    assert world.dispositions() == {"applied": 1}
