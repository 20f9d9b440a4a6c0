"""The command line: ``oppertune``. Each command has its options in ``commands/``; what it does is in the other rooms.

Imports stand inside the commands: ``oppertune --help`` must not load Faust or matplotlib.
"""

import sys
from typing import Annotated

import typer
from rich.text import Text

from ... import __version__
from ...core.errors import OppertuneError
from .commands.broker import broker
from .commands.dead_letters import dead_letters
from .commands.demo import demo
from .commands.export import export
from .commands.simulate import simulate
from .commands.topics import topics
from .commands.tuner import tuner
from .commands.watch import watch
from .commands.worker import worker
from .console import err
from .exit_codes import exit_code
from .text import printable

app = typer.Typer(
    name="oppertune",
    help="Tune the settings of a fleet of services while it works, over Kafka.",
    epilog="Try it: oppertune demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(epilog="Example: oppertune demo --seconds 60 --instances 4")(demo)
app.command(epilog="Example: oppertune worker --bootstrap kafka-1:9092,kafka-2:9092 --health-port 8080")(worker)
app.command(epilog="Example: oppertune broker, then in other terminals: oppertune worker --embedded -b 127.0.0.1:PORT")(
    broker
)
app.command(epilog="Example: oppertune watch checkout --last 20")(watch)
app.command(epilog="Example: oppertune export checkout --output rounds.csv")(export)
app.command(epilog="Example: oppertune simulate checkout.yaml --instances 100 --hours 8 --function cliff")(simulate)
app.add_typer(topics, name="topics")
app.add_typer(tuner, name="tuner")
app.add_typer(dead_letters, name="dead-letters")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="print the version and stop", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors end in a sentence and an exit code, not in a trace."""
    try:
        app()
    except OppertuneError as error:
        err.print(Text.assemble(("error:", "red"), " ", printable(error, lines=True)), soft_wrap=True)
        sys.exit(exit_code(error))
