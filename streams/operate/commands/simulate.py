"""``oppertune simulate``: a spec, tried on a fleet that is only computed."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ....core.errors import CommandFailed
from ..console import err, line, out
from ..exit_codes import ExitCode
from ..foreground import until_told
from ..outputs import Simulated
from .options import AsJson

if TYPE_CHECKING:
    from ....schemas.spec import TunerSpec
    from ..simulation.run import Simulation
    from ..simulation.system import System

Spec = Annotated[Path, typer.Argument(help="the tuner spec, YAML or JSON; nothing is sent anywhere")]
_PerHour = "of the fleet, per hour"


class Function(StrEnum):
    """The built-in systems."""

    HILL = "hill"
    NEEDLE = "needle"
    CLIFF = "cliff"
    FLAT = "flat"


_QUICK_HOURS, _QUICK_INSTANCES = 0.1, 8


def simulate(
    spec: Spec,
    *,
    instances: Annotated[int, typer.Option("--instances", "-n", min=1, max=5000, help="at the beginning")] = 20,
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 366, help="of virtual time")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="of all that is drawn: the same seed, the same output")] = 0,
    system: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="what configurations do: a table of measurements, a column per parameter and goals whose names end in"
            " + (more is better) or -; a configuration that it lacks answers as the nearest one",
        ),
    ] = None,
    function: Annotated[
        Function | None,
        typer.Option(
            help="or made up, by the seed: hill (smooth; the default), needle (one small good spot), cliff (a hill with"
            " an end where all breaks), flat (nothing matters: what is found is a false alarm)"
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="requests per second and instance")] = 10.0,
    joins: Annotated[float, typer.Option(min=0, help=f"instances that come, {_PerHour}")] = 0.0,
    deaths: Annotated[
        float, typer.Option(min=0, help=f"instances that go, half of them without a goodbye, {_PerHour}")
    ] = 0.0,
    restarts: Annotated[float, typer.Option(min=0, help=f"instances that start anew, {_PerHour}")] = 0.0,
    late: Annotated[float, typer.Option(min=0, max=1, help="share of metric events that come late")] = 0.01,
    missing: Annotated[float, typer.Option(min=0, max=1, help="share of metric events that never come")] = 0.01,
    stragglers: Annotated[
        float, typer.Option(min=0, max=1, help="share of instances that follow a new record late, by 20 s on average")
    ] = 0.001,
    outliers: Annotated[
        float, typer.Option(min=0, max=1, help="share of metric events that are 20 times too large")
    ] = 0.001,
    swing: Annotated[float, typer.Option(min=0, max=0.9, help="of the load over a day, as a share of its mean")] = 0.4,
    backend: Annotated[
        float, typer.Option(min=0, max=10, help="how much all suffer, through a shared back end, from dear values")
    ] = 0.0,
    switch_at: Annotated[
        float | None, typer.Option(min=0, metavar="HOUR", help="the optimum moves then; default: never")
    ] = None,
    away_at: Annotated[
        float | None, typer.Option(min=0, metavar="HOUR", help="the worker stops then; default: never")
    ] = None,
    away_s: Annotated[float, typer.Option(min=0, help="… for so many seconds")] = 60.0,
    quick: Annotated[
        bool, typer.Option("--quick", help=f"at most {_QUICK_INSTANCES} instances and {_QUICK_HOURS} h: for CI")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="keep the simulation there, stopped or not; if it is there already, go on"),
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw it over virtual time")] = None,
    as_json: AsJson = False,
) -> None:
    """Try a spec on a simulated fleet, tuned by the real worker's code: how good does it get, and what does it cost?

    No Kafka is needed. Ctrl-C stops it, and what there is is printed; with --keep it goes on another time.
    """
    from ..simulation.options import FleetOptions
    from ..simulation.report import figures_of, simulation_picture
    from ..simulation.run import Simulation
    from ..specs.file import read_spec

    if system is not None and function is not None:
        raise CommandFailed("a system is a table (--system) or made up (--function): name one", ExitCode.USAGE)
    if quick:
        instances, hours = min(instances, _QUICK_INSTANCES), min(hours, _QUICK_HOURS)
    read, written = read_spec(spec, alone=True)
    if instances > read.max_instances:
        raise CommandFailed(
            f"the spec allows {read.max_instances} instances in a context, not {instances}: raise max_instances",
            ExitCode.USAGE,
        )
    options = FleetOptions(
        instances=instances, seed=seed, rate_per_s=rate, joins=joins, deaths=deaths, restarts=restarts, late=late,
        missing=missing, stragglers=stragglers, outliers=outliers, swing=swing, backend=backend,
        switch_at_h=switch_at, away_at_h=away_at, away_s=away_s,
    )  # fmt: skip
    simulation = Simulation(read, written, _system(read, system, function, seed), options, hours)
    if keep is not None and keep.exists():
        simulation.go_on(_read(keep))
    ended = _run(simulation, hours)
    if keep is not None:
        _write(keep, simulation.kept())
    if picture is not None:
        try:
            picture.parent.mkdir(parents=True, exist_ok=True)
            simulation_picture(simulation, picture, f"{read.name}: {instances} simulated instances")
        except OSError as error:
            raise CommandFailed(f"cannot write {picture}: {error.strerror or error}", ExitCode.FAILED) from error
    _tell(simulation, Simulated(ended=ended, **figures_of(simulation).model_dump()), as_json=as_json)


def _system(spec: "TunerSpec", table: Path | None, function: Function | None, seed: int) -> "System":
    from ..simulation.system import made, read_table

    if table is not None:
        return read_table(table, spec.values())
    return made(function or Function.HILL, spec.values(), seed)


def _run(simulation: "Simulation", hours: float) -> bool:
    """Run to the end, or until SIGINT or SIGTERM; says how fast it goes, on standard error."""
    began, from_h, shown = time.monotonic(), simulation.hours, 0.0

    def said() -> str:
        passed_s = time.monotonic() - began
        faster = (simulation.hours - from_h) * 3600 / max(passed_s, 1e-9)
        return f"{simulation.hours:.2f} of {hours:g} h simulated, {faster:,.0f} virtual seconds a second"

    with until_told() as stop, err.status("simulating ...") as status:

        def look() -> bool:
            nonlocal shown
            if time.monotonic() > shown + 0.5:
                shown = time.monotonic()
                status.update(said())
            return stop.is_set()

        ended = simulation.run(hours, stop=look)
    err.print(line(said() if ended else f"stopped: {said()}"))
    return ended


def _tell(simulation: "Simulation", figures: Simulated, *, as_json: bool) -> None:
    from ..simulation.report import lines_of

    if as_json:
        figures.show()
        return
    table = Table(show_header=False, pad_edge=False, box=None)
    for what, how_much in lines_of(figures, simulation.spec.measurement.interval_s):
        table.add_row(what, how_much)
    out.print(table)
    for scope, values in figures.incumbents.items():
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        out.print(line(f"incumbent{f' of context {scope[:8]}' if scope else ''}: {said}"), soft_wrap=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror or error}", ExitCode.INVALID) from error


def _write(path: Path, kept: bytes) -> None:
    """Beside it, then in its place: what was kept before is not lost where this is stopped."""
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_bytes(kept)
        beside.replace(path)
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror or error}", ExitCode.FAILED) from error
