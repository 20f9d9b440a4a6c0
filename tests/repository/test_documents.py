"""What the README shows is run as it stands."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from oppertune.schemas import TunerSpec

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for lang, text in BLOCKS if lang == language]


def test_the_specs_shown_are_valid():
    for text in blocks("yaml"):
        TunerSpec.model_validate(yaml.safe_load(text))
    for path in (ROOT / "examples").glob("*.yaml"):
        TunerSpec.model_validate(yaml.safe_load(path.read_text()))


def test_the_service_snippet_runs(embedded, monkeypatch, tmp_path):
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", embedded.bootstrap)
    monkeypatch.setenv("OPPERTUNE_PREFIX", embedded.prefix)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    [snippet] = [text for text in blocks("python") if "TunerClient" in text]
    served = []
    names = {"requests": range(3), "serve": lambda request, **values: served.append(values)}
    exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 - our own README
    assert served == [{"pool_size": 10, "policy": "lru"}] * 3


def test_the_in_process_snippet_learns(capsys):
    [snippet] = [text for text in blocks("python") if "create_tuning_instance" in text]
    exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102 - our own README
    shown = eval(capsys.readouterr().out)  # noqa: S307 - what the snippet printed
    assert abs(shown["ratio"] - 0.2) < 0.15


@pytest.mark.parametrize("command", ["scripts/demo", "scripts/test", "scripts/check", "scripts/setup", ".ci/run"])
def test_each_script_is_short_and_parses(command):
    path = ROOT / command
    assert path.stat().st_mode & 0o111
    assert len(path.read_text().splitlines()) <= 25
    subprocess.run(["bash", "-n", path], check=True)


def test_every_link_in_the_documents_leads_somewhere():
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_decisions_are_numbered_without_gaps():
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
