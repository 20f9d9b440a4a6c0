"""One worker for all examples, with their reward functions installed beside it; and what starts an example."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kafkas import ROOT, unique_prefix, wait_for
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker

EXAMPLES = ROOT / "examples"
OPPERTUNE = [sys.executable, "-m", "oppertune.streams.operate"]


def stopped(process: subprocess.Popen[Any]) -> int:
    """Ends it as a supervisor would, and returns its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(15)


@pytest.fixture(scope="session")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``examples/rewards`` installed, from a wheel that was built for it."""
    folder = tmp_path_factory.mktemp("rewards")
    source, installed = folder / "source", folder / "installed"
    shutil.copytree(EXAMPLES / "rewards", source, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, folder], cwd=source, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


@pytest.fixture(scope="session")
def fleet(rewards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerSettings]:
    """An embedded broker with a worker."""
    path = tmp_path_factory.mktemp("worker") / "log"
    with EmbeddedBroker(prefix=unique_prefix()) as broker, path.open("wb") as log:
        environment = {**os.environ, "PYTHONPATH": str(rewards)}
        flags = ["--embedded", "-b", broker.bootstrap, "--prefix", broker.settings.prefix]
        worker = subprocess.Popen([*OPPERTUNE, "worker", *flags], stderr=log, env=environment)
        try:
            wait_for(lambda: worker.poll() is not None or "ready: partitions" in path.read_text(), "the worker", 25)
            assert worker.poll() is None, path.read_text()
            yield broker.settings
            assert stopped(worker) == 0
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait(5)


@pytest.fixture
def start(fleet: BrokerSettings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts an example as its README says, with the broker in the environment: ``start("own_app/shipper.py")``.

    ``start("-m", "gunicorn", …, folder="web_service")`` starts a module in that folder.
    """
    running: list[subprocess.Popen[str]] = []
    environment = {
        **os.environ,
        "OPPERTUNE_BOOTSTRAP": fleet.bootstrap,
        "OPPERTUNE_PREFIX": fleet.prefix,
        "OPPERTUNE_EMBEDDED": "1",
        "XDG_STATE_HOME": str(tmp_path),
    }

    def start(*command: str, folder: str = "", **more: str) -> subprocess.Popen[str]:
        if command[0] == "-m":
            whole = [sys.executable, *command]
        elif not command[0].endswith(".py"):
            whole = [*OPPERTUNE, *command]
        else:
            whole = [sys.executable, str(EXAMPLES / command[0]), *command[1:]]
        pipe, environ = subprocess.PIPE, environment | more
        running.append(subprocess.Popen(whole, env=environ, stdout=pipe, stderr=pipe, text=True, cwd=EXAMPLES / folder))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
