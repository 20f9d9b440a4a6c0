"""The page on the wire format tells one story: the fold plays it, and what comes out is what the page shows."""

import json
import re
from typing import Any, get_args

import pytest

from client.views import seen
from oppertune.core.assignment import BASELINE, cut_rest, grow, position
from oppertune.core.summary import bin_index
from oppertune.core.types import generate_context_id
from oppertune.schemas.configs import ConfigRecord
from oppertune.schemas.events import Command
from oppertune.schemas.keys import murmur2, partition_of, request_id, values_hash
from oppertune.schemas.state import DISPOSITIONS
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.processor import Effects
from repository.documents import ROOT, blocks
from world import World

PAGE = (ROOT / "docs" / "wire-format.md").read_text()
SHOWN = {block.title: json.loads(block.text) for block in blocks("json") if block.page == "docs/wire-format.md"}


def agrees(shown: Any, made: Any) -> bool:
    """Whether all that is shown was made; numbers with a fraction to the precision that other machines keep."""
    if isinstance(shown, dict):
        return isinstance(made, dict) and all(name in made and agrees(shown[name], made[name]) for name in shown)
    if isinstance(shown, list):
        return len(shown) == len(made) and all(map(agrees, shown, made))
    return shown == pytest.approx(made) if isinstance(shown, float) else shown == made


def names(record: Any) -> set[str]:
    below = record.values() if isinstance(record, dict) else record if isinstance(record, list) else ()
    return (set(record) if isinstance(record, dict) else set()).union(*map(names, below))


def test_the_fold_makes_of_the_pages_events_what_the_page_shows():
    world = World(now_ms=1_790_000_000_000)
    scope = generate_context_id({"region": "eu", "load": 1})

    def send(topic: str, event: dict[str, Any], after_ms: int = 0) -> Effects:
        world.now_ms += after_ms
        world.send(topic, event, key=b"checkout")
        return world.fold(read_to_end=True)

    applied = send("commands", SHOWN["command"])
    here = send("contexts", SHOWN["context-event"], 1000)
    send("contexts", SHOWN["context-event: running"], 500)
    measured = send("metrics", SHOWN["metric-event"], 10_500)
    offsets = world.state["@offsets"]
    stranger = {"id": "4f1c2d-m1", "seq": 1, "request_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}
    [letter] = send("metrics", SHOWN["metric-event"] | stranger).dead_letters
    compared = {
        "config-record: of the tuner": applied.configs["checkout"],
        "config-record": here.configs[f"checkout/{scope}"],
        "config-record: the next round": measured.configs[f"checkout/{scope}"],
        "round-record": measured.rounds[0][1],
        "journal-record": measured.journal[0],
        "partition-offsets": offsets,
        "dead-letter-headers": json.dumps({name: value.decode() for name, value in letter.headers}),
    }
    for title, record in compared.items():
        shown, real = SHOWN[title], json.loads(record or b"")
        shown.pop("state_hash", None)  # over learned numbers to their last bit
        assert agrees(shown, real), f"{title}: shown {shown}, made {real}"
        untold = names(real) - names(shown) - set(re.findall(r"`(\w+)`", PAGE))
        assert untold <= {"state_hash"}, f"{title}: the page does not tell of {untold}"


def test_the_vectors_are_those_of_our_own_functions():
    assert f'`murmur2("checkout")` is {murmur2(b"checkout")}' in PAGE
    assert partition_of("checkout", 4) == 2
    assert f"'{generate_context_id({'load': 1, 'region': 'eu'})}'" in PAGE
    assert f"{position('7', 'job-1')}\n" in PAGE
    assert f"{[bin_index(x) for x in (3.0, 12.5, 20.0, 50.0, 0.001)]}\n" in PAGE
    assert f"`{values_hash({'policy': 'lru', 'pool_size': 42, 'ratio': 0.5})}`" in PAGE
    assert f"`{request_id('checkout', 0, '', 1, 'candidate')}`" in PAGE


def rows(header: str) -> list[list[str]]:
    """Rows of the page's table with such a header, without the marks of code."""
    _, _, below = PAGE.partition(f"| {header} |\n|")
    lines = below.splitlines()[1:]
    table = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in table]


def test_positions_are_those_of_our_own_function():
    vectors = rows("salt | unit | position")
    assert len(vectors) == 5
    assert [float(where) for _, _, where in vectors] == [position(salt, unit) for salt, unit, _ in vectors]


def test_the_record_of_several_arms_is_cut_as_the_page_says():
    record = ConfigRecord.model_validate(SHOWN["config-record: several arms"])
    free = [unit for unit, *_ in rows("unit | position | arm | runs") if unit not in record.pinned]
    upto = grow(record.salt, free, 1)
    pieces = cut_rest(record.salt, free, upto, [1, 2], 6)
    named = [(width, "baseline" if arm == BASELINE else f"e{arm + 1}") for width, arm in pieces]
    assert [(arm.share, arm.arm) for arm in record.arms] == [(upto, "candidate"), *named]
    assert all(arm.hash == values_hash(arm.values) for arm in record.arms)
    assert all(arm.request_id == request_id("checkout", 0, "", arm.round, arm.arm) for arm in record.arms)


def test_each_unit_runs_what_the_page_says():
    record = ConfigRecord.model_validate(SHOWN["config-record: several arms"])
    view = seen(record, Parameters({"pool_size": 1, "timeout_ms": 1}))
    units = rows("unit | position | arm | runs")
    assert len(units) == 12
    for unit, where, arm, runs in units:
        assert float(where) == position(record.salt, unit)
        running = view.assigned(unit)
        if runs == "the incumbent, unmeasured":
            assert (running.values, running.arm) == (record.incumbent.values, None)
        else:
            assert (running.values, running.arm) == (json.loads(runs), arm.removeprefix("pinned to "))
        assert arm.startswith("pinned to ") == (unit in record.pinned)


def test_every_disposition_and_every_reason_is_explained():
    fates = re.compile(r'Disposed\(\s*"[a-z_]+",\s*"([a-z_]+)"(?:,\s*letter=False)?')
    source = "".join(path.read_text() for path in (ROOT / "streams" / "processor").glob("*.py"))
    silent = {"seen", "round_closed", "after_deadline", "earlier_spec", "settling"}  # in no dead letter
    reasons = set(fates.findall(source)) - silent | {"not_json", "schema_version", "invalid", "wrong_partition"}
    assert len(reasons) > 15
    explained = set(re.findall(r"`(\w+)`", PAGE))
    assert reasons | set(DISPOSITIONS) <= explained


def test_the_page_names_every_kind_of_command():
    kinds = get_args(Command.model_fields["kind"].annotation)
    [sentence] = re.findall(r"^`kind` is (.*?);", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", sentence) == list(kinds)
