"""Takes out each mechanism that a guarantee rests on, one at a time, and says whether a test notices.

The mechanisms are in ``mechanisms.toml`` beside this file: which guarantee of docs/reliability.md rests on each, the
lines that are it, what they become without it, and the tests that should fail then. Options: ``scripts/mutate --help``.

A copy of the checkout is mutated, never the checkout itself.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("mechanisms.toml")
SOURCES = ("core", "algorithms", "schemas", "streams")
COPIED = (*SOURCES, "src", "tests", "docs", "examples", "ops", "pyproject.toml", "README.md", "docker-compose.yml")
TIMEOUT_S = 300


@dataclass(frozen=True)
class Mechanism:
    """One row of the table.

    Attributes:
        guarantee: A heading of docs/reliability.md.
        name: What it does, in a few words.
        file: Where it is, from the root.
        find: Its lines, exactly; they are there once.
        replace: What they become without it.
        tests: Arguments for pytest: what should notice.
    """

    guarantee: str
    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def without(self, text: str) -> str:
        """The file's text without the mechanism.

        Raises:
            ValueError: Its lines are not there, or more than once.
        """
        if (found := text.count(self.find)) != 1:
            raise ValueError(f"{self.name}: {found} times in {self.file}, must be once:\n{self.find}")
        return text.replace(self.find, self.replace)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutation: ``noticed`` by a test, ``SURVIVED``, or ``BROKEN`` where no test could be run."""

    mechanism: Mechanism
    word: str
    said: str
    took_s: float


def mechanisms() -> list[Mechanism]:
    """The table."""
    rows = tomllib.loads(TABLE.read_text())["mechanism"]
    return [Mechanism(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copy_of(root: Path) -> Path:
    """A copy of the checkout that can be mutated."""
    folder = Path(tempfile.mkdtemp(prefix="oppertune-mutate-")) / "main"
    folder.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    (folder / ".venv").symlink_to(root / ".venv")
    if (shared := root.parent / "shared").exists():
        (folder.parent / "shared").symlink_to(shared.resolve())
    return folder


def pytest(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run tests in a copy until one fails: exit status and what was printed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OPPERTUNE_TEST_")}
    environment = {**own, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [".venv/bin/python", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not long", *tests]
    run = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = run.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return 1, "FAILED it hangs"
    finally:
        with suppress(ProcessLookupError):  # what a test without its mechanism left running
            os.killpg(run.pid, signal.SIGKILL)
    return run.returncode, output


def judge(mechanism: Mechanism, folder: Path) -> Verdict:
    """Take a mechanism out of a copy, run its tests, and put it back."""
    began = time.monotonic()
    file = folder / mechanism.file
    before = file.read_text()
    file.write_text(mechanism.without(before))
    try:
        status, output = pytest(folder, mechanism.tests)
    finally:
        file.write_text(before)
    took_s = time.monotonic() - began
    if status == 1:
        first = re.search(r"^(?:FAILED|ERROR) (\S.*)$", output, re.MULTILINE)
        return Verdict(mechanism, "noticed", first[1].split(" - ")[0] if first else "", took_s)
    if status == 0:
        return Verdict(mechanism, "SURVIVED", " ".join(mechanism.tests), took_s)
    return Verdict(mechanism, "BROKEN", output[-2000:], took_s)


def judged(chosen: list[Mechanism], jobs: int) -> Iterator[Verdict]:
    """Judge mechanisms side by side, each runner with a copy of its own; in the order of the table."""
    folders = [copy_of(ROOT) for _ in range(jobs)]
    try:
        free = list(folders)

        def one(mechanism: Mechanism) -> Verdict:
            folder = free.pop()
            try:
                return judge(mechanism, folder)
            finally:
                free.append(folder)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(one, chosen)
    finally:
        for folder in folders:
            shutil.rmtree(folder.parent, ignore_errors=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("-k", metavar="WORD", default="", help="only mechanisms whose guarantee, name or file has it")
    parser.add_argument("--list", action="store_true", help="say which there are, and run nothing")
    parser.add_argument("--jobs", type=int, default=2, help="so many side by side (default: 2)")
    options = parser.parse_args()
    chosen = [m for m in mechanisms() if options.k.lower() in f"{m.guarantee} {m.name} {m.file}".lower()]
    if not chosen:
        parser.error(f"no mechanism has {options.k!r}: see --list")
    if options.list:
        for mechanism in chosen:
            print(f"{mechanism.guarantee}: {mechanism.name} ({mechanism.file})")
        return 0
    everything = tuple(dict.fromkeys(test for mechanism in chosen for test in mechanism.tests))
    print(f"{len(chosen)} mechanisms; first their tests with nothing taken out ...", flush=True)
    folder = copy_of(ROOT)
    try:
        status, output = pytest(folder, everything)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
    if status != 0:
        print(output[-4000:], "they fail as it is: mend that first", sep="\n")
        return 2
    survived = 0
    for verdict in judged(chosen, options.jobs):
        survived += verdict.word != "noticed"
        mechanism = verdict.mechanism
        print(f"{verdict.word:<9} {verdict.took_s:4.0f} s  {mechanism.guarantee}: {mechanism.name}", flush=True)
        print(f"                  {verdict.said}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
