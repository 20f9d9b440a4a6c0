"""Every number that comes in, in whatever field, is bounded where it comes in: a wild one costs its event at most."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from oppertune.streams.processor import request
from world import SPEC, World, running, spec

WILD = [
    b"1" + b"0" * 400,
    b"-1" + b"0" * 400,
    b"1" + b"0" * 99,
    b"9223372036854775807",
    b"-9223372036854775808",
    b"1000000",
    b"1e400",
    b"1e308",
    b"1e100",
    b"-1e100",
    b"5e-324",
    b"-0.0",
    b"NaN",
]
"""As raw JSON, so that nothing here rounds or refuses them."""

FULL: dict[str, Any] = {
    **SPEC,
    "parameters": [
        *SPEC["parameters"],
        {"name": "grid", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0, "step": 0.25},
        {"name": "steps", "type": "integer", "val": 5, "min": 1, "max": 9, "step": 4},
        {"name": "log", "type": "real", "val": 0.5, "min": 0.1, "max": 1.0, "log": True},
    ],
    "algorithm": {"name": "auto", "args": {"random_seed": 7}},
    "context": {
        "features": [{"name": "load", "bins": [10, 100.5]}, {"name": "zone", "values": [1, 2.5]}, {"name": "any"}],
        "max_contexts": 10,
        "learner": "shared",
    },
    "objective": {
        "terms": [
            {"metric": "lat", "aggregate": "p95", "goal": "minimize", "weight": 1.0, "scale": 100.0},
            {"metric": "lat", "aggregate": "std", "goal": "minimize", "log": True},
        ],
        "range": {"low": -5.0, "high": 5.0},
    },
    "measurement": {"interval_s": 1.0, "min_samples": 3, "min_instance_share": 0.5, "min_duration_s": 0.0},
    "deadlines": {"activation_s": 60.0, "measurement_s": 60.0},
    "rollout": {"turns": 3, "every": 30, "enabled": True},
    "target": {"reward": 0.9, "rounds": 3},
    "lease_s": 30.0,
    "max_instances": 100,
}
CONTEXT = {"load": 50, "zone": 1, "any": 3}
SUMMARY = {"count": 4, "sum": 10.0, "sum_sq": 30.0, "min": 1.0, "max": 4.0, "bins": {"35": 3}, "zeros": 1}


def numbers(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a record its numbers are."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from numbers(value, (*path, key))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path


def with_number(data: dict[str, Any], path: tuple[Any, ...], raw: bytes) -> bytes:
    copy = orjson.loads(orjson.dumps(data))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = "@"
    return orjson.dumps(copy).replace(b'"@"', raw)


def tuning() -> tuple[World, str]:
    """A world with an open round, and its scope."""
    world = World()
    world.apply(FULL)
    world.here(context=CONTEXT)
    world.fold()
    [scope] = [key.split("/")[1] for key in world.configs if "/" in key]
    return world, scope


def goes_on(world: World) -> bool:
    """Nothing stands still, and what was stored can be read again."""
    world.restore()
    return not world.partition.statistics().suspended


def play(world: World, scope: str) -> None:
    """Two rounds, and what their lease and deadlines bring."""
    for _ in range(2):
        world.here("b", context=CONTEXT)
        world.fold()
        for value in (1.0, 2.0, 3.0):
            if world.config(scope).arms:
                world.measured("b", scope=scope, metrics={"lat": value})
        world.wait(2)


@pytest.mark.parametrize("raw", WILD, ids=[raw.decode()[:10] + str(len(raw)) for raw in WILD])
def test_a_wild_number_in_any_field_of_a_context_or_metric_event_costs_that_event_at_most(raw: bytes) -> None:
    world, scope = tuning()
    here = world.context_event("a", context=CONTEXT, ttl_s=5.0)
    for path in numbers(here):
        world.send("contexts", with_number(here, path, raw))
    for metrics in ({"lat": 1.5}, {"lat": [1.5, 2.5]}, {"lat": SUMMARY}):
        measured = world.metric_event("a", scope=scope, metrics=metrics, weight=2)
        for path in numbers(measured):
            world.send("metrics", with_number(measured, path, raw))
    world.fold()
    play(world, scope)
    assert goes_on(world)
    assert world.scope(scope).round > 1


@pytest.mark.parametrize("raw", WILD, ids=[raw.decode()[:10] + str(len(raw)) for raw in WILD])
def test_a_wild_number_in_any_field_of_a_spec_is_refused_or_can_be_worked_with(raw: bytes) -> None:
    for path in numbers(FULL):
        world = World()
        command = {"v": 1, "id": "c", "kind": "apply", "tuner": "checkout", "author": "test", "spec": FULL}
        world.send("commands", with_number(command, ("spec", *path), raw))
        world.here(context=CONTEXT)
        world.fold()
        for scope in [key.split("/")[1] for key in world.configs if "/" in key]:
            play(world, scope)
        assert goes_on(world), path


@pytest.mark.parametrize("raw", [b"1" + b"0" * 400, b"1e400", b'[{"deep": -1e101}]'])
def test_a_wild_number_among_an_algorithms_arguments_is_refused(raw: bytes) -> None:
    world = World()
    command = {"v": 1, "id": "c", "kind": "apply", "tuner": "checkout", "author": "test", "spec": FULL}
    world.send("commands", with_number(command, ("spec", "algorithm", "args", "random_seed"), raw))
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]
    assert b"algorithm.args: a number is not finite" in dict(world.letters[0].headers)["detail"]


def test_measurements_of_a_round_are_as_many_as_its_record_can_count() -> None:
    world = running(spec(measurement={**SPEC["measurement"], "min_duration_s": 10}))
    most = {**SUMMARY, "count": 10**12, "bins": {"35": 10**12 - 1}}
    for weight in (9_000, 9_000, 10**6):
        world.measured(metrics={"reward": most}, weight=weight)
    world.fold()
    assert world.letter_reasons() == ["too_many_samples"] * 2
    world.wait(11)
    assert goes_on(world)
    assert world.rounds[-1].metrics["reward"].count == 9 * 10**15


def test_numbers_that_cannot_be_computed_with_are_the_events_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    world, scope = tuning()
    measure = request.measure

    def explode(*args: Any) -> None:
        measure(*args)
        if args[2].id == "bad":
            raise OverflowError("too large")

    monkeypatch.setattr(request, "measure", explode)
    for name in ("good", "bad", "better"):
        world.measured("a", scope=scope, metrics={"lat": 1.0}, id=name)
    world.fold()
    assert world.dispositions() == {"applied": 2, "dead_letter": 1}
    assert world.letter_reasons() == ["arithmetic"]
    assert goes_on(world)
    [arm] = world.scope(scope).arms
    assert arm.events == 2, "nothing of the bad one stayed"


def test_a_lease_of_three_very_long_heartbeats_can_be_told() -> None:
    world = World()
    world.apply(spec(heartbeat_s=30 * 86_400.0))
    world.fold()
    assert world.config().lease_s == 31 * 86_400
