"""The options that many commands share; those of a connection are in ``connection.py``."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Context = Annotated[
    list[str] | None, typer.Option("--context", metavar="FIELD=VALUE", help="only of contexts with this field")
]
Name = Annotated[str, typer.Argument(help="the tuner's name")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for a worker's answer")]
Author = Annotated[str, typer.Option("--author", envvar="OPPERTUNE_AUTHOR", help="who asks; default: you")]
Reason = Annotated[str, typer.Option("--reason", help="why, for those who read it later")]
GivenValues = Annotated[list[str], typer.Argument(metavar="PARAM=VALUE...", help="values, by parameter")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="it ends by itself after 90s, 15m, 2h or 7d")]
Until = Annotated[
    str,
    typer.Option("--until", metavar="TIME", help="it ends by itself then, such as 2026-01-31T14:00Z; else in UTC"),
]
