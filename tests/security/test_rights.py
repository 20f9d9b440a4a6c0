"""Where the broker asks for rights (ACLs): those that the documentation names suffice, and a missing one is named."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterable

import pytest
from confluent_kafka.admin import AclOperation, ResourcePatternType, ResourceType

from kafkas import unique_prefix, wait_for
from oppertune.core.errors import BrokerUnreachable, Refused, TopicsInvalid
from oppertune.streams.broker import READ, WRITE, BrokerSettings, create_topics, missing_rights
from oppertune.streams.client import TunerClient
from oppertune.streams.worker import WorkerSettings
from oppertune.streams.worker.checks import NEEDED, check
from oppertune.streams.worker.writer import PartitionWriter
from secured import PASSWORD, Right, SecuredKafka

from .conftest import OPPERTUNE, SPEC, environment, running_worker, until_second_round

pytestmark = pytest.mark.kafka

TOPIC, GROUP, TRANSACTIONS = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
IT, ALL = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED
DESCRIBE, CONFIGS, CREATE = AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.CREATE

APP: list[Right] = [
    ("app", TOPIC, "contexts", IT, WRITE),
    ("app", TOPIC, "metrics", IT, WRITE),
    ("app", TOPIC, "configs", IT, READ),
]
WORKER: list[Right] = [
    *[("worker", TOPIC, name, IT, right) for name, rights in NEEDED.items() for right in rights],
    *[("worker", TOPIC, "", ALL, right) for right in (DESCRIBE, CONFIGS)],
    ("worker", GROUP, "worker", IT, READ),
    ("worker", TRANSACTIONS, "worker-", ALL, WRITE),
]
OPERATOR: list[Right] = [
    *[("operator", TOPIC, "", ALL, right) for right in (CREATE, DESCRIBE, CONFIGS, READ)],
    ("operator", TOPIC, "commands", IT, WRITE),
]


@pytest.fixture(scope="module")
def login_as(secured: SecuredKafka) -> Callable[..., dict[str, str]]:
    """Settings of a user, under a prefix where these rights hold: ``login_as("app", prefix)``."""
    secured.admit("app", "worker", "operator")

    def login_as(user: str, prefix: str) -> dict[str, str]:
        return {
            "bootstrap": secured.addresses["SCRAM"],
            "prefix": prefix,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": user,
            "sasl_password": PASSWORD,
        }

    return login_as


@pytest.fixture
def where(secured: SecuredKafka) -> Callable[[Iterable[Right]], str]:
    """A new prefix with topics and these rights."""

    def where(rights: Iterable[Right]) -> str:
        prefix = unique_prefix()
        secured.allow(rights, prefix)
        create_topics(BrokerSettings(secured.bootstrap, prefix), partitions=1)
        return prefix

    return where


def test_the_rights_that_the_documentation_names_suffice(secured, login_as, tmp_path):
    prefix = unique_prefix()
    secured.allow([*APP, *WORKER, *OPERATOR], prefix)
    operator = login_as("operator", prefix)
    wait_for(lambda: _created(operator), "the rights to hold")
    spec = tmp_path / "checkout.json"
    spec.write_text(json.dumps(SPEC))
    with running_worker(login_as("worker", prefix), tmp_path / "log") as worker:
        for arguments in (["tuner", "apply", spec, "--timeout", "30"], ["tuner", "show", "checkout"]):
            done = subprocess.run(
                [*OPPERTUNE, *arguments], env=environment(operator), capture_output=True, timeout=50, check=False
            )
            assert done.returncode == 0, done.stderr.decode() + (tmp_path / "log").read_text()[-3000:]
        until_second_round(BrokerSettings(**login_as("app", prefix)), tmp_path)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0


def _created(operator: dict[str, str]) -> bool:
    try:
        create_topics(BrokerSettings(**operator), partitions=1)
    except TopicsInvalid:
        return False
    return True


def test_a_right_that_a_worker_lacks_is_named_before_it_begins(where, login_as):
    lacking = ("worker", TOPIC, "rounds", IT, WRITE)
    prefix = where([right for right in WORKER if right != lacking])
    settings = WorkerSettings(BrokerSettings(**login_as("worker", prefix)))
    with pytest.raises(TopicsInvalid, match=rf"{prefix}rounds: .*may not Write the topic.*--operation Write --topic"):
        check(settings)


def test_so_are_the_group_and_the_transactional_ids(where, login_as):
    prefix = where(WORKER[:-2])
    settings = WorkerSettings(BrokerSettings(**login_as("worker", prefix)))
    with pytest.raises(TopicsInvalid, match=r"may not Read the group; .*User:worker --operation Read --group"):
        check(settings)
    writer = PartitionWriter(settings, 0)
    with pytest.raises(Refused, match=r"transactional ids test-.*worker-\*"):
        writer.open()
    writer.close()


def test_a_client_and_an_operator_are_told_which_right_they_lack(where, login_as, tmp_path):
    prefix = where(WORKER)
    settings = BrokerSettings(**login_as("app", prefix))
    with TunerClient("checkout", {"pool": 10}, settings=settings, state_dir=tmp_path) as client:
        wait_for(lambda: any("let it Read configs, Write contexts and metrics" in p for p in client.problems), "it")
        assert client["pool"] == 10
    prefix = where([right for right in OPERATOR if right[2] == ""])
    spec = tmp_path / "checkout.json"
    spec.write_text(json.dumps(SPEC))
    done = subprocess.run(
        [*OPPERTUNE, "tuner", "apply", spec],
        env=environment(login_as("operator", prefix)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 7
    assert f"may not Write topic {prefix}commands" in " ".join(done.stderr.split())


def test_where_nobody_is_asked_for_rights_none_is_missing(real, embedded):
    for settings in (real, embedded):
        assert missing_rights(settings, {"state": [READ, WRITE]}, group="any") == []
    with pytest.raises(BrokerUnreachable):
        check(WorkerSettings(BrokerSettings("127.0.0.1:1"), start_timeout_s=0.1))
