"""A configuration that instances do not run, though they are here: the learner turns away from it."""

from itertools import groupby

import pytest

from world import World, running, spec

NUMBERS = [
    {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
    {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
]


def tuned(algorithm: str, **changes: object) -> World:
    return running(spec(parameters=NUMBERS, algorithm={"name": algorithm, "args": {"random_seed": 5}}, **changes))


def not_run(world: World, *, here: bool = True) -> None:
    """Let an open round's time to be run pass."""
    closed = len(world.rounds)
    while len(world.rounds) == closed:
        if here:
            world.here()
            world.fold()
        world.wait(5)


def play(world: World, rounds: int, most: int) -> list[tuple[tuple[object, ...], bool]]:
    """Play rounds with an app whose pool is at most so large; what was proposed, and whether it was refused."""
    proposed: list[tuple[tuple[object, ...], bool]] = []
    for _ in range(rounds):
        values = world.config().arms[0].values
        refused = float(values["pool"]) > most
        proposed.append((tuple(values.values()), refused))
        if refused:
            not_run(world)
        else:
            world.play(1, lambda v: -abs(v["pool"] - 15) / 100 - abs(v["ratio"] - 0.3))
    return proposed


@pytest.mark.parametrize("algorithm", ["bluefin", "hybrid_solver", "auto"])
def test_a_learner_turns_away_from_what_the_app_does_not_run(algorithm):
    world = tuned(algorithm)
    proposed = play(world, 60, 20)
    refused = [values for values, bad in proposed if bad]
    assert refused, "nothing was refused: the test would show nothing"
    assert max(len(list(run)) for (_, bad), run in groupby(proposed) if bad) <= 3
    assert sum(bad for _, bad in proposed[30:]) <= 15
    closed = next(r for r in world.rounds if r.outcome == "skipped")
    assert closed.why == "refused: 1 instances are here, and none ran it in time"


def test_what_is_refused_before_any_reward_is_followed_by_what_runs_anyway():
    world = tuned("bluefin")
    assert world.config().arms[0].values["pool"] != 10
    not_run(world)
    assert world.config().arms[0].kind == "baseline"
    assert world.config().arms[0].values == {"pool": 10, "ratio": 0.5}
    world.play(1, 0.25)
    assert world.config().arms[0].kind == "explore"


def test_most_learners_are_told_the_worst_reward_seen():
    world = tuned("auto")
    world.play(5, lambda v: v["ratio"])
    worst = min(closed.reward for closed in world.rounds if closed.reward is not None)
    not_run(world)
    assert (world.rounds[-1].outcome, world.rounds[-1].reward) == ("skipped", None)
    assert world.rounds[-1].told == worst
    assert world.scope().worst_reward == worst


def test_where_nobody_is_here_nothing_is_learned():
    world = tuned("auto")
    world.play(5, lambda v: v["ratio"])
    not_run(world, here=False)
    assert world.rounds[-1].why == "no instance ran it in time"
    assert world.rounds[-1].told is None


def test_a_recommendation_that_is_refused_is_rejected():
    world = tuned("auto", rollout={"enabled": True, "every": 3, "turns": 2})
    while world.config().arms[0].kind != "candidate":
        world.play(1, lambda v: v["ratio"])
    not_run(world)
    assert world.rounds[-1].kind == "candidate"
    assert world.scope().rollout is None
    assert world.config().arms[0].kind == "explore"
