"""A command with the same id counts once, whatever became of its tuner since."""

import orjson
import pytest

from oppertune.core.errors import InvalidState
from oppertune.streams.processor import Partition
from world import World, running, spec


def again(world, command):
    world.send("commands", command.value)
    world.fold()


def test_a_delete_that_comes_again_leaves_the_tuner_that_was_applied_since():
    world = running()
    deleted = world.command("delete")
    applied = world.apply()
    world.fold()
    world.restore()
    again(world, deleted)
    assert world.tuner().commands == [orjson.loads(applied.value or b"")["id"]]
    assert world.dispositions("commands") == {"applied": 3, "duplicate": 1}


def test_an_apply_that_comes_again_does_not_bring_back_what_was_deleted():
    world = World()
    applied = world.apply()
    world.command("delete")
    world.fold()
    again(world, applied)
    assert "checkout" not in world.state
    assert not world.letters


def test_a_command_is_known_behind_many_others_in_one_batch_or_not():
    for batches in (True, False):
        world = running()
        reset = world.command("reset")
        world.fold()
        incarnation = world.tuner().incarnation
        for n in range(40):
            world.command("resume" if n % 2 else "pause")
            if not batches:
                world.fold()
        again(world, reset)
        assert world.tuner().incarnation == incarnation
        assert world.dispositions("commands")["duplicate"] == 1


def test_the_same_id_to_another_tuner_is_another_command():
    world = World()
    for name in ("one", "two"):
        world.apply(spec(name=name), id="apply-1")
    world.fold()
    assert world.dispositions("commands") == {"applied": 2}


def test_what_was_not_carried_out_may_come_again():
    world = World()
    paused = world.command("pause")
    world.apply()
    world.fold()
    again(world, paused)
    assert world.config().status == "paused"
    assert world.letter_reasons() == ["unknown_tuner"]


def test_beyond_the_bound_what_may_be_older_is_refused_and_what_is_new_is_carried_out(monkeypatch):
    monkeypatch.setattr("oppertune.streams.processor.carried_out.MAX_REMEMBERED", 5)
    monkeypatch.setattr("oppertune.streams.processor.carried_out.MAX_FILTERED", 10)
    world = running()
    reset = world.command("reset")
    world.fold()
    incarnation = world.tuner().incarnation
    for n in range(20):
        world.command("resume" if n % 2 else "pause")
        if n % 3 == 0:
            world.fold()
            world.restore()
    again(world, reset)
    assert world.tuner().incarnation == incarnation
    assert world.dispositions("commands") == {"applied": 22, "refused": 1}
    assert world.letter_reasons() == ["too_old"]
    known = orjson.loads(world.state["@commands"])
    assert (len(known["ids"]), known["filtered"], int(known["oldest"], 16) > 0) == (5, 7, True)


def test_batches_make_no_difference_to_what_is_remembered():
    def remembered(size):
        world = World()
        for n in range(6):
            world.apply(spec(name=f"t{n % 2}", heartbeat_s=10.0 + n))
        pending = world.pending()
        while pending:
            world.fold(pending[:size])
            pending = pending[size:]
        return world.state["@commands"]

    assert remembered(1) == remembered(6)


def test_what_tuners_of_0_1_0_know_is_known():
    world = running()
    reset = world.command("reset")
    world.fold()
    del world.state["@commands"]
    world.restore()
    again(world, reset)
    assert world.dispositions("commands") == {"applied": 2, "duplicate": 1}


def test_a_command_that_is_undone_is_not_remembered():
    world = running()
    reset = world.command("reset")
    world.fold(lost=True)
    world.fold()
    assert world.dispositions("commands") == {"applied": 2}
    again(world, reset)
    assert world.dispositions("commands") == {"applied": 2, "duplicate": 1}


def test_a_record_of_commands_that_cannot_be_read_is_refused():
    with pytest.raises(InvalidState, match="partition 3: its commands"):
        Partition.restore(3, 4, {"@commands": b"{"}, topic_ids={})
