"""docs/architecture.md is true: what it names is there, and the walks through the processor are walked."""

import ast
import dataclasses
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType

import pytest

from kafkas import ROOT
from oppertune.schemas import Arm
from oppertune.streams.client import Snapshot, TunerClient
from oppertune.streams.client.active_request import ActiveRequest, RequestTerms
from world import World, running

PAGE = (ROOT / "docs" / "architecture.md").read_text()
TICKS = sorted(set(re.findall(r"`([a-z_]+/[^`\s]*?)`", PAGE)))
NAMED = [name for name in TICKS if "NAME" not in name]
WALKS = {
    match[1]: re.findall(r"^\| `([^`]+)` \|", match[2], re.MULTILINE)
    for match in re.finditer(r"^## (Walk \d).*?\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
}


@cache
def defined(file: str) -> set[str]:
    """Names of a module, and of the members of its classes."""
    names: set[str] = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("named", NAMED)
def test_what_the_map_names_is_there(named: str) -> None:
    path, _, name = named.partition("::")
    assert (ROOT / path).exists(), path
    assert not name or name in defined(path), f"{path} defines no {name}"


def test_the_map_has_three_walks_and_four_recipes_of_six_steps() -> None:
    assert list(WALKS) == ["Walk 1", "Walk 2", "Walk 3"]
    assert min(map(len, WALKS.values())) >= 8
    recipes = re.findall(r"^\*\*(A[^*]+)\*\*\n\n((?:\d\. .*\n)+)", PAGE, re.MULTILINE)
    assert [(name, text.count("\n")) for name, text in recipes] == [
        ("A learner", 6),
        ("A verb", 6),
        ("A field of a record", 6),
        ("A metric of the worker", 6),
    ]


def called(what: Callable[[], object]) -> list[str]:
    """The functions of ours that a call passes through, each where it is first entered."""
    order: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            file = frame.f_code.co_filename
            for package in ("streams/processor/", "streams/client/"):
                if package in file:
                    order.setdefault(f"{package}{file.rpartition(package)[2]}::{frame.f_code.co_qualname}")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        what()
    finally:
        sys.setprofile(before)
    return list(order)


def walked(walk: str, package: str, passed: list[str]) -> None:
    steps = [step for step in WALKS[walk] if step.startswith(package)]
    assert [step for step in passed if step in steps] == steps, "in this order, each of them"


def test_the_walk_of_a_metric_event_is_the_way_that_it_takes() -> None:
    world = running()
    for _ in range(3):
        world.measured()
    passed = called(world.fold)
    assert world.rounds, "the third closes its round"
    walked("Walk 1", "streams/processor/", passed)


def test_the_walk_of_a_measurement_is_the_way_that_it_takes(tmp_path: Path) -> None:
    client = TunerClient("checkout", {"pool": 1}, settings="127.0.0.1:1", state_dir=tmp_path)
    arm = Arm(arm="a", request_id="r", round=1, kind="explore", share=1.0, values={"pool": 1}, hash="h")
    request = ActiveRequest(RequestTerms(arm, "", interval_s=1e-9, settle_s=0.0), client._agent.recorder)
    request.activate()
    view = client._current.view
    client._current.swap(dataclasses.replace(view, own=Snapshot(view.own.values, request)))

    def record_and_turn() -> None:
        client.record("latency_ms", 1.0)
        client._agent._turn()

    walked("Walk 2", "streams/client/", called(record_and_turn))


def test_the_walk_of_an_apply_is_the_way_that_it_takes() -> None:
    world = World()
    world.apply()
    walked("Walk 3", "streams/processor/", called(world.fold))
