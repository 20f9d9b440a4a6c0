"""The demo, from an empty folder to a table and a picture.

1. A broker: the embedded one, or the Kafka that was named.
2. A worker, and the spec.
3. A fleet; it is tuned while it works, for the time that was asked for.
4. Declared defaults against the incumbent, by the whole fleet in turns, several times.
"""

import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
from .compare import Side
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
"""Side by side: each repetition measures both configurations, in turns, so that a slow disk slows both."""

WORKER_START_S = 60.0


def run_demo(*, seconds: float, instances: int, bootstrap: str, picture: Path, console: Console) -> dict[str, Any]:
    """Run the demo.

    Args:
        seconds: How long to tune.
        instances: Processes in the fleet.
        bootstrap: Addresses of a real Kafka; empty for the embedded broker.
        picture: Where to write the picture.
        console: Where to show progress and results.

    Returns:
        The results as plain data.
    """
    _prepare(picture)
    base, warning = pick_work_dir()
    if warning:
        console.print(f"[yellow]{warning}[/yellow]")
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
                sides = _compare(members, incumbents, console)
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


def _baseline_ms(before: Mapping[str, float], sides: Mapping[str, tuple[Side, Side]]) -> dict[str, float]:
    """What the declared values come to in each context: the median of what was measured before tuning and after.

    A machine that was busy at the start, with the fleet's own start if nothing else, would make all that follows look
    many times faster than it is.
    """
    return {
        traffic: statistics.median([p95_ms, *(sides[traffic][0].p95_ms if traffic in sides else ())])
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


def _compare(
    members: list[Member], incumbents: dict[str, dict[str, Any]], console: Console
) -> dict[str, tuple[Side, Side]]:
    """The fleet runs the defaults and the incumbents in turns; all its processes change at the same moment."""
    defaults = {p.name: p.val for p in PARAMETERS}
    sides = {traffic: (Side(), Side()) for traffic in incumbents}
    turns = [which for _ in range(REPETITIONS) for which in (0, 1)]
    first_s = time.time() + 1.5
    with console.status(f"measuring defaults against tuned, side by side, {REPETITIONS} times"):
        for turn, which in enumerate(turns):
            at_s = first_s + turn * (SETTLE_S + MEASURE_S + SPARE_S)
            for member in members:
                values = incumbents[member.traffic] if which else defaults
                member.tell(
                    {"do": "compare", "values": values, "at_s": at_s, "settle_s": SETTLE_S, "measure_s": MEASURE_S}
                )
        for which in turns:
            together: dict[str, tuple[list[float], float]] = {traffic: ([], 0.0) for traffic in sides}
            for member in members:
                answer = member.hear()
                latencies_s, ops_per_s = together[member.traffic]
                together[member.traffic] = (latencies_s + answer["latencies_s"], ops_per_s + answer["ops_per_s"])
            for traffic, (latencies_s, ops_per_s) in together.items():
                sides[traffic][which].add(latencies_s, ops_per_s)
    return sides


def _result(
    progress: DemoProgress,
    incumbents: dict[str, dict[str, Any]],
    sides: dict[str, tuple[Side, Side]],
    picture: Path,
) -> dict[str, Any]:
    contexts = {}
    for traffic, (default, tuned) in sides.items():
        contexts[traffic] = {
            "default_p95_ms": round(default.median_p95_ms, 4),
            "tuned_p95_ms": round(tuned.median_p95_ms, 4),
            "default_p95_ms_all": [round(x, 4) for x in default.p95_ms],
            "tuned_p95_ms_all": [round(x, 4) for x in tuned.p95_ms],
            "default_ops_per_s": round(statistics.median(default.ops_per_s), 1),
            "tuned_ops_per_s": round(statistics.median(tuned.ops_per_s), 1),
            "rounds": len(progress.contexts[traffic].points) if traffic in progress.contexts else 0,
            "tuned": incumbents[traffic],
        }
    return {"rounds": progress.rounds, "contexts": contexts, "picture": str(picture.resolve())}


def _show(result: dict[str, Any], sides: dict[str, tuple[Side, Side]], console: Console) -> None:
    console.print(comparison_table(sides))
    defaults = {p.name: p.val for p in PARAMETERS}
    for traffic, context in result["contexts"].items():
        changed = [f"{n}: {defaults[n]} → {v}" for n, v in context["tuned"].items() if v != defaults[n]]
        console.print(f"{traffic}, {context['rounds']} rounds: {', '.join(changed) or 'the defaults stayed'}")
    console.print("synchronous=NORMAL with WAL may lose the last commits on power loss, and never corrupts the file")
    console.print(f"picture: {result['picture']}", soft_wrap=True)
