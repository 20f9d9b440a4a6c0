"""Under gevent the client's thread is a real one, and the service goes on; under eventlet it says that it cannot run.

gevent, gunicorn and eventlet are found where they are installed, or in the folders that GEVENT_PATH names.
"""

import contextlib
import importlib.util
import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

from kafkas import wait_for

from .conftest import TUNER, arm

SOMEWHERE = [p for p in os.environ.get("GEVENT_PATH", "").split(os.pathsep) if p]


def needs(*packages):
    missing = [
        name
        for name in packages
        if importlib.util.find_spec(name) is None and not any((Path(p) / name).is_dir() for p in SOMEWHERE)
    ]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} not found: install, or name a folder in GEVENT_PATH")


def environment(**more):
    path = os.pathsep.join([*SOMEWHERE, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path} | more


def python(code, *args):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=environment(),
    )


HOST = """
    import sys
    if sys.argv[1] == "patched first":
        from gevent import monkey
        monkey.patch_all()
    from oppertune.streams.broker import BrokerSettings
    from oppertune.streams.client import TunerClient
    if sys.argv[1] == "patched later":
        from gevent import monkey
        monkey.patch_all()
    import _thread, logging, time
    import gevent

    started = monkey.get_original("_thread", "get_ident")
    main = started()
    turns = []

    def beat():
        while True:
            turns.append(time.monotonic())
            logging.warning("a line of the app's")
            gevent.sleep(0.01)

    logging.basicConfig(filename="/dev/null")
    gevent.spawn(beat)
    threads = []

    def changed(new, old):
        threads.append(started())
        logging.warning("a line of the client's")

    at, prefix, folder = sys.argv[2:]
    nowhere = TunerClient("checkout", {"pool": 1}, settings="127.0.0.1:1", state_dir=folder).start()
    began = len(turns)
    nowhere.wait_ready(1.5)
    assert len(turns) - began > 15, "the service waits for the client to get ready"

    client = TunerClient("checkout", {"pool": 1}, settings=BrokerSettings(at, prefix), state_dir=folder,
                         on_change=changed, instance="green").start()
    until = time.monotonic() + 20
    while client["pool"] != 42 and time.monotonic() < until:
        gevent.sleep(0.05)
    assert client["pool"] == 42, client.problems
    assert set(threads) and main not in threads, "callbacks are called on the client's own thread"
    client.accept_restart(0.2)
    for _ in range(100):
        client.record("latency_ms", 1.0)
    began = time.monotonic()
    client.close(5)
    nowhere.close(5)
    assert time.monotonic() - began < 4, "closing waits for its time-out"
    gaps = [b - a for a, b in zip(turns, turns[1:])]
    assert max(gaps) < 1.0, max(gaps)
    print("ok", flush=True)
"""


@needs("gevent")
@pytest.mark.parametrize("order", ["patched first", "patched later"])
def test_under_gevent_greenlets_go_on_while_the_client_works(topics, tmp_path, order):
    app = subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(HOST), order),
            *(topics.settings.bootstrap, topics.settings.prefix, str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    published = itertools.count(1)

    def done():
        topics.publish(arm(42, "slow"), published_ms=1_000 * next(published))
        return app.poll() is not None

    try:
        wait_for(done, "the app to end", 40)
        out, err = app.communicate()
    finally:
        app.kill()
    assert (app.returncode, out) == (0, "ok\n"), err
    wait_for(lambda: sum(s.count for s in topics.measured("candidate-1")) == 100, "what was measured")
    wait_for(lambda: any(e.leaving for e in topics.read().contexts if e.instance == "green"), "the goodbye")


def present(topics):
    """The instances that said that they are here, and not yet goodbye."""
    here = {event.instance: not event.leaving for event in topics.read().contexts}
    return {instance for instance, is_here in here.items() if is_here}


SERVICE = f"""
import os
from oppertune.streams.client import TunerClient

client = TunerClient("{TUNER}", {{"pool": 1}}, state_dir=os.environ["STATE"]).start()

@client.measure("latency_ms")
def app(environ, start_response):
    said = f"{{client['pool']}} {{client.instance}}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
    return [said]
"""


@needs("gevent", "gunicorn")
@pytest.mark.parametrize("preload", [False, True])
def test_under_gunicorns_gevent_worker_a_service_answers_and_is_tuned(topics, tmp_path, preload):
    (tmp_path / "service.py").write_text(SERVICE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    there = {"BOOTSTRAP": topics.settings.bootstrap, "PREFIX": topics.settings.prefix, "EMBEDDED": "1"}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--bind", f"127.0.0.1:{port}"),
                *("--workers", "1", "--chdir", str(tmp_path), *(["--preload"] if preload else []), "service:app"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment(STATE=str(tmp_path), **{f"OPPERTUNE_{name}": value for name, value in there.items()}),
        )
    published = itertools.count(1)

    def answered():
        topics.publish(arm(42, "slow"), published_ms=1_000 * next(published))
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            said: str = answer.read().decode()
            return said
        return ""

    try:
        wait_for(lambda: answered().startswith("42 "), "the arm to be run", 40)
        instance = answered().partition(" ")[2]
        wait_for(lambda: answered() and topics.measured("candidate-1"), "what was measured")
        assert {event.instance for event in topics.metrics} == {instance}
        wait_for(lambda: present(topics) == {instance}, "the master to be none")
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        server.kill()
        server.wait()
    wait_for(lambda: present(topics) == set(), "the goodbye")


@needs("eventlet")
@pytest.mark.filterwarnings("ignore:.*eventlet.*")
def test_under_eventlet_it_is_refused_in_a_sentence_at_the_start(tmp_path):
    code = """
        import sys, eventlet
        eventlet.monkey_patch(**({"thread": False, "os": True} if sys.argv[2] == "without" else {}))
        from oppertune.core.errors import Refused
        from oppertune.streams.client import TunerClient
        client = TunerClient("checkout", {"pool": 7}, settings="127.0.0.1:1", state_dir=sys.argv[1])
        try:
            client.start()
        except Refused as error:
            print("refused", client.started, client["pool"], error)
    """
    said = python(code, str(tmp_path), "with").stdout
    assert said.startswith("refused False 7 the client does not run under eventlet")
    assert "gevent" in said
    assert python(code, str(tmp_path), "without").stdout == ""
