"""What the documents show is run as it stands, or checked against what it is of; and every link leads somewhere."""

import doctest
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kafkas import ROOT
from oppertune.schemas import TunerSpec
from oppertune.schemas.reference import page as spec_reference
from repository.checks import CHECKS, check_mention
from repository.documents import PAGES, Block, all_blocks, blocks, blocks_in

WITH_PYTHON = sorted({block.page for block in blocks("python")})


@pytest.mark.parametrize("block", all_blocks(), ids=str)
def test_every_block_is_checked_or_of_a_kind_that_needs_no_check(block, tmp_path, monkeypatch):
    assert block.kind in CHECKS, f"{block}: a block of kind {block.kind!r} has no test"
    monkeypatch.delenv("OPPERTUNE_BOOTSTRAP", raising=False)
    CHECKS[block.kind](block, tmp_path)


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, embedded, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", embedded.bootstrap)
    monkeypatch.setenv("OPPERTUNE_PREFIX", embedded.prefix)
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    served: list[Mapping[str, Any]] = []
    names: dict[str, Any] = {
        "__name__": "snippet",
        "requests": range(3),
        "serve": lambda request, **values: served.append(values),
    }
    for block in blocks("python"):
        if block.page != page or block.included is not None:
            continue
        if ">>>" in block.text:
            test = doctest.DocTestParser().get_doctest(block.text, names, str(block), None, block.line)
            failed = doctest.DocTestRunner().run(test, clear_globs=False).failed
            names.update(test.globs)
            assert not failed, capsys.readouterr().out
        else:
            exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 - our own documents
    if page == "README.md":
        assert served == [{"pool_size": 10, "policy": "lru"}] * 3
        shown = eval(capsys.readouterr().out)  # noqa: S307 - what the snippet printed
        assert abs(shown["ratio"] - 0.2) < 0.15


@pytest.mark.parametrize(
    ("kind", "title", "text"),
    [
        ("", "", "what is this"),
        ("java", "", "class A {}"),
        ("bash", "", "oppertune tuner aply x.yaml"),
        ("bash", "", "oppertune tuner apply x.yaml --no-such-option"),
        ("bash", "", "oppertune tuner apply"),
        ("bash", "", "oppertune topics create && scripts/nothing"),
        ("bash", "", "OPPERTUNE_SASL_USER=ada oppertune worker"),
        ("bash", "", "pip install 'oppertune-streams[everything]'"),
        ("bash", "", "python -m oppertune.nothing"),
        ("bash", "", "docker-compose up"),
        ("json", "", '{"v": 1}'),
        ("json", "context-event", '{"v": 1, "id": "1", "tuner": "t"}'),
        ("json", "context-event", '{"v": 1, "id": "1", "tuner": "t", "instance": "i", "colour": "red"}'),
        ("yaml", "", "objective: {measure: latency}"),
        ("yaml", "", "services: {}"),
        ("yaml", "examples/checkout.yaml", "name: checkout"),
        ("toml", "", 'sasl_user = "ada"'),
        ("python", "", "def f(:"),
        ("mermaid", "", "flowhcart LR"),
    ],
    ids=lambda given: given[:40] or "-",
)
def test_a_block_that_is_wrong_is_found(kind, title, text, tmp_path):
    shown = f' title="{title}"' if title else ""
    [block] = blocks_in("page.md", f"- a list\n\n  ```{kind}{shown}\n  {text}\n  ```\n")
    assert block == Block("page.md", 3, kind, title, text + "\n")
    with pytest.raises(Exception):  # noqa: B017, PT011 - each checker its own
        CHECKS[block.kind](block, tmp_path)


def test_commands_that_are_named_in_the_text_exist_with_their_options():
    for path in PAGES:
        for command in re.findall(r"`oppertune ([a-z][^`]*)`", path.read_text()):
            check_mention(command.split())


@pytest.mark.parametrize("mention", ["tunner show", "tuner shove NAME", "tuner apply FILE --dry"])
def test_a_command_that_is_not_there_is_found(mention):
    with pytest.raises(AssertionError, match="oppertune has no"):
        check_mention(mention.split())


def test_the_examples_specs_are_valid():
    for path in (ROOT / "examples").glob("*.yaml"):
        TunerSpec.model_validate(yaml.safe_load(path.read_text()))


def test_the_reference_of_the_spec_is_current_and_leaves_nothing_unexplained():
    assert (ROOT / "docs" / "spec.md").read_text() == spec_reference(), "run: python -m oppertune.schemas.reference"
    unexplained = [row for row in spec_reference().splitlines() if row.endswith("|  |") and "`type`" not in row]
    assert unexplained == []


def test_the_rights_on_the_page_are_those_that_were_tried():
    from security import test_rights as tried

    page = (ROOT / "docs" / "operating.md").read_text()
    shown = set()
    for role, kind, name, operations in re.findall(
        r"^\| (app|worker|operator) \| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE
    ):
        bare = "" if "all of the prefix" in name else name.rpartition("`")[0].rpartition("`")[2]
        shown |= {(role, kind.replace(" ", "_"), bare, "all" in name, word.lower()) for word in operations.split(", ")}
    needed = {
        (role, kind.name.lower(), name, pattern == tried.ALL, operation.name.lower().replace("_", ""))
        for role, kind, name, pattern, operation in [*tried.APP, *tried.WORKER, *tried.OPERATOR]
    }
    assert shown == needed


@pytest.mark.parametrize(
    "command", ["scripts/demo", "scripts/test", "scripts/check", "scripts/setup", ".ci/run", "scripts/docs"]
)
def test_each_script_is_short_and_parses(command):
    path = ROOT / command
    assert path.stat().st_mode & 0o111
    assert len(path.read_text().splitlines()) <= 25
    subprocess.run(["bash", "-n", path], check=True)


def test_the_site_builds_without_a_warning(tmp_path):
    built = subprocess.run([ROOT / "scripts" / "docs", tmp_path / "site"], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    assert_it_shows_without_network(tmp_path / "site")
    for page in (ROOT / "docs").rglob("*.md"):
        assert (tmp_path / "site" / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()
    assert "One running copy of a service." in (tmp_path / "site" / "wire-format.html").read_text()
    assert (tmp_path / "site" / "asyncapi.yaml").is_file()


def assert_it_shows_without_network(site: Path) -> None:
    """No page loads anything from elsewhere, and one with a diagram loads what draws it: else Material fetches that."""
    diagrams = 0
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*?\bsrc=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link\b(?![^>]*rel=\"?(?:canonical|next|prev))[^>]*?\bhref=\"?([^\" >]+)", text)
        assert loaded
        assert not [address for address in loaded if re.match(r"(?:https?:)?//", address)], page.name
        if 'class="mermaid"' in text:
            diagrams += 1
            (script,) = (address for address in loaded if "mermaid" in address)
            assert 'globalThis["mermaid"] =' in (page.parent / script).read_text()
    assert diagrams


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir()))
def test_a_script_that_uses_what_is_set_up_sets_it_up(script):
    lines = (ROOT / "scripts" / script).read_text().splitlines()
    uses = [number for number, line in enumerate(lines) if ".venv/bin" in line and not line.startswith("#")]
    assert script == "setup" or not uses or "scripts/setup" in lines[: uses[0]]


def test_every_link_in_the_documents_leads_somewhere():
    for document in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_test_that_a_page_names_is_there():
    for document in PAGES:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", document.read_text()):
            assert (ROOT / path).is_file(), f"{document.name}: {path}"
            assert not name or re.search(rf"def {name}\b", (ROOT / path).read_text()), f"{document.name}: {name}"


def test_decisions_are_numbered_without_gaps():
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
