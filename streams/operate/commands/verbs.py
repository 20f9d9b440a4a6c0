"""A command of ``oppertune tuner`` for each verb of the table in ``steering/verbs.py``."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ....core.errors import CommandFailed
from ....schemas.events import Command
from ....schemas.spec import TunerSpec
from ....schemas.state import TunerState
from ...broker import BrokerSettings, require_broker
from ..console import err, line, report
from ..exit_codes import ExitCode
from ..outputs import Done
from ..reading.contexts import the_one
from ..reading.dead_letters import parse_duration
from ..reading.tuners import must_exist, read_tuners
from ..steering.send import new_command, send
from ..steering.values import parse_values
from ..steering.verbs import VERBS, Shape, Verb
from ..times import moment
from .connection import connected
from .options import AsJson, Author, Context, For, GivenValues, Name, Reason, Timeout, Until

_VERSION = "its number in history; default: the one before"


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
    shapes: dict[Shape, Callable[[Verb], Callable[..., None]]] = {
        "hold": _holding,
        "rollback": _rolling_back,
        "pin": _pinning,
        "unpin": _unpinning,
        "set": _setting,
        "tuner": _of_the_tuner,
    }
    return connected(shapes[verb.shape](verb))


def _of_the_tuner(verb: Verb) -> Callable[..., None]:
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

    return steer_if_sure if verb.asks_first else steer


def _holding(verb: Verb) -> Callable[..., None]:
    def hold(
        name: Name,
        *,
        settings: BrokerSettings,
        for_: For = "",
        until: Until = "",
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        command = new_command(verb, name, author=author, reason=reason, until_ms=_end(for_, until))
        _steer(settings, verb, command, sure=True, timeout_s=timeout, as_json=as_json)

    return hold


def _end(length: str, until: str) -> int | None:
    """When a hold ends, in milliseconds since 1970; ``None`` where that is not said."""
    if length and until:
        raise CommandFailed("--for and --until both say when it ends: give one", ExitCode.USAGE)
    if length:
        return time.time_ns() // 1_000_000 + round(parse_duration(length).total_seconds() * 1000)
    return moment(until) if until else None


def _rolling_back(verb: Verb) -> Callable[..., None]:
    def roll_back(
        name: Name,
        version: Annotated[int | None, typer.Argument(help=_VERSION, min=1)] = None,
        *,
        settings: BrokerSettings,
        context: Context = None,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        view = must_exist(name, read_tuners(settings, name).get(name))
        scope = the_one(view, context or ()).scope
        command = new_command(verb, name, author=author, reason=reason, scope=scope, version=version)
        _report(verb, name, _send(settings, command, timeout_s=timeout), as_json=as_json)

    return roll_back


def _pinning(verb: Verb) -> Callable[..., None]:
    def pin(
        name: Name,
        values: GivenValues,
        *,
        settings: BrokerSettings,
        context: Context = None,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        spec, scope = _meant(settings, name, context)
        command = new_command(verb, name, author=author, reason=reason, scope=scope, values=parse_values(spec, values))
        _report(verb, name, _send(settings, command, timeout_s=timeout), as_json=as_json)

    return pin


def _unpinning(verb: Verb) -> Callable[..., None]:
    def unpin(
        name: Name,
        parameters: Annotated[list[str], typer.Argument(metavar="PARAM...", help="names of parameters")],
        *,
        settings: BrokerSettings,
        context: Context = None,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        _, scope = _meant(settings, name, context)
        command = new_command(verb, name, author=author, reason=reason, scope=scope, parameters=parameters)
        _report(verb, name, _send(settings, command, timeout_s=timeout), as_json=as_json)

    return unpin


def _setting(verb: Verb) -> Callable[..., None]:
    def set_(
        name: Name,
        values: GivenValues,
        *,
        settings: BrokerSettings,
        now: Annotated[bool, typer.Option("--now", help="the incumbent at once, without being judged")] = False,
        context: Context = None,
        timeout: Timeout = 15.0,
        author: Author = "",
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        spec, scope = _meant(settings, name, context)
        command = new_command(
            verb, name, author=author, reason=reason, scope=scope, values=parse_values(spec, values), now=now
        )
        _report(verb, name, _send(settings, command, timeout_s=timeout), as_json=as_json)

    return set_


def _meant(settings: BrokerSettings, name: str, context: list[str] | None) -> tuple[TunerSpec, str | None]:
    """The spec of a tuner that is there, and the id of the context that is named; ``None``: all contexts.

    Raises:
        CommandFailed: There is no such tuner or context, or there are several; or its state cannot be read.
    """
    view = must_exist(name, read_tuners(settings, name).get(name))
    scope = the_one(view, context).scope if context else None
    if view.state is None:
        raise CommandFailed(f"the state of tuner {name} cannot be read: {view.unreadable}", ExitCode.FAILED)
    return view.state.spec, scope


def _steer(
    settings: BrokerSettings, verb: Verb, command: Command, *, sure: bool, timeout_s: float, as_json: bool
) -> None:
    """Carry a verb out, if its tuner is there, there is anything to do, and a person is sure."""
    name = command.tuner
    state = must_exist(name, read_tuners(settings, name).get(name)).state
    if state is not None and not verb.is_needed(command, state):
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
