"""Every view of the same state says the same: `tuner best`, `show`, `list`, `watch`, text, JSON, and what apps get."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from oppertune.streams.operate.exit_codes import ExitCode
from oppertune.streams.operate.outputs import WatchEvent
from oppertune.streams.operate.reading.partition_progress import PartitionProgress
from oppertune.streams.operate.reading.tuners import TunerView
from oppertune.streams.operate.reading.watch import Watched, _closed
from oppertune.streams.operate.reporting.tuner_json import best_data, list_data, show_data
from oppertune.streams.operate.reporting.tuner_text import best, list_table, show
from oppertune.streams.operate.reporting.watch_line import watch_line
from world import World, spec

from .topics_of import write_world

MODES = ["a", "b", "c"]
SPEC = spec(
    parameters=[
        {"name": "mode", "type": "categorical", "val": "a", "categories": MODES},
        {"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100},
    ],
    algorithm={"name": "hybrid_solver", "args": {"random_seed": 3}},
    context={"features": [{"name": "zone", "values": ["eu", "us"]}]},
    rollout={"turns": 2, "every": 3},
    target={"reward": 0.9, "rounds": 2},
)
INSTANCES = {"i1": "eu", "i2": "us"}


class Fleet:
    """A world with two contexts, and one who watches it."""

    def __init__(self, **changes: Any) -> None:
        self.world = World()
        self.world.apply(SPEC | changes)
        self.world.fold()
        for instance, zone in INSTANCES.items():
            self.world.here(instance, context={"zone": zone})
        self.world.fold()
        self.watched = Watched(lambda _: self.view())
        self.seen = 0
        self.incumbents: dict[str, WatchEvent] = {}

    def view(self) -> TunerView:
        world = self.world
        scopes = [world.scope(key.partition("/")[2]) for key in world.state if key.startswith("checkout/")]
        progress = PartitionProgress(time_ms=world.now_ms)
        return TunerView("checkout", world.tuner(), sorted(scopes, key=lambda s: s.scope), partition=progress)

    def play(self, instance: str, reward: Callable[[dict[str, Any]], float]) -> None:
        """A round."""
        world = self.world
        world.now_ms += 1_000
        scope = next(s.scope for s in self.view().active_scopes if (s.context or {}).get("zone") == INSTANCES[instance])
        if world.config(scope).arms:
            for _ in range(3):
                world.measured(instance, reward(world.config(scope).arms[0].values), scope)
        world.fold()

    def watch(self) -> list[WatchEvent]:
        """What is told of the rounds that have closed since."""
        new, self.seen = self.world.rounds[self.seen :], len(self.world.rounds)
        return [event for closed in new if closed.kind for event in _closed(closed, self.watched)]


def by_mode(rewards: Sequence[float]) -> Callable[[dict[str, Any]], float]:
    return lambda values: rewards[MODES.index(values["mode"])]


def printed(renderable) -> str:
    file = io.StringIO()
    Console(file=file, width=300).print(renderable)
    return file.getvalue()


def all_agree(fleet: Fleet) -> None:
    view, now_ms = fleet.view(), fleet.world.now_ms
    state = view.state
    assert state is not None
    told, shown = best_data(view, {}), show_data(view, {}, now_ms)
    [listed] = list_data({"checkout": view}, now_ms).tuners
    text, table = printed(show(view, {}, now_ms)), printed(best(state.spec, told))
    for one, scope in zip(told.incumbents, shown.scopes, strict=True):
        assert (one.context, one.values, one.reward) == (scope.context, scope.incumbent.values, scope.incumbent.reward)
        config = fleet.world.config(scope.scope)
        assert config.incumbent.values == one.values, "what apps fall back to"
        assert f"incumbent: mode={one.values['mode']}, pool={one.values['pool']} (" in text
        assert f"zone={one.context['zone'] if one.context else ''}: reward " in table
        seen = fleet.incumbents.get(scope.scope)
        assert (seen is not None) == one.confirmed
        if seen is not None:
            assert (seen.values, seen.round) == (one.values, one.since_round)
    assert (listed.status, listed.rounds) == (shown.status, sum(s.round for s in shown.scopes))
    assert listed.instances == sum(i.present for s in shown.scopes for i in s.instances)
    assert listed.reward == max((one.reward for one in told.incumbents if one.reward is not None), default=None)
    row = printed(list_table({"checkout": view}, now_ms)).splitlines()[-2].split()
    assert row == [
        "checkout", listed.status, "hybrid_solver", str(len(shown.scopes)), str(listed.instances), str(listed.rounds),
        "-" if listed.reward is None else f"{listed.reward:.4g}",
    ]  # fmt: skip
    assert f"tuner checkout  {shown.status}" in text


def follow(fleet: Fleet) -> None:
    """Take in what is watched: at once, it says what `tuner best` says."""
    now = {scope.scope: scope.incumbent for scope in fleet.view().scopes}
    for event in fleet.watch():
        if event.what == "incumbent":
            scope = next(s.scope for s in fleet.view().active_scopes if s.context == event.context)
            fleet.incumbents[scope] = event
            assert (event.values, event.reward) == (now[scope].values, now[scope].reward)
            assert f"mode={now[scope].values['mode']}, pool={now[scope].values['pool']}" in str(watch_line(event))


STEPS = st.one_of(
    st.tuples(st.just("play"), st.sampled_from(list(INSTANCES)), st.permutations([0.1, 0.5, 0.95])),
    st.tuples(st.sampled_from(["wait", "pause", "resume", "reset"])),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=20), st.permutations([0.1, 0.5, 0.95]))
def test_all_views_of_whatever_came_to_pass_agree(steps, usual):
    fleet = Fleet()
    plays = [("play", instance, usual) for instance in INSTANCES for _ in range(6)]
    for step in [*plays, *steps]:
        if step[0] == "play":
            fleet.play(step[1], by_mode(step[2]))
        elif step[0] == "wait":
            fleet.world.wait(7)
        else:
            fleet.world.command(step[0])
            fleet.world.fold()
            if step[0] == "reset":
                fleet.watch()
                fleet.incumbents.clear()
        follow(fleet)
        all_agree(fleet)


@pytest.fixture(scope="module")
def won() -> Fleet:
    """A fleet in which one incumbent took the place of another, by rounds in which the loser was played last."""
    fleet = Fleet(algorithm={"name": "uniform_random", "args": {"random_seed": 3}}, rollout={"turns": 1, "every": 3})
    for _ in range(60):
        fleet.play("i1", lambda values: values["pool"] / 200)
    assert sum(closed.incumbent for closed in fleet.world.rounds) >= 2
    return fleet


def test_one_who_begins_to_watch_later_is_told_what_is_true_now_and_of_the_past_what_is_known(won):
    wins = [closed for closed in won.world.rounds if closed.incumbent]
    assert all(closed.kind == "baseline" for closed in wins), (
        "the round that ends a roll-out by one turn each is the loser's"
    )
    late = Watched(lambda _: won.view())
    told = [e for closed in won.world.rounds if closed.kind for e in _closed(closed, late) if e.what == "incumbent"]
    [now] = best_data(won.view(), {"zone": "eu"}).incumbents
    assert (told[-1].values, told[-1].reward) == (now.values, now.reward)
    for event, closed, after in zip(told, wins, wins[1:], strict=False):
        assert event.values == after.values, "the one that was the incumbent when the next took its place"
        assert event.values != closed.values
        assert (event.reward, event.said) == (None, "found better, and replaced since")
        assert "new incumbent: mode=" in str(watch_line(event))


def test_watch_and_best_print_the_same_incumbent(won, workerless, call):
    write_world(workerless, won.world, "checkout")
    ended = call("watch", "checkout", "--last", "1000", "--rounds", str(len(won.world.rounds)), "--json")
    assert ended.code == ExitCode.OK, ended.err
    told = [one for one in map(json.loads, ended.out.splitlines()) if one["what"] == "incumbent"]
    [now] = json.loads(call("tuner", "best", "checkout", "--context", "zone=eu", "--json").out)["incumbents"]
    assert (told[-1]["values"], told[-1]["reward"], told[-1]["round"]) == (
        now["values"], now["reward"], now["since_round"],
    )  # fmt: skip
