"""All that the fold keeps of what others send has a bound: up to it all is applied, beyond it refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from world import SPEC, World, running, spec

Send = Callable[[World, int], Any]


def _number(n: int) -> dict[str, Any]:
    return {"boot": "1", "seq": n, "id": f"n{n}"}


def producers(world: World, n: int) -> Any:
    return world.measured(boot=f"boot {n}", seq=0)


def ids(world: World, n: int) -> Any:
    return world.measured(boot=None, seq=None, id=f"free {n}")


def metrics(world: World, n: int) -> Any:
    return world.measured(metrics={f"m{n}": 1.0})


def bins(world: World, n: int) -> Any:
    # What an event brings is counted before the next: the one that goes over the bound is still applied.
    return world.measured(metrics={"latency": 10.0 ** (3 * n)})


def instances(world: World, n: int) -> Any:
    return world.here(f"instance {n}")


def contexts(world: World, n: int) -> Any:
    return world.here(f"instance {n}", context={"zone": n})


BOUNDS: list[tuple[str, str | None, Send, dict[str, Any], int]] = [
    # reason, the constant that is the bound, what fills it, the spec, how many are applied where the bound is 3
    ("too_many_producers", "deduplication.MAX_PRODUCERS", producers, {}, 3),
    ("too_many_ids", "deduplication.MAX_SEEN", ids, {}, 3),
    ("too_many_metrics", "request.MAX_METRICS", metrics, {}, 3),
    ("too_many_bins", "request.MAX_BINS", bins, {}, 4),
    ("too_many_instances", None, instances, {"max_instances": 3}, 3),
    ("too_many_contexts", None, contexts, {"context": {"features": [{"name": "zone"}], "max_contexts": 3}}, 3),
]


@pytest.mark.parametrize(("reason", "constant", "send", "changed", "room"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_what_is_beyond_a_bound_is_refused_and_counted(
    reason: str,
    constant: str | None,
    send: Send,
    changed: dict[str, Any],
    room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if constant is not None:
        monkeypatch.setattr(f"oppertune.streams.processor.{constant}", 3)
    long = {**SPEC["measurement"], "min_samples": 1000}
    world = World()
    world.apply(spec(measurement=long, **changed))
    world.fold()
    if constant is not None:
        world.here()
        world.fold()
    records = [send(world, n) for n in range(room + 2)]
    world.fold()
    found = world.dispositions(records[0].topic)
    assert found["applied"] - (0 if records[0].topic == "metrics" else int(constant is not None)) == room
    assert found["refused"] == 2
    assert world.letter_reasons() == [reason] * 2


def test_an_event_too_far_behind_its_producers_newest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell any more whether it was counted."""
    monkeypatch.setattr("oppertune.streams.processor.deduplication.WINDOW", 8)
    world = running(spec(measurement={**SPEC["measurement"], "min_samples": 1000}))
    for n in (20, 13, 12, 21, 13):
        world.measured(**_number(n))
    world.fold()
    assert world.dispositions() == {"applied": 3, "refused": 2}, "13 is the oldest that can be known behind 20"
    assert world.letter_reasons() == ["too_old"] * 2


def test_the_incarnations_by_which_late_metrics_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oppertune.streams.processor.commands.REMEMBERED_INCARNATIONS", 2)
    world = running()
    first = world.metric_event()
    for _ in range(2):
        world.command("reset")
        world.fold()
    world.send("metrics", first)
    world.fold()
    assert world.dispositions() == {"superseded": 1}
    world.command("reset")
    world.fold()
    assert len(world.tuner().earlier) == 2
    world.send("metrics", first)
    world.fold()
    assert world.letter_reasons() == ["unknown_request"]


def test_a_dead_letter_holds_so_much_of_a_key_and_a_value_and_no_more() -> None:
    world = World()
    world.send("metrics", b"x" * 200_000, key=b"k" * 5_000)
    world.fold()
    [letter] = world.letters
    assert letter.value == b"x" * 65_536
    assert letter.key == b"k" * 1_024
