"""The sums of a partition: a fold whose accounts do not balance is never written."""

import pytest

from oppertune.core.errors import AccountsDoNotBalance
from oppertune.schemas import JournalRecord
from oppertune.streams.processor import Unreadable, isolation
from world import World, running


def test_a_record_that_got_no_disposition_stops_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    world = running()
    world.measured()
    monkeypatch.setattr(isolation.IsolatedTuner, "_take_all", lambda *_: None)  # a fault of ours: it is forgotten
    with pytest.raises(AccountsDoNotBalance, match="metrics-0: began at 0, counted 0, applied to 1"):
        world.fold()


def test_what_cannot_be_read_is_lost_and_the_sums_add_up() -> None:
    world = running()
    for number in range(6):
        if number in {1, 2, 4}:
            world.send("metrics", Unreadable(b"its checksum is wrong"))
        else:
            world.measured("a", float(number))
    world.fold()
    metrics = world.offsets().sources["metrics"]
    assert (metrics.next, metrics.lost, metrics.gaps, dict(metrics.dispositions)) == (6, 3, 0, {"applied": 3})
    assert world.letters == []
    folded = JournalRecord.from_bytes(world.journal[-1]).folded["metrics"]
    assert (folded.lost, folded.unreadable) == (3, [(1, 3), (4, 5)])
    assert world.partition.statistics().lost == 3
    assert world.replayed().state == world.state


def test_nothing_but_what_cannot_be_read_moves_on_too() -> None:
    world = World()
    world.send("contexts", Unreadable(b"why"))
    world.fold()
    world.restore()
    contexts = world.offsets().sources["contexts"]
    assert (contexts.next, contexts.lost, contexts.time_ms) == (1, 1, world.now_ms)
    assert world.partition.next_offsets()["contexts"] == 1
    assert world.pending() == []
