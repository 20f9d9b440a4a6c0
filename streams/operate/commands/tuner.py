"""``oppertune tuner``: say what is tuned, and see how it goes."""

import getpass
import uuid
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
from ..console import AsJson, Author, Name, Reason, Timeout, err, out, print_json, report
from ..render import list_json, list_table, show, show_json
from ..states import TunerView, read_tuners

tuner = typer.Typer(no_args_is_help=True, help="Say what is tuned, and see how it goes.")


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
        report({"tuner": spec.name, "valid": True}, f"{file} is valid: tuner {spec.name}", as_json=as_json)
        return
    require_broker(settings)
    answer = _command(settings, _new_command("apply", spec.name, author, reason, written), timeout)
    incarnation = answer.state.incarnation if answer.state is not None else None
    report(
        {"tuner": spec.name, "applied": True, "incarnation": incarnation},
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
    report({"tuner": name, "deleted": True}, f"tuner {name} is deleted", as_json=as_json)


@tuner.command("list", epilog="Example: oppertune tuner list --json")
@connected
def tuner_list(*, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """List all tuners, as the state says: needs no worker."""
    views = read_tuners(settings)
    if as_json:
        print_json(list_json(views))
    elif views:
        out.print(list_table(views))
    else:
        out.print("no tuners yet; apply one with: oppertune tuner apply FILE")


@tuner.command("show", epilog="Example: oppertune tuner show checkout")
@connected
def tuner_show(name: Name, *, settings: BrokerSettings, as_json: AsJson = False) -> None:
    """Show a tuner: its rounds, rewards and incumbents, and why it stands still if it does. Needs no worker."""
    view = _must_exist(settings, name)
    if as_json:
        print_json(show_json(view))
    else:
        out.print(show(view))


def _must_exist(settings: BrokerSettings, name: str) -> TunerView:
    view = read_tuners(settings, name).get(name)
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
