"""What came of a simulation: figures, the same as sentences, and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..text import printable
from .figures import Figures
from .run import Simulation
from .system import quality
from .truth import BAD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FLEET_COLOUR: Final = "#0072B2"
_INCUMBENT_COLOUR: Final = "#009E73"
_BAD_COLOUR: Final = "#D55E00"
_GREY: Final = "#777777"


def figures_of(simulation: Simulation) -> Figures:
    """The figures of a simulation as it stands."""
    truth, fleet, system = simulation.truth, simulation.fleet, simulation.system
    lived = max(truth.instance_ms, 1)
    costs = [simulation.incumbent_effect(scope).cost for scope in simulation.scopes]
    qualities = [quality(system, cost) for cost in costs]
    exposures = [ms / 1000 for ms in truth.exposures_ms()]
    known = system.median > system.low
    withdrawn = [arm for arm in truth.arms.values() if arm.broken_ms is not None]
    return Figures(
        hours=_rounded(simulation.hours),
        instances=sum(instance.alive for instance in fleet.instances),
        mean_quality=_rounded(truth.quality / lived) if known else None,
        incumbent_quality=_rounded(float(np.mean(qualities))) if known else None,
        regret=_rounded(truth.regret / lived),
        incumbent_regret=_rounded(float(np.mean(costs)) / system.best - 1),
        bad_share=_rounded(truth.bad_ms / lived),
        asked=len(simulation.asked),
        promotions=len(truth.promotions),
        withdrawn=len(truth.withdrawals),
        false_alarms=sum(arm.harmless for arm in withdrawn),
        bad_arms=len(exposures),
        exposure_s=_quantile(exposures, 0.5),
        exposure_p90_s=_quantile(exposures, 0.9),
        rounds=dict(sorted(simulation.outcomes.items())),
        sent=dict(fleet.sent),
        missing=fleet.missing,
        dispositions=simulation.dispositions(),
        waiting=simulation.waiting(),
        incumbents={scope: simulation.incumbent_values(scope) for scope in simulation.scopes},
    )


def _rounded(x: float) -> float:
    """Six digits that count: the last bits differ between kinds of processors."""
    return float(f"{x:.6g}")


def _quantile(x: Sequence[float], q: float) -> float | None:
    return _rounded(float(np.quantile(x, q))) if x else None


def lines_of(figures: Figures, interval_s: float) -> list[tuple[str, str]]:
    """The figures for people: what it is, and how much.

    Args:
        figures: Of a simulation.
        interval_s: Between two reports of an instance.
    """
    f = figures
    exposed = "—"
    if f.exposure_s is not None and f.exposure_p90_s is not None:
        exposed = f"{f.exposure_s / interval_s:.1f} intervals ({f.exposure_s:.1f} s),"
        exposed += f" 90 % within {f.exposure_p90_s / interval_s:.1f}"
    metrics = f.dispositions.get("metrics", {})
    return [
        ("virtual time", f"{f.hours:g} h; {f.instances} instances at the end"),
        ("quality, 0 best, 1 median", f"{_number(f.mean_quality)}; of the incumbent {_number(f.incumbent_quality)}"),
        ("dearer than the best known", f"by {f.regret:.1%}; the incumbent by {f.incumbent_regret:.1%}"),
        (f"worse than declared by {BAD - 1:.0%}", f"{f.bad_share:.3%} of instance-time"),
        ("asked for", f"{f.asked} configurations; new incumbents: {f.promotions}"),
        ("arms withdrawn", f"{f.withdrawn}, of which {f.false_alarms} falsely"),
        ("clearly worse arms", f"{f.bad_arms} were run"),
        ("… first report to last instance", exposed),
        ("rounds", ", ".join(f"{n} {word}" for word, n in f.rounds.items()) or "none"),
        ("metric events", ", ".join(f"{n} {word}" for word, n in metrics.items()) + f"; {f.missing} never came"),
    ]


def _number(x: float | None) -> str:
    return "—" if x is None else f"{x:.3f}"


def simulation_picture(simulation: Simulation, path: Path, title: str) -> None:
    """Draw a simulation over virtual time, into a PNG of 1200 × 700 pixels.

    Above, what a request costs, as a multiple of the declared values' cost: the fleet's mean, the incumbent's, the best
    known; promotions and withdrawn arms are marked. Below, the share of the instances that run something bad.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes long to load
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _draw_cost(upper, simulation)
    _draw_bad(lower, simulation)
    figure.suptitle(printable(title), fontsize=15, parse_math=False)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=11, frameon=False)
    for axes in (upper, lower):
        axes.grid(visible=True, alpha=0.25)
        axes.tick_params(labelsize=11)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    canvas.print_figure(str(path), format="png")


def _draw_cost(axes: "Axes", simulation: Simulation) -> None:
    truth = simulation.truth
    hours = truth.bin_ms / 3_600_000
    lived = {n: part for n, part in sorted(truth.bins.items()) if part.instance_ms}
    middle = [(n + 0.5) * hours for n in lived]
    axes.plot(
        middle, [part.cost / part.instance_ms for part in lived.values()], "-", color=_FLEET_COLOUR, linewidth=2,
        label="the fleet", zorder=3,
    )  # fmt: skip
    incumbents = simulation.incumbent_costs()
    if incumbents:
        incumbents.append((simulation.hours, incumbents[-1][1]))
        axes.step(
            *zip(*incumbents, strict=True), "-", where="post", color=_INCUMBENT_COLOUR, linewidth=2,
            label="the incumbent", zorder=2,
        )  # fmt: skip
    axes.axhline(1.0, color=_GREY, linewidth=1, label="as declared", zorder=1)
    axes.axhline(simulation.system.best, linestyle=":", color=_INCUMBENT_COLOUR, linewidth=2, label="best known")
    for i, at_ms in enumerate(truth.promotions):
        axes.axvline(
            at_ms / 3_600_000, linestyle="--", color=_GREY, linewidth=1, label="new incumbent" if i == 0 else None
        )
    if truth.withdrawals:
        axes.plot(
            [at_ms / 3_600_000 for at_ms in truth.withdrawals], [0.04] * len(truth.withdrawals), "x",
            color=_BAD_COLOUR, markersize=7, transform=axes.get_xaxis_transform(), label="arm withdrawn", zorder=4,
        )  # fmt: skip
    axes.set_ylabel("cost, times declared", fontsize=12)


def _draw_bad(axes: "Axes", simulation: Simulation) -> None:
    truth = simulation.truth
    hours = truth.bin_ms / 3_600_000
    lived = [(n, part) for n, part in sorted(truth.bins.items()) if part.instance_ms]
    axes.bar(
        [(n + 0.5) * hours for n, _ in lived], [100 * part.bad_ms / part.instance_ms for _, part in lived],
        width=hours, color=_BAD_COLOUR,
    )  # fmt: skip
    axes.set_ylabel("% of instances on\nsomething bad", fontsize=12)
    axes.set_xlabel("hours of virtual time", fontsize=12)
