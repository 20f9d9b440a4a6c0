"""``oppertune worker``: the process that tunes."""

import logging
from enum import StrEnum
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.text import Text

from ...broker import BrokerSettings
from ...broker.settings_sources import port_from_environment
from ..console import LogFormatter, err
from ..times import when
from .connection import connected

_ENV_HEALTH_PORT = "OPPERTUNE_HEALTH_PORT"


class LogLevel(StrEnum):
    """How much a worker says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@connected(require=False)
def worker(
    *,
    settings: BrokerSettings,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="debug shows what the Kafka libraries say, too")
    ] = LogLevel.INFO,
    health_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"serve /livez, /readyz and /metrics here; else at {_ENV_HEALTH_PORT}, else nowhere",
        ),
    ] = None,
    health_host: Annotated[
        str, typer.Option(envvar="OPPERTUNE_HEALTH_HOST", help="address to serve them on")
    ] = "0.0.0.0",  # noqa: S104 - probes and Prometheus come from elsewhere; it serves no secrets
) -> None:
    """Run a worker: it folds events, learns, and publishes configurations until it is stopped (SIGTERM).

    Start as many as you like, with the same options: they share the partitions, and take over from each other.
    Its exit codes are for a supervisor: start it again, but for 0 (it was stopped), 2 (a setting is impossible) and 78
    (topics, rights or state are not as they must be).
    """
    from ...worker import WorkerSettings, run_worker

    handler = (
        RichHandler(console=err, show_path=False, log_time_format=lambda local: Text(when(local.timestamp() * 1000)))
        if err.is_terminal
        else logging.StreamHandler()
    )
    shown = "%(message)s" if err.is_terminal else "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(LogFormatter(shown))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    if log_level is not LogLevel.DEBUG:
        for noisy in ("faust", "mode", "aiokafka", "kafka", "oppertune.kafka"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    port = health_port or port_from_environment(_ENV_HEALTH_PORT)
    raise typer.Exit(run_worker(WorkerSettings(broker=settings, health_port=port, health_host=health_host)))
