"""The demo, from an empty folder to a table and a picture.

1. A broker: the embedded one, or the Kafka that was named.
2. A worker, and the spec.
3. A fleet; it is tuned while it works, for the time that was asked for.
4. Declared defaults against the incumbent, by the whole fleet in turns, until it is clear which is faster.
"""

import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from ....core.errors import CommandFailed
from ....schemas.configs import ConfigRecord
from ...broker import (
    BrokerSettings,
    EmbeddedBroker,
    create_topics,
    delete_topics,
    partition_count,
    read_table,
    require_broker,
)
from ..exit_codes import ExitCode
from ..reporting.picture import RoundPoint, reward_picture
from ..steering.send import new_command, send
from ..steering.verbs import VERBS
from .compare import DEFAULTS, REFERENCE, TUNED, Side, Sides, times_faster
from .comparison_table import comparison_table
from .disk import pick_work_dir
from .processes import Member, fleet, worker
from .progress import DemoProgress, Rounds
from .spec import TUNER, demo_spec
from .workload import PARAMETERS, WRITE_SHARE

REPETITIONS = 5
SETTLE_S = 0.3
MEASURE_S = 1.0
SPARE_S = 0.3
START_S = 1.5
"""Side by side: each repetition measures all configurations, in turns, so that a slow disk slows all."""

MORE_S = 20.0
"""How much longer than for its repetitions the comparison may last, until it says which is faster."""

FAST = {"journal_mode": "WAL", "synchronous": "NORMAL"}
"""The reference: what people change first in SQLite, with all else as declared."""

LIKE_FAST = {**FAST, "rows_per_transaction": "1"}
"""What makes the reference fast, whatever else a configuration has."""

WORKER_START_S = 60.0


def run_demo(
    *, seconds: float, instances: int, bootstrap: str, picture: Path, console: Console, reference: bool = False
) -> dict[str, Any]:
    """Run the demo.

    Args:
        seconds: How long to tune.
        instances: Processes in the fleet.
        bootstrap: Addresses of a real Kafka; empty for the embedded broker.
        picture: Where to write the picture.
        console: Where to show progress and results.
        reference: Whether to compare with :data:`FAST`, too.

    Returns:
        The results as plain data.
    """
    _prepare(picture)
    base, warning = pick_work_dir()
    if warning:
        console.print(warning, style="yellow")
    folder = Path(tempfile.mkdtemp(prefix="oppertune-demo-", dir=base))
    try:
        with _broker(bootstrap, console) as settings:
            console.print(f"a worker and {instances} order services with real files in {folder}")
            with worker(settings, folder), fleet(settings, folder, list(WRITE_SHARE), instances) as members:
                with console.status("starting, and measuring the declared defaults"):
                    defaults_ms = _defaults_ms(members)
                    _apply(settings, statistics.geometric_mean(defaults_ms.values()))
                progress = _tune(settings, members, seconds, console)
                incumbents = _incumbents(settings)
                sides = _compare(members, _candidates(incumbents, reference=reference), console)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    baseline_ms = _baseline_ms(defaults_ms, sides)
    reward_picture(
        [_times_faster(p, baseline_ms) for c in progress.contexts.values() for p in c.points],
        picture,
        "How many times faster than the declared values (95th percentile of latency)",
        logarithmic=True,
    )
    result = _result(progress, incumbents, sides, picture)
    _show(result, sides, console)
    return result


def _prepare(picture: Path) -> None:
    """Make sure that the picture can be written: now, not after a minute of work."""
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        with picture.open("ab"):
            pass
    except OSError as error:
        raise CommandFailed(
            f"the picture cannot be written: {error}. Name a place with --picture", ExitCode.INVALID
        ) from error


@contextmanager
def _broker(bootstrap: str, console: Console) -> Iterator[BrokerSettings]:
    if not bootstrap:
        with EmbeddedBroker() as broker:
            console.print(f"embedded broker at {broker.bootstrap} (use a real Kafka with --bootstrap)")
            yield broker.settings
        return
    settings = BrokerSettings.load(
        bootstrap=bootstrap, prefix=f"oppertune-demo-{uuid.uuid4().hex[:8]}.", embedded=False
    )
    require_broker(settings)
    create_topics(settings, partitions=4)
    console.print(f"Kafka at {bootstrap}, topics {settings.prefix}* for as long as the demo lasts")
    try:
        yield settings
    finally:
        delete_topics(settings)


def _defaults_ms(members: list[Member]) -> dict[str, float]:
    """What the fleet measures with the declared values: the 95th percentile of latency in each context."""
    measured: dict[str, list[float]] = {}
    for member in members:
        measured.setdefault(member.traffic, []).append(member.hear()["default_p95_ms"])
    return {traffic: statistics.geometric_mean(p95_ms) for traffic, p95_ms in measured.items()}


def _baseline_ms(before: Mapping[str, float], sides: Mapping[str, Sides]) -> dict[str, float]:
    """What the declared values come to in each context: the median of what was measured before tuning and after.

    A machine that was busy at the start, with the fleet's own start if nothing else, would make all that follows look
    many times faster than it is.
    """
    return {
        traffic: statistics.median([p95_ms, *(sides[traffic][DEFAULTS].p95_ms if traffic in sides else ())])
        for traffic, p95_ms in before.items()
    }


def _times_faster(point: RoundPoint, defaults_ms: Mapping[str, float]) -> RoundPoint:
    """A round whose reward is how many times faster than the declared values it was in its context."""
    faster = None if point.reward is None or not point.p95_ms else defaults_ms[point.context] / point.p95_ms
    return replace(point, reward=faster)


def _apply(settings: BrokerSettings, default_p95_ms: float) -> None:
    spec = demo_spec(default_p95_ms)
    send(settings, new_command(VERBS["apply"], TUNER, author="demo", spec=spec), timeout_s=WORKER_START_S)


def _tune(settings: BrokerSettings, members: list[Member], seconds: float, console: Console) -> DemoProgress:
    progress = DemoProgress()
    rounds = Rounds(settings, partition_count(settings, "rounds"))
    for member in members:
        member.tell({"do": "tune"})
    began = time.monotonic()
    try:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            while (elapsed_s := time.monotonic() - began) < seconds:
                for record in rounds.new(0.25):
                    progress.add(record)
                for member in members:
                    member.check()
                live.update(progress.render(elapsed_s, seconds))
    finally:
        rounds.close()
    return progress


def _incumbents(settings: BrokerSettings) -> dict[str, dict[str, Any]]:
    """What each context would run if tuning stopped now."""
    found = {}
    for table in read_table(settings, "configs", range(partition_count(settings, "configs"))).values():
        for value in table.values():
            record = ConfigRecord.from_bytes(value)
            if record.context is not None:
                found[str(record.context["traffic"])] = dict(record.incumbent.values)
    return found


def _candidates(incumbents: Mapping[str, dict[str, Any]], *, reference: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """The configurations that take turns, by context and name."""
    defaults = {p.name: p.val for p in PARAMETERS}
    also = {REFERENCE: {**defaults, **FAST}} if reference else {}
    return {traffic: {DEFAULTS: defaults, TUNED: tuned, **also} for traffic, tuned in incumbents.items()}


def _compare(
    members: list[Member], candidates: Mapping[str, Mapping[str, dict[str, Any]]], console: Console
) -> dict[str, Sides]:
    """The fleet runs all configurations in turns, until it is clear how the tuned ones compare with the defaults."""
    sides = {traffic: {name: Side() for name in of} for traffic, of in candidates.items()}
    turn_s = SETTLE_S + MEASURE_S + SPARE_S
    repetition_s = turn_s * max(map(len, candidates.values()), default=0)
    with console.status(f"measuring defaults against tuned, side by side, at least {REPETITIONS} times"):
        most = REPETITIONS + int(MORE_S / repetition_s) if repetition_s else 0
        for done in range(most):
            if done >= REPETITIONS and all(times_faster(of[DEFAULTS], of[TUNED]).is_decided for of in sides.values()):
                break
            # Before the first, the fleet ends its clients.
            _take_turns(members, candidates, sides, time.time() + (SPARE_S if done else START_S), turn_s)
    return sides


def _take_turns(
    members: list[Member],
    candidates: Mapping[str, Mapping[str, dict[str, Any]]],
    sides: Mapping[str, Sides],
    first_s: float,
    turn_s: float,
) -> None:
    """Measure each configuration once, from a moment on; all processes change at the same moments."""
    for member in members:
        for turn, values in enumerate(candidates[member.traffic].values()):
            at_s = first_s + turn * turn_s
            member.tell({"do": "compare", "values": values, "at_s": at_s, "settle_s": SETTLE_S, "measure_s": MEASURE_S})
    together = {traffic: {name: _Measured() for name in of} for traffic, of in sides.items()}
    for member in members:
        for measured in together[member.traffic].values():
            answer = member.hear()
            measured.latencies_s += answer["latencies_s"]
            measured.ops_per_s += answer["ops_per_s"]
    for traffic, of in sides.items():
        for name, side in of.items():
            side.add(together[traffic][name].latencies_s, together[traffic][name].ops_per_s)


@dataclass(slots=True)
class _Measured:
    """What all processes of a context measured in one turn."""

    latencies_s: list[float] = field(default_factory=list)
    ops_per_s: float = 0.0


def _result(
    progress: DemoProgress,
    incumbents: Mapping[str, dict[str, Any]],
    sides: Mapping[str, Sides],
    picture: Path,
) -> dict[str, Any]:
    contexts = {}
    for traffic, of in sides.items():
        context: dict[str, Any] = {}
        for name, side in of.items():
            context[f"{name.removesuffix('s')}_p95_ms"] = round(side.median_p95_ms, 4)
            context[f"{name.removesuffix('s')}_p95_ms_all"] = [round(x, 4) for x in side.p95_ms]
            context[f"{name.removesuffix('s')}_ops_per_s"] = round(side.median_ops_per_s, 1)
        faster = times_faster(of[DEFAULTS], of[TUNED])
        context["times_faster"] = round(faster.median, 3)
        context["times_faster_90"] = [round(x, 3) for x in (faster.low, faster.high)]
        context["decided"] = faster.is_decided
        shown = progress.contexts.get(traffic)
        context["rounds"] = len(shown.points) if shown is not None else 0
        context["tuned"] = incumbents[traffic]
        if REFERENCE in of:
            context["reference_first_round"] = shown.first_with(LIKE_FAST) if shown is not None else None
        contexts[traffic] = context
    return {"rounds": progress.rounds, "contexts": contexts, "picture": str(picture.resolve())}


def _show(result: Mapping[str, Any], sides: Mapping[str, Sides], console: Console) -> None:
    console.print(comparison_table(sides))
    defaults = {p.name: p.val for p in PARAMETERS}
    for traffic, context in result["contexts"].items():
        changed = [f"{n}: {defaults[n]} → {v}" for n, v in context["tuned"].items() if v != defaults[n]]
        console.print(f"{traffic}, {context['rounds']} rounds: {', '.join(changed) or 'the defaults stayed'}")
        if "reference_first_round" in context:
            first = context["reference_first_round"]
            when = f"first in round {first}" if first else "in no round"
            console.print(f"  WAL with NORMAL and one row a transaction were played {when}")
    console.print("synchronous=NORMAL with WAL may lose the last commits on power loss, and never corrupts the file")
    console.print(f"picture: {result['picture']}", soft_wrap=True)
