"""The table of mechanisms is true: each is where it says, once, can be taken out, and names tests that are there."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mutations.mutate import ROOT, Mechanism, copy_of, judge, mechanisms

TABLE = mechanisms()
IDS = [m.name for m in TABLE]


def test_names_are_unique_and_guarantees_are_those_of_the_documentation() -> None:
    assert len(set(IDS)) == len(IDS)
    headings = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE))
    assert {m.guarantee for m in TABLE} <= headings


@pytest.mark.parametrize("mechanism", TABLE, ids=IDS)
def test_it_is_there_once_and_the_file_without_it_is_python(mechanism: Mechanism) -> None:
    without = mechanism.without((ROOT / mechanism.file).read_text())
    compile(without, mechanism.file, "exec")
    for test in mechanism.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).exists(), test
        if name:
            assert f"def {name.rpartition('::')[2].partition('[')[0]}(" in (ROOT / file).read_text(), test


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    folder = copy_of(ROOT)
    yield folder
    shutil.rmtree(folder.parent)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mechanism", TABLE, ids=IDS)
def test_its_removal_is_noticed(mechanism: Mechanism, copy: Path) -> None:
    verdict = judge(mechanism, copy)
    assert verdict.word == "noticed", verdict.said
