"""Time spent in learners is counted by algorithm, and changes nothing that is folded."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import pytest

from kafkas import ROOT
from oppertune.streams.processor import learner_time
from oppertune.streams.processor.learner_time import LearnerTime, spent, timed
from world import World, running, spec

CALL_S = 0.25


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted yet, and between two looks at the clock a quarter of a second passes."""

    def ticks() -> Iterator[float]:
        now_s = 100.0
        while True:
            yield now_s
            now_s += CALL_S

    clock = ticks()
    monkeypatch.setattr(learner_time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(learner_time, "_spent", {})


def test_each_ask_and_each_tell_is_a_call_of_its_algorithm_and_building_is_none() -> None:
    world = World()
    world.apply(spec(algorithm={"name": "bluefin"}, parameters=spec()["parameters"][1:]))
    world.apply(spec(name="other", algorithm={"name": "uniform_random"}))
    world.fold()
    assert spent() == {}, "both were built"
    world.here()
    world.here(tuner="other")
    world.fold()
    assert spent() == {"bluefin": LearnerTime(1, CALL_S), "uniform_random": LearnerTime(1, CALL_S)}
    world.play(2)
    assert spent()["bluefin"] == LearnerTime(5, 5 * CALL_S), "two tells, two asks more"
    assert spent()["uniform_random"].calls == 1


def test_recommendations_and_what_others_played_are_calls_too() -> None:
    world = running(spec(algorithm={"name": "uniform_random"}, rollout={"every": 1, "turns": 1}))
    assert (world.config().arms[0].kind, spent()["uniform_random"].calls) == ("explore", 1)
    world.play(1)
    assert (world.config().arms[0].kind, spent()["uniform_random"].calls) == ("candidate", 3), "told, and recommends"
    world.play(1)
    assert (world.config().arms[0].kind, spent()["uniform_random"].calls) == ("baseline", 4), "shown what was confirmed"


def test_a_withdrawn_request_is_a_call_too() -> None:
    world = running()
    world.wait(600.0)
    assert (world.rounds[-1].outcome, world.config().arms) == ("skipped", [])
    assert spent() == {"hybrid_solver": LearnerTime(2, 2 * CALL_S)}


def test_a_call_that_raises_took_its_time_each_time_that_it_was_made() -> None:
    world = running(spec(algorithm={"name": "explosive", "args": {"fuse": 1}}))
    world.play(1)
    assert world.tuner().suspended is not None
    assert spent() == {"explosive": LearnerTime(3, 3 * CALL_S)}, "asked; told in vain with others, and alone"


def test_no_call_is_lost_where_two_threads_end_theirs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Barrier(2)

    class Meeting(dict[str, LearnerTime]):
        """Whoever reads waits for the other to read too, which only one that is not locked out can."""

        def get(self, key: str, default: Any = None) -> Any:
            found = super().get(key, default)
            with suppress(BrokenBarrierError):
                both.wait(0.2)
            return found

    monkeypatch.setattr(learner_time, "_spent", Meeting())
    threads = [Thread(target=timed, args=("bluefin", int)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert spent()["bluefin"].calls == 2


def test_an_algorithm_that_cannot_be_built_makes_no_series() -> None:
    world = World()
    for n in range(3):
        world.apply(spec(algorithm={"name": f"unheard_of_{n}"}))
        world.here()
    world.fold()
    assert sorted(world.letter_reasons()) == ["spec_invalid"] * 3 + ["unknown_tuner"] * 3
    assert spent() == {}


def test_the_clock_changes_nothing_that_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    def played() -> World:
        world = running(spec(algorithm={"name": "surrogate"}, rollout={"every": 2, "turns": 1}))
        world.play(6, lambda values: values["ratio"])
        return world

    one = played()
    monkeypatch.setattr(learner_time, "perf_counter", iter(range(10_000, 0, -1)).__next__)
    other = played()
    assert (one.state, one.configs, one.rounds) == (other.state, other.configs, other.rounds)


def test_no_other_module_of_the_processor_knows_a_clock() -> None:
    """And what this one measures leaves the processor: none of its modules asks for it."""
    imports: dict[str, set[str]] = {}
    for file in (ROOT / "streams" / "processor").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            imports.setdefault(file.stem, set()).update(names)
    assert {name for name, used in imports.items() if used & {"time", "datetime"}} == {"learner_time"}
    assert {name for name, used in imports.items() if "spent" in used} == set()
