"""The options that many commands share; those of a connection are in ``connection.py``."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Name = Annotated[str, typer.Argument(help="the tuner's name")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for a worker's answer")]
Author = Annotated[str, typer.Option("--author", envvar="OPPERTUNE_AUTHOR", help="who asks; default: you")]
Reason = Annotated[str, typer.Option("--reason", help="why, for those who read it later")]
