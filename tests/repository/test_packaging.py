"""The repository's shape: every package is listed, links point home, arrows hold, a client stays light."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "algorithms", "schemas", "streams")


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
