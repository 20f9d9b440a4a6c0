"""What earlier versions wrote is read by this one, and tuning goes on from there.

``*.jsonl.xz`` are runs of ``record_run.py`` under those versions, every record of every topic. Whoever changes a record
reads them all, or refuses them in one sentence that names the way out.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from oppertune.schemas import (
    Command,
    ConfigRecord,
    ContextEvent,
    DeadLetterHeaders,
    JournalRecord,
    MetricEvent,
    PartitionOffsets,
    RoundRecord,
    ScopeState,
    TunerState,
)
from oppertune.schemas.base import Record
from oppertune.schemas.keys import OFFSETS_KEY
from oppertune.schemas.spec import TunerSpec
from upgrade.record_run import TRAFFIC, read
from world import World

RUNS = sorted(Path(__file__).parent.glob("*.jsonl.xz"))
NAMES = [run.name.removesuffix(".jsonl.xz") for run in RUNS]
Lines = list[tuple[str, str, str | None]]

MODELS: dict[str, type[Record]] = {
    "commands": Command,
    "contexts": ContextEvent,
    "metrics": MetricEvent,
    "configs": ConfigRecord,
    "rounds": RoundRecord,
    "journal": JournalRecord,
}


def model_of(topic: str, key: str) -> type[Record]:
    if topic != "state":
        return MODELS[topic]
    return PartitionOffsets if key == OFFSETS_KEY else ScopeState if "/" in key else TunerState


def in_it(wrote: object, said: object) -> bool:
    """Whether all that was written is said again; fields may have come since."""
    if isinstance(wrote, dict) and isinstance(said, dict):
        return all(name in said and in_it(value, said[name]) for name, value in wrote.items())
    if isinstance(wrote, list) and isinstance(said, list):
        return len(wrote) == len(said) and all(map(in_it, wrote, said))
    return wrote == said


@pytest.fixture(params=RUNS, ids=NAMES)
def lines(request: pytest.FixtureRequest) -> Lines:
    return read(request.param)


def test_there_is_a_run_of_the_time_before_the_first_release_and_of_it() -> None:
    assert {"before-0.1.0", "0.1.0"} <= set(NAMES)


def _as_it_is_now(wrote: dict[str, Any]) -> None:
    """What is said in other words since: a confirmation under way is not taken over, its roll-out begins again."""
    wrote.pop("block", None)
    for request in wrote.get("arms", ()):
        request["kind"] = {"confirm": "candidate"}.get(request["kind"], request["kind"])
    if "spec" in wrote:
        before = wrote["spec"].pop("confirmation")
        rollout = {"turns": before["rounds"], "every": before["every"], "enabled": before["enabled"]}
        wrote["spec"] = TunerSpec.model_validate({**wrote["spec"], "rollout": rollout}).model_dump(
            mode="json", exclude_none=True
        )


def test_every_record_of_every_topic_is_read_and_says_the_same(lines: Lines) -> None:
    seen = set()
    for topic, key, value in lines:
        if topic == "dead-letters":
            headers = DeadLetterHeaders.model_validate(orjson.loads(key))
            assert headers.reason
        elif value is not None and value != "not json":
            record = model_of(topic, key).from_bytes(value)
            said = orjson.loads(record.to_bytes())
            wrote = orjson.loads(value)
            if topic == "state" and (paused := wrote.pop("paused", None)) is not None:  # up to 0.1.0 a mark
                assert isinstance(record, TunerState)
                assert paused == (record.hold is not None and record.hold.kind == "paused")
            if isinstance(record, ScopeState):  # up to 0.1.0 no incumbents were remembered but the one that stands
                assert [v.hash for v in record.versions] == [record.incumbent.hash]
            if "open" in wrote and topic == "state":  # before 0.1.0 there was one open request at most
                wrote["arms"] = [wrote.pop("open")]
            if topic == "state":
                _as_it_is_now(wrote)
            assert in_it(wrote, said), f"{topic} {key}"
        seen.add(topic)
    assert seen == {*MODELS, "state", "dead-letters"}


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 1.0])
def test_tuning_goes_on_from_the_state_that_was_stored(lines: Lines, share: float) -> None:
    world = World()
    written = [line for line in lines if line[0] in {"state", "configs"}]
    commits = [n for n, (_, key, _) in enumerate(written) if key == OFFSETS_KEY]
    for topic, key, value in written[: commits[int(share * (len(commits) - 1))] + 1]:
        store = world.state if topic == "state" else world.configs
        if value is None:
            store.pop(key, None)
        else:
            store[key] = value.encode()
    before = {key: ScopeState.from_bytes(value) for key, value in world.state.items() if "/" in key}
    world.restore()
    offsets = world.offsets()
    world.now_ms = offsets.time_ms
    for topic, log in world.logs.items():  # what was applied is not read again
        log.extend([world.nothing(topic)] * offsets.sources[topic].next)
    for name in ("numbers", "categories"):
        world.command("pause", name)
        world.command("resume", name)
    world.fold()
    world.rounds.clear()
    for instance, traffic in TRAFFIC.items():
        world.here(instance, tuner="numbers", context={"traffic": traffic}, boot="new")
        world.here(instance, tuner="categories", boot="new")
    world.fold()
    assert {world.tuner(name).suspended for name in ("numbers", "categories")} == {None}
    measured = 0
    for key in [key for key in world.configs if key != "numbers"]:
        name, _, scope = key.partition("/")
        config = world.config(scope, name)
        assert config.status in {"tuning", "achieved"}, key
        for instance in TRAFFIC:
            for _ in range(9):
                event = world.metric_event(instance, 0.5, scope, tuner=name, boot="new")
                world.send("metrics", event | {"metrics": {"reward": 0.5, "latency": 2.0}})
        world.now_ms += 2_000
        world.fold(read_to_end=True)
        closed = next(r for r in world.rounds if (r.tuner, r.scope) == (name, scope) and r.kind is not None)
        assert closed.outcome == "measured", key
        assert closed.round >= before[f"{name}/{scope}"].round
        measured += 1
    assert measured == 3
