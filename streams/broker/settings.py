"""How to reach the broker: one model, for librdkafka and for Faust, from the environment, a file, and flags."""

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from ...core.errors import InvalidArgument
from ...schemas.sentences import sentence
from .addresses import read_addresses
from .settings_sources import ENV_CONFIG, ENV_PREFIX, SECRETS, from_environment, from_file, with_secrets

if TYPE_CHECKING:
    import ssl

# Modules that most clients never need are imported where they are used: they would cost each of them 30 ms.
# ruff: noqa: PLC0415

DEFAULT_BOOTSTRAP = "localhost:9092"
DEFAULT_PREFIX = "oppertune."

_log = logging.getLogger("oppertune.kafka")

_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")  # what Kafka takes in a topic's name, with room for ours behind it

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_FIELDS = {
    "bootstrap.servers": "bootstrap",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "sasl.oauthbearer.token.endpoint.url": "oauth_token_url",
    "sasl.oauthbearer.client.id": "oauth_client_id",
    "sasl.oauthbearer.client.secret": "oauth_client_secret",
    "sasl.oauthbearer.scope": "oauth_scope",
    "ssl.ca.location": "ssl_ca",
    "ssl.certificate.location": "ssl_certificate",
    "ssl.key.location": "ssl_key",
    "ssl.key.password": "ssl_key_password",
    "ssl.endpoint.identification.algorithm": "ssl_verify_hostname",
}
"""librdkafka's settings that have a field of their own here: given otherwise, they would not reach Faust."""

Secret = Annotated[SecretStr, Field(min_length=1)]


class BrokerSettings(BaseModel):
    """Where the broker is, who we are to it, and how its topics are named.

    Every field can be given in code, in the environment (``OPPERTUNE_SASL_USERNAME``), in a TOML file that
    ``OPPERTUNE_CONFIG`` names, and, secrets excepted, by flags of the command line. :meth:`load` brings them together.

    Raises:
        InvalidArgument: A field is impossible, or fields contradict each other. Never shows a value of a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap: str = Field(
        DEFAULT_BOOTSTRAP,
        description="addresses of brokers, `host:port,host:port`, also with the protocol: `SSL://host:port`",
    )
    prefix: str = Field(
        DEFAULT_PREFIX, description="put before every topic's name, the consumer group and the transactional ids"
    )
    embedded: bool = Field(
        default=False,
        description="it is the embedded broker: what that cannot do (create or describe topics) is not asked of it",
    )
    security_protocol: SecurityProtocol | None = Field(
        None,
        description="default: SASL_SSL where a SASL mechanism is given, SSL where a certificate is, else PLAINTEXT",
    )
    sasl_mechanism: SaslMechanism | None = Field(None, description="how to log in")
    sasl_username: str | None = Field(None, description="user of PLAIN and SCRAM")
    sasl_password: Secret | None = Field(None, description="password of PLAIN and SCRAM")
    oauth_token_url: str | None = Field(None, description="OAUTHBEARER: where tokens are given for client credentials")
    oauth_client_id: str | None = Field(None, description="OAUTHBEARER: the client's id")
    oauth_client_secret: Secret | None = Field(None, description="OAUTHBEARER: the client's secret")
    oauth_scope: str | None = Field(None, description="OAUTHBEARER: scope to ask for")
    ssl_ca: Path | None = Field(
        None, description="certificates of the authorities to trust, PEM; default: this machine's"
    )
    ssl_certificate: Path | None = Field(None, description="our own certificate, PEM, where brokers ask for one")
    ssl_key: Path | None = Field(None, description="its private key, PEM")
    ssl_key_password: Secret | None = Field(None, description="password of the private key")
    ssl_verify_hostname: bool = Field(
        default=True, description="whether the broker's certificate must be of its host's name"
    )
    partitions: int = Field(8, ge=1, le=1000, description="of each topic, where `topics create` makes it")
    replication: int = Field(1, ge=1, le=10, description="copies of each partition, where `topics create` makes it")
    librdkafka: dict[str, str] = Field(
        {},
        repr=False,
        description="more librdkafka settings by their own names; they win over ours, but for those that results hang"
        " on, and do not reach the worker's consumer, which is Faust's",
    )

    def __init__(self, bootstrap: str = DEFAULT_BOOTSTRAP, prefix: str = DEFAULT_PREFIX, **others: Any) -> None:  # noqa: ANN401 - pydantic checks them
        try:
            super().__init__(bootstrap=bootstrap, prefix=prefix, **others)
        except ValidationError as error:
            raise InvalidArgument(_explain(error)) from None  # its own text could show more than ours

    def __hash__(self) -> int:
        return hash((self.bootstrap, self.prefix, self.sasl_username))

    # -- checks

    @field_validator("bootstrap")
    @classmethod
    def _has_an_address(cls, bootstrap: str) -> str:
        addresses = read_addresses(bootstrap)
        if not addresses:
            raise ValueError("no broker is named: give --bootstrap host:port, or set OPPERTUNE_BOOTSTRAP")
        return ",".join(map(str, addresses))

    @model_validator(mode="before")
    @classmethod
    def _protocol_of_the_addresses(cls, given: dict[str, Any]) -> dict[str, Any]:
        try:
            named = {address.protocol for address in read_addresses(str(given.get("bootstrap", "")))} - {""}
        except ValueError:
            return given  # the field says so
        if not named:
            return given
        named |= {given["security_protocol"]} if given.get("security_protocol") is not None else set()
        if len(named) > 1:
            raise ValueError(f"bootstrap and security_protocol name {' and '.join(sorted(named))}: name one")
        if not named <= set(get_args(SecurityProtocol)):
            raise ValueError(
                f"bootstrap: before an address stands one of {', '.join(get_args(SecurityProtocol))}, or nothing,"
                f" not {named.pop()}"
            )
        return given | {"security_protocol": named.pop()}

    @field_validator("prefix")
    @classmethod
    def _can_begin_a_topic(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(
                f"{prefix!r} cannot begin a topic's name: use up to 200 letters, digits and . _ - in --prefix"
            )
        return prefix

    @field_validator("ssl_ca", "ssl_certificate", "ssl_key")
    @classmethod
    def _is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path

    @field_validator("librdkafka")
    @classmethod
    def _has_no_field_of_its_own(cls, given: dict[str, str]) -> dict[str, str]:
        # librdkafka takes these names, too
        fields = _FIELDS | {"sasl.mechanisms": "sasl_mechanism", "metadata.broker.list": "bootstrap"}
        for name in given.keys() & fields.keys():
            raise ValueError(f"give {fields[name]} instead of librdkafka's {name}, which would not reach Faust")
        return given

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        sasl = {"sasl_username": self.sasl_username, "sasl_password": self.sasl_password}
        oauth = {
            "oauth_token_url": self.oauth_token_url,
            "oauth_client_id": self.oauth_client_id,
            "oauth_client_secret": self.oauth_client_secret,
        }
        needed = {None: {}, "OAUTHBEARER": oauth}.get(self.sasl_mechanism, sasl)
        if missing := [name for name, value in needed.items() if value is None]:
            raise ValueError(f"sasl_mechanism {self.sasl_mechanism} needs {' and '.join(missing)}")
        if unused := [name for name, value in (sasl | oauth).items() if value is not None and name not in needed]:
            which = f"sasl_mechanism {self.sasl_mechanism}" if self.sasl_mechanism else "no sasl_mechanism"
            raise ValueError(f"{', '.join(unused)} given, with {which}: name the one that goes with it")
        if (self.ssl_certificate is None) != (self.ssl_key is None):
            raise ValueError("ssl_certificate and ssl_key go together")
        if "SASL" in self.protocol and self.sasl_mechanism is None:
            raise ValueError(f"security_protocol {self.protocol} needs a sasl_mechanism")
        if "SASL" not in self.protocol and self.sasl_mechanism is not None:
            raise ValueError(f"sasl_mechanism is given: security_protocol must be SASL_SSL, not {self.protocol}")
        if not self.encrypted and (self.ssl_ca or self.ssl_certificate):
            raise ValueError(f"certificates are given: security_protocol must be SSL or SASL_SSL, not {self.protocol}")
        return self

    # -- where they come from

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> "BrokerSettings":  # noqa: ANN401 - checked as fields
        """Settings from all their sources: what is given here, else the environment, else the file, else defaults.

        Args:
            config: A TOML file with fields by name; default: the one that ``OPPERTUNE_CONFIG`` names, if any.
            given: Fields; those that are ``None`` count as not given.

        Raises:
            InvalidArgument: A field or the file is impossible; the message names it.
        """
        named = os.environ.get(ENV_CONFIG)
        path = config or (Path(named) if named else None)
        values = from_file(path) if path is not None else {}
        values |= from_environment(_NAMES)
        values |= {name: value for name, value in given.items() if value is not None}
        settings = cls(**with_secrets(values))
        if settings.embedded:  # it knows no login: that of the environment is another broker's
            return cls(settings.bootstrap, settings.prefix, embedded=True)
        return settings

    @classmethod
    def from_env(cls) -> "BrokerSettings":
        """Settings from the environment, and the file that it names: :meth:`load` with nothing given."""
        return cls.load()

    # -- what follows from them

    @property
    def protocol(self) -> SecurityProtocol:
        """The security protocol, worked out where it was not given: never SASL without TLS unless asked for."""
        if self.security_protocol is not None:
            return self.security_protocol
        if self.sasl_mechanism is not None:
            return "SASL_SSL"
        return "SSL" if self.ssl_ca is not None or self.ssl_certificate is not None else "PLAINTEXT"

    @property
    def encrypted(self) -> bool:
        """Whether the connection is a TLS one."""
        return self.protocol in {"SSL", "SASL_SSL"}

    def ssl_context(self) -> "ssl.SSLContext | None":
        """The TLS settings as Python's ssl has them; ``None`` where the connection is not encrypted.

        Raises:
            InvalidArgument: A certificate or key cannot be read; the message names the field.
        """
        if not self.encrypted:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ssl_ca)
        except (ssl.SSLError, OSError) as error:
            raise InvalidArgument(f"ssl_ca: {self.ssl_ca} holds no certificate in PEM ({_reason(error)})") from error
        context.check_hostname = self.ssl_verify_hostname
        if self.ssl_certificate is not None:
            try:
                context.load_cert_chain(
                    self.ssl_certificate, self.ssl_key, password=lambda: _plain(self.ssl_key_password or "")
                )
            except (ssl.SSLError, OSError) as error:
                raise InvalidArgument(
                    f"ssl_certificate, ssl_key or ssl_key_password: {self.ssl_certificate} and {self.ssl_key} cannot be"
                    f" used together ({_reason(error)})"
                ) from error
        return context

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
        } | {**self._security(), **self.librdkafka}

    def _security(self) -> dict[str, Any]:
        if self.protocol == "PLAINTEXT":
            return {}
        given = {name: getattr(self, field) for name, field in _FIELDS.items()} | {
            "security.protocol": self.protocol,
            "sasl.oauthbearer.method": "oidc" if self.sasl_mechanism == "OAUTHBEARER" else None,
            "ssl.endpoint.identification.algorithm": None if self.ssl_verify_hostname else "none",
        }
        return {name: _plain(value) for name, value in given.items() if value is not None}

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


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _explain(error: ValidationError) -> str:
    """What is wrong, a sentence each, naming fields and their variables, and showing no value."""
    from ...core.words import did_you_mean

    sentences = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            sentences.append(f"there is no setting {name!r}{did_you_mean(name, _NAMES)}")
        else:
            said = sentence(problem)
            sentences.append(f"{name} ({ENV_PREFIX}{name.upper()}): {said}" if name else said)
    return "settings of the connection to Kafka: " + "; ".join(sentences)


_NAMES = (*BrokerSettings.model_fields, *(f"{name}_file" for name in SECRETS))
