"""Is a broker there? Asked before anything else, so that the answer is a sentence and not a time-out."""

from confluent_kafka import KafkaError, KafkaException

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable, InvalidArgument
from . import error_codes
from .handles import AdminClient
from .settings import BrokerSettings
from .settings_sources import ENV_PREFIX

# Their public names: confluent-kafka marks errors of the client, and not of the broker, with an underscore.
_DOWN = error_codes.ALL_BROKERS_DOWN
_UNSAFE = {error_codes.AUTHENTICATION, error_codes.TLS}

_LOGIN = ["sasl_username", "sasl_password", "sasl_mechanism"]

_NOBODY = ("refused", "resolve", "timed out", "unreachable", "No route")
"""In what librdkafka says where nobody took the connection; else somebody did, and hung up."""

_TRY_S = 0.5
"""A refused login is known at once, but a question goes on until its time is up: so ask in short ones."""


def require_broker(settings: BrokerSettings, *, timeout_s: float = 5.0) -> None:
    """Return once a broker answers; where it refuses the login or TLS, end at once.

    Raises:
        BrokerUnreachable: None does within the time; says why, and which setting to correct.
        InvalidArgument: One of the settings is none of librdkafka's, has an impossible value, or names an unusable
            certificate.
    """
    settings.ssl_context()  # Python's ssl says which file is wrong
    errors: list[KafkaError] = []
    try:
        admin = AdminClient(settings.confluent() | {"error_cb": errors.append, "log_level": 0})
    except KafkaException as error:
        raise InvalidArgument(f"a setting of the connection to Kafka is wrong: {error.args[0].str()}") from error
    deadline = Deadline(timeout_s)
    while True:
        try:
            admin.list_topics(timeout=max(deadline.remaining(_TRY_S), 0.01))
        except KafkaException as error:
            admin.poll(0)
            if not deadline.passed and not any(map(refuses_us, errors)):
                continue
            why, remedy = _explain(errors, settings, timeout_s)
            raise BrokerUnreachable(f"no Kafka broker answers at {settings.bootstrap} ({why}). {remedy}") from error
        else:
            return


def refuses_us(error: KafkaError) -> bool:
    """Whether a client's error is the broker's refusal of our login or TLS: waiting will not help."""
    # A broker that hangs up in the middle of a handshake, or by an alert, is to librdkafka any lost connection.
    return error.code() in _UNSAFE or "handshake failed" in error.str() or "SSL alert" in error.str()


def login_remedy(error: KafkaError, settings: BrokerSettings) -> str:
    """Which settings to correct after a refusal, by name, without their values."""
    said = error.str().lower()
    if error.code() == error_codes.AUTHENTICATION:
        by_token = settings.sasl_mechanism == "OAUTHBEARER"
        wrong = ["oauth_token_url", "oauth_client_id", "oauth_client_secret"] if by_token else _LOGIN
    elif "ssl alert" in said:
        wrong = ["ssl_certificate", "ssl_key"]
    elif "verify failed" in said:
        wrong = ["ssl_ca", "ssl_verify_hostname"]
    else:
        wrong = ["security_protocol", "ssl_ca", "ssl_certificate"]
    named = [f"{name} ({ENV_PREFIX}{name.upper()})" for name in wrong]
    return f"Correct {', '.join(named[:-1])} or {named[-1]}"


def _explain(errors: list[KafkaError], settings: BrokerSettings, timeout_s: float) -> tuple[str, str]:
    """Why nobody answered, and what to do; from what the client met on its way, oldest first."""
    told = [error for error in errors if error.code() != _DOWN]  # "1/1 brokers are down" says nothing
    unsafe = [error for error in told if refuses_us(error)]
    if unsafe:
        return unsafe[0].str(), login_remedy(unsafe[0], settings)
    remedy = (
        "Is it running, and is the address right? Name another with --bootstrap or OPPERTUNE_BOOTSTRAP, or start one to"
        " try things out: oppertune broker"
    )
    if told and any(sign in told[0].str() for sign in _NOBODY):
        return told[0].str(), remedy
    if errors:
        why = f"it closes the connection: it may want another security_protocol than {settings.protocol}"
        return why, f"Set OPPERTUNE_SECURITY_PROTOCOL and what goes with it, or correct the address. {remedy}"
    return f"it said nothing within {timeout_s:g} s", remedy
