"""A Kafka that asks who comes: worker, client and command line log in alike, and a refusal names the setting."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from kafkas import unique_prefix, wait_for
from oppertune.core.errors import OppertuneError
from oppertune.streams.broker import BrokerSettings, create_topics, require_broker
from oppertune.streams.client import TunerClient
from secured import PASSWORD, USER, SecuredKafka, token_server

from .conftest import OPPERTUNE, SPEC, environment, running_worker, until_second_round

pytestmark = pytest.mark.kafka

WRONG = "wrong-" + PASSWORD
MODES = ["SCRAM", "TLS", "PLAIN", "OAUTH"]


@pytest.fixture(scope="module")
def login(secured: SecuredKafka) -> Iterator[Callable[[str], dict[str, str]]]:
    """Settings of the connection by listener, as text."""
    with token_server() as token_url:
        by_password = {"sasl_username": USER, "sasl_password": PASSWORD}
        settings = {
            "SCRAM": {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256"} | by_password,
            "TLS": {
                "ssl_ca": str(secured.ca),
                "ssl_certificate": str(secured.certificate),
                "ssl_key": str(secured.key),
            },
            "PLAIN": {"ssl_ca": str(secured.ca), "sasl_mechanism": "PLAIN"} | by_password,
            "OAUTH": {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "OAUTHBEARER",
                "oauth_token_url": token_url,
                "oauth_client_id": USER,
                "oauth_client_secret": PASSWORD,
            },
        }
        yield lambda mode: {"bootstrap": secured.addresses[mode]} | settings[mode]


@pytest.mark.parametrize("mode", MODES)
def test_worker_client_and_command_line_log_in_and_the_password_is_in_no_output(mode, login, tmp_path):
    given = login(mode) | {"prefix": unique_prefix()}
    settings = BrokerSettings(**given)
    create_topics(settings, partitions=1)
    spec, log = tmp_path / "checkout.json", tmp_path / "worker.log"
    spec.write_text(json.dumps(SPEC))
    with running_worker(given, log) as worker:
        applied = subprocess.run(
            [*OPPERTUNE, "tuner", "apply", spec, "--timeout", "30"],
            env=environment(given),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert applied.returncode == 0, applied.stderr + log.read_text()[-3000:]
        until_second_round(settings, tmp_path)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    said = applied.stdout + applied.stderr + log.read_text()
    assert "ready" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("mode", "change", "named"),
    [
        ("SCRAM", {"sasl_password": WRONG}, "sasl_password (OPPERTUNE_SASL_PASSWORD)"),
        ("PLAIN", {"sasl_password": WRONG}, "sasl_password (OPPERTUNE_SASL_PASSWORD)"),
        ("PLAIN", {"ssl_ca": "stranger"}, "ssl_ca (OPPERTUNE_SSL_CA)"),
        ("TLS", {"ssl_ca": "stranger"}, "ssl_ca (OPPERTUNE_SSL_CA)"),
        ("TLS", {"ssl_certificate": None, "ssl_key": None}, "ssl_certificate (OPPERTUNE_SSL_CERTIFICATE)"),
        ("OAUTH", {"oauth_client_secret": WRONG}, "oauth_client_secret (OPPERTUNE_OAUTH_CLIENT_SECRET)"),
        ("SCRAM", {"sasl_mechanism": "PLAIN"}, "sasl_mechanism (OPPERTUNE_SASL_MECHANISM)"),
    ],
    ids=["scram", "plain", "plain-ca", "tls-ca", "tls-no-certificate", "oauth", "mechanism"],
)
def test_a_refusal_names_the_setting_at_once(mode, change, named, secured, login):
    given = {name: value for name, value in (login(mode) | change).items() if value is not None}
    if given.get("ssl_ca") == "stranger":
        given["ssl_ca"] = str(secured.stranger)
    began = time.monotonic()
    with pytest.raises(OppertuneError) as caught:
        require_broker(BrokerSettings(**given), timeout_s=15)
    assert time.monotonic() - began < 5
    assert named in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("change", [{"sasl_password": WRONG}, {"ssl_ca": "stranger"}], ids=["password", "certificate"])
def test_a_wrong_login_ends_worker_and_command_line_and_shows_in_the_client(change, secured, login, tmp_path):
    given = login("PLAIN") | change
    if "ssl_ca" in change:
        given["ssl_ca"] = str(secured.stranger)
    named = next(iter(change))
    ended = {
        command: subprocess.Popen(
            [*OPPERTUNE, *command.split()],
            env=environment(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in ("worker", "tuner list")
    }
    with TunerClient("checkout", {"pool": 10}, settings=BrokerSettings(**given), state_dir=tmp_path) as client:
        for command, code in (("worker", 69), ("tuner list", 4)):
            out, err = ended[command].communicate(timeout=15)
            assert ended[command].returncode == code, err
            assert f"{named} (OPPERTUNE_{named.upper()})" in " ".join((out + err).split())
            assert PASSWORD not in out + err
        problem = wait_for(lambda: [p for p in client.problems if named in p], "the client to name the setting", 15)
        assert f"OPPERTUNE_{named.upper()}" in problem[0]
        assert client["pool"] == 10
