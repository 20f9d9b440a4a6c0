"""Addresses of brokers: read here and by neither Kafka library, so that both take the same."""

import re
from typing import NamedTuple

DEFAULT_PORT = 9092

_ADDRESS = re.compile(
    r"(?:(?P<protocol>[A-Za-z_]+)://)?(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+)(?::(?P<port>[0-9]+))?/?"
)


class Address(NamedTuple):
    """Where a broker is.

    Attributes:
        host: A name, an IPv4 address, or an IPv6 address in brackets.
        port: From 1 to 65535.
        protocol: The security protocol before it, as in Kafka's own ``SSL://host:port``; empty where there was none.
    """

    host: str
    port: int
    protocol: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def read_addresses(text: str) -> list[Address]:
    """The addresses in ``host:port,host:port``; empty ones and white space around them do not count.

    Raises:
        ValueError: One of them is none; says which, and how it is written.
    """
    return [_read(one.strip()) for one in text.split(",") if one.strip()]


def _read(text: str) -> Address:
    if "@" in text:
        raise ValueError("an address holds no login: give sasl_username and sasl_password instead")
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no address: write host:port, or [::1]:port, with a comma between two")
    port = int(found["port"] or DEFAULT_PORT)
    if not 1 <= port <= 65535:
        raise ValueError(f"{text!r} is no address: a port is from 1 to 65535")
    return Address(found["host"], port, (found["protocol"] or "").upper())
