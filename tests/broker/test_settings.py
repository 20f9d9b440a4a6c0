"""One place says how to reach the broker, and nothing that results hang on can be set otherwise."""

import subprocess
import sys

import pytest
from confluent_kafka import Producer

from kafkas import free_port, wait_for
from oppertune.core.errors import InvalidArgument
from oppertune.streams.broker import BrokerSettings


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", "a:1,b:2")
    monkeypatch.setenv("OPPERTUNE_PREFIX", "shop.")
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "on")
    assert BrokerSettings.from_env() == BrokerSettings(bootstrap="a:1,b:2", prefix="shop.", embedded=True)
    assert BrokerSettings.from_env().topic("state") == "shop.state"
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "perhaps")
    with pytest.raises(InvalidArgument, match="OPPERTUNE_EMBEDDED is 'perhaps': set it to 1 or 0"):
        BrokerSettings.from_env()


@pytest.mark.parametrize("prefix", ["a/b", "shop ", "ä.", "x" * 201])
def test_a_prefix_that_kafka_would_refuse_is_refused_at_once(prefix):
    with pytest.raises(InvalidArgument, match="cannot begin a topic's name"):
        BrokerSettings(prefix=prefix)


def test_no_address_says_how_to_give_one():
    with pytest.raises(InvalidArgument, match="--bootstrap host:port, or set OPPERTUNE_BOOTSTRAP"):
        BrokerSettings(bootstrap=" ")


def test_extra_settings_win_over_ours_but_for_those_that_results_hang_on():
    extra = {"linger.ms": "0", "partitioner": "random", "isolation.level": "read_uncommitted", "client.id": "shop"}
    settings = BrokerSettings(extra=extra)
    assert settings.producer()["linger.ms"] == "0"
    assert settings.producer()["client.id"] == "shop"
    assert settings.producer()["partitioner"] == "murmur2_random"
    assert settings.consumer()["isolation.level"] == "read_committed"


def test_settings_can_be_kept_in_sets():
    assert len({BrokerSettings(extra={"a": "b"}), BrokerSettings(extra={"a": "b"})}) == 1


def test_librdkafka_logs_to_logging_and_not_to_stderr(caplog, capfd):
    producer = Producer(BrokerSettings(bootstrap=f"127.0.0.1:{free_port()}").producer())
    wait_for(lambda: producer.poll(0.05) or "refused" in caplog.text, "the client's log")
    assert {record.name for record in caplog.records} == {"oppertune.kafka"}
    assert capfd.readouterr().err == ""


def test_the_package_needs_nothing_of_the_workers():
    heavy = "{'faust', 'aiokafka', 'mode', 'torch', 'typer'}"
    code = f"import sys, oppertune.streams.broker; sys.exit(str({heavy} & sys.modules.keys() or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr.strip() == ""
