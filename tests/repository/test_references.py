"""Sources explain themselves: nothing points to a document that a reader of the repository does not have."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "algorithms", "schemas", "streams", "tests", "benchmarks", "scripts")

OUTSIDE = re.compile(
    r"design §|\bspec §|\bdesign\.md|\bhouse\.md|\bspec/[\w.-]+\.md|\bshared/(?!kafka/run-kafka|data\b)[\w.-]+"
)
"""Documents outside of the repository, and what lies beside it but the broker for tests and the measured systems."""

INSIDE = re.compile(r"[\w/]*algorithms/shared/|from \S*shared|\.shared\.")
"""Not meant: a package of this repository that has the word in its name."""


def outside(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if OUTSIDE.search(INSIDE.sub("", line))]


def sources() -> list[Path]:
    files = (file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))
    endings = {"", ".py", ".sh", ".toml", ".yaml", ".yml"}
    return [f for f in files if f.is_file() and f.suffix in endings and f.name != Path(__file__).name]


def test_no_source_points_to_a_document_outside_the_repository() -> None:
    found = {str(file.relative_to(ROOT)): lines for file in sources() if (lines := outside(file.read_text()))}
    assert not found


@pytest.mark.parametrize("text", ["(design §4)", "see ../shared/design.md", "as house.md says", "spec/rollout.md §1"])
def test_a_pointer_to_the_outside_is_found(text: str) -> None:
    assert outside(f"# {text}")


@pytest.mark.parametrize("text", ["../shared/kafka/run-kafka", "../shared/data/redis.csv", "algorithms/shared/box.py"])
def test_what_is_there_may_be_named(text: str) -> None:
    assert not outside(f"# {text}")
