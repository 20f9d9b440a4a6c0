"""How records are addressed: keys, partitions, request ids, hashes of configurations.

A service in another language needs :func:`partition_of` only if its Kafka client does not partition by murmur2 (Java's
default does), and never :func:`request_id` or :func:`values_hash`: both are handed out in config records.
"""

import hashlib
import uuid
from collections.abc import Mapping

import orjson

OFFSETS_KEY = "@offsets"
"""Key of what was applied of a partition in the ``state`` topic."""

COMMANDS_KEY = "@commands"
"""Key of the commands that were carried out on a partition, in the same topic."""

_REQUESTS = uuid.UUID("9f0e4c6e-6f0b-5c53-9f29-7d3a1d6a3c11")


def scope_key(tuner: str, scope: str) -> str:
    """Key of a scope's record: the tuner's name, or ``tuner/context id``."""
    return f"{tuner}/{scope}" if scope else tuner


def state_scope_key(tuner: str, scope: str) -> str:
    """Key of a scope in ``state``, where the bare name is the tuner's own record: ``tuner/context id``, ``tuner/``."""
    return f"{tuner}/{scope}"


def tuner_of(key: str) -> str:
    """The tuner's name in a key of ``configs`` or ``state``."""
    return key.partition("/")[0]


def is_partitions(key: str) -> bool:
    """Whether a key of ``state`` is that of a partition's own record: ``@`` cannot start a tuner's name."""
    return key.startswith("@")


def murmur2(data: bytes) -> int:
    """Kafka's murmur2 (32 bits, seed 0x9747b28c), as Java's default partitioner uses it."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(tuner: str, partitions: int) -> int:
    """The partition that holds all records of a tuner, given the number of partitions."""
    return (murmur2(tuner.encode()) & 0x7FFFFFFF) % partitions


def request_id(tuner: str, incarnation: int, scope: str, round_: int, arm: str) -> str:
    """Id of a tuning request: uuid5 of what names it, so that any worker can compute it again.

    Args:
        tuner: The tuner's name.
        incarnation: Offset of the command that created the tuner as it is now.
        scope: Context id, ``""`` for none.
        round_: Number of the round in its scope.
        arm: Name of the arm.
    """
    return str(uuid.uuid5(_REQUESTS, f"{tuner}\n{incarnation}\n{scope}\n{round_}\n{arm}"))


def values_hash(values: Mapping[str, object]) -> str:
    """Short hash of a configuration, equal for equal values in any order: 16 hexadecimal digits."""
    return hashlib.sha256(orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
