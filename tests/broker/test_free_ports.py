"""Ports for brokers of tests: those of one process are no other's, though nobody listens there yet."""

import subprocess
import sys

import kafkas


def reserved_by_another(port: int) -> bool:
    code = "import sys, kafkas; sys.exit(kafkas.reserve(int(sys.argv[1])))"
    folder = kafkas.ROOT / "tests"
    return bool(subprocess.run([sys.executable, "-c", code, str(port)], cwd=folder, check=False).returncode)


def test_a_port_is_given_once_whoever_asks() -> None:
    port = kafkas.free_port()
    assert not kafkas.reserve(port)
    assert not reserved_by_another(port)


def test_the_ports_of_a_process_that_ended_are_free_again() -> None:
    port = kafkas.free_port()
    kafkas._reserved.pop().close()
    assert reserved_by_another(port)
    assert kafkas.reserve(port)
