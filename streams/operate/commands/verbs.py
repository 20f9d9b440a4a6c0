"""A command of ``oppertune tuner`` for each verb of the table in ``steering/verbs.py``."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ....core.errors import CommandFailed
from ....schemas.events import Command
from ....schemas.state import TunerState
from ...broker import BrokerSettings, require_broker
from ..console import err, line, report
from ..exit_codes import ExitCode
from ..outputs import Done
from ..reading.tuners import must_exist, read_tuners
from ..steering.send import new_command, send
from ..steering.verbs import VERBS, Verb
from .connection import connected
from .options import AsJson, Author, Name, Reason, Timeout


def add_verbs(tuner: typer.Typer) -> None:
    """Add the commands, in the order of the table."""
    for verb in VERBS.values():
        command = _apply if verb.word == "apply" else _steering(verb)
        tuner.command(verb.word, help=verb.help, epilog=f"Example: oppertune tuner {verb.word} {verb.example}")(command)


@connected(require=False)
def _apply(
    file: Annotated[Path, typer.Argument(help="a tuner spec, YAML or JSON")],
    *,
    settings: BrokerSettings,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="validate, and say what would be lost; works without a broker, too")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask: what cannot be kept is lost")] = False,
    timeout: Timeout = 15.0,
    author: Author = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """The verb that may make a tuner: it takes a spec, and needs no broker for a dry run."""
    from ..specs.file import not_checked, read_spec
    from ..steering.comparison import compared, losses

    spec, written = read_spec(file, alone=dry_run)
    if dry_run:
        said = f"{file} is valid: tuner {spec.name}{f'; {left}' if (left := not_checked(spec)) else ''}"
        lost, told = compared(settings, spec)
        report(Done(tuner=spec.name, done="validated", losses=lost), f"{said}. {told}", as_json=as_json)
        return
    require_broker(settings)
    verb = VERBS["apply"]
    command = new_command(verb, spec.name, author=author, reason=reason, spec=written)
    view = read_tuners(settings, spec.name).get(spec.name)
    if not yes and (lost := losses(view, spec)):
        _ask_before_losing(spec.name, lost)
    before = view.state if view is not None else None
    # It is sent even where it asks for what stands: a command that is still waiting may ask for something else.
    after = _send(settings, command, timeout_s=timeout)
    if (
        before is not None
        and after is not None
        and (after.incarnation, after.spec) == (before.incarnation, before.spec)
    ):
        _report_nothing(verb, after, as_json=as_json)
    else:
        _report(verb, spec.name, after, as_json=as_json)


def _ask_before_losing(name: str, lost: list[str]) -> None:
    told = f"not all of tuner {name} can be kept: {'; '.join(lost)}"
    if not err.is_terminal:
        raise CommandFailed(f"{told}. Say --yes if you mean it", ExitCode.USAGE)
    err.print(line(told), soft_wrap=True)
    typer.confirm("Go on?", abort=True, err=True)


def _steering(verb: Verb) -> Callable[..., None]:
    """The command of a verb for a tuner that is there."""

    def steer(
        name: Name,
        *,
        settings: BrokerSettings,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        command = new_command(verb, name, author=author, reason=reason)
        _steer(settings, verb, command, sure=not verb.asks_first, timeout_s=timeout, as_json=as_json)

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
        command = new_command(verb, name, author=author, reason=reason)
        _steer(settings, verb, command, sure=yes, timeout_s=timeout, as_json=as_json)

    return connected(steer_if_sure if verb.asks_first else steer)


def _steer(
    settings: BrokerSettings, verb: Verb, command: Command, *, sure: bool, timeout_s: float, as_json: bool
) -> None:
    """Carry a verb out, if its tuner is there, there is anything to do, and a person is sure."""
    name = command.tuner
    state = must_exist(name, read_tuners(settings, name).get(name)).state
    if state is not None and not verb.is_needed(state):
        _report_nothing(verb, state, as_json=as_json)
        return
    if not sure:
        _ask_first(name)
    _report(verb, name, _send(settings, command, timeout_s=timeout_s), as_json=as_json)


def _send(settings: BrokerSettings, command: Command, *, timeout_s: float) -> TunerState | None:
    with err.status("waiting for a worker ..."):
        return send(settings, command, timeout_s=timeout_s)


def _report(verb: Verb, name: str, state: TunerState | None, *, as_json: bool) -> None:
    """Say that a verb is carried out."""
    done = Done(tuner=name, done=verb.done, incarnation=state.incarnation if state is not None else None)
    report(done, verb.said.format(name=name), as_json=as_json)


def _report_nothing(verb: Verb, state: TunerState, *, as_json: bool) -> None:
    """Say that the tuner stands as the verb wants it."""
    done = Done(tuner=state.tuner, done="nothing", incarnation=state.incarnation)
    report(done, verb.not_needed.format(name=state.tuner), as_json=as_json)


def _ask_first(name: str) -> None:
    if not err.is_terminal:
        raise CommandFailed(f"what tuner {name} learned would be lost: say --yes if you mean it", ExitCode.USAGE)
    typer.confirm(f"What tuner {name} learned will be lost. Go on?", abort=True, err=True)
