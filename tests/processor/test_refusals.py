"""An app says that it cannot run a configuration, and why: the round ends with that reason, and the next one opens."""

from world import World, running, spec

NUMBERS = [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}]
WHY = "pool: 80 is above 20"


def tuned(*others: str) -> World:
    world = running(spec(parameters=NUMBERS, algorithm={"name": "auto", "args": {"random_seed": 5}}))
    world.play(3, lambda v: v["pool"] / 100)
    for other in others:
        world.here(other)
    world.fold()
    return world


def refuse(world: World, instance: str = "a") -> None:
    world.here(instance, refused_id=world.config().arms[0].request_id, refused_why=WHY)
    world.fold()


def test_where_all_who_are_here_refuse_it_the_round_ends_at_once_with_the_reason():
    world = tuned("b")
    number = world.config().arms[0].round
    worst = min(closed.reward for closed in world.rounds if closed.reward is not None)
    refuse(world)
    assert world.config().arms[0].round == number, "b may run it"
    refuse(world, "b")
    closed = world.rounds[-1]
    assert (closed.round, closed.outcome) == (number, "skipped")
    assert closed.why == f"refused by a and 1 more: {WHY}"
    assert closed.told == worst
    assert world.config().arms[0].round == number + 1


def test_where_one_runs_it_the_round_goes_on():
    world = tuned("b")
    request = world.config().arms[0].request_id
    world.here("b", request_id=request)
    world.fold()
    refuse(world)
    assert world.config().arms[0].request_id == request
    world.play(1, 0.5, instance="b")
    assert world.rounds[-1].outcome == "measured"


def test_an_app_that_refuses_everything_is_asked_ever_more_slowly():
    world = tuned()
    waited_ms = []
    for _ in range(4):
        number, since_ms = world.config().arms[0].round, world.now_ms
        while world.config().arms[0].round == number:
            refuse(world)
            if world.config().arms[0].round == number:
                world.wait(1)
        waited_ms.append(world.now_ms - since_ms)
    assert waited_ms[0] == 0
    assert [round(waited / 10_000) for waited in waited_ms] == [0, 1, 2, 3]
    assert {closed.why for closed in world.rounds[-4:]} == {f"refused by a: {WHY}"}
    world.play(1, 0.5)
    refuse(world)
    assert world.rounds[-1].why == f"refused by a: {WHY}", "after a round that was measured, at once again"


def test_a_refusal_of_a_round_that_is_over_says_nothing():
    world = tuned()
    over = world.config().arms[0].request_id
    world.play(1, 0.5)
    before = world.config().arms[0].round
    world.here(refused_id=over, refused_why=WHY)
    world.fold()
    assert world.config().arms[0].round == before
    assert world.scope().arms[0].refused is None
