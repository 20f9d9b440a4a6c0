"""``oppertune export``: closed rounds as a table in a file."""

from pathlib import Path
from typing import Annotated

import typer

from ...broker import BrokerSettings
from ..console import err, report
from ..outputs import Exported
from .connection import connected
from .options import AsJson, Name


@connected
def export(
    name: Name,
    *,
    settings: BrokerSettings,
    output: Annotated[Path, typer.Option("--output", "-o", help="a file that ends in .csv or .parquet")],
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
    as_json: AsJson = False,
) -> None:
    """Export a tuner's closed rounds as a table: values, metrics, rewards, and what became of each round and why."""
    from ..reading.rounds import read_rounds
    from ..reporting.export import check, write

    check(output, force=force)  # before the work
    closed = []
    with err.status("reading rounds ...") as status:
        for one in read_rounds(settings, name):
            closed.append(one)
            if len(closed) % 1000 == 0:
                status.update(f"reading rounds ... {len(closed)}")
    written = write(closed, output, force=force)
    report(Exported(file=str(output), rounds=written), f"{written} rounds are in {output}", as_json=as_json)
