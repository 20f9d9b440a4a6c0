"""One place says how to reach the broker, and nothing that results hang on can be set otherwise."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from faust.transport.drivers.aiokafka import server_list
from yarl import URL

from kafkas import ROOT, free_port, wait_for
from oppertune.core.errors import InvalidArgument
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.broker.settings import _NAMES
from oppertune.streams.broker.settings_sources import port_from_environment
from oppertune.streams.worker.credentials import faust_url


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPPERTUNE_BOOTSTRAP", "a:1,b:2")
    monkeypatch.setenv("OPPERTUNE_PREFIX", "shop.")
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "on")
    assert BrokerSettings.from_env() == BrokerSettings(bootstrap="a:1,b:2", prefix="shop.", embedded=True)
    assert BrokerSettings.from_env().topic("state") == "shop.state"
    monkeypatch.setenv("OPPERTUNE_EMBEDDED", "perhaps")
    with pytest.raises(InvalidArgument, match=r"embedded \(OPPERTUNE_EMBEDDED\): must be true or false"):
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
    settings = BrokerSettings(librdkafka=extra)
    assert settings.producer()["linger.ms"] == "0"
    assert settings.producer()["client.id"] == "shop"
    assert settings.producer()["partitioner"] == "murmur2_random"
    assert settings.consumer()["isolation.level"] == "read_committed"


def test_settings_can_be_kept_in_sets():
    assert len({BrokerSettings(librdkafka={"a": "b"}), BrokerSettings(librdkafka={"a": "b"})}) == 1


LOGIN = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "shop", "sasl_password": "hunter2"}


def test_code_wins_over_the_environment_and_that_over_the_file(monkeypatch, tmp_path):
    file = tmp_path / "oppertune.toml"
    file.write_text("""
bootstrap = "file:1"
prefix = "file."
partitions = 12
sasl_mechanism = "PLAIN"
sasl_username = "file"
sasl_password = "hunter2"
[librdkafka]
"socket.keepalive.enable" = "true"
""")
    monkeypatch.setenv("OPPERTUNE_CONFIG", str(file))
    monkeypatch.setenv("OPPERTUNE_PREFIX", "env.")
    monkeypatch.setenv("OPPERTUNE_SASL_USERNAME", "env")
    settings = BrokerSettings.load(sasl_username="code", bootstrap=None)
    assert (settings.bootstrap, settings.prefix, settings.sasl_username) == ("file:1", "env.", "code")
    assert (settings.partitions, settings.protocol) == (12, "SASL_SSL")
    assert settings.confluent()["socket.keepalive.enable"] == "true"
    assert settings.confluent()["sasl.password"] == "hunter2"
    file.write_text('prefx = "shop."')
    with pytest.raises(InvalidArgument, match="no setting 'prefx'; did you mean prefix"):
        BrokerSettings.load()
    file.write_text("prefix = shop")
    with pytest.raises(InvalidArgument, match="are no TOML"):
        BrokerSettings.load()
    with pytest.raises(InvalidArgument, match=r"cannot read the settings in nowhere\.toml"):
        BrokerSettings.load(Path("nowhere.toml"))


def test_secrets_come_from_files_too(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.setenv("OPPERTUNE_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    settings = BrokerSettings.load(sasl_mechanism="PLAIN", sasl_username="shop")
    assert settings.confluent()["sasl.password"] == "hunter2"
    monkeypatch.setenv("OPPERTUNE_SASL_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidArgument, match="sasl_password_file: cannot read"):
        BrokerSettings.load(sasl_mechanism="PLAIN", sasl_username="shop")


def test_settings_never_show_their_secrets():
    given: dict[str, Any] = LOGIN | {"ssl_key_password": "hunter3", "librdkafka": {"some.password": "hunter4"}}
    settings = BrokerSettings(**given)
    assert settings.confluent()["sasl.password"] == "hunter2"
    assert "hunter" not in repr(settings) + str(settings)
    with pytest.raises(InvalidArgument) as caught:
        BrokerSettings(**given, sasl_passwort="hunter5")
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sasl_mechanism": "SCRAM"}, r"sasl_mechanism \(OPPERTUNE_SASL_MECHANISM\): .*'SCRAM-SHA-256'"),
        ({"sasl_mechanism": "PLAIN", "sasl_username": "shop"}, "PLAIN needs sasl_password"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "needs oauth_token_url and oauth_client_id and oauth_client_secret"),
        ({"sasl_password": "hunter2"}, "sasl_password given, with no sasl_mechanism"),
        (LOGIN | {"oauth_client_id": "shop"}, "oauth_client_id given, with sasl_mechanism SCRAM-SHA-256"),
        (LOGIN | {"security_protocol": "SSL"}, "security_protocol must be SASL_SSL, not SSL"),
        ({"security_protocol": "SASL_SSL"}, "needs a sasl_mechanism"),
        ({"ssl_ca": __file__, "security_protocol": "PLAINTEXT"}, "must be SSL or SASL_SSL, not PLAINTEXT"),
        ({"ssl_ca": "/nowhere/ca.pem"}, r"ssl_ca \(OPPERTUNE_SSL_CA\): there is no file /nowhere/ca.pem"),
        ({"ssl_certificate": __file__}, "ssl_certificate and ssl_key go together"),
        ({"librdkafka": {"sasl.password": "hunter2"}}, "give sasl_password instead of librdkafka's sasl.password"),
        (
            {"librdkafka": {"metadata.broker.list": "a:1"}},
            "give bootstrap instead of librdkafka's metadata.broker.list",
        ),
        ({"partitions": 0}, r"partitions \(OPPERTUNE_PARTITIONS\)"),
    ],
)
def test_what_does_not_go_together_is_named(given, said):
    with pytest.raises(InvalidArgument, match=said) as caught:
        BrokerSettings(**given)
    assert "hunter2" not in str(caught.value)


def test_a_password_goes_without_tls_only_where_that_is_asked_for():
    assert BrokerSettings(**LOGIN).confluent()["security.protocol"] == "SASL_SSL"
    assert BrokerSettings(**LOGIN, security_protocol="SASL_PLAINTEXT").protocol == "SASL_PLAINTEXT"
    assert BrokerSettings(ssl_ca=__file__).protocol == "SSL"


def test_a_file_that_is_no_certificate_is_named():
    with pytest.raises(InvalidArgument, match=r"ssl_ca: .*test_settings.py holds no certificate"):
        BrokerSettings(ssl_ca=__file__).ssl_context()
    with pytest.raises(InvalidArgument, match="ssl_certificate, ssl_key or ssl_key_password"):
        BrokerSettings(ssl_certificate=__file__, ssl_key=__file__).ssl_context()


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


# -- addresses


@pytest.mark.parametrize(
    ("given", "bootstrap", "protocol"),
    [
        (" a:1 , b:2 ", "a:1,b:2", "PLAINTEXT"),
        ("a:1,", "a:1", "PLAINTEXT"),
        ("a:1,\n b:2\n", "a:1,b:2", "PLAINTEXT"),
        ("PLAINTEXT://a:1", "a:1", "PLAINTEXT"),
        ("ssl://a:1,SSL://b:2/", "a:1,b:2", "SSL"),
        ("SSL://a:1,b:2", "a:1,b:2", "SSL"),
        ("broker_1", "broker_1:9092", "PLAINTEXT"),
        ("[::1]:9094,127.0.0.1:1", "[::1]:9094,127.0.0.1:1", "PLAINTEXT"),
        ("[fe80::1%eth0]", "[fe80::1%eth0]:9092", "PLAINTEXT"),
    ],
)
def test_addresses_are_read_once_for_both_libraries(given, bootstrap, protocol):
    settings = BrokerSettings(given)
    assert (settings.bootstrap, settings.protocol) == (bootstrap, protocol)
    assert settings.confluent()["bootstrap.servers"] == bootstrap
    assert ",".join(server_list([URL(url) for url in faust_url(settings).split(";")], 1)) == bootstrap


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (" , ", "no broker is named"),
        ("a:1;b:2", "'a:1;b:2' is no address: write host:port"),
        ("a:1 b:2", "is no address"),
        ("a:http", "is no address"),
        ("::1:9092", r"is no address: write host:port, or \[::1\]:port"),
        ("a:0", "a port is from 1 to 65535"),
        ("a:65536", "a port is from 1 to 65535"),
        ("kafka://a:1", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, or nothing, not KAFKA"),
        ("tcp://10.0.0.1:9092", "not TCP"),
        ("SSL://a:1,PLAINTEXT://b:1", "name PLAINTEXT and SSL: name one"),
        ("SASL_SSL://a:1", "security_protocol SASL_SSL needs a sasl_mechanism"),
    ],
)
def test_what_is_no_address_is_said_before_a_library_sees_it(given, said):
    with pytest.raises(InvalidArgument, match=said):
        BrokerSettings(given)


def test_an_address_and_the_protocol_beside_it_agree():
    assert BrokerSettings("SSL://a:1", security_protocol="SSL") == BrokerSettings("a:1", security_protocol="SSL")
    assert BrokerSettings("SASL_SSL://a:1", **LOGIN).protocol == "SASL_SSL"
    with pytest.raises(InvalidArgument, match="name PLAINTEXT and SSL: name one"):
        BrokerSettings("SSL://a:1", security_protocol="PLAINTEXT")


def test_a_login_in_an_address_is_refused_and_not_shown():
    with pytest.raises(InvalidArgument, match="holds no login") as refused:
        BrokerSettings("shop:hunter2@a:1")
    assert "hunter2" not in str(refused.value)


# -- what others put into the environment

SERVICE = re.compile(r"OPPERTUNE_(?:\w+_)?(?:PORT|PORT_\d+_\w+|SERVICE_\w+)")
"""Variables that Kubernetes gives every pod, for services whose names begin with oppertune-."""


@pytest.mark.parametrize(
    ("given", "port"), [(None, None), ("", None), ("8080", 8080), (" 8080\n", 8080), ("tcp://10.0.0.1:8080", None)]
)
def test_a_port_is_a_number_and_a_services_address_is_for_others(given, port, monkeypatch, caplog):
    monkeypatch.delenv("OPPERTUNE_HEALTH_PORT", raising=False)
    if given is not None:
        monkeypatch.setenv("OPPERTUNE_HEALTH_PORT", given)
    assert port_from_environment("OPPERTUNE_HEALTH_PORT") == port
    assert ("a service oppertune-health" in caplog.text) == (given is not None and "://" in given)


@pytest.mark.parametrize("given", ["0", "65536", "-1", "80 80", "http", "http://a:1"])
def test_what_is_no_port_is_refused(given, monkeypatch):
    monkeypatch.setenv("OPPERTUNE_HEALTH_PORT", given)
    with pytest.raises(InvalidArgument, match="OPPERTUNE_HEALTH_PORT: a port is a number"):
        port_from_environment("OPPERTUNE_HEALTH_PORT")


def test_no_other_variable_that_is_read_can_be_a_services():
    read = {f"OPPERTUNE_{name.upper()}" for name in _NAMES}
    for path in (ROOT / "streams").rglob("*.py"):
        read |= set(re.findall(r"\bOPPERTUNE_[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
    assert {name for name in read if SERVICE.fullmatch(name)} == {"OPPERTUNE_HEALTH_PORT"}
