"""The command line: ``oppertune``. Each command is a few lines here; what it does is in its own module.

Imports stand inside the commands: ``oppertune --help`` must not load Faust or matplotlib.
"""

import getpass
import json
import logging
import sys
import uuid
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from ... import __version__
from ...core.errors import BrokerUnreachable, MissingExtra, OppertuneError, TopicsInvalid
from .codes import CommandFailed, ExitCode

if TYPE_CHECKING:
    from ...schemas.events import Command
    from ..broker import BrokerSettings, Problem
    from .ask import Answer
    from .states import TunerView

out = Console()
err = Console(stderr=True)

app = typer.Typer(
    name="oppertune",
    help="Tune the settings of a fleet of services while it works, over Kafka.",
    epilog="Try it: oppertune demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
topics = typer.Typer(no_args_is_help=True, help="Create and check the topics that everything runs on.")
tuner = typer.Typer(no_args_is_help=True, help="Say what is tuned, and see how it goes.")
app.add_typer(topics, name="topics")
app.add_typer(tuner, name="tuner")

Bootstrap = Annotated[
    str, typer.Option("--bootstrap", "-b", envvar="OPPERTUNE_BOOTSTRAP", help="Kafka brokers, host:port,host:port")
]
Prefix = Annotated[str, typer.Option("--prefix", envvar="OPPERTUNE_PREFIX", help="put before every topic's name")]
Embedded = Annotated[
    bool,
    typer.Option(
        "--embedded", envvar="OPPERTUNE_EMBEDDED", help="the broker is oppertune's embedded one: skip what it cannot do"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Name = Annotated[str, typer.Argument(help="the tuner's name")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="seconds to wait for a worker's answer")]
Author = Annotated[str, typer.Option("--author", envvar="OPPERTUNE_AUTHOR", help="who asks; default: you")]
Reason = Annotated[str, typer.Option("--reason", help="why, for those who read it later")]


class LogLevel(StrEnum):
    """How much a worker says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LOCAL = "localhost:9092"
DEFAULT_PREFIX = "oppertune."


def _settings(bootstrap: str, prefix: str, *, embedded: bool) -> "BrokerSettings":
    """Where the broker is; it must answer before a command goes on."""
    from ..broker import BrokerSettings, require_broker

    settings = BrokerSettings(bootstrap=bootstrap, prefix=prefix, embedded=embedded)
    require_broker(settings, timeout_s=5.0)
    return settings


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
        sys.stdout.write(json.dumps(result) + "\n")


@app.command(epilog="Example: oppertune worker --bootstrap kafka-1:9092,kafka-2:9092")
def worker(
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    embedded: Embedded = False,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="debug shows what the Kafka libraries say, too")
    ] = LogLevel.INFO,
) -> None:
    """Run a worker: it folds events, learns, and publishes configurations until it is stopped (SIGTERM).

    Start as many as you like, with the same options: they share the partitions, and take over from each other.
    Its exit codes are for a supervisor: start it again, but for 0 (it was stopped) and 78 (topics or state are not as
    they must be).
    """
    from ..broker import BrokerSettings
    from ..worker import WorkerSettings, run_worker

    logging.basicConfig(
        level=log_level.upper(),
        format="%(message)s" if err.is_terminal else "%(asctime)s %(levelname)s %(name)s %(message)s",
        handlers=[RichHandler(console=err, show_path=False)] if err.is_terminal else None,
    )
    if log_level is not LogLevel.DEBUG:
        for noisy in ("faust", "mode", "aiokafka", "kafka", "oppertune.kafka"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = BrokerSettings(bootstrap=bootstrap, prefix=prefix, embedded=embedded)
    raise typer.Exit(run_worker(WorkerSettings(broker=settings)))


@app.command(epilog="Example: oppertune broker, then in other terminals: oppertune worker --embedded -b 127.0.0.1:PORT")
def broker(*, prefix: Prefix = DEFAULT_PREFIX, as_json: AsJson = False) -> None:
    """Run the embedded broker until it is stopped: for trying things out, in memory, on this machine only."""
    from .foreground import run_broker

    run_broker(prefix, out, as_json=as_json)


@topics.command("create", epilog="Example: oppertune topics create -b kafka-1:9092 --partitions 8 --replication 3")
def topics_create(
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    partitions: Annotated[int, typer.Option(min=1, max=1000, help="of every topic; cannot be changed later")] = 8,
    replication: Annotated[int, typer.Option(min=1, max=10, help="copies of each partition: 3 in production")] = 1,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing, with the settings they need. Those that exist are left as they are."""
    from ..broker import check_topics, create_topics

    settings = _settings(bootstrap, prefix, embedded=False)
    created = create_topics(settings, partitions=partitions, replication=replication)
    problems = check_topics(settings)
    if as_json:
        _print_json({"created": sorted(created), "problems": [str(p) for p in problems]})
    else:
        out.print(f"created: {', '.join(sorted(created)) or 'nothing, all are there'}")
    _fail_on(problems)


@topics.command("check", epilog="Example: oppertune topics check -b kafka-1:9092")
def topics_check(*, bootstrap: Bootstrap = LOCAL, prefix: Prefix = DEFAULT_PREFIX, as_json: AsJson = False) -> None:
    """Say what is wrong with the topics, and how to mend it; exit code 7 if anything is."""
    from ..broker import check_topics

    problems = check_topics(_settings(bootstrap, prefix, embedded=False))
    if as_json:
        _print_json({"problems": [str(p) for p in problems]})
    elif not problems:
        out.print("all topics are as they must be")
    _fail_on(problems)


@topics.command("adopt", epilog="Example: oppertune topics adopt metrics -b kafka-1:9092")
def topics_adopt(
    topic: Annotated[str, typer.Argument(help="contexts, metrics or commands")],
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    as_json: AsJson = False,
) -> None:
    """Go on with a topic that was deleted and created again. Tuners keep what they learned; run it once.

    Workers refuse such a topic: its new records look applied already. Stop them first; any that still runs is fenced.
    """
    from ..processor import SOURCES
    from ..worker import WorkerSettings, adopt

    if topic not in SOURCES:
        raise typer.BadParameter(f"{topic!r} is none of {', '.join(SOURCES)}")
    adopted = adopt(WorkerSettings(broker=_settings(bootstrap, prefix, embedded=False)), topic)
    sentence = f"adopted on {len(adopted)} partitions" if adopted else "nothing to adopt: the topic is the one known"
    _report({"topic": topic, "partitions": adopted}, sentence, as_json=as_json)


@tuner.command("apply", epilog="Example: oppertune tuner apply checkout.yaml --reason 'try larger pools'")
def tuner_apply(
    file: Annotated[Path, typer.Argument(help="a tuner spec, YAML or JSON")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="validate only; needs no broker")] = False,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    embedded: Embedded = False,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Apply a spec: a new tuner, or a changed one, which starts learning anew.

    Validates, publishes, and waits until a worker has taken it up (exit code 0), refused it (6), or none answered (5).
    """
    from .specs import read_spec

    spec, written = read_spec(file)
    if dry_run:
        _report({"tuner": spec.name, "valid": True}, f"{file} is valid: tuner {spec.name}", as_json=as_json)
        return
    answer = _command(
        _settings(bootstrap, prefix, embedded=embedded),
        _new_command("apply", spec.name, author, reason, written),
        timeout,
    )
    incarnation = answer.state.incarnation if answer.state is not None else None
    _report(
        {"tuner": spec.name, "applied": True, "incarnation": incarnation},
        f"tuner {spec.name} is applied; see it with: oppertune tuner show {spec.name}",
        as_json=as_json,
    )


@tuner.command("delete", epilog="Example: oppertune tuner delete checkout --reason 'service is retired'")
def tuner_delete(
    name: Name,
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    embedded: Embedded = False,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Delete a tuner and all it learned: its apps return to their declared defaults."""
    settings = _settings(bootstrap, prefix, embedded=embedded)
    _must_exist(settings, name)
    _command(settings, _new_command("delete", name, author, reason), timeout)
    _report({"tuner": name, "deleted": True}, f"tuner {name} is deleted", as_json=as_json)


@tuner.command("list", epilog="Example: oppertune tuner list --json")
def tuner_list(
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    embedded: Embedded = False,
    as_json: AsJson = False,
) -> None:
    """List all tuners, as the state says: needs no worker."""
    from .render import list_json, list_table
    from .states import read_tuners

    views = read_tuners(_settings(bootstrap, prefix, embedded=embedded))
    if as_json:
        _print_json(list_json(views))
    elif views:
        out.print(list_table(views))
    else:
        out.print("no tuners yet; apply one with: oppertune tuner apply FILE")


@tuner.command("show", epilog="Example: oppertune tuner show checkout")
def tuner_show(
    name: Name,
    *,
    bootstrap: Bootstrap = LOCAL,
    prefix: Prefix = DEFAULT_PREFIX,
    embedded: Embedded = False,
    as_json: AsJson = False,
) -> None:
    """Show a tuner: its rounds, rewards and incumbents, and why it stands still if it does. Needs no worker."""
    from .render import show, show_json

    view = _must_exist(_settings(bootstrap, prefix, embedded=embedded), name)
    if as_json:
        _print_json(show_json(view))
    else:
        out.print(show(view))


def _must_exist(settings: "BrokerSettings", name: str) -> "TunerView":
    from .states import read_tuners

    view = read_tuners(settings, name).get(name)
    if view is None:
        raise CommandFailed(f"there is no tuner {name!r}; see: oppertune tuner list", ExitCode.NOT_FOUND)
    return view


def _new_command(kind: str, name: str, author: str, reason: str, spec: dict[str, object] | None = None) -> "Command":
    from pydantic import ValidationError

    from ...schemas.base import explain
    from ...schemas.events import Command

    made = {"v": 1, "id": str(uuid.uuid4()), "kind": kind, "tuner": name, "author": author or _me(), "reason": reason}
    try:
        return Command.model_validate(made | {"spec": spec})
    except ValidationError as error:
        raise CommandFailed(f"no such command can be sent: {explain(error)}", ExitCode.USAGE) from error


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "unknown"


def _command(settings: "BrokerSettings", command: "Command", timeout_s: float) -> "Answer":
    from .ask import ask

    with err.status("waiting for a worker ..."):
        return ask(settings, command, timeout_s=timeout_s)


def _report(data: dict[str, object], sentence: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(data)
    else:
        out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data) + "\n")


def _fail_on(problems: "list[Problem]") -> None:
    if problems:
        raise CommandFailed("\n".join(map(str, problems)), ExitCode.TOPICS)


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
    except (MissingExtra, OppertuneError) as error:
        _end(error, ExitCode.FAILED)


def _end(error: Exception, code: ExitCode) -> None:
    err.print(Text.assemble(("error:", "red"), f" {error}"), soft_wrap=True)
    sys.exit(code)
