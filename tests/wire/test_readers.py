"""A reader in another language deals units to arms as we do: ``docs/readers/``, on 10,000 units of each record."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from client.conftest import PARAMETERS, arm, record
from client.views import seen
from oppertune.core.assignment import BASELINE, cut_rest, grow, position
from oppertune.schemas import ConfigRecord
from oppertune.streams.client.parameters import Parameters

JAVA = 17
"""The oldest that runs a source file with records."""

READERS = Path(__file__).parents[2] / "docs" / "readers"
UNITS = [*(f"checkout-{n}" for n in range(9_997)), "Übung 7", "注文 \U0001f40d", " "]


def dealt() -> dict[str, Any]:
    """The arms of a roll-out with two pieces of one arm, one withdrawn, and one of a kind that nobody knows."""
    salt, names = "12/c7088f8a/r3", ("e1", "e2", "e3")
    upto = grow(salt, UNITS, 500)
    pieces = cut_rest(salt, UNITS, upto, [100, 250, 1], len(UNITS) - 700)
    kinds = {BASELINE: "baseline", 0: "explore", 1: "withdrawn", 2: "shadow"}
    arms = [arm(name="candidate", kind="candidate", share=upto)]
    arms += [arm(name="baseline" if n < 0 else names[n], kind=kinds[n], share=width) for width, n in pieces]
    assert len(arms) == 6
    return record(*arms, salt=salt, pinned={"checkout-7": "e1", "checkout-8": "incumbent", "checkout-9": "e9"})


def wide() -> dict[str, Any]:
    """Plain shares, whose sums are rounded: everybody must round them alike."""
    arms = [arm(name=f"e{n}", share=0.1) for n in range(9)]
    return record(*arms, salt="1")


def java_here() -> bool:
    """Whether there is a compiler: a runtime alone runs no source file."""
    if not (shutil.which("java") and shutil.which("javac")):
        return False
    said = subprocess.run(["javac", "-version"], capture_output=True, check=False, text=True, timeout=60)
    number = re.search(r"javac (\d+)", said.stdout)
    return number is not None and int(number[1]) >= JAVA


@pytest.mark.skipif(not java_here(), reason=f"no JDK {JAVA} or newer here: the reader in Java is not tried")
@pytest.mark.parametrize("it", [dealt(), wide()], ids=["roll-out", "plain"])
def test_java_deals_every_unit_to_the_arm_that_we_deal_it_to(it):
    asked = [f"salt\t{it['salt']}"]
    asked += [f"arm\t{a['arm']}\t{a['kind']}\t{a['share']!r}" for a in it["arms"]]
    asked += [f"pin\t{unit}\t{name}" for unit, name in it.get("pinned", {}).items()]
    asked += [f"unit\t{unit}" for unit in UNITS]
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_TOOL_OPTIONS"}
    answer = subprocess.run(
        ["java", str(READERS / "ReadConfig.java")],
        input="\n".join(asked).encode(),
        capture_output=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert answer.returncode == 0, answer.stderr.decode()
    theirs = [line.split("\t") for line in answer.stdout.decode().splitlines()]
    view = seen(ConfigRecord.model_validate(it), Parameters(PARAMETERS))
    assert [float(where) for where, _ in theirs] == [position(it["salt"], unit) for unit in UNITS]
    assert [name for _, name in theirs] == [view.assigned(unit).arm or "incumbent" for unit in UNITS]
