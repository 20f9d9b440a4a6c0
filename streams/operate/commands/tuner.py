"""``oppertune tuner``: say what is tuned, see how it goes, and steer it."""

import getpass
import shlex
import time
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ....schemas.base import explain
from ....schemas.events import Command
from ...broker import BrokerSettings, require_broker
from ..ask import Answer, ask
from ..codes import CommandFailed, ExitCode
from ..connection import connected
from ..console import AsJson, Author, Name, Reason, Timeout, err, out, report
from ..forms import FORMS
from ..outputs import Done, SpecWritten
from ..render import best, best_data, list_data, list_table, show, show_data
from ..rounds import read_rounds
from ..states import TunerView, read_tuner, read_tuners

tuner = typer.Typer(no_args_is_help=True, help="Say what is tuned, see how it goes, and steer it.")

_SHOWN_REWARDS = 40
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
    from ..init import STDOUT, init

    if as_json and output == STDOUT:
        raise CommandFailed("--json and the spec cannot both go to standard output", ExitCode.USAGE)
    term = {"metric": metric, "goal": goal, "aggregate": aggregate, "scale": scale}
    spec, file = init(name, parameter or [], term, output=output, force=force)
    if file != STDOUT:
        sentence = (
            f"{file} is written, and valid; look it through, then: oppertune tuner apply {shlex.quote(str(file))}"
        )
        report(SpecWritten(tuner=spec.name, file=str(file)), sentence, as_json=as_json)


@tuner.command("apply", epilog="Example: oppertune tuner apply checkout.yaml --reason 'try larger pools'")
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
    """Apply a spec: a new tuner, or a changed one, which starts learning anew.

    Validates, publishes, and waits until a worker has taken it up (exit code 0), refused it (6), or none answered (5).
    """
    from ..specs import read_spec

    spec, written = read_spec(file)
    if dry_run:
        report(Done(tuner=spec.name, done="validated"), f"{file} is valid: tuner {spec.name}", as_json=as_json)
        return
    require_broker(settings)
    answer = _command(settings, _new_command("apply", spec.name, author, reason, written), timeout)
    report(
        Done(tuner=spec.name, done="applied", incarnation=_incarnation(answer)),
        f"tuner {spec.name} is applied; see it with: oppertune tuner show {spec.name}",
        as_json=as_json,
    )


@tuner.command("delete", epilog="Example: oppertune tuner delete checkout --reason 'service is retired'")
@connected
def tuner_delete(
    name: Name,
    *,
    settings: BrokerSettings,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Delete a tuner and all it learned: its apps return to their declared defaults."""
    _must_exist(settings, name)
    _command(settings, _new_command("delete", name, author, reason), timeout)
    report(Done(tuner=name, done="deleted"), f"tuner {name} is deleted", as_json=as_json)


@tuner.command("pause", epilog="Example: oppertune tuner pause checkout --reason 'load test until noon'")
@connected
def tuner_pause(
    name: Name,
    *,
    settings: BrokerSettings,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Stop trying things: the fleet runs the incumbent until the tuner is resumed. What was learned is kept."""
    view = _must_exist(settings, name)
    if view.state is not None and view.state.paused:
        report(Done(tuner=name, done="nothing"), f"tuner {name} is paused already", as_json=as_json)
        return
    answer = _command(settings, _new_command("pause", name, author, reason), timeout)
    sentence = f"tuner {name} is paused: the fleet runs the incumbent; go on with: oppertune tuner resume {name}"
    report(Done(tuner=name, done="paused", incarnation=_incarnation(answer)), sentence, as_json=as_json)


@tuner.command("resume", epilog="Example: oppertune tuner resume checkout --reason 'load test is over'")
@connected
def tuner_resume(
    name: Name,
    *,
    settings: BrokerSettings,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Go on with a tuner that was paused, or suspended for a fault that is mended."""
    view = _must_exist(settings, name)
    if view.state is not None and not view.state.paused and view.state.suspended is None:
        report(Done(tuner=name, done="nothing"), f"tuner {name} is not standing still", as_json=as_json)
        return
    answer = _command(settings, _new_command("resume", name, author, reason), timeout)
    report(Done(tuner=name, done="resumed", incarnation=_incarnation(answer)), f"tuner {name} goes on", as_json=as_json)


@tuner.command("reset", epilog="Example: oppertune tuner reset checkout --yes --reason 'new hardware'")
@connected
def tuner_reset(
    name: Name,
    *,
    settings: BrokerSettings,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask: what was learned is lost")] = False,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Forget what was learned and begin anew, from the declared values, with the same spec."""
    _must_exist(settings, name)
    if not yes:
        if not err.is_terminal:
            raise CommandFailed(f"what tuner {name} learned would be lost: say --yes if you mean it", ExitCode.USAGE)
        typer.confirm(f"What tuner {name} learned will be lost. Go on?", abort=True, err=True)
    answer = _command(settings, _new_command("reset", name, author, reason), timeout)
    sentence = f"tuner {name} begins anew, from the declared values"
    report(Done(tuner=name, done="reset", incarnation=_incarnation(answer)), sentence, as_json=as_json)


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
    from ..picture import point_of, reward_picture

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


def _new_command(kind: str, name: str, author: str, reason: str, spec: dict[str, object] | None = None) -> Command:
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


def _command(settings: BrokerSettings, command: Command, timeout_s: float) -> Answer:
    with err.status("waiting for a worker ..."):
        return ask(settings, command, timeout_s=timeout_s)


def _incarnation(answer: Answer) -> int | None:
    return answer.state.incarnation if answer.state is not None else None
