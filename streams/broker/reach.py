"""Is a broker there? Asked before anything else, so that the answer is a sentence and not a time-out."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from ...core.errors import BrokerUnreachable, InvalidArgument
from .settings import BrokerSettings

# Their public names: confluent-kafka marks errors of the client, and not of the broker, with an underscore.
_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_UNSAFE = {KafkaError._AUTHENTICATION, KafkaError._SSL}  # noqa: SLF001


def require_broker(settings: BrokerSettings, *, timeout_s: float = 5.0) -> None:
    """Return once a broker answers.

    Raises:
        BrokerUnreachable: None does within the time; says why, and what to do.
        InvalidArgument: One of the settings is none of librdkafka's, or has an impossible value.
    """
    errors: list[KafkaError] = []
    try:
        admin = AdminClient(settings.confluent() | {"error_cb": errors.append, "log_level": 0})
    except KafkaException as error:
        raise InvalidArgument(f"a setting of the connection to Kafka is wrong: {error.args[0].str()}") from error
    try:
        admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        admin.poll(0)
        why, remedy = _explain(errors, timeout_s)
        raise BrokerUnreachable(f"no Kafka broker answers at {settings.bootstrap} ({why}). {remedy}") from error


def _explain(errors: list[KafkaError], timeout_s: float) -> tuple[str, str]:
    """Why nobody answered, and what to do; from what the client met on its way, oldest first."""
    told = [error for error in errors if error.code() != _DOWN]  # "1/1 brokers are down" says nothing
    # A broker that hangs up in the middle of a handshake is, to librdkafka, any lost connection.
    unsafe = [error for error in told if error.code() in _UNSAFE or "handshake failed" in error.str()]
    if unsafe:
        return unsafe[0].str(), "Correct the user, the password or the certificates, and security.protocol"
    remedy = (
        "Is it running, and is the address right? Name another with --bootstrap or OPPERTUNE_BOOTSTRAP, or start one to"
        " try things out: oppertune broker"
    )
    if told:
        return told[0].str(), remedy
    if errors:
        return "it closes the connection: it may want another security.protocol", remedy
    return f"it said nothing within {timeout_s:g} s", remedy
