"""What the worker relies on in Faust and aiokafka. When one of these fails after an upgrade, read before repairing."""

import asyncio
import hashlib
import inspect
import sys
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch
from faust.app.base import App
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.settings import Settings

from oppertune.streams.broker import BrokerSettings
from oppertune.streams.worker import WorkerSettings, transport, unreadable
from oppertune.streams.worker.app import create_app

SETTINGS = WorkerSettings(BrokerSettings("127.0.0.1:1", "pins."))

READ = "c2701bfc3e6f6cad95c2be36d6a255a86e2c57d18d36cc1082b5fb5c482d99d7"
"""sha256 of Faust's method as it was when ours was written after it."""


UNPACKED = "94aa0da0dbec8d1bfcd1aacc64ac405c95c4918b55143e74dcf7f2dab785567f"
"""sha256 of aiokafka's ``PartitionRecords`` as it was when the batches that it unpacks were made safe."""


class NoOwnership:
    def attach(self, app: Any) -> None:
        pass


def test_the_versions_are_those_that_were_read() -> None:
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


def test_the_private_method_that_is_overridden_is_the_one_that_was_read() -> None:
    source = inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert hashlib.sha256(source.encode()).hexdigest() == READ


def test_what_unpacks_batches_is_what_was_read_and_is_replaced() -> None:
    source = inspect.getsource(unreadable._PartitionRecords.__base__)
    assert hashlib.sha256(source.encode()).hexdigest() == UNPACKED
    assert "PartitionRecords(" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    unreadable.survive_unreadable_batches()
    assert fetcher.PartitionRecords is unreadable._PartitionRecords
    decoders = vars(sys.modules[DefaultRecordBatch.__module__])
    assert {"gzip_decode", "lz4_decode", "snappy_decode", "zstd_decode"} <= decoders.keys()


def test_our_consumer_differs_from_fausts_only_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver.aiokafka, "AIOKafkaConsumer", lambda **given: given)
    monkeypatch.setattr(transport, "AIOKafkaConsumer", lambda **given: given)

    async def arguments() -> tuple[dict[str, Any], dict[str, Any]]:
        app = create_app(SETTINGS, cast("Any", NoOwnership()))
        thread: Any = SimpleNamespace(app=app, consumer=SimpleNamespace(in_transaction=False))
        fausts = driver.AIOKafkaConsumerThread._create_worker_consumer(thread, app.transport)
        return fausts, transport.ConsumerThread._create_worker_consumer(thread, app.transport)

    fausts, ours = asyncio.run(arguments())
    different = {key for key in fausts.keys() | ours.keys() if fausts.get(key) != ours.get(key)}
    assert different == {"isolation_level", "fetch_max_wait_ms"}
    assert ours["isolation_level"] == "read_committed"


def test_the_hooks_are_where_faust_calls_them() -> None:
    assert "await self.seek_to_committed()" in inspect.getsource(Consumer.perform_seek)
    assert "self.scheduler.iterate(records)" in inspect.getsource(Consumer.getmany)
    assert "getmany = self.getmany" in inspect.getsource(Consumer._drain_messages)
    for name in ("seek_to_committed", "getmany"):
        assert name in vars(transport.Consumer)
        assert callable(getattr(driver.Consumer, name))


def test_the_app_commits_nothing_to_its_group_and_keeps_the_sources_together() -> None:
    async def app() -> Any:
        return create_app(SETTINGS, cast("Any", NoOwnership()))

    made = asyncio.run(app())
    (agent,) = made.agents.values()
    assert agent.channel.acks is False
    assert made.conf.table_standby_replicas == 1
    assert made.conf.id == "pins.worker"
    assert not made.conf.web_enabled
    assert not made.conf.topic_allow_declare


def test_the_app_makes_no_folders() -> None:
    assert "self._create_directories()" in inspect.getsource(App.on_first_start)

    async def start() -> Any:
        app = create_app(SETTINGS, cast("Any", NoOwnership()))
        await app.on_first_start()
        return app

    made = asyncio.run(start())
    assert not made.conf.datadir.exists()


def test_the_environment_is_not_fausts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets WEB_PORT for a service ``web``; BROKER_URL and APP_DEBUG are of other programs."""
    for name, setting in Settings.SETTINGS.items():
        if setting.env_name is not None and name != "env_prefix":  # with that, others would be read
            monkeypatch.setenv(setting.env_name, "tcp://10.0.0.1:80")

    async def app() -> Any:
        return create_app(SETTINGS, cast("Any", NoOwnership()))

    made = asyncio.run(app())
    assert [str(url) for url in made.conf.broker] == ["kafka://127.0.0.1:1"]
    assert made.conf.id == "pins.worker"
