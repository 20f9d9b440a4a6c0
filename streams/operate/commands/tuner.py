"""``oppertune tuner``: say what is tuned, see how it goes, and steer it."""

import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ....core.errors import CommandFailed
from ....schemas.events import Command
from ...broker import BrokerSettings, require_broker
from ..console import err, out, report
from ..exit_codes import ExitCode
from ..outputs import Done, SpecWritten
from ..reading.rounds import read_rounds
from ..reading.tuners import TunerView, read_tuner, read_tuners
from ..reporting.tuner_json import best_data, list_data, show_data
from ..reporting.tuner_text import best, list_table, show
from ..specs.short_forms import FORMS
from ..steering.send import new_command, send
from ..steering.verbs import VERBS, Verb
from .connection import connected
from .options import AsJson, Author, Name, Reason, Timeout

tuner = typer.Typer(no_args_is_help=True, help="Say what is tuned, see how it goes, and steer it.")


def _example(verb: Verb) -> str:
    return f"Example: oppertune tuner {verb.word} {verb.example}"


_SHOWN_REWARDS = 40
"""Bars of the line of rewards: they fit half a terminal."""

_LOOKED_AT = 2_000
"""Records of the topic of rounds that are looked at for the last rewards: other tuners' are among them."""


@tuner.command(
    "init",
    epilog="Example: oppertune tuner init checkout --parameter pool_size=10:1..100 --parameter policy=lru:lru,lfu",
)
def tuner_init(
    name: Annotated[str, typer.Argument(help="the tuner's name")] = "",
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="FORM", help=f"what is tuned, once for each:\n\n\b\n{FORMS}"),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="says how well the app does; default: latency_ms")] = None,
    goal: Annotated[str | None, typer.Option(help="minimize (the default) or maximize")] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="p95 (the default to minimize), mean (to maximize), ...")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="a usual value of that; default: 1")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="- for standard output; default: NAME.yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="write over a file that is there")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a tuner spec to begin with, all that it may say explained. Without parameters, it asks for them."""
    from ..specs.init import STDOUT, init

    if as_json and output == STDOUT:
        raise CommandFailed("--json and the spec cannot both go to standard output", ExitCode.USAGE)
    term = {"metric": metric, "goal": goal, "aggregate": aggregate, "scale": scale}
    spec, file = init(name, parameter or [], term, output=output, force=force)
    if file != STDOUT:
        sentence = (
            f"{file} is written, and valid; look it through, then: oppertune tuner apply {shlex.quote(str(file))}"
        )
        report(SpecWritten(tuner=spec.name, file=str(file)), sentence, as_json=as_json)


@tuner.command("apply", help=VERBS["apply"].help, epilog=_example(VERBS["apply"]))
@connected(require=False)
def tuner_apply(
    file: Annotated[Path, typer.Argument(help="a tuner spec, YAML or JSON")],
    *,
    settings: BrokerSettings,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="validate only; needs no broker")] = False,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """The one verb that makes a tuner: it takes a spec, and a broker only where it is meant."""
    from ..specs.file import read_spec

    spec, written = read_spec(file)
    if dry_run:
        report(Done(tuner=spec.name, done="validated"), f"{file} is valid: tuner {spec.name}", as_json=as_json)
        return
    require_broker(settings)
    verb = VERBS["apply"]
    command = new_command(verb, spec.name, author=author, reason=reason, spec=written)
    _carry_out(settings, verb, command, timeout_s=timeout, as_json=as_json)


def _add_verb(verb: Verb) -> None:
    """Add the command of a verb for a tuner that is there."""

    def steer(
        name: Name,
        *,
        settings: BrokerSettings,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        state = _must_exist(settings, name).state
        if state is not None and not verb.is_needed(state):
            report(Done(tuner=name, done="nothing"), verb.not_needed.format(name=name), as_json=as_json)
            return
        command = new_command(verb, name, author=author, reason=reason)
        _carry_out(settings, verb, command, timeout_s=timeout, as_json=as_json)

    def steer_if_sure(
        name: Name,
        *,
        settings: BrokerSettings,
        yes: Annotated[bool, typer.Option("--yes", help="do not ask: what was learned is lost")] = False,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        _must_exist(settings, name)
        if not yes:
            _ask_first(name)
        steer(name, settings=settings, timeout=timeout, author=author, reason=reason, as_json=as_json)

    command = connected(steer_if_sure if verb.asks_first else steer)
    tuner.command(verb.word, help=verb.help, epilog=_example(verb))(command)


for _verb in VERBS.values():
    if _verb.word != "apply":
        _add_verb(_verb)


def _carry_out(settings: BrokerSettings, verb: Verb, command: Command, *, timeout_s: float, as_json: bool) -> None:
    """Send a command, wait for its effect, and say that it is done."""
    with err.status("waiting for a worker ..."):
        state = send(settings, command, timeout_s=timeout_s)
    done = Done(tuner=command.tuner, done=verb.done, incarnation=state.incarnation if state is not None else None)
    report(done, verb.said.format(name=command.tuner), as_json=as_json)


def _ask_first(name: str) -> None:
    if not err.is_terminal:
        raise CommandFailed(f"what tuner {name} learned would be lost: say --yes if you mean it", ExitCode.USAGE)
    typer.confirm(f"What tuner {name} learned will be lost. Go on?", abort=True, err=True)


@tuner.command("list", epilog="Example: oppertune tuner list --json")
@connected
def tuner_list(*, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """List all tuners, as the state says: needs no worker."""
    views = read_tuners(settings)
    if as_json:
        list_data(views).show()
    elif views:
        out.print(list_table(views))
    else:
        out.print("no tuners yet; apply one with: oppertune tuner apply FILE")


@tuner.command("show", epilog="Example: oppertune tuner show checkout")
@connected
def tuner_show(name: Name, *, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """Show a tuner: rounds, rewards, incumbents, instances, and what it waits for right now. Needs no worker."""
    view = _there(name, read_tuner(settings, name))
    rewards: dict[str, list[float]] = {}
    for closed in read_rounds(settings, name, last=_LOOKED_AT):
        if closed.reward is not None and view.state is not None and closed.incarnation == view.state.incarnation:
            rewards.setdefault(closed.scope, []).append(closed.reward)
    rewards = {scope: found[-_SHOWN_REWARDS:] for scope, found in rewards.items()}
    now_ms = time.time_ns() // 1_000_000
    if as_json:
        show_data(view, rewards, now_ms).show()
    else:
        out.print(show(view, rewards, now_ms))


class Format(StrEnum):
    """How the best values are printed."""

    TABLE = "table"
    ENV = "env"


@tuner.command("best", epilog="Example: oppertune tuner best checkout --context region=eu --format env")
@connected
def tuner_best(
    name: Name,
    *,
    settings: BrokerSettings,
    context: Annotated[
        list[str] | None, typer.Option("--context", metavar="FIELD=VALUE", help="only of contexts with this field")
    ] = None,
    how: Annotated[
        Format, typer.Option("--format", help="env: NAME=VALUE lines of one context, for a shell")
    ] = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Print the best known configuration of each context: the incumbent, which the fleet falls back to."""
    view = _must_exist(settings, name)
    if view.state is None:
        raise CommandFailed(f"the state of tuner {name} cannot be read: {view.unreadable}", ExitCode.FAILED)
    wanted = dict(one.partition("=")[::2] for one in context or ())
    found = best_data(view, wanted)
    if not found.incumbents:
        raise CommandFailed(f"tuner {name} has no context {', '.join(context or ())}", ExitCode.NOT_FOUND)
    if as_json:
        found.show()
    elif how is Format.TABLE:
        out.print(best(view.state.spec, found))
    elif len(found.incumbents) > 1:
        raise CommandFailed(
            f"tuner {name} has {len(found.incumbents)} contexts: choose one with --context", ExitCode.USAGE
        )
    else:
        for parameter, value in found.incumbents[0].values.items():
            typer.echo(f"{parameter}={shlex.quote(str(value))}")


@tuner.command("picture", epilog="Example: oppertune tuner picture checkout --output checkout.png")
@connected
def tuner_picture(
    name: Name,
    *,
    settings: BrokerSettings,
    output: Annotated[Path, typer.Option("--output", "-o", help="where to write the picture (PNG)")] = Path(
        "tuner.png"
    ),
) -> None:
    """Draw a tuner's rewards over its rounds, a panel per context, and when a new incumbent came of one.

    Rounds from before the newest spec or reset are left out; export has them.
    """
    from ..reporting.picture import point_of, reward_picture

    rounds = list(read_rounds(settings, name))
    newest = max((closed.incarnation for closed in rounds), default=0)
    points = [point_of(closed) for closed in rounds if closed.incarnation == newest]
    if not any(point.reward is not None for point in points):
        raise CommandFailed(f"tuner {name} has no round with a reward yet", ExitCode.NOT_FOUND)
    view = read_tuners(settings, name).get(name)
    spec = view.state.spec if view is not None and view.state is not None else None
    target = spec.target.reward if spec is not None and spec.target is not None else None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        reward_picture(points, output, title=f"{name}: reward of each round (higher is better)", target=target)
    except OSError as error:
        raise CommandFailed(f"cannot write {output}: {error.strerror or error}", ExitCode.FAILED) from error
    out.print(f"{len(points)} rounds drawn into {output}", markup=False, highlight=False, soft_wrap=True)


def _must_exist(settings: BrokerSettings, name: str) -> TunerView:
    return _there(name, read_tuners(settings, name).get(name))


def _there(name: str, view: TunerView | None) -> TunerView:
    if view is None:
        raise CommandFailed(f"there is no tuner {name!r}; see: oppertune tuner list", ExitCode.NOT_FOUND)
    return view
