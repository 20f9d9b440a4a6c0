"""The command line: ``oppertune``. Each command is a few lines here; what it does is in its own module.

Imports stand inside the commands: ``oppertune --help`` must not load Faust or matplotlib.
"""

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.text import Text

from ... import __version__
from ...core.errors import BrokerUnreachable, InvalidArgument, MissingExtra, OppertuneError, TopicsInvalid
from ..broker import BrokerSettings
from ..broker.settings import DEFAULT_PREFIX
from .codes import CommandFailed, ExitCode
from .commands.letters import letters
from .commands.topics import topics
from .commands.tuner import tuner
from .connection import connected
from .console import AsJson, Name, err, out, report
from .outputs import Demo, Exported

app = typer.Typer(
    name="oppertune",
    help="Tune the settings of a fleet of services while it works, over Kafka.",
    epilog="Try it: oppertune demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(topics, name="topics")
app.add_typer(tuner, name="tuner")
app.add_typer(letters, name="dead-letters")


class LogLevel(StrEnum):
    """How much a worker says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


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


@app.command(epilog="Example: oppertune demo --seconds 60 --instances 4")
def demo(
    *,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="how long to tune")] = 60.0,
    instances: Annotated[int, typer.Option(min=2, max=32, help="app processes")] = 4,
    bootstrap: Annotated[str, typer.Option("--bootstrap", "-b", help="use this Kafka, not the embedded broker")] = "",
    picture: Annotated[Path, typer.Option(help="where to write the picture (PNG)")] = Path("out/demo.png"),
    as_json: AsJson = False,
) -> None:
    """Tune a small fleet of real processes, each an order service on SQLite, while they work.

    Everything is real: topics, a Faust worker, transactions, fsyncs, measurements. It ends with the declared defaults
    measured against the tuned configuration, side by side, and a picture of the rewards.
    """
    from .demo import run_demo

    result = run_demo(
        seconds=seconds, instances=instances, bootstrap=bootstrap, picture=picture, console=err if as_json else out
    )
    if as_json:
        Demo.model_validate(result).show()


@app.command(epilog="Example: oppertune worker --bootstrap kafka-1:9092,kafka-2:9092 --health-port 8080")
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
            envvar="OPPERTUNE_HEALTH_PORT",
            help="serve /livez, /readyz and /metrics here; else nowhere",
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
    from ..worker import WorkerSettings, run_worker

    logging.basicConfig(
        level=log_level.upper(),
        format="%(message)s" if err.is_terminal else "%(asctime)s %(levelname)s %(name)s %(message)s",
        handlers=[RichHandler(console=err, show_path=False)] if err.is_terminal else None,
    )
    if log_level is not LogLevel.DEBUG:
        for noisy in ("faust", "mode", "aiokafka", "kafka", "oppertune.kafka"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    raise typer.Exit(run_worker(WorkerSettings(broker=settings, health_port=health_port, health_host=health_host)))


@app.command(epilog="Example: oppertune broker, then in other terminals: oppertune worker --embedded -b 127.0.0.1:PORT")
def broker(
    *,
    prefix: Annotated[
        str, typer.Option("--prefix", envvar="OPPERTUNE_PREFIX", help="put before every topic's name")
    ] = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Run the embedded broker until it is stopped: for trying things out, in memory, on this machine only."""
    from .foreground import run_broker

    run_broker(prefix, out, as_json=as_json)


@app.command(epilog="Example: oppertune watch checkout --last 20")
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
    from .foreground import until_told
    from .watch import happenings, line

    with until_told() as stop:
        for happened in happenings(settings, name, stop, last=last, rounds=rounds):
            if as_json:
                happened.show()
            else:
                out.print(line(happened), soft_wrap=True)


@app.command(epilog="Example: oppertune export checkout --output rounds.csv")
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
    from .export import check, write
    from .rounds import read_rounds

    check(output, force=force)  # before the work
    closed = []
    with err.status("reading rounds ...") as status:
        for one in read_rounds(settings, name):
            closed.append(one)
            if len(closed) % 1000 == 0:
                status.update(f"reading rounds ... {len(closed)}")
    written = write(closed, output, force=force)
    report(Exported(file=str(output), rounds=written), f"{written} rounds are in {output}", as_json=as_json)


def main() -> None:
    """Run the command line; errors end in a sentence and an exit code, not in a trace."""
    try:
        app()
    except CommandFailed as error:
        _end(error, error.code)
    except BrokerUnreachable as error:
        _end(error, ExitCode.UNREACHABLE)
    except TopicsInvalid as error:
        _end(error, ExitCode.TOPICS)
    except InvalidArgument as error:
        _end(error, ExitCode.USAGE)
    except (MissingExtra, OppertuneError) as error:
        _end(error, ExitCode.FAILED)


def _end(error: Exception, code: ExitCode) -> None:
    err.print(Text.assemble(("error:", "red"), f" {error}"), soft_wrap=True)
    sys.exit(code)
