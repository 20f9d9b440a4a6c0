"""What ``oppertune tuner show`` says in each condition: each as what it is, and gone when the condition is."""

import io

import pytest
from rich.console import Console

from oppertune.streams.broker import BrokerSettings
from oppertune.streams.operate.reading import tuners
from oppertune.streams.operate.reading.partition_progress import PartitionProgress
from oppertune.streams.operate.reading.tuners import TunerView
from oppertune.streams.operate.reporting.tuner_json import show_data
from oppertune.streams.operate.reporting.tuner_text import show
from oppertune.streams.operate.reporting.waiting import waiting_for
from world import SPEC, World, running, spec

TARGETED = spec(
    rollout={"turns": 2, "every": 6},
    algorithm={"name": "exponential_weights", "args": {"random_seed": 1}},
    parameters=[SPEC["parameters"][0]],
    target={"reward": 0.8, "rounds": 2},
)


def better_fast(values):
    return 0.9 if values["mode"] == "fast" else 0.1


def view(world: World, **where) -> TunerView:
    return TunerView(
        "checkout", world.tuner(), [world.scope()], partition=PartitionProgress(**{"time_ms": world.now_ms, **where})
    )


def shown(world: World, *, later_s: float = 0.0, **where) -> str:
    file = io.StringIO()
    Console(file=file, width=300).print(show(view(world, **where), {}, world.now_ms + int(later_s * 1000)))
    return file.getvalue()


def waits(world: World) -> str:
    return waiting_for(world.tuner(), world.scope(), PartitionProgress(0, world.now_ms), world.now_ms)


def test_a_target_is_approached_achieved_nearly_lost_lost_and_achieved_again():
    world = running(TARGETED)
    assert "target 0.8: 0 of 2 rounds of the incumbent in a row" in shown(world)
    world.play(12, better_fast)
    assert "target 0.8: achieved\n" in shown(world).replace("  ", "").replace(" \n", "\n")
    assert waits(world).startswith("target achieved, the incumbent is watched: ")
    world.play(1, 0.1)
    assert "target 0.8: achieved; below it for 1 of 2 rounds, after which tuning resumes" in shown(world)
    world.play(1, 0.1)
    assert "target 0.8: 0 of 2 rounds" in shown(world)
    assert "target achieved" not in waits(world)


def test_a_roll_out_by_turns_shows_what_is_judged_and_how_it_stands():
    world = running(TARGETED)
    world.play(5, better_fast)
    assert "roll-out 1 by learner: mode=fast, in turn with the incumbent: 0.9 to - after 1 round" in shown(world)
    assert view(world).status == "rolling"
    [scope] = show_data(view(world), {}, world.now_ms).scopes
    assert scope.rollout is not None
    assert (scope.rollout.stage, scope.rollout.candidate_rewards) == (None, [0.9])
    world.play(3, better_fast)
    assert "roll-out" not in shown(world)
    assert "mode=fast (reward 0.9, since round 8)" in shown(world)


def test_parameters_that_apps_and_spec_do_not_share_are_named_as_long_as_that_lasts():
    world = running()
    world.here("a", parameters=["pool", "ratio", "cache"])
    world.fold()
    lines = [
        "mode is not tuned, it stays slow: the app lacks it in a",
        "cache is not in the spec, it runs as the app declares it: in a",
    ]
    assert all(said in shown(world) for said in lines)
    assert show_data(view(world), {}, world.now_ms).scopes[0].not_shared == lines
    world.here("a", parameters=["mode", "pool", "ratio"])
    world.fold()
    assert not any(said in shown(world) for said in lines)


def test_an_instance_without_network_is_named_until_it_is_back():
    world = running()
    world.here("b")
    world.fold()
    assert "instances: 2 present (a, b)" in shown(world)
    world.now_ms += 25_000
    world.here("a")
    world.fold()
    assert "instances: 1 present (a)" in shown(world, later_s=10)
    assert "silent: b, not heard of for 5 s longer than it may be" in shown(world, later_s=10)
    world.now_ms += 10_000
    world.here("b")
    world.fold()
    assert "silent" not in shown(world)


def test_a_partition_without_a_worker_is_told_until_its_events_are_applied():
    world = running()
    then = world.now_ms
    assert "silent" not in shown(world, later_s=60, lag=3, time_ms=then), "nobody listens"
    assert "no worker: 3 events wait, and none was applied for 20 s" in shown(world, later_s=20, lag=3, time_ms=then)
    assert "no worker" not in shown(world, later_s=20, lag=0, time_ms=then)


def test_a_worker_that_catches_up_is_not_taken_for_none(monkeypatch):
    looks = [PartitionProgress(9, 1, applied=4), PartitionProgress(5, 1, applied=8)]
    monkeypatch.setattr(tuners, "_BETWEEN_LOOKS_S", 0)
    monkeypatch.setattr(tuners, "read_tuners", lambda *_: {"checkout": TunerView("checkout", partition=looks.pop(0))})
    found = tuners.read_tuner(BrokerSettings(), "checkout")
    assert found is not None
    assert (found.partition.lag, found.partition.stalled(10**12)) == (5, False)
    looks += [PartitionProgress(9, 1, applied=4)] * 2
    found = tuners.read_tuner(BrokerSettings(), "checkout")
    assert found is not None
    assert found.partition.stalled(10**12)


def test_a_suspended_tuner_waits_for_its_operator_until_it_is_resumed():
    world = running(spec(algorithm={"name": "explosive"}))
    world.play(3)
    assert "suspended: RuntimeError: boom" in shown(world)
    assert waits(world) == "suspended; mend the cause, then: oppertune tuner resume checkout"
    world.command("resume")
    world.fold()
    world.here()
    world.fold()
    assert "suspended" not in shown(world)


@pytest.mark.parametrize(("kind", "said"), [("pause", "paused"), ("resume", "round")])
def test_a_paused_tuner_waits_for_its_operator_until_it_is_resumed(kind, said):
    world = running()
    world.command("pause")
    world.fold()
    if kind == "resume":
        world.command("resume")
        world.fold()
        world.here()
        world.fold()
    assert said in waits(world)
