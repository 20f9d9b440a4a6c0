"""``oppertune tuner``: say what is tuned, see how it goes, and steer it."""

import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ....core.errors import CommandFailed, InvalidInput
from ...broker import BrokerSettings
from ..console import line, out, report
from ..exit_codes import ExitCode
from ..outputs import SpecWritten
from ..reading.contexts import matching, the_one
from ..reading.rounds import read_rounds
from ..reading.tuners import must_exist, read_tuner, read_tuners
from ..reporting.history import diff, diff_data, history, history_data
from ..reporting.tuner_json import best_data, list_data, show_data
from ..reporting.tuner_text import best, list_table, show
from ..reporting.why import why, why_data
from ..specs.short_forms import FORMS
from ..text import shell_lines
from .connection import connected
from .options import AsJson, Context, Name
from .verbs import add_verbs

tuner = typer.Typer(no_args_is_help=True, help="Say what is tuned, see how it goes, and steer it.")

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


add_verbs(tuner)


@tuner.command("list", epilog="Example: oppertune tuner list --json")
@connected
def tuner_list(*, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """List all tuners, as the state says: needs no worker."""
    views, now_ms = read_tuners(settings), time.time_ns() // 1_000_000
    if as_json:
        list_data(views, now_ms).show()
    elif views:
        out.print(list_table(views, now_ms))
    else:
        out.print("no tuners yet; apply one with: oppertune tuner apply FILE")


@tuner.command("show", epilog="Example: oppertune tuner show checkout")
@connected
def tuner_show(name: Name, *, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """Show a tuner: rounds, rewards, incumbents, instances, and what it waits for right now. Needs no worker."""
    view = must_exist(name, read_tuner(settings, name))
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
    context: Context = None,
    how: Annotated[
        Format, typer.Option("--format", help="env: NAME=VALUE lines of one context, for a shell")
    ] = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Print the best known configuration of each context: the incumbent, which the fleet falls back to."""
    view = must_exist(name, read_tuners(settings, name).get(name))
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
        try:
            lines = shell_lines(found.incumbents[0].values)
        except InvalidInput as error:
            raise CommandFailed(f"tuner {name}: {error}", ExitCode.USAGE) from error
        typer.echo("".join(f"{one}\n" for one in lines), nl=False)


@tuner.command("history", epilog="Example: oppertune tuner history checkout --context region=eu")
@connected
def tuner_history(name: Name, *, settings: BrokerSettings, context: Context = None, as_json: AsJson = False) -> None:
    """What the incumbents of each context were: since when, by whom, why, and what each changed. Needs no worker."""
    view = must_exist(name, read_tuners(settings, name).get(name))
    told = history_data(name, matching(view, context or ()))
    if as_json:
        told.show()
    else:
        out.print(history(told))


@tuner.command("diff", epilog="Example: oppertune tuner diff checkout 2 3")
@connected
def tuner_diff(
    name: Name,
    first: Annotated[int, typer.Argument(metavar="A", help="number of a version in history")],
    second: Annotated[int, typer.Argument(metavar="B", help="number of another")],
    *,
    settings: BrokerSettings,
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """What is different in two versions of a context's incumbent."""
    view = must_exist(name, read_tuners(settings, name).get(name))
    told = diff_data(name, the_one(view, context or ()), first, second)
    if as_json:
        told.show()
    else:
        out.print(diff(told))


@tuner.command("why", epilog="Example: oppertune tuner why checkout --instance checkout-7f9c")
@connected
def tuner_why(
    name: Name,
    *,
    settings: BrokerSettings,
    instance: Annotated[str, typer.Option(help="only of this instance, and more of it")] = "",
    as_json: AsJson = False,
) -> None:
    """Why instances run what they run: version, arm, hold, pins, and who said so. Needs no worker."""
    view = must_exist(name, read_tuner(settings, name))
    if view.state is None:
        raise CommandFailed(f"the state of tuner {name} cannot be read: {view.unreadable}", ExitCode.FAILED)
    told = why_data(view, view.state, time.time_ns() // 1_000_000, instance)
    if as_json:
        told.show()
    else:
        out.print(why(told))


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
    out.print(line(f"{len(points)} rounds drawn into {output}"), soft_wrap=True)
