"""``oppertune broker``: the embedded broker, for trying things out."""

from typing import Annotated

import typer

from ...broker.settings import DEFAULT_PREFIX
from ..console import out
from .options import AsJson


def broker(
    *,
    prefix: Annotated[
        str, typer.Option("--prefix", envvar="OPPERTUNE_PREFIX", help="put before every topic's name")
    ] = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Run the embedded broker until it is stopped: for trying things out, in memory, on this machine only."""
    from ..foreground import run_broker

    run_broker(prefix, out, as_json=as_json)
