"""Where settings of the connection come from: a TOML file, the environment, files that hold secrets."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import create_model

from ...core.errors import InvalidArgument

# Modules that most clients never need are imported where they are used: they would cost each of them 30 ms.
# ruff: noqa: PLC0415

_log = logging.getLogger(__name__)

_SERVICE = re.compile(r"(tcp|udp|sctp)://")

ENV_PREFIX = "OPPERTUNE_"
ENV_CONFIG = "OPPERTUNE_CONFIG"

SECRETS = ("sasl_password", "ssl_key_password", "oauth_client_secret")
"""Fields that are never printed; each may come from a file named by the field with ``_file`` behind it."""


def from_file(path: Path) -> dict[str, Any]:
    """Fields that a TOML file gives.

    Raises:
        InvalidArgument: It cannot be read.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidArgument(f"cannot read the settings in {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the settings in {path} are no TOML: {error}") from None  # its text shows no values


def from_environment(names: Iterable[str]) -> dict[str, Any]:
    """Fields of these names that the environment gives, as text; imports late what would cost every client 50 ms.

    Raises:
        InvalidArgument: The one that is JSON is none.
    """
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
    from pydantic_settings.exceptions import SettingsError

    class Environment(BaseSettings):
        model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True)

    kinds: dict[str, Any] = dict.fromkeys(names, (str | None, None)) | {"librdkafka": (dict[str, str] | None, None)}
    try:
        return EnvSettingsSource(create_model("Environment", __base__=Environment, **kinds))()
    except SettingsError as error:
        raise InvalidArgument(f"{ENV_PREFIX}LIBRDKAFKA must be a JSON object of librdkafka's settings") from error


def port_from_environment(name: str) -> int | None:
    """A port that a variable gives, if it gives one.

    In Kubernetes a service called like the variable has it hold its address, as in ``tcp://10.0.0.1:80``: that is for
    others, and ignored.

    Raises:
        InvalidArgument: It gives something else.
    """
    given = os.environ.get(name, "").strip()
    if _SERVICE.match(given):
        service = name.removesuffix("_PORT").lower().replace("_", "-")
        _log.warning("%s is ignored: Kubernetes puts the address of a service %s there", name, service)
        return None
    if not given:
        return None
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise InvalidArgument(f"{name}: a port is a number from 1 to 65535, not {given!r}")
    return int(given)


def with_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields, with secrets read from the files that are named instead of them.

    Raises:
        InvalidArgument: Such a file cannot be read.
    """
    fields = dict(values)
    for name in SECRETS:
        path = fields.pop(f"{name}_file", None)
        if path is None or fields.get(name) is not None:
            continue
        try:
            fields[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{name}_file: cannot read {path}: {getattr(error, 'strerror', error)}") from error
    return fields
