"""Tuners for people to look at."""

from collections.abc import Mapping
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ....schemas.spec import Target, TunerSpec
from ....schemas.state import OpenRequest, Rollout, ScopeState, TunerState
from ...processor.presence import present
from ...processor.request import expected
from ...processor.shared_parameters import not_shared
from ...processor.versions import LEARNER, current
from ..console import line
from ..outputs import BestList
from ..reading.partition_progress import PartitionProgress
from ..reading.tuners import TunerView
from ..text import printable
from ..times import when
from . import who
from .waiting import ago, waiting_for

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = {
    "tuning": "green",
    "achieved": "cyan",
    **dict.fromkeys(("parked", "observing", "frozen", "paused", "killed"), "yellow"),
}


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


def list_table(views: Mapping[str, TunerView], now_ms: int) -> Table:
    """All tuners, one a line, at a wall time; the reward is the best of their incumbents'."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("tuner", "status", "algorithm"):
        table.add_column(heading, overflow="fold", min_width=9)
    for heading in ("contexts", "instances", "rounds", "reward"):
        table.add_column(heading, justify="right", no_wrap=True)
    for view in views.values():
        scopes = view.active_scopes
        rewards = [s.incumbent.reward for s in scopes if s.incumbent.reward is not None]
        table.add_row(
            line(view.name),
            _status(view),
            line(view.state.spec.algorithm.name if view.state is not None else "-"),
            str(sum(1 for s in view.scopes if s.scope)),
            str(view.instances(now_ms)),
            str(sum(s.round for s in scopes)),
            _number(max(rewards, default=None)),
        )
    return table


def show(view: TunerView, rewards: Mapping[str, list[float]], now_ms: int) -> RenderableType:
    """One tuner, whole.

    Args:
        view: The tuner.
        rewards: Of the last rounds, oldest first, by scope.
        now_ms: The wall time.
    """
    head = Text.assemble(("tuner ", "bold"), (printable(view.name), "bold"), "  ", _status(view))
    if view.state is None:
        return Group(head, _unreadable(view))
    state = view.state
    lines: list[RenderableType] = [head]
    if view.unreadable:
        lines.append(_unreadable(view))
    if state.suspended is not None:
        where = f"{state.suspended.topic} offset {state.suspended.offset}, " if state.suspended.topic else ""
        lines.append(line(f"suspended: {state.suspended.reason}", "red"))
        lines.append(_indented(f"at {where}{when(state.suspended.time_ms)}; the fleet runs the incumbent"))
    if state.hold is not None:
        lines += [line(who.of_hold(state.hold), "yellow"), _indented(who.RUNS[state.hold.kind])]
    lines += [line(who.of_pin(name, pin), "yellow") for name, pin in sorted(state.pins.items())]
    spec = state.spec
    applied = f"applied {when(state.applied_ms)} by {state.author}{': ' + state.reason if state.reason else ''}"
    lines += [line(f"{spec.algorithm.name}; {applied}"), line(f"declared: {_values(spec, spec.declared())}")]
    lines.append(line(_partition(view.partition, now_ms), "red" if view.partition.stalled(now_ms) else ""))
    for scope in view.active_scopes:
        lines += ["", *_scope(view, state, scope, rewards.get(scope.scope, []), now_ms)]
    return Group(*lines)


def _partition(progress: PartitionProgress, now_ms: int) -> str:
    written = f"state last written {ago(progress.time_ms, now_ms)} ago" if progress.time_ms else "state never written"
    return f"{progress.lag} events of its partition wait for a worker; {written}"


def _unreadable(view: TunerView) -> Text:
    return line(f"its state cannot be read: {view.unreadable or 'the record of the tuner itself is missing'}", "red")


def _indented(said: str) -> RenderableType:
    """A line whose rest stays indented where a terminal is too narrow for it."""
    return Padding(line(said), (0, 0, 0, 2), expand=False)


def _scope(
    view: TunerView, state: TunerState, scope: ScopeState, rewards: list[float], now_ms: int
) -> list[RenderableType]:
    """A context's lines: narrow enough for any terminal."""
    spec, incumbent = state.spec, scope.incumbent
    known = "" if incumbent.reward is None else f"reward {_number(incumbent.reward)}, "
    origin = _origin(scope)
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in scope.outcomes.items())
    trying = ", ".join(dict.fromkeys(request.kind for request in scope.arms)) or "none is open"
    lines = [
        line(f"context {_context(scope)}" if scope.scope else "no context", "bold"),
        _indented(f"round {scope.round}, {trying}; rounds: {outcomes or 'none closed yet'}"),
        _indented(f"waiting for: {waiting_for(state, scope, view.partition, now_ms)}"),
        *(_indented(said) for said in not_shared(state, scope, view.partition.presence_known_ms(now_ms))),
        _indented(f"last reward {_number(scope.last_reward)}" + (f"  {sparkline(rewards)}" if rewards else "")),
        _indented(f"incumbent: {_values(spec, incumbent.values)} ({known}{origin})"),
    ]
    lines += [_indented(who.of_pin(name, pin)) for name, pin in sorted(scope.pins.items())]
    if scope.schedule == "beside":
        lines += [_indented(_arm(spec, scope, r, view.partition.presence_known_ms(now_ms))) for r in scope.arms]
    if scope.rollout is not None:
        lines.append(_indented(_rolling(spec, scope, scope.rollout, now_ms)))
    if scope.proposal is not None:
        lines.append(_indented(f"{_values(spec, scope.proposal.values)}: {who.of_proposal(scope.proposal)}"))
    if spec.target is not None:
        lines.append(_indented(_target(spec.target, scope)))
    lines += [_indented(said) for said in _presence(scope, view.partition.presence_known_ms(now_ms))]
    return lines


def _origin(scope: ScopeState) -> str:
    """Where the incumbent comes from."""
    version = current(scope)
    if not scope.incumbent.confirmed:
        return "declared"
    if version.by == LEARNER:
        return f"since round {scope.incumbent.since_round}"
    return who.of_version(version)


def _arm(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> str:
    here = len(expected(scope, request, now_ms))
    changed = {name: value for name, value in request.values.items() if scope.incumbent.values.get(name) != value}
    values = _values(spec, changed) if changed else "the incumbent's values"
    return f"{request.arm}: {here} instance{'' if here == 1 else 's'}, {values}"


def _rolling(spec: TunerSpec, scope: ScopeState, rolling: Rollout, now_ms: int) -> str:
    """How far a roll-out is."""
    begun = f"roll-out {rolling.number} by {rolling.by}: {_values(spec, rolling.values)}"
    if scope.schedule == "beside":
        stages = spec.rollout.stages
        share = stages[min(rolling.stage, len(stages) - 1)]
        return f"{begun}, stage {rolling.stage + 1} of {len(stages)} ({share:.0%}) for {ago(rolling.since_ms, now_ms)}"
    ours, theirs = (_mean(r) for r in (rolling.candidate_rewards, rolling.incumbent_rewards))
    turns = len(rolling.candidate_rewards) + len(rolling.incumbent_rewards)
    return f"{begun}, in turn with the incumbent: {ours} to {theirs} after {turns} round{'' if turns == 1 else 's'}"


def _mean(rewards: list[float]) -> str:
    return _number(fmean(rewards)) if rewards else "-"


def _target(target: Target, scope: ScopeState) -> str:
    if not scope.achieved:
        return f"target {_number(target.reward)}: {scope.streak} of {target.rounds} rounds of the incumbent in a row"
    then = "tuning resumes" if target.resume else "nothing follows"
    lost = f"; below it for {scope.streak} of {target.rounds} rounds, after which {then}" if scope.streak else ""
    return f"target {_number(target.reward)}: achieved{lost}"


_SHOWN_INSTANCES = 8
"""Names of each kind: a line or two."""


def _presence(scope: ScopeState, now_ms: int) -> list[str]:
    """Instances in a few lines: those that are away are what one looks for."""
    here = sorted(present(scope, now_ms))
    away = {name: scope.presence[name].expires_ms for name in scope.presence.keys() - set(here)}
    shown = ", ".join(here[:_SHOWN_INSTANCES]) + (", ..." if len(here) > _SHOWN_INSTANCES else "")
    lines = [f"instances: {len(here)} present" + (f" ({shown})" if here else "")]
    for name, expired in sorted(away.items(), key=lambda item: item[1])[:_SHOWN_INSTANCES]:
        lines.append(f"silent: {name}, not heard of for {ago(expired, now_ms)} longer than it may be")
    return lines


def best(spec: TunerSpec, found: BestList) -> RenderableType:
    """The incumbents of a tuner, a table each."""
    units = {p.name: p.unit for p in spec.parameters}
    declared = spec.declared()
    tables: list[RenderableType] = []
    for one in found.incumbents:
        context = ", ".join(f"{k}={v}" for k, v in one.context.items()) if one.context else "no context"
        origin = f"since round {one.since_round}" if one.confirmed else "declared, nothing better found yet"
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("parameter", "best", "declared"):
            table.add_column(heading, justify="left" if heading == "parameter" else "right")
        for name, value in one.values.items():
            shown = (name, _with_unit(value, units.get(name, "")), _with_unit(declared.get(name, "-"), ""))
            table.add_row(*map(line, shown))
        tables += [line(f"{context}: reward {_number(one.reward)}, {origin}"), table]
    return Group(*tables)


def _with_unit(value: object, unit: str) -> str:
    return f"{value:.6g} {unit}".strip() if isinstance(value, float) else f"{value} {unit}".strip()


def sparkline(rewards: list[float]) -> str:
    """Numbers as a line of bars, from the lowest to the highest.

    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    if not rewards:
        return ""
    low, span = min(rewards), max(rewards) - min(rewards)
    return "".join(_BARS[round((r - low) / span * 7) if span else 3] for r in rewards)
