"""``oppertune watch``: what happens, live."""

from typing import Annotated

import typer

from ...broker import BrokerSettings
from ..console import out
from .connection import connected


@connected
def watch(
    name: Annotated[str | None, typer.Argument(help="only this tuner")] = None,
    *,
    settings: BrokerSettings,
    last: Annotated[int, typer.Option(min=0, max=100_000, help="begin with what happened last, about so much")] = 0,
    rounds: Annotated[int | None, typer.Option(min=1, help="end after so many closed rounds")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, a line each, for scripts")] = False,
) -> None:
    """Follow what happens, live: rounds and their rewards, new incumbents, targets, dead letters. Ends with Ctrl-C."""
    from ..foreground import until_told
    from ..reading.watch import watch_events
    from ..reporting.watch_line import watch_line

    with until_told() as stop:
        for event in watch_events(settings, name, stop, last=last, rounds=rounds):
            if as_json:
                event.show()
            else:
                out.print(watch_line(event), soft_wrap=True)
