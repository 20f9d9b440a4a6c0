"""Signs of life and goodbyes count once, and belong to their boot."""

import orjson
import pytest

from world import SPEC, World, running, spec


def here(world, seq, boot="1", **more):
    free = {"boot": None, "seq": None} if seq is None else {"boot": boot, "seq": seq}
    record = world.send("contexts", {**world.context_event("i"), "id": f"{boot}-{seq}", **free, **more})
    world.fold()
    return record


def again(world, record):
    world.send(record.topic, record.value)
    world.fold()


@pytest.fixture
def world():
    world = World()
    world.apply(spec(measurement={**SPEC["measurement"], "min_samples": 100}))
    world.fold()
    return world


@pytest.mark.parametrize("restart", [False, True])
def test_a_copy_that_comes_behind_a_goodbye_brings_nobody_back(world, restart):
    first = here(world, 0)
    here(world, 1, leaving=True)
    if restart:
        world.restore()
    again(world, first)
    assert world.scope().presence == {}
    assert world.dispositions("contexts") == {"applied": 2, "duplicate": 1}


def test_a_copy_that_comes_behind_silence_brings_nobody_back(world):
    first = here(world, 0)
    world.wait(61)
    again(world, first)
    world.wait(1)
    assert world.dispositions("contexts") == {"applied": 1, "duplicate": 1}
    assert world.config().status == "parked"


def test_a_copy_is_known_behind_an_applied_spec_with_other_features(world):
    first = here(world, 0, context={"zone": 1})
    here(world, 1, leaving=True)
    world.apply(spec(context={"features": [{"name": "zone"}]}))
    world.fold()
    again(world, first)
    assert world.dispositions("contexts") == {"applied": 2, "duplicate": 1}


def test_an_event_out_of_order_counts_for_what_only_it_said(world):
    here(world, 0)
    here(world, 2)
    late = here(world, 1, request_id=world.config().arms[0].request_id)
    assert world.scope().arms[0].ran == {"i": 0}
    again(world, late)
    assert world.dispositions("contexts") == {"applied": 3, "duplicate": 1}


def test_an_event_out_of_order_undoes_nothing(world):
    here(world, 0)
    here(world, 2, leaving=True)
    here(world, 1)
    assert world.scope().presence == {}
    here(world, 3)
    assert list(world.scope().presence) == ["i"], "the same boot may come back"


def test_ids_of_events_without_numbers_are_known(world):
    first = here(world, None, id="free")
    here(world, None, id="bye", leaving=True)
    again(world, first)
    assert world.scope().presence == {}
    assert world.dispositions("contexts") == {"applied": 2, "duplicate": 1}


def test_the_old_copys_goodbye_does_not_sign_off_the_new_one_of_the_same_name(world):
    here(world, 0, boot="old")
    here(world, 0, boot="new")
    here(world, 1, boot="old")
    here(world, 2, boot="old", leaving=True)
    assert list(world.scope().presence) == ["i"]
    here(world, 1, boot="new", leaving=True)
    assert world.scope().presence == {}


def test_what_was_measured_before_a_goodbye_counts_and_brings_nobody_back(world):
    here(world, 0)
    measured = world.metric_event("i")
    here(world, 1, leaving=True)
    world.send("metrics", measured)
    world.fold()
    assert world.dispositions() == {"applied": 1}
    assert world.scope().presence == {}


def test_a_boot_that_ran_it_and_fell_silent_is_noticed_though_the_next_one_lives():
    """A killer configuration in a container that is started again within seconds, under its name."""
    world = running(spec(deadlines={"measurement_s": 5.0}))
    here(world, 0, boot="killed", request_id=world.config().arms[0].request_id)
    for seq in range(40):
        world.now_ms += 1_000
        here(world, seq, boot="next")
        world.fold(read_to_end=True)
    assert world.rounds[0].outcome == "failed"


def test_what_0_1_0_knew_of_a_boot_is_known(world):
    first = here(world, 4)
    scope = orjson.loads(world.state["checkout/"])
    scope.pop("producers")
    scope["presence"]["i"] |= {"boot": "1", "seq": 4}  # as it was written then
    world.state["checkout/"] = orjson.dumps(scope)
    world.restore()
    again(world, first)
    here(world, 5, leaving=True)
    assert world.scope().presence == {}
    assert world.dispositions("contexts") == {"applied": 2, "duplicate": 1}


def test_boots_are_forgotten_an_hour_after_their_end(world):
    here(world, 0)
    world.wait(3_700)
    here(world, 0, boot="2")
    world.play(34, instance="i")
    assert set(world.scope().producers["i"]) == {"1", "2"}, "its metrics are of boot 1"
    world.wait(3_700)
    here(world, 0, boot="3")
    world.wait(61)
    assert "2" not in world.scope().producers["i"]
    assert world.dispositions("contexts") == {"applied": 3}


def test_the_boots_that_are_remembered_have_a_bound():
    world = World()
    world.apply(spec(max_instances=1))
    world.fold()
    for n in range(6):
        here(world, 0, boot=f"b{n}")
    assert world.dispositions("contexts") == {"applied": 4, "refused": 2}
    assert world.letter_reasons() == ["too_many_producers"] * 2
    world.now_ms += 31_000
    here(world, 0, boot="b6")
    assert len(world.scope().producers["i"]) == 4
    assert world.dispositions("contexts")["applied"] == 5
