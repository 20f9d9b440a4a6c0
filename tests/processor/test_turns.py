"""Few instances: what is recommended is played in turn with the incumbent, and a target ends tuning."""

from world import SPEC, World, running, spec

CONFIRMED = spec(
    rollout={"turns": 2, "every": 6},
    algorithm={"name": "exponential_weights", "args": {"random_seed": 1}},
    parameters=[SPEC["parameters"][0]],
)


def better_fast(values: dict[str, object]) -> float:
    return 0.9 if values["mode"] == "fast" else 0.1


def kinds(world: World) -> list[str | None]:
    return [r.kind for r in world.rounds]


def test_after_enough_exploring_the_recommendation_and_the_incumbent_are_played_in_turn():
    world = running(CONFIRMED)
    world.play(8, better_fast)
    assert kinds(world) == ["explore"] * 4 + ["candidate", "baseline", "baseline", "candidate"]


def test_a_recommendation_found_better_becomes_the_incumbent():
    world = running(CONFIRMED)
    world.play(7, better_fast)
    assert world.config().incumbent.values == {"mode": "slow"}
    world.play(1, better_fast)
    assert world.config().incumbent.values == {"mode": "fast"}
    assert world.rounds[-1].incumbent
    assert world.scope().incumbent.reward == 0.9


def test_a_recommendation_that_is_not_better_does_not():
    world = running(CONFIRMED)
    world.play(4, better_fast)
    world.play(4, 0.5)
    assert world.config().incumbent.values == {"mode": "slow"}, "equal is not better"


def test_turns_are_not_told_to_a_learner_that_did_not_ask():
    world = running(CONFIRMED)
    world.play(8, better_fast)
    assert [r.told is not None for r in world.rounds] == [True] * 4 + [False] * 4


SILENCE = {**CONFIRMED, "deadlines": {"measurement_s": 5.0}}


def fall_silent(world):
    """The open round runs, and nothing more is heard of it: a killer configuration, or a broker that is away."""
    world.here(request_id=world.config().arms[0].request_id)
    world.fold()
    world.fall_silent()
    world.here()
    world.fold()


def test_a_recommendation_that_kills_its_instances_is_rejected_at_once():
    world = running(SILENCE)
    world.play(4, better_fast)
    assert world.config().arms[0].kind == "candidate"
    fall_silent(world)
    assert kinds(world) == ["explore"] * 4 + ["candidate"]
    world.play(6, 0.5)
    assert world.config().incumbent.values == {"mode": "slow"}


def test_a_recommendation_that_had_nothing_to_measure_is_played_again():
    world = running(SILENCE)
    world.play(4, better_fast)
    for _ in range(10):
        world.here(request_id=world.config().arms[0].request_id)
        world.wait(3)
    assert {(r.kind, r.outcome) for r in world.rounds[4:]} == {("candidate", "skipped")}
    world.play(4, better_fast)
    assert world.config().incumbent.values == {"mode": "fast"}


def test_silence_rejects_a_recommendation_even_where_the_worst_reward_stands_in_for_it():
    world = running(SILENCE)
    world.play(4, better_fast)
    assert world.scope().worst_reward is not None
    fall_silent(world)
    assert world.rounds[-1].outcome == "failed"
    assert world.scope().rollout is None
    assert world.config().incumbent.values == {"mode": "slow"}


def test_silence_does_not_count_against_the_incumbent():
    """Seen on a real Kafka: a broker's pause in a round of the incumbent made a worse configuration win."""
    world = running(SILENCE)
    world.play(4, better_fast)
    silent = 0
    while (rolling := world.scope().rollout) is not None:
        if world.config().arms[0].kind == "baseline" and len(rolling.incumbent_rewards) == 1 and not silent:
            fall_silent(world)
            assert world.rounds[-1].outcome == "failed"
            silent += 1
        else:
            world.play(1, 0.5 if world.config().arms[0].kind == "baseline" else 0.4)
    assert silent
    assert world.config().incumbent.values == {"mode": "slow"}
    assert world.scope().incumbent.reward == 0.5


def test_the_block_goes_on_where_it_stood_after_a_restart():
    world = running(CONFIRMED)
    for _ in range(8):
        world.play(1, better_fast)
        world.restore()
    assert world.config().incumbent.values == {"mode": "fast"}


def test_a_target_reached_by_the_incumbent_ends_tuning_and_measuring_goes_on():
    world = running({**CONFIRMED, "target": {"reward": 0.8, "rounds": 2}})
    world.play(12, better_fast)
    assert world.config().status == "achieved"
    assert world.config().arms[0].values == {"mode": "fast"}
    before = len(world.rounds)
    world.play(3, better_fast)
    assert kinds(world)[before:] == ["baseline"] * 3


def test_a_target_lost_again_resumes_tuning_where_the_spec_allows_it():
    for resume, status in ((True, "tuning"), (False, "achieved")):
        world = running({**CONFIRMED, "target": {"reward": 0.8, "rounds": 2, "resume": resume}})
        world.play(12, better_fast)
        world.play(1, 0.1)
        assert world.config().status == "achieved", "once is not enough"
        world.play(1, 0.1)
        assert world.config().status == status


def test_after_a_promising_run_of_exploration_a_roll_out_begins_before_its_turn():
    world = running({**CONFIRMED, "rollout": {"turns": 2, "every": 1000}, "target": {"reward": 0.8, "rounds": 3}})
    world.play(60, better_fast)
    assert world.config().status == "achieved"
