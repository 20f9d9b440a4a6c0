"""The embedded broker: librdkafka's mock cluster, inside this process, for demos and quick tests.

It keeps everything in memory, the newest 5 MB of each partition, and ends with its process: for minutes, not for days,
because what a tuner has learned is in one of them. It serves any client on this machine, Faust included. It knows
no fencing, compaction, LogAppendTime or topic ids, and shows the records of aborted transactions even to readers of
committed ones: what needs those needs a real Kafka. Where a member joins a group that has settled, nobody has a
partition until the session time-out of the members has passed, now and then twice: give consumers and workers there a
short one.
"""

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, Producer

from ...core.errors import BrokerUnreachable
from .settings import DEFAULT_PREFIX, BrokerSettings
from .topic_admin import touch_topics

_START_TIMEOUT_S = 10.0
"""It starts in this process, in milliseconds: what takes longer will not start."""


class EmbeddedBroker:
    """A broker for as long as the context lasts.

    Example::

        with EmbeddedBroker() as broker:
            client = TunerClient("checkout", parameters, settings=broker.settings)

    Args:
        prefix: Put before every topic's name.
    """

    def __init__(self, *, prefix: str = DEFAULT_PREFIX) -> None:
        self._prefix = prefix
        self._cluster: Producer | None = None
        self._bootstrap = ""

    def start(self) -> Self:
        """Start it, with all topics (4 partitions each)."""
        self._cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "embedded", "log_level": 0})
        try:
            brokers = self._cluster.list_topics(timeout=_START_TIMEOUT_S).brokers
        except KafkaException as error:
            raise BrokerUnreachable(f"the embedded broker did not start: {error}") from error
        self._bootstrap = ",".join(f"{b.host}:{b.port}" for b in brokers.values())
        touch_topics(self.settings)
        return self

    @property
    def bootstrap(self) -> str:
        """Its address, ``127.0.0.1:port``.

        Raises:
            BrokerUnreachable: It is not running.
        """
        if not self._bootstrap:
            raise BrokerUnreachable("the embedded broker is not running: call start(), or use it in a with statement")
        return self._bootstrap

    @property
    def settings(self) -> BrokerSettings:
        """How to reach it."""
        return BrokerSettings(bootstrap=self.bootstrap, prefix=self._prefix, embedded=True)

    def close(self) -> None:
        """Stop it; all it held is gone."""
        self._cluster = None
        self._bootstrap = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
