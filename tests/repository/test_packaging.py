"""The shape of repository and wheel: every package is listed, links point home, arrows hold, a client stays light."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oppertune.algorithms.all import ALGORITHMS
from oppertune.streams.operate.__main__ import _NEEDED_BY
from repository.documents import blocks

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "algorithms", "schemas", "streams")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "optuna", "scipy", "pyarrow"}


def test_every_package_is_listed_for_wheels():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        "oppertune." + ".".join(init.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert listed == {"oppertune", *found}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_linked_where_type_checkers_look(package):
    assert (ROOT / "src" / "oppertune" / package).resolve() == ROOT / package


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_refuses_its_bare_name(package):
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"import this package as 'oppertune.{package}'" in done.stderr


def test_the_arrows_between_packages_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_importing_the_client_loads_neither_faust_nor_torch_nor_an_algorithm():
    code = "import sys, oppertune.streams.client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"faust", "aiokafka", "torch", "matplotlib", "typer", "rich", "oppertune.algorithms"}
    assert not heavy & set(loaded)


# -- extras


def needed(requirement: str, seen: set[str] | None = None) -> set[str]:
    """All distributions that pip would bring here for a requirement, by what is installed."""
    seen = set() if seen is None else seen
    wanted = Requirement(requirement)
    named = canonicalize_name(wanted.name)
    for extra in ("", *sorted(wanted.extras)):
        if (mark := f"{named}[{extra}]") in seen:
            continue
        seen.add(mark)
        try:
            lines = requires(named) or []
        except PackageNotFoundError:
            continue
        for line in PROJECT_LINES if named == "oppertune-streams" else lines:
            below = Requirement(line)
            if below.marker is None or below.marker.evaluate({"extra": extra}):
                needed(line, seen)
    return {mark.partition("[")[0] for mark in seen}


PROJECT_LINES = [
    *PROJECT["dependencies"],
    *(f"{line}; extra == '{e}'" for e, lines in PROJECT["optional-dependencies"].items() for line in lines),
]


def installs() -> list[str]:
    """What the README has people install."""
    return [
        word.strip("'")
        for block in blocks("bash")
        if block.page == "README.md"
        for word in block.text.split()
        if "oppertune-streams" in word
    ]


def test_the_readmes_lines_bring_what_the_commands_import_and_nothing_heavy():
    client, worker = installs()
    assert needed(worker) & HEAVY == set()
    assert needed(worker) > needed(client)
    assert needed("oppertune-streams[torch]") & HEAVY == {"torch"}, "the walk sees what is heavy"
    by_package = packages_distributions()
    imported = {
        canonicalize_name(by_package[package][0])
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*.py")
        if "algorithms" not in path.parts and path.name not in {"export.py", "testing.py"}
        for package in imports(path)
        if package in by_package
    }
    assert imported - {"oppertune-streams"} <= needed(worker)


def imports(path: Path) -> set[str]:
    """Packages that a file imports, wherever in it."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            named.add(node.module.partition(".")[0])
    return named


def test_no_extra_is_empty():
    assert all(PROJECT["optional-dependencies"].values())


def test_where_one_chooses_an_algorithm_its_extra_is_named():
    page = (ROOT / "docs" / "algorithms.md").read_text()
    section = page.partition("### Extras")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \| ", section, re.MULTILINE))
    shipped = {name: entry.extra for name, entry in ALGORITHMS._entries.items()}  # type: ignore[attr-defined]
    assert rows == {name: extra for name, extra in shipped.items() if extra}
    assert set(rows.values()) <= PROJECT["optional-dependencies"].keys()
    chosen = page.partition("### Extras")[0]
    assert all(f"`{name}` ([extra](#extras) `{extra}`)" in chosen for name, extra in rows.items())
    assert "https://download.pytorch.org/whl/cpu" in page


def oppertune_without(packages: list[str], *arguments: str) -> tuple[int, str]:
    """``oppertune`` where these are not installed: its exit code, and what it says."""
    code = f"import sys; sys.modules.update(dict.fromkeys({packages})); "
    code += "from oppertune.streams.operate.__main__ import run; run()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_the_bare_installs_command_says_what_to_install(package):
    said = "error: the command line of oppertune needs packages that are not installed:"
    assert oppertune_without([package], "--help") == (2, f"{said} pip install 'oppertune-streams[worker,cli]'\n")


def test_a_command_line_without_a_worker_says_what_to_install():
    packages = ["faust", "aiokafka", "mode", "prometheus_client", "threadpoolctl"]
    assert oppertune_without(packages, "--help")[0] == 0
    said = "error: a worker needs packages that are not installed: pip install 'oppertune-streams[worker]'\n"
    assert oppertune_without(packages, "worker", "-b", "127.0.0.1:1") == (2, said)


def test_a_module_of_our_own_that_is_missing_is_a_fault_and_no_advice():
    code, said = oppertune_without(["oppertune.streams.operate.console"], "--help")
    assert code == 1
    assert "Traceback" in said


def test_every_package_of_the_two_extras_has_its_sentence():
    extras, by_package = PROJECT["optional-dependencies"], packages_distributions()
    wanted = {canonicalize_name(Requirement(line).name) for line in extras["worker"] + extras["cli"]}
    assert wanted == {canonicalize_name(by_package[package][0]) for package in _NEEDED_BY} - {"mode-streaming"}


# -- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy: setuptools leaves folders where it builds."""
    copy, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in (*PACKAGES, "src"):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(made),
        str(copy),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = made.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_says_where_the_project_is(metadata):
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert urls.keys() >= {"Source", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith("https://") for url in urls.values())
    assert urls == PROJECT["urls"]


def test_the_long_description_is_the_readme_and_each_of_its_links_works_anywhere(metadata):
    shown = metadata.get_payload()
    source = PROJECT["urls"]["Source"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", re.sub(r"```.*?```", "", shown, flags=re.DOTALL))
    assert len(links) > 10
    for picture, target in links:
        assert target.startswith("https://"), target
        if target.startswith(source):
            kind = "raw" if picture else "blob"
            path = target.removeprefix(f"{source}/{kind}/main/").partition("#")[0]
            assert (ROOT / path).exists(), target
    assert re.sub(rf"{source}/(?:raw|blob)/main/", "", shown).strip() == (ROOT / "README.md").read_text().strip()


def test_the_wheel_has_every_module_and_schema(wheel):
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    for folder in PACKAGES:
        for path in (ROOT / folder).rglob("*.py"):
            assert f"oppertune/{path.relative_to(ROOT)}" in there
    for path in (ROOT / "schemas").rglob("*.json"):
        assert f"oppertune/{path.relative_to(ROOT)}" in there
