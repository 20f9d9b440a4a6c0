"""Is a broker there? Asked before anything else, so that the answer is a sentence and not a time-out."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from ...core.errors import BrokerUnreachable
from .settings import BrokerSettings


def require_broker(settings: BrokerSettings, *, timeout_s: float = 5.0) -> None:
    """Return once a broker answers.

    Raises:
        BrokerUnreachable: None does within the time; says why, and what to do.
    """
    reasons: list[str] = []

    def note(error: KafkaError) -> None:
        reasons.append(error.str())

    admin = AdminClient(settings.confluent() | {"error_cb": note, "log_level": 0})
    try:
        admin.list_topics(timeout=timeout_s)
    except KafkaException as error:
        admin.poll(0.2)
        why = reasons[0] if reasons else error.args[0].str()
        raise BrokerUnreachable(
            f"no Kafka broker answers at {settings.bootstrap} ({why}). Is it running, and is the address right?"
            " Name another with --bootstrap or OPPERTUNE_BOOTSTRAP, or start one to try things out: oppertune broker"
        ) from error
