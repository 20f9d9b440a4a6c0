"""The options with which every command finds its broker."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from ...broker import BrokerSettings, require_broker
from ...broker.settings_sources import SECRETS

_GROUP = "Connection"

_OPTIONS: dict[str, Any] = {
    "bootstrap": Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            "-b",
            metavar="HOST:PORT,...",
            help="Kafka brokers; else OPPERTUNE_BOOTSTRAP, else localhost:9092",
            rich_help_panel=_GROUP,
        ),
    ],
    "prefix": Annotated[
        str | None,
        typer.Option(
            "--prefix",
            help="put before every topic's name; else OPPERTUNE_PREFIX, else oppertune.",
            rich_help_panel=_GROUP,
        ),
    ],
    "embedded": Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="the broker is oppertune's embedded one: skip what it cannot do; else OPPERTUNE_EMBEDDED",
            rich_help_panel=_GROUP,
        ),
    ],
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="a TOML file with settings of the connection; else OPPERTUNE_CONFIG",
            rich_help_panel=_GROUP,
        ),
    ],
    "others": Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="another setting of the connection, such as ssl_ca=ca.pem; no secrets: others see a command line",
            rich_help_panel=_GROUP,
        ),
    ],
}


def connected(command: Callable[..., Any] | None = None, *, require: bool = True) -> Callable[..., Any]:
    """Give a command the options of a connection; it gets ``settings`` instead, and a broker that answers.

    Args:
        command: Has a keyword parameter ``settings``.
        require: Whether a broker must answer before the command begins.
    """
    if command is None:
        return lambda given: connected(given, require=require)
    signature = inspect.signature(command)
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "embedded" else None,
            annotation=annotation,
        )
        for name, annotation in _OPTIONS.items()
    ]
    kept = [p for name, p in signature.parameters.items() if name != "settings"]

    @wraps(command)
    def with_settings(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the command's own
        settings = _settings(**{name: kwargs.pop(name) for name in _OPTIONS})
        if require:
            require_broker(settings)
        return command(*args, settings=settings, **kwargs)

    with_settings.__signature__ = signature.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    with_settings.__annotations__ = {p.name: p.annotation for p in [*kept, *options]}
    return with_settings


def _settings(
    *, bootstrap: str | None, prefix: str | None, embedded: bool, config: Path | None, others: list[str] | None
) -> BrokerSettings:
    given: dict[str, Any] = {"bootstrap": bootstrap, "prefix": prefix, "embedded": embedded or None}
    for other in others or ():
        name, equals, value = other.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {other!r}")
        if name in SECRETS:
            raise typer.BadParameter(
                f"--set takes no secrets, which others would see: set OPPERTUNE_{name.upper()}, or give a file by"
                f" --set {name}_file=FILE"
            )
        given[name] = value
    return BrokerSettings.load(config, **given)
