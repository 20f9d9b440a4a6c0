"""Why do instances run what they run? From the state alone: which version or arm, and who said so."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding

from ....core.assignment import choose, position
from ....core.errors import CommandFailed
from ....schemas.configs import Arm
from ....schemas.state import ScopeState, TunerState
from ...processor import lease
from ...processor.config_record import config_record
from ...processor.holds import explores
from ...processor.presence import present
from ...processor.request import of_id
from ...processor.rollout import as_proposal
from ...processor.versions import current
from ..console import line
from ..exit_codes import ExitCode
from ..outputs import TunerWhy, WhyContext, WhyRuns
from ..reading.tuners import TunerView
from ..times import when
from . import who
from .waiting import ago


def why_data(view: TunerView, state: TunerState, now_ms: int, instance: str = "") -> TunerWhy:
    """What instances run, and why, by context.

    Args:
        view: The tuner.
        state: Its own record.
        now_ms: Wall time.
        instance: Only of this one; empty: of all.

    Raises:
        CommandFailed: The tuner knows no such instance.
    """
    scopes = [s for s in view.active_scopes if not instance or instance in s.presence]
    if not scopes:
        raise CommandFailed(f"tuner {view.name} knows no instance {instance!r}", ExitCode.NOT_FOUND)
    return TunerWhy(
        tuner=view.name,
        status=view.status,
        because=_of_the_tuner(state),
        contexts=[
            WhyContext(scope=scope.scope, context=scope.context, runs=_runs(view, state, scope, now_ms, instance))
            for scope in scopes
        ],
    )


def _of_the_tuner(state: TunerState) -> list[str]:
    said = []
    if state.suspended is not None:
        said.append(
            f"suspended since {when(state.suspended.time_ms)}, the fleet runs the incumbent: {state.suspended.reason}"
        )
    if state.hold is not None:
        said += [who.of_hold(state.hold), who.RUNS[state.hold.kind]]
    elif not explores(state):
        said.append(f"its spec only observes (mode), as {state.author} applied it on {when(state.applied_ms)}")
    return said + [who.of_pin(name, pin) for name, pin in sorted(state.pins.items())]


def _runs(view: TunerView, state: TunerState, scope: ScopeState, now_ms: int, instance: str) -> list[WhyRuns]:
    """What a context's instances run: a part for each arm that is lent, and one for all others."""
    record = config_record(state, scope)
    trusted = not (record.arms and lease.ran_out(state.spec, scope, now_ms))
    arms = record.arms if trusted else []
    here = present(scope, view.partition.presence_known_ms(now_ms))
    names = [instance] if instance else here
    by_arm: dict[str | None, list[str]] = {None: []} | {arm.arm: [] for arm in arms}
    for name in names:
        chosen = choose([(arm.share, arm) for arm in arms], position(record.salt, name))
        by_arm[chosen.arm if chosen is not None and not _refuses(scope, chosen, name) else None].append(name)
    found = [
        WhyRuns(
            arm=arm.arm,
            kind=arm.kind,
            round=arm.round,
            version=current(scope).number if arm.kind == "baseline" else None,
            values=arm.values,
            instances=sorted(by_arm[arm.arm]),
            because=[*_of_arm(state, scope, arm), *_said_so(scope, arm, instance)],
        )
        for arm in {arm.arm: arm for arm in arms}.values()  # an arm may have two pieces
        if by_arm[arm.arm] or not instance
    ]
    if by_arm[None] or not (arms or instance):
        killed = state.hold is not None and state.hold.kind == "killed"
        found.append(
            WhyRuns(
                arm=None,
                kind=None,
                round=None,
                version=None if killed else current(scope).number,
                values=record.incumbent.values,
                instances=sorted(by_arm[None]),
                because=[*_of_rest(state, scope, now_ms, trusted=trusted), *_refusals(scope, instance)],
            )
        )
    if instance and instance not in here:
        for one in found:
            one.because.append("it is not heard of any more: this is what it runs if it lives and reads")
    return found


def _refuses(scope: ScopeState, arm: Arm, instance: str) -> bool:
    request = of_id(scope, arm.request_id)
    return request is not None and instance in (request.refused or {})


def _refusals(scope: ScopeState, instance: str) -> list[str]:
    refused = (request.refused or {} for request in scope.arms)
    return [f"it refuses what is tried: {why[instance]}" for why in refused if instance in why]


def _of_arm(state: TunerState, scope: ScopeState, arm: Arm) -> list[str]:
    pins = [who.of_pin(name, pin) for name, pin in sorted(scope.pins.items())]
    if arm.kind == "baseline":
        achieved = ["the target is achieved: the incumbent is watched"] if scope.achieved else []
        return [f"round {arm.round} measures the incumbent", who.of_version(current(scope)), *achieved, *pins]
    if arm.kind == "explore":
        return [f"round {arm.round} tries what {state.spec.algorithm.name} asked for", *pins]
    if arm.kind == "withdrawn":
        broke = next((piece.why for piece in scope.pieces if piece.arm == arm.arm and piece.why), "")
        said = f": {broke}" if broke else ""
        return [f"its arm was withdrawn{said}; it runs the incumbent until the round ends", *pins]
    return [*_of_rollout(state, scope, arm), *pins]


def _of_rollout(state: TunerState, scope: ScopeState, arm: Arm) -> list[str]:
    rolling = scope.rollout
    if rolling is None:
        return [f"round {arm.round} judges it against the incumbent"]
    proposed = as_proposal(rolling)
    whose = who.of_proposal(proposed) if proposed is not None else f"{state.spec.algorithm.name} recommends it"
    if scope.schedule == "turns":
        return [f"round {arm.round} is its turn of roll-out {rolling.number}, judged against the incumbent's", whose]
    stages = state.spec.rollout.stages
    share = stages[min(rolling.stage, len(stages) - 1)]
    stage = f"stage {rolling.stage + 1} of {len(stages)}, {share:.0%} of the instances"
    return [f"roll-out {rolling.number} is in {stage}, since {when(rolling.since_ms)}", whose]


def _said_so(scope: ScopeState, arm: Arm, instance: str) -> list[str]:
    """Whether one instance says that it runs its arm."""
    request = of_id(scope, arm.request_id)
    if not instance or request is None:
        return []
    return ["it says so itself" if instance in request.ran else "it has not said yet that it does"]


def _of_rest(state: TunerState, scope: ScopeState, now_ms: int, *, trusted: bool) -> list[str]:
    if state.hold is not None and state.hold.kind == "killed":
        return ["the declared values, because the tuner is killed"]
    said = [who.of_version(current(scope))]
    if not trusted:
        said.append(f"no worker renewed what is tried for {ago(scope.published_ms, now_ms)}, longer than its lease")
    return said + [who.of_pin(name, pin) for name, pin in sorted(scope.pins.items())]


def why(told: TunerWhy) -> RenderableType:
    """The same for people."""
    lines: list[RenderableType] = [line(f"tuner {told.tuner}: {told.status}", "bold"), *_indented(told.because, 2)]
    for context in told.contexts:
        fields = (context.context or {}).items()
        lines.append(line(f"context {', '.join(f'{k}={v}' for k, v in fields)}" if fields else "no context", "bold"))
        for one in context.runs:
            values = ", ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in one.values.items())
            lines += _indented([f"{_named(one.instances)}: {values}"], 2)
            lines += _indented(one.because, 4)
    return Group(*lines)


_SHOWN = 5


def _named(instances: Sequence[str]) -> str:
    more = f" and {len(instances) - _SHOWN} more" if len(instances) > _SHOWN else ""
    return f"{', '.join(instances[:_SHOWN])}{more}" if instances else "nobody"


def _indented(said: Iterable[str], by: int) -> list[RenderableType]:
    return [Padding(line(one), (0, 0, 0, by), expand=False) for one in said]
