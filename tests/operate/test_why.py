"""History, diff and why: every value that an instance runs is explained, by whoever wanted it."""

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from oppertune.core.errors import CommandFailed, InvalidArgument
from oppertune.core.types import generate_context_id
from oppertune.schemas.spec import TunerSpec
from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import ChangedValue, TunerWhy, WhyRuns
from oppertune.streams.operate.reading.contexts import matching, the_one
from oppertune.streams.operate.reading.partition_progress import PartitionProgress
from oppertune.streams.operate.reading.tuners import TunerView
from oppertune.streams.operate.reporting.history import diff, diff_data, history, history_data
from oppertune.streams.operate.reporting.tuner_json import show_data
from oppertune.streams.operate.reporting.tuner_text import show
from oppertune.streams.operate.reporting.waiting import waiting_for
from oppertune.streams.operate.reporting.why import why, why_data
from oppertune.streams.operate.steering.values import parse_values
from oppertune.streams.operate.times import moment
from world import SPEC, World, running, spec

TUNED = spec(
    parameters=SPEC["parameters"][:2],
    algorithm={"name": "auto", "args": {"random_seed": 3}},
    rollout={"enabled": True, "every": 4, "turns": 1},
)
EU, US = (generate_context_id({"region": region}) for region in ("eu", "us"))


def better_fast(values: dict[str, Any]) -> float:
    return 0.9 if values["mode"] == "fast" else 0.1


def told(world: World, kind: str, **more: Any) -> None:
    world.command(kind, author="ada", **more)
    world.fold()


def view(world: World) -> TunerView:
    scopes = [world.scope(key.partition("/")[2]) for key in sorted(world.state) if key.startswith("checkout/")]
    return TunerView("checkout", world.tuner(), scopes, partition=PartitionProgress(time_ms=world.now_ms))


def because(world: World, instance: str = "", *, later_ms: int = 0) -> TunerWhy:
    return why_data(view(world), world.tuner(), world.now_ms + later_ms, instance)


def of(world: World, instance: str = "a", **where: int) -> WhyRuns:
    """What one instance runs, and why."""
    [context] = because(world, instance, **where).contexts
    [runs] = context.runs
    assert runs.instances == [instance]
    return runs


def printed(what: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=300).print(what)
    return " ".join(file.getvalue().split())


def regions() -> World:
    world = World()
    world.apply(TUNED | {"context": {"features": [{"name": "region"}]}})
    world.here("a", context={"region": "eu"})
    world.here("b", context={"region": "us"})
    world.fold()
    return world


# -- why


def test_an_instance_that_explores_is_told_from_one_that_measures_the_incumbent():
    world = running(TUNED)
    runs = of(world)
    assert (runs.kind, runs.round, runs.version) == ("explore", 1, None)
    assert runs.values == world.config().arms[0].values
    assert runs.because == ["round 1 tries what auto asked for", "it has not said yet that it does"]
    world.here("a", request_id=world.config().arms[0].request_id)
    world.fold()
    assert of(world).because[1] == "it says so itself"
    while world.config().arms[0].kind != "candidate":
        world.play(1, better_fast)
    assert of(world).because[:2] == [
        f"round {world.scope().round} is its turn of roll-out 1, judged against the incumbent's",
        "auto recommends it",
    ]
    world.play(1, better_fast)
    assert of(world).because[0] == f"round {world.scope().round} measures the incumbent"
    assert of(world).version == 1


def test_a_held_tuner_says_who_held_it_and_why_and_which_version_runs():
    world = running(TUNED)
    told(world, "set", values={"pool": 42}, now=True, reason="load test")
    told(world, "freeze", reason="errors", until_ms=world.now_ms + 60_000)
    explained = because(world)
    at = "1970-01-01 00:16:40 UTC"
    assert explained.because == [
        f"frozen by ada since {at}, until 1970-01-01 00:17:40 UTC: errors",
        "the fleet runs the incumbent, and it is measured",
    ]
    assert (of(world).version, of(world).values["pool"]) == (2, 42)
    assert f"version 2, by ada since {at}: load test" in of(world).because
    text = printed(why(explained))
    assert all(said in text for said in [*explained.because, *of(world).because[:2], "a: mode=slow, pool=42"])


def test_under_a_kill_all_run_the_declared_values_and_no_version():
    world = running(TUNED)
    told(world, "set", values={"pool": 42}, now=True)
    told(world, "kill", reason="is it the tuner?")
    runs = of(world)
    assert (runs.arm, runs.version, runs.values["pool"]) == (None, None, 10)
    assert runs.because == ["the declared values, because the tuner is killed"]
    assert because(world).because[0].endswith(": is it the tuner?")


def test_a_paused_tuner_one_that_only_observes_and_a_suspended_one():
    world = running(TUNED)
    told(world, "pause")
    assert (of(world).arm, of(world).because[0][:9]) == (None, "version 1")
    world = running(TUNED | {"mode": "observe"})
    assert because(world).because[0].startswith("its spec only observes (mode), as test applied it")
    world = running(TUNED | {"algorithm": {"name": "explosive"}})
    world.play(3)
    assert because(world).because[0].endswith("the fleet runs the incumbent: RuntimeError: boom")


def test_a_pin_and_a_proposal_are_explained():
    world = running(TUNED)
    told(world, "pin", values={"pool": 20}, reason="40 connections")
    assert because(world).because == ["pool is pinned to 20 by ada since 1970-01-01 00:16:40 UTC: 40 connections"]
    told(world, "set", values={"mode": "fast"}, reason="as in the load test")
    world.play(1, 0.5)
    assert of(world).because[1] == "proposed by ada on 1970-01-01 00:16:40 UTC: as in the load test"


def test_who_refuses_what_is_tried_and_who_is_not_heard_of_runs_the_incumbent():
    world = running(TUNED)
    world.here("b", refused_id=world.config().arms[0].request_id, refused_why="too large")
    world.fold()
    assert (of(world, "b").arm, of(world, "b").because[-1]) == (None, "it refuses what is tried: too large")
    assert of(world, "a").arm is not None
    assert "not heard of any more" in of(world, "a", later_ms=60_000).because[-1]
    with pytest.raises(CommandFailed, match="knows no instance 'c'") as error:
        because(world, "c")
    assert error.value.code == ExitCode.NOT_FOUND


def test_what_nobody_renews_is_run_by_nobody():
    world = running(TUNED | {"lease_s": 10.0})
    runs = of(world, later_ms=11_000)
    assert (runs.arm, runs.values["pool"]) == (None, 10)
    assert "no worker renewed what is tried for 11 s, longer than its lease" in runs.because


def test_without_an_instance_all_are_explained_by_context_and_nobody_where_nobody_is():
    world = regions()
    assert [(c.context, [r.instances for r in c.runs]) for c in because(world).contexts] in (
        [({"region": "eu"}, [["a"]]), ({"region": "us"}, [["b"]])],
        [({"region": "us"}, [["b"]]), ({"region": "eu"}, [["a"]])],
    )
    [alone] = because(world, "b").contexts
    assert alone.context == {"region": "us"}
    world = World()
    world.apply(TUNED)
    world.fold()
    [context] = because(world).contexts
    assert [(runs.instances, runs.version) for runs in context.runs] == [([], 1)]
    assert "nobody: mode=slow, pool=10" in printed(why(because(world)))


# -- history and diff


def test_history_says_number_gain_author_reason_and_what_changed():
    world = running(TUNED)
    while not world.scope().incumbent.confirmed:
        world.play(1, better_fast)
    won = world.scope().versions[-1]
    told(world, "set", values={"pool": 42}, now=True, reason="load test")
    told(world, "rollback", version=2, reason="errors")
    [context] = history_data("checkout", [world.scope()]).contexts
    assert [v.number for v in context.versions] == [1, 2, 3, 4]
    assert context.versions[0].changed == []
    assert context.versions[2].changed == [ChangedValue(parameter="pool", before=won.values["pool"], after=42)]
    assert context.versions[3].restores == 2
    text = printed(history(history_data("checkout", [world.scope()])))
    for said in (
        "mode slow -> fast",
        f"pool {won.values['pool']} -> 42",
        "learner",
        "0.8",
        "load test",
        "back to version 2: errors",
    ):
        assert said in text


def test_two_versions_side_by_side_and_one_that_is_not_there():
    world = running(TUNED)
    told(world, "set", values={"pool": 42}, now=True)
    told(world, "set", values={"pool": 10}, now=True)
    assert diff_data("checkout", world.scope(), 2, 1).changed == [ChangedValue(parameter="pool", before=42, after=10)]
    assert "pool 42 10" in printed(diff(diff_data("checkout", world.scope(), 2, 1)))
    assert "the same values" in printed(diff(diff_data("checkout", world.scope(), 1, 3)))
    with pytest.raises(CommandFailed, match="there is no version 7; there are: 1, 2, 3"):
        diff_data("checkout", world.scope(), 1, 7)


# -- show


def shown(world: World) -> str:
    return printed(show(view(world), {}, world.now_ms))


def test_show_says_who_held_it_why_since_and_until_as_long_as_it_lasts():
    world = running(TUNED)
    told(world, "freeze", reason="errors", until_ms=world.now_ms + 60_000)
    told(world, "pin", values={"pool": 20}, reason="40 connections")
    said = "frozen by ada since 1970-01-01 00:16:40 UTC, until 1970-01-01 00:17:40 UTC: errors"
    assert said in shown(world)
    assert "pool is pinned to 20 by ada since 1970-01-01 00:16:40 UTC: 40 connections" in shown(world)
    assert "(version 2, by ada since 1970-01-01 00:16:40 UTC: 40 connections)" in shown(world)
    data = show_data(view(world), {}, world.now_ms)
    assert data.hold == world.tuner().hold
    assert (data.pins["pool"].value, data.scopes[0].version, data.status) == (20, 2, "frozen")
    told(world, "resume")
    assert "frozen" not in shown(world)
    assert show_data(view(world), {}, world.now_ms).hold is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pause", "paused; go on with: oppertune tuner resume checkout"),
        ("kill", "killed; go on with: oppertune tuner resume checkout"),
        ("freeze", "frozen; go on with: oppertune tuner resume checkout. Until then, the incumbent is watched: "),
        ("observe", "it only observes, the incumbent is watched: "),
    ],
)
def test_a_hold_is_what_a_tuner_waits_for(kind, said):
    world = running(TUNED)
    told(world, kind)
    progress = PartitionProgress(0, world.now_ms)
    assert waiting_for(world.tuner(), world.scope(), progress, world.now_ms).startswith(said)


def test_a_proposal_is_shown_until_it_is_judged():
    world = running(TUNED)
    told(world, "set", values={"pool": 42}, reason="as in the load test")
    said = "mode=slow, pool=42: proposed by ada on 1970-01-01 00:16:40 UTC: as in the load test"
    assert said in shown(world)
    assert show_data(view(world), {}, world.now_ms).scopes[0].proposal == world.scope().proposal
    world.play(3, 0.5)
    assert "proposed" not in shown(world)


# -- what is given on the command line


def test_contexts_are_found_by_their_fields():
    world = regions()
    assert {scope.scope for scope in matching(view(world), [])} == {EU, US}
    assert the_one(view(world), ["region=us"]).scope == US
    for context, code in (([], ExitCode.USAGE), (["region=mars"], ExitCode.NOT_FOUND)):
        with pytest.raises(CommandFailed) as error:
            the_one(view(world), context)
        assert error.value.code == code


def test_values_are_read_as_their_parameters_types():
    made = TunerSpec.model_validate(
        spec(parameters=[*SPEC["parameters"], {"name": "gzip", "type": "switch", "val": "on"}])
    )
    assert parse_values(made, ["mode=fast", "pool=20", "ratio=1", "gzip=false"]) == {
        "mode": "fast", "pool": 20, "ratio": 1.0, "gzip": "off",
    }  # fmt: skip
    assert parse_values(made, ["mode=a=b"]) == {"mode": "a=b"}, "what is legal, the worker knows"
    for word, said in (
        ("pool", "is no NAME=VALUE"),
        ("pol=1", "has no parameter 'pol'; did you mean pool?"),
        ("pool=1.5", "pool takes a whole number, not '1.5'"),
        ("ratio=inf", "ratio takes a number, not 'inf'"),
        ("ratio=x", "ratio takes a number, not 'x'"),
    ):
        with pytest.raises(CommandFailed) as error:
            parse_values(made, [word])
        assert said in str(error.value)
        assert error.value.code == ExitCode.USAGE
    with pytest.raises(CommandFailed, match="names pool a second time"):
        parse_values(made, ["pool=1", "pool=2"])


def test_a_point_in_time_is_of_its_zone_else_of_utc():
    assert moment("1970-01-01T01:00") == 3_600_000 == moment("1970-01-01T02:00+01:00") == moment("1970-01-01T01:00Z")
    with pytest.raises(InvalidArgument, match="a point in time is written"):
        moment("tomorrow")
