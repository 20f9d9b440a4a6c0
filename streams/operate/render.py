"""Tuners for people to look at, and as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ...schemas.spec import TunerSpec
from ...schemas.state import ScopeState
from .states import TunerView

_COLOURS = {"tuning": "green", "achieved": "cyan", "parked": "yellow", "paused": "yellow"}


def _status(view: TunerView) -> Text:
    return Text(view.status, style=_COLOURS.get(view.status, "bold red"))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _context(scope: ScopeState) -> str:
    return ", ".join(f"{k}={v}" for k, v in scope.context.items()) if scope.context else "-"


def _values(spec: TunerSpec, values: Mapping[str, object]) -> str:
    units = {p.name: p.unit for p in spec.parameters}
    shown = ((k, f"{v:.6g}" if isinstance(v, float) else str(v)) for k, v in values.items())
    return ", ".join(f"{k}={v}{' ' + units[k] if units.get(k) else ''}" for k, v in shown)


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def active_scopes(view: TunerView) -> list[ScopeState]:
    """The scopes worth showing: of a tuner with contexts, the one without is only the fallback."""
    with_context = [s for s in view.scopes if s.scope]
    return with_context or view.scopes


def list_table(views: Mapping[str, TunerView]) -> Table:
    """All tuners, one a line; the reward is the best of their incumbents'."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("tuner", "status", "algorithm"):
        table.add_column(heading, overflow="fold", min_width=9)
    for heading in ("contexts", "instances", "rounds", "reward"):
        table.add_column(heading, justify="right", no_wrap=True)
    for view in views.values():
        scopes = active_scopes(view)
        rewards = [s.incumbent.reward for s in scopes if s.incumbent.reward is not None]
        table.add_row(
            Text(view.name),
            _status(view),
            Text(view.state.spec.algorithm.name if view.state is not None else "-"),
            str(sum(1 for s in view.scopes if s.scope)),
            str(sum(len(s.presence) for s in scopes)),
            str(sum(s.round for s in scopes)),
            _number(max(rewards, default=None)),
        )
    return table


def list_json(views: Mapping[str, TunerView]) -> list[dict[str, object]]:
    """All tuners, as plain data."""
    return [
        {
            "tuner": view.name,
            "status": view.status,
            "algorithm": view.state.spec.algorithm.name if view.state is not None else None,
            "instances": sum(len(s.presence) for s in active_scopes(view)),
            "rounds": sum(s.round for s in active_scopes(view)),
        }
        for view in views.values()
    ]


def show(view: TunerView) -> RenderableType:
    """One tuner, whole."""
    head = Text.assemble(("tuner ", "bold"), (view.name, "bold"), "  ", _status(view))
    if view.state is None:
        return Group(head, _unreadable(view))
    state = view.state
    lines: list[RenderableType] = [head]
    if view.unreadable:
        lines.append(_unreadable(view))
    if state.suspended is not None:
        where = f"{state.suspended.topic} offset {state.suspended.offset}, " if state.suspended.topic else ""
        lines.append(Text(f"suspended: {state.suspended.reason}", style="red"))
        lines.append(_indented(f"at {where}{_when(state.suspended.time_ms)}; the fleet runs the incumbent"))
    spec = state.spec
    applied = f"applied {_when(state.applied_ms)} by {state.author}{': ' + state.reason if state.reason else ''}"
    lines += [Text(f"{spec.algorithm.name}; {applied}"), Text(f"declared: {_values(spec, spec.declared())}")]
    for scope in active_scopes(view):
        lines += ["", *_scope(spec, scope, still=state.paused or state.suspended is not None)]
    return Group(*lines)


def _unreadable(view: TunerView) -> Text:
    return Text(f"its state cannot be read: {view.unreadable or 'the record of the tuner itself is missing'}", "red")


def _indented(line: str) -> RenderableType:
    """A line whose rest stays indented where a terminal is too narrow for it."""
    return Padding(Text(line), (0, 0, 0, 2), expand=False)


def _scope(spec: TunerSpec, scope: ScopeState, *, still: bool) -> list[RenderableType]:
    """A context's lines: narrow enough for any terminal."""
    incumbent = scope.incumbent
    known = "" if incumbent.reward is None else f"reward {_number(incumbent.reward)}, "
    origin = f"confirmed in round {incumbent.since_round}" if incumbent.confirmed else "declared"
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in scope.outcomes.items())
    trying = "nobody is present" if scope.open is None else "standing still" if still else f"now {scope.open.kind}"
    return [
        Text(f"context {_context(scope)}", style="bold") if scope.scope else Text("no context", style="bold"),
        _indented(f"round {scope.round}, {trying}; instances: {len(scope.presence)}"),
        _indented(f"last reward {_number(scope.last_reward)}; rounds: {outcomes or 'none closed yet'}"),
        _indented(f"incumbent: {_values(spec, incumbent.values)} ({known}{origin})"),
    ]


def show_json(view: TunerView) -> dict[str, object]:
    """One tuner, as plain data; learners and windows left out."""
    state = view.state
    return {
        "tuner": view.name,
        "status": view.status,
        "unreadable": view.unreadable or None,
        "suspended": state.suspended.model_dump() if state is not None and state.suspended is not None else None,
        "spec": state.spec.model_dump(mode="json") if state is not None else None,
        "incarnation": state.incarnation if state is not None else None,
        "scopes": [
            scope.model_dump(
                mode="json",
                include={
                    "scope", "context", "round", "version", "incumbent", "achieved", "streak", "explored",
                    "worst_reward", "last_reward", "outcomes",
                },
            )
            | {"instances": sorted(scope.presence), "open": scope.open.id if scope.open is not None else None}
            for scope in active_scopes(view)
        ],
    }  # fmt: skip
