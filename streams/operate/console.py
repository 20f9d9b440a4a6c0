"""How commands speak: consoles, JSON for scripts, and the options that many of them share."""

from typing import Annotated

import typer
from rich.console import Console

from .outputs import Output

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Name = Annotated[str, typer.Argument(help="the tuner's name")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for a worker's answer")]
Author = Annotated[str, typer.Option("--author", envvar="OPPERTUNE_AUTHOR", help="who asks; default: you")]
Reason = Annotated[str, typer.Option("--reason", help="why, for those who read it later")]


def report(data: Output, sentence: str, *, as_json: bool) -> None:
    """What a command did: as data for scripts, or as a sentence for people."""
    if as_json:
        data.show()
    else:
        out.print(sentence, markup=False, highlight=False, soft_wrap=True)
