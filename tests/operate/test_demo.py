"""The demo as a script runs it: short, for its shape. How much faster the tuned fleet is, is a measurement."""

import json
import os
import struct
import subprocess
from pathlib import Path

import jsonschema
import pytest

from kafkas import ROOT
from operate.conftest import OPPERTUNE

FIGURES = ("default_p95_ms", "tuned_p95_ms", "default_ops_per_s", "tuned_ops_per_s")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_short_demo_prints_one_line_of_json_draws_its_picture_and_leaves_nothing(tmp_path):
    picture = tmp_path / "made" / "demo.png"
    arguments = ["--seconds", "8", "--instances", "2", "--json", "--picture", str(picture)]
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [*OPPERTUNE, "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
        cwd=work,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    result = json.loads(line)
    jsonschema.validate(result, json.loads((ROOT / "schemas" / "json" / "cli" / "demo.schema.json").read_text()))
    assert result["rounds"] > 0
    assert set(result["contexts"]) == {"read-heavy", "write-heavy"}
    for context in result["contexts"].values():
        assert all(context[figure] > 0 for figure in FIGURES)
        assert context["tuned"].keys() >= {"journal_mode", "synchronous"}
    assert result["rounds"] == sum(context["rounds"] for context in result["contexts"].values())
    assert Path(result["picture"]) == picture
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert min(struct.unpack(">II", data[16:24])) >= 300, "a picture that can be read"
    assert "power loss" in done.stderr, "what NORMAL may lose is said beside the table"
    assert not list(work.iterdir()), "its files are gone"
    assert "Traceback" not in done.stderr
