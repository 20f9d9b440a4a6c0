"""How to reach the broker: one place, for librdkafka and for Faust."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ...core.errors import InvalidArgument

DEFAULT_BOOTSTRAP = "localhost:9092"
DEFAULT_PREFIX = "oppertune."

_log = logging.getLogger("oppertune.kafka")


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and how its topics are named.

    Attributes:
        bootstrap: Addresses, ``host:port,host:port``.
        prefix: Put before every topic's name, the consumer group and the transactional ids.
        embedded: It is the embedded broker: what that cannot do (create or describe topics) is not asked of it. An
            explicit setting, never guessed from time-outs.
        extra: More librdkafka settings, such as those of TLS and SASL. Never printed: they may hold secrets.

    Raises:
        InvalidArgument: There is no address.
    """

    bootstrap: str = DEFAULT_BOOTSTRAP
    prefix: str = DEFAULT_PREFIX
    embedded: bool = False
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.bootstrap.strip():
            raise InvalidArgument("no broker is named: give --bootstrap host:port, or set OPPERTUNE_BOOTSTRAP")

    @classmethod
    def from_env(cls) -> Self:
        """Settings from ``OPPERTUNE_BOOTSTRAP``, ``OPPERTUNE_PREFIX`` and ``OPPERTUNE_EMBEDDED`` (``1`` for yes)."""
        return cls(
            bootstrap=os.environ.get("OPPERTUNE_BOOTSTRAP", DEFAULT_BOOTSTRAP),
            prefix=os.environ.get("OPPERTUNE_PREFIX", DEFAULT_PREFIX),
            embedded=os.environ.get("OPPERTUNE_EMBEDDED", "") in {"1", "true", "yes"},
        )

    def topic(self, name: str) -> str:
        """A topic's full name."""
        return f"{self.prefix}{name}"

    def confluent(self) -> dict[str, Any]:
        """What every librdkafka client needs. Its log goes to ``logging``, under ``oppertune.kafka``."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": "oppertune",
            "logger": _log,
            "socket.timeout.ms": 20_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
        } | dict(self.extra)

    def producer(self) -> dict[str, Any]:
        """A producer whose records land where Java's would."""
        return self.confluent() | {
            "partitioner": "murmur2_random",  # librdkafka's default puts most keys elsewhere than Java's
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            "batch.size": 512_000,
        }

    def consumer(self) -> dict[str, Any]:
        """A consumer that is assigned its partitions by hand and commits nothing. The group's name is a formality."""
        return self.confluent() | {
            "group.id": f"{self.prefix}reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }

    def faust_url(self) -> str:
        """The addresses as Faust takes them."""
        return ";".join(f"kafka://{address.strip()}" for address in self.bootstrap.split(","))

    def faust_credentials(self) -> object | None:
        """Faust's form of the security settings: none yet."""
        return None
