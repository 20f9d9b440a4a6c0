"""Arms side by side: dealt out by count, compared while they run, withdrawn, rewarded, rolled out in stages."""

from math import log
from typing import Any

import pytest

from oppertune.schemas import ScopeState
from side_by_side import Fleet
from world import World, spec

POOL = {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}
MODE = {"name": "mode", "type": "categorical", "val": "slow", "categories": ["slow", "fast"]}
TUNED = spec(
    parameters=[POOL, MODE],
    algorithm={"name": "auto", "args": {"random_seed": 3}},
    objective={"terms": [{"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "log": True}]},
    measurement={"interval_s": 1.0, "min_samples": 30},
    rollout={"min_s": 3, "max_s": 12},
)


def usual(values: Any) -> float:
    """Best at pool 60 and fast: 5.4 times as fast as declared."""
    pool: int = values["pool"]
    return 10 * (0.5 + abs(pool - 60) / 50) * (0.5 if values["mode"] == "fast" else 1.0)


def begun(size: int, latency: Any = usual, **changes: Any) -> Fleet:
    """A fleet that was heard of, and whose tuner has begun to compare."""
    world = World()
    world.apply({**TUNED, **changes})
    world.fold()
    fleet = Fleet(world, size, latency)
    fleet.here()
    fleet.here()
    while {arm.kind for arm in world.config().arms} != {"explore", "baseline"} or world.scope().schedule != "beside":
        fleet.interval()
    return fleet


def kinds(fleet: Fleet) -> dict[str, int]:
    found: dict[str, int] = {}
    for arm in fleet.arms().values():
        kind = arm.kind if arm is not None else ""
        found[kind] = found.get(kind, 0) + 1
    return found


@pytest.mark.parametrize(("size", "arms", "each"), [(4, 1, 1), (19, 1, 1), (20, 2, 1), (40, 4, 1), (60, 4, 1)])
def test_a_tenth_of_the_instances_tries_something_in_up_to_four_arms_and_the_others_run_the_incumbent(size, arms, each):
    fleet = begun(size)
    count = fleet.count()
    assert {name: n for name, n in count.items() if name != "baseline"} == {f"e{i + 1}": each for i in range(arms)}
    assert count["baseline"] == size - arms * each


@pytest.mark.parametrize("changes", [{"explore": {"share": 1.0}}, {}])
def test_few_instances_or_all_at_once_run_one_configuration_after_the_other(changes):
    world = World()
    world.apply({**TUNED, **changes})
    world.fold()
    fleet = Fleet(world, 20 if changes else 3, usual)
    fleet.here()
    fleet.here()
    for _ in range(8):
        fleet.interval()
        assert len(world.config().arms) == 1
        assert world.scope().schedule == "turns"


def test_the_incumbent_alone_is_measured_first_so_that_each_instance_has_a_history():
    world = World()
    world.apply(TUNED)
    world.fold()
    fleet = Fleet(world, 20, usual)
    fleet.here()
    fleet.here()
    fleet.play(12)
    first = [r for r in world.rounds if r.schedule == "beside" and r.kind is not None][:2]
    assert [(r.kind, r.outcome, r.units) for r in first] == [("baseline", "measured", 20)] * 2
    assert world.scope().reference == first[1].reward


def test_each_round_deals_anew_who_tries_something():
    fleet = begun(20)
    tried = set()
    for _ in range(60):
        fleet.interval()
        tried |= {name for name, arm in fleet.ran[-1].items() if arm.startswith("e")}
    assert len(tried) > 10


def test_a_learner_is_told_how_much_better_an_arm_was_than_the_baseline_whatever_the_load():
    """The load doubles from one round to the next: absolute rewards would say that all became worse."""
    load = [1.0]
    fleet = begun(40, lambda values: usual(values) * load[0])
    world = fleet.world
    before = len(world.rounds)
    for n in range(30):
        load[0] = 2.0 if n % 7 > 3 else 1.0
        fleet.interval()
    scope, told = world.scope(), [r for r in world.rounds[before:] if r.kind == "explore" and r.outcome == "measured"]
    assert len(told) > 10
    assert scope.reference is not None
    for r in told:
        assert r.relative is not None
        assert r.told == pytest.approx(scope.reference + r.relative.theta, abs=1e-9)
        truth = log(usual({"pool": 10, "mode": "slow"}) / usual(r.values))
        assert r.relative.theta == pytest.approx(truth, abs=0.45), r.values


def test_an_arm_twice_as_slow_is_withdrawn_before_its_round_is_over_and_its_piece_stays():
    fleet = begun(40, lambda values: 10.0 if values["pool"] == 10 else 25.0)
    world = fleet.world
    before = {name: arm.arm for name, arm in fleet.arms().items() if arm is not None}
    seen = []
    while "broken" not in {r.outcome for r in world.rounds}:
        fleet.interval()
        seen.append(kinds(fleet))
    broken = [r for r in world.rounds if r.outcome == "broken"]
    assert "p95 of latency_ms" in broken[0].why
    assert "the baseline's" in broken[0].why
    assert broken[0].closed_ms - (broken[0].activated_ms or 0) <= 2_200, "two intervals, and what a look takes"
    reference = world.scope().reference
    assert broken[0].told is not None
    assert reference is not None
    assert broken[0].told < reference
    if any(arm.kind == "withdrawn" for arm in world.config().arms):
        now = {name: arm.arm for name, arm in fleet.arms().items() if arm is not None}
        assert now == before, "nobody else is moved"
        gone = next(arm for arm in world.config().arms if arm.kind == "withdrawn")
        assert gone.values == world.config().incumbent.values


def test_equal_arms_are_not_withdrawn():
    fleet = begun(40, lambda _: 10.0)
    fleet.play(60)
    assert {r.outcome for r in fleet.world.rounds if r.kind == "explore"} == {"measured"}


def test_an_arm_whose_instances_die_is_withdrawn_and_the_learner_told_the_worst():
    fleet = begun(40)
    world = fleet.world
    boots = dict.fromkeys(fleet.names, 1)

    def crash() -> None:
        for name, arm in fleet.arms().items():
            if arm is not None and arm.kind == "explore":
                boots[name] += 1
                world.here(name, boot=str(boots[name]), seq=0)
        world.now_ms += 400
        world.fold(read_to_end=True)

    for _ in range(6):
        crash()
    broken = [r for r in world.rounds if r.outcome == "broken"]
    assert broken, "three losses are beyond chance"
    assert "units lost" in broken[0].why
    assert broken[0].told == world.scope().worst_reward


def test_a_goodbye_is_no_loss():
    fleet = begun(40)
    world = fleet.world
    for _ in range(3):
        for name, arm in fleet.arms().items():
            if arm is not None and arm.kind == "explore":
                world.here(name, leaving=True)
        fleet.world.now_ms += 1100
        world.fold(read_to_end=True)
    assert "broken" not in {r.outcome for r in world.rounds}


def promoted(fleet: Fleet, most: int = 400) -> ScopeState:
    for _ in range(most):
        if any(r.incumbent for r in fleet.world.rounds):
            return fleet.world.scope()
        fleet.interval()
    raise AssertionError("nothing was promoted")


def test_what_is_better_rolls_out_in_stages_of_exact_counts_and_nobody_moves_back():
    fleet = begun(40)
    world = fleet.world
    on: set[str] = set()
    number, counts = 0, list[int]()
    for _ in range(300):
        fleet.interval()
        rolling = world.scope().rollout
        if rolling is None:
            if any(r.incumbent for r in world.rounds):
                break
            on, counts = set(), []
            continue
        if rolling.number != number:
            number, on, counts = rolling.number, set(), []
        now = {name for name, arm in fleet.arms().items() if arm is not None and arm.kind == "candidate"}
        assert on <= now, "nobody moves back"
        on = now
        counts.append(len(now))
    assert sorted(set(counts)) == [2, 10, 38]
    assert counts == sorted(counts)
    scope = world.scope()
    assert scope.incumbent.confirmed
    version = scope.versions[-1]
    assert (version.by, version.values) == ("learner", scope.incumbent.values)
    assert version.gain is not None
    assert version.gain > 0.3
    assert scope.gain == version.gain


def test_after_a_promotion_an_unchanged_configuration_is_told_the_same_as_before():
    fleet = begun(100)
    scope = promoted(fleet)
    fleet.play(12)
    after = [r for r in fleet.world.rounds if r.kind == "explore" and r.closed_ms > scope.published_ms]
    assert after
    for r in after:
        truth = (scope.reference or 0) + log(usual({"pool": 10, "mode": "slow"}) / usual(r.values))
        assert r.told == pytest.approx(truth, abs=0.45)


def test_a_candidate_that_breaks_is_rejected_and_everybody_runs_the_incumbent():
    slow = [False]
    fleet = begun(40, lambda values: usual(values) * (30 if slow[0] and values["pool"] != 10 else 1))
    world = fleet.world
    while (rolling := world.scope().rollout) is None or rolling.stage < 1:
        fleet.interval()
    slow[0] = True
    fleet.play(3)
    broken = [r for r in world.rounds if r.kind == "candidate" and r.outcome == "broken"]
    assert len(broken) == 1
    assert world.scope().rollout is None
    assert world.scope().rejected[rolling.hash] > 0
    assert not world.scope().incumbent.confirmed


def test_a_stage_is_never_passed_by_time_and_begins_again_when_no_worker_kept_it_up():
    fleet = begun(40)
    world = fleet.world
    while world.scope().rollout is None:
        fleet.interval()
    before = world.scope().rollout
    assert before is not None
    world.now_ms += 120_000  # four leases: the fleet is back on the incumbent by itself
    fleet.here()
    world.fold(read_to_end=True)
    rolling = world.scope().rollout
    assert rolling is not None
    assert (rolling.number, rolling.stage, rolling.reopened) == (before.number, before.stage, 1)
    assert rolling.since_ms > before.since_ms


@pytest.mark.parametrize("crash_at", [7, 20, 33])
def test_a_worker_that_dies_changes_nothing_of_what_is_decided(crash_at):
    worlds = []
    for crashes in (False, True):
        fleet = begun(20)
        for n in range(60):
            if crashes and n % crash_at == 0:
                fleet.world.restore()
            fleet.interval()
        worlds.append(fleet.world)
    calm, crashed = worlds
    assert calm.rounds == crashed.rounds
    assert calm.state == crashed.state
    assert crashed.replayed().state == crashed.state


def test_what_is_under_an_absolute_limit_in_both_arms_is_nobodys_fault_and_exploring_waits():
    slow = [1.0]
    guard = {"metric": "latency_ms", "aggregate": "p95", "goal": "minimize", "limit": 100.0}
    fleet = begun(40, lambda values: usual(values) * slow[0], guardrails=[guard])
    world = fleet.world
    slow[0] = 40.0
    fleet.play(6)
    ended = [r for r in world.rounds if r.why.startswith("common cause")]
    assert ended
    assert {r.outcome for r in ended} == {"skipped"}
    fleet.play(9)
    assert kinds(fleet) == {"baseline": 40}, "while the baseline is over the limit, nothing is tried"
    slow[0] = 1.0
    fleet.play(12)
    assert "explore" in kinds(fleet)
