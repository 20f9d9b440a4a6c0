"""``oppertune demo``: a small fleet, tuned while it works."""

from pathlib import Path
from typing import Annotated

import typer

from ..console import err, out
from ..outputs import DemoResult
from .options import AsJson


def demo(
    *,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="how long to tune")] = 60.0,
    instances: Annotated[int, typer.Option(min=2, max=32, help="app processes")] = 4,
    bootstrap: Annotated[str, typer.Option("--bootstrap", "-b", help="use this Kafka, not the embedded broker")] = "",
    picture: Annotated[Path, typer.Option(help="where to write the picture (PNG)")] = Path("out/demo.png"),
    reference: Annotated[bool, typer.Option("--reference", help="compare with WAL, NORMAL and else defaults")] = False,
    as_json: AsJson = False,
) -> None:
    """Tune a small fleet of real processes, each an order service on SQLite, while they work.

    Everything is real: topics, a Faust worker, transactions, fsyncs, measurements. It ends with the declared defaults
    measured against the tuned configuration, side by side, and a picture of the rewards.
    """
    from ..demo import run_demo

    result = run_demo(
        seconds=seconds,
        instances=instances,
        bootstrap=bootstrap,
        picture=picture,
        reference=reference,
        console=err if as_json else out,
    )
    if as_json:
        DemoResult.model_validate(result).show()
