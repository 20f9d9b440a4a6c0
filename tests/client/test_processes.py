"""Forks, interpreters that end, and what an import costs: each in a process of its own."""

import dataclasses
import os
import subprocess
import sys
import textwrap

import pytest

from kafkas import wait_for
from oppertune.streams.client import Status

from .conftest import TUNER, arm, until_values


def python(code, *args, timeout=30):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_client_is_light():
    """Counted, for a busy machine makes any time long: benchmarks/client.py has the time that it takes."""
    code = """
        import sys
        before = len(sys.modules)
        import oppertune.streams.client
        heavy = {"faust", "aiokafka", "mode", "torch", "oppertune.algorithms", "oppertune.streams.worker",
                 "oppertune.streams.processor", "asyncio", "typer", "matplotlib"}
        print(len(sys.modules) - before, sorted(heavy & sys.modules.keys()))
    """
    modules, heavy = python(code).stdout.split(maxsplit=1)
    assert heavy == "[]\n"
    assert int(modules) < 500  # 327; Faust alone is as many again


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # Python 3.12 says so of every such fork
def test_a_forked_child_is_an_instance_of_its_own(topics, make):
    topics.publish(arm(42))
    client = make()
    until_values(client, pool=42)
    wait_for(lambda: topics.running("candidate-1"), "the parent's announcement")
    client.record("parents", 1.0)
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            until_values(client, pool=42)
            wait_for(lambda: client.record("childs", 1.0) or client._agent.connection.caught_up, "the child to connect")
            wait_for(lambda: client._current.view.own.active_request.activated is not None, "the child to activate")
            client.record("childs", 1.0)
            os.read(to_child, 1)
            until_values(client, pool=43)
            client.close(10)
            status = 0
        finally:
            os._exit(status)
    wait_for(lambda: {e.instance for e in topics.running("candidate-1")} == {"a", f"a-{child}"}, "the child's presence")
    wait_for(lambda: topics.measured("candidate-1", "childs"), "the child's metrics")
    wait_for(lambda: topics.measured("candidate-1", "parents"), "the parent's metrics")
    topics.publish(arm(43, round_=2), version=2)
    until_values(client, pool=43)
    os.write(from_parent, b"x")
    assert os.waitpid(child, 0)[1] == 0
    of = {name: {e.instance for e in topics.metrics if name in e.metrics} for name in ("parents", "childs")}
    assert of == {"parents": {"a"}, "childs": {f"a-{child}"}}
    boots = {e.instance: e.boot for e in topics.read().contexts}
    assert len(set(boots.values())) == 2
    wait_for(lambda: any(e.leaving for e in topics.read().contexts), "the child's goodbye")
    assert {e.instance for e in topics.contexts if e.leaving} == {f"a-{child}"}
    assert sum(s.count for s in topics.measured("candidate-1", "parents")) == 1
    os.close(to_child)
    os.close(from_parent)


def test_after_a_fork_ready_means_that_the_child_itself_follows(make):
    client = make(start=False)
    client._current.swap(dataclasses.replace(client._current.view, status=Status.READY))
    assert client.wait_ready(0)
    client._go_on_in_child()
    assert client.status is Status.READY
    assert not client.wait_ready(0)


CHILD_ENDS = """
    import os, sys, time
    from oppertune.streams.client import TunerClient, BrokerSettings
    bootstrap, prefix, tuner, folder = sys.argv[1:]
    client = TunerClient(tuner, {"pool": 1}, settings=BrokerSettings(bootstrap, prefix), state_dir=folder)
    client.start()
    assert client.wait_ready(20)
    while not client._agent._here:  # who forks before is no instance, and says no goodbye
        time.sleep(0.01)  # between two looks; the whole process has a deadline
    child = os.fork()
    if child == 0:
        sys.exit(7 if client["pool"] == 42 else 1)  # through the interpreter's end, with the parent's handles in memory
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_forked_child_and_its_parent_end_by_themselves(topics, tmp_path):
    topics.publish(status="parked", incumbent={"pool": 42, "mode": "slow"})
    python(CHILD_ENDS, topics.settings.bootstrap, topics.settings.prefix, TUNER, str(tmp_path))
    wait_for(lambda: any(e.leaving for e in topics.read().contexts), "the goodbye at the interpreter's end")


def test_an_interpreter_ends_soon_though_the_broker_was_never_there(tmp_path):
    code = """
        import sys
        from oppertune.streams.client import TunerClient
        client = TunerClient("checkout", {"pool": 1}, settings="127.0.0.1:1", state_dir=sys.argv[1]).start()
        assert client["pool"] == 1
    """
    assert python(code, str(tmp_path), timeout=10).stderr.count("\n") <= 1


def test_a_forked_child_has_a_name_of_its_own():
    code = """
        import os
        from oppertune.streams.client import TunerClient
        client = TunerClient("t", {"pool": 1}, settings="127.0.0.1:1")
        parents = client.instance
        child = os.fork()
        if child == 0:
            os._exit(0 if client.instance != parents else 7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert python(code).stdout == "0\n"
