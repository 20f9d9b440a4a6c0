"""The command line in this process, and a broker with a worker to run it against."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kafkas import ROOT, unique_prefix, wait_for
from oppertune.streams.broker import BrokerSettings, EmbeddedBroker
from oppertune.streams.operate.main import main

OPPERTUNE = [sys.executable, "-m", "oppertune.streams.operate"]


@dataclass
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in this process, through all that stands between it and the shell: ``call("tuner", "list")``."""

    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["oppertune", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return call


@dataclass
class Served:
    """An embedded broker with a worker."""

    settings: BrokerSettings
    log: Path


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A broker with one real worker that finds the tests' plugins by their entry points."""
    path = tmp_path_factory.mktemp("worker") / "log"
    with EmbeddedBroker(prefix=unique_prefix()) as broker, path.open("wb") as log:
        here = ["--embedded", "-b", broker.bootstrap, "--prefix", broker.settings.prefix]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "plugins")}
        worker = subprocess.Popen([*OPPERTUNE, "worker", *here], stderr=log, env=environment)
        try:
            wait_for(lambda: worker.poll() is not None or "ready: partitions" in path.read_text(), "the worker", 25)
            assert worker.poll() is None, path.read_text()
            yield Served(broker.settings, path)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(5) == 0
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait(5)


@pytest.fixture
def served(one_worker: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """That broker and worker; commands of this test find them in the environment, as a user's would."""
    _point(monkeypatch, one_worker.settings)
    return one_worker


@pytest.fixture
def workerless(embedded: BrokerSettings, monkeypatch: pytest.MonkeyPatch) -> BrokerSettings:
    """A broker without a worker, in the environment."""
    _point(monkeypatch, embedded)
    return embedded


def _point(monkeypatch: pytest.MonkeyPatch, settings: BrokerSettings) -> None:
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", settings.bootstrap)
    monkeypatch.setenv("OPPERTUNE_PREFIX", settings.prefix)
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "1")
