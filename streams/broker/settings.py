"""How to reach the broker: one place, for librdkafka and for Faust."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ...core.errors import InvalidArgument

DEFAULT_BOOTSTRAP = "localhost:9092"
DEFAULT_PREFIX = "oppertune."

_log = logging.getLogger("oppertune.kafka")

_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")  # what Kafka takes in a topic's name, with room for ours behind it
_YES_OR_NO = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("", "0", "false", "no", "off"), False)


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and how its topics are named.

    Attributes:
        bootstrap: Addresses, ``host:port,host:port``.
        prefix: Put before every topic's name, the consumer group and the transactional ids.
        embedded: It is the embedded broker: what that cannot do (create or describe topics) is not asked of it. An
            explicit setting, never guessed from time-outs.
        extra: More librdkafka settings, such as those of TLS and SASL; they win over ours, but for those that results
            hang on. Never printed: they may hold secrets.

    Raises:
        InvalidArgument: There is no address, or Kafka takes no topic with such a prefix.
    """

    bootstrap: str = DEFAULT_BOOTSTRAP
    prefix: str = DEFAULT_PREFIX
    embedded: bool = False
    extra: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not self.bootstrap.strip():
            raise InvalidArgument("no broker is named: give --bootstrap host:port, or set OPPERTUNE_BOOTSTRAP")
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidArgument(
                f"{self.prefix!r} cannot begin a topic's name: use up to 200 letters, digits and . _ - in --prefix"
            )

    @classmethod
    def from_env(cls) -> Self:
        """Settings from ``OPPERTUNE_BOOTSTRAP``, ``OPPERTUNE_PREFIX`` and ``OPPERTUNE_EMBEDDED`` (``1`` for yes).

        Raises:
            InvalidArgument: One of them is impossible.
        """
        embedded = os.environ.get("OPPERTUNE_EMBEDDED", "")
        if embedded.lower() not in _YES_OR_NO:
            raise InvalidArgument(f"OPPERTUNE_EMBEDDED is {embedded!r}: set it to 1 or 0")
        return cls(
            bootstrap=os.environ.get("OPPERTUNE_BOOTSTRAP", DEFAULT_BOOTSTRAP),
            prefix=os.environ.get("OPPERTUNE_PREFIX", DEFAULT_PREFIX),
            embedded=_YES_OR_NO[embedded.lower()],
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
        return {
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
            # One batch must fit the 1 MiB of the topics, whatever the number of records that wait.
            "batch.size": 512_000,
            **self.confluent(),
            # librdkafka's default puts most keys elsewhere than Java's, where no worker would look for them.
            "partitioner": "murmur2_random",
        }

    def consumer(self) -> dict[str, Any]:
        """A consumer that is assigned its partitions by hand and commits nothing. The group's name is a formality."""
        return {
            "group.id": f"{self.prefix}reader",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            **self.confluent(),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
        }

    def faust_url(self) -> str:
        """The addresses as Faust takes them."""
        return ";".join(f"kafka://{address.strip()}" for address in self.bootstrap.split(","))

    def faust_credentials(self) -> object | None:
        """Faust's form of the security settings: none yet."""
        return None
