"""Parameters as people have them, through the fold: what a spec says of them is what the fleet gets."""

import orjson

from narrowing import number
from world import World, running, spec

PARAMETERS = [
    {"name": "rows", "type": "integer", "val": 100, "min": 1, "max": 1_000_000, "log": True, "restart": True},
    {"name": "rate", "type": "real", "val": 0.1, "min": 1e-4, "max": 1.0, "log": True, "unit": "1/s"},
    {"name": "gzip", "type": "switch", "val": True},
    {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100, "restart": True},
]


def test_the_fleet_gets_legal_values_and_hears_for_which_the_app_must_restart():
    world = running(spec(parameters=PARAMETERS))
    assert world.config().incumbent.values == {"rows": 100, "rate": 0.1, "gzip": "on", "pool": 10}
    assert world.config().restart == ["rows", "pool"]
    seen = []
    for _ in range(20):
        seen.append(world.config().arms[0].values)
        world.play(1, reward=lambda values: 0.5 if values["gzip"] == "on" else 0.4)
    assert {values["gzip"] for values in seen} == {"on", "off"}
    assert all(type(values["rows"]) is int and 1 <= values["rows"] <= 1_000_000 for values in seen)
    assert all(1e-4 <= number(values["rate"]) <= 1 for values in seen)
    assert world.rounds[-1].outcome == "measured"


def test_a_spec_stored_before_there_were_scales_and_restarts_is_the_same_spec():
    world = World()
    given = spec(parameters=[{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}])
    world.apply(given)
    world.fold()
    incarnation = world.tuner().incarnation
    stored = orjson.loads(world.state["checkout"])
    for parameter in stored["spec"]["parameters"]:
        del parameter["log"], parameter["restart"]
    world.state["checkout"] = orjson.dumps(stored)
    world.restore()
    world.apply(given)
    world.fold()
    assert world.tuner().incarnation == incarnation
    world.apply(spec(parameters=[{**given["parameters"][0], "log": True}]))
    world.fold()
    assert world.tuner().incarnation > incarnation
