"""Rounds as a picture: rewards over time, a panel per context."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ....schemas.records import RoundRecord
from ..text import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_KINDS: Final = {
    # kind: (label, marker, colour): Okabe and Ito's colours, and shapes, so that neither alone must be told apart.
    "explore": ("tried by the learner", "o", "#0072B2"),
    "candidate": ("rolled out", "^", "#E69F00"),
    "baseline": ("incumbent", "s", "#009E73"),
}
_OTHER: Final = ("other", "D", "#CC79A7")
_MEDIAN_COLOUR: Final = "#333333"
_WITHDRAWN: Final = ("withdrawn", "X", "#D55E00")
_FAILED_COLOUR: Final = "#D55E00"
_INCUMBENT_COLOUR: Final = "#777777"
_TARGET_COLOUR: Final = "#009E73"
_MEDIAN_OF: Final = 7
"""Rounds that the running median looks back on, the current one included."""


@dataclass(frozen=True, slots=True)
class RoundPoint:
    """One closed round.

    Attributes:
        context: Context that it ran in.
        round: Its number within the context.
        reward: Its reward; None where it has none.
        kind: What it was for: ``explore``, ``candidate`` or ``baseline``.
        outcome: How it ended: ``measured``, ``failed``, ``skipped`` and so on.
        new_incumbent: Whether a new incumbent came of it.
        p95_ms: 95th percentile of its latencies in milliseconds; None if not known.
        stage: Of a roll-out beside the incumbent, from 1; None for all else.
        beside: Other arms ran at the same time.
    """

    context: str
    round: int
    reward: float | None
    kind: str
    outcome: str
    new_incumbent: bool
    p95_ms: float | None
    stage: int | None = None
    beside: bool = False


def point_of(closed: RoundRecord) -> RoundPoint:
    """A round's point."""
    return RoundPoint(
        context=", ".join(f"{k}={v}" for k, v in (closed.context or {}).items()) or "no context",
        round=closed.round,
        reward=closed.reward,
        kind="candidate" if closed.kind == "confirm" else closed.kind or "",
        outcome=closed.outcome,
        new_incumbent=closed.incumbent,
        p95_ms=None,
        stage=closed.stage if closed.schedule == "beside" else None,
        beside=closed.schedule == "beside",
    )


def running_median(rewards: Sequence[float], window: int = _MEDIAN_OF) -> list[float]:
    """For each reward, the median of it and of those before it, ``window`` in all at most."""
    return [statistics.median(rewards[max(0, i - window + 1) : i + 1]) for i in range(len(rewards))]


def lowest_shown(rewards: Sequence[float]) -> float:
    """Where the scale may end: a few disastrous rounds must not press all others into one line.

    Args:
        rewards: At least one.

    Returns:
        The lowest reward, or, where it lies far below nine tenths of them, an outlier's fence.
    """
    ordered = sorted(rewards)
    low, high = ordered[len(ordered) // 10], ordered[-1]
    fence = low - (high - low)
    return next(reward for reward in ordered if reward >= fence)


def reward_picture(
    points: Sequence[RoundPoint],
    path: Path | str,
    title: str = "Reward of each round (higher is better)",
    *,
    target: float | None = None,
    logarithmic: bool = False,
) -> None:
    """Draw the rewards over the rounds, a panel per context, into a PNG of 1200 × 700 pixels.

    Arms that ran side by side stand above one another; the line of medians is then the incumbent's. One that was
    withdrawn lies at the bottom, if it has no reward; so do rounds without one, as crosses. Those far below all others
    are arrows a little above. A dashed line marks a new incumbent, a number the stage of a roll-out.

    Args:
        points: The rounds, in any order.
        path: Where the PNG goes.
        title: Headline.
        target: Reward at which tuning ends, drawn as a dotted line; None where there is none.
        logarithmic: Rewards say how many times better than before a round was: all are shown, on a logarithmic scale,
            with a line where nothing was gained or lost.
    """
    # Here: reading the module must not cost what matplotlib takes to load. And never pyplot, which keeps global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    contexts = sorted({p.context for p in points}) or [""]
    figure = Figure(figsize=(12, 7), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(contexts), 1, squeeze=False, sharex=True)[:, 0]
    handles: dict[str, Artist] = {}
    for axes, context in zip(panels, contexts, strict=True):
        here = sorted((p for p in points if p.context == context), key=lambda p: p.round)
        _draw_panel(axes, here, logarithmic=logarithmic)
        if target is not None:
            axes.axhline(target, linestyle=":", color=_TARGET_COLOUR, linewidth=2, label="target", zorder=1)
        axes.set_title(printable(context), fontsize=13, loc="left", parse_math=False)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    panels[-1].set_xlabel("round", fontsize=12)
    figure.suptitle(printable(title), fontsize=15, parse_math=False)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=4, fontsize=11, frameon=False
        )
    canvas.print_figure(str(path), format="png")


def _draw_panel(axes: "Axes", points: Sequence[RoundPoint], *, logarithmic: bool) -> None:
    shown = [(p, p.reward) for p in points if p.reward is not None and p.outcome in {"measured", "broken"}]
    measured = [(p, reward) for p, reward in shown if p.outcome == "measured"]
    missing = [p for p in points if p.outcome != "broken" and (p.reward is None or p.outcome != "measured")]
    rewards = [reward for _, reward in shown]
    lowest = (min(rewards) if logarithmic else lowest_shown(rewards)) if shown else 0.0
    below = [p for p, reward in shown if reward < lowest]
    for kind in dict.fromkeys([*_KINDS, *(p.kind for p in points)]):
        label, marker, colour = _KINDS.get(kind, _OTHER)
        here = [(p.round, reward) for p, reward in measured if p.kind == kind and reward >= lowest]
        if here:
            axes.plot(
                *zip(*here, strict=True), marker, color=colour, label=label, markersize=7, markeredgecolor="white",
                markeredgewidth=0.7, alpha=0.9, zorder=3,
            )  # fmt: skip
    _number_stages(axes, [(p, reward) for p, reward in measured if reward >= lowest])
    _draw_withdrawn(axes, [p for p in points if p.outcome == "broken"], lowest)
    # Of arms side by side, what most instances have: tries of one round are no course over time.
    course = [(p, reward) for p, reward in measured if not p.beside or p.kind == "baseline"]
    if course:
        axes.plot(
            [p.round for p, _ in course], [max(lowest, m) for m in running_median([r for _, r in course])], "-",
            color=_MEDIAN_COLOUR, linewidth=2, label=f"median of the last {_MEDIAN_OF}", zorder=2,
        )  # fmt: skip
    if missing:
        # In the panel's own height, 0 to 1: at the bottom, whatever the rewards are.
        axes.plot(
            [p.round for p in missing], [0.04] * len(missing), "x", color=_FAILED_COLOUR, markersize=9,
            markeredgewidth=2.5, transform=axes.get_xaxis_transform(), label="failed or not measured", zorder=4,
        )  # fmt: skip
    if below:
        axes.plot(
            [p.round for p in below], [0.1] * len(below), "v", color=_FAILED_COLOUR, markersize=8,
            markerfacecolor="white", markeredgewidth=2, transform=axes.get_xaxis_transform(),
            label="far below the scale", zorder=4,
        )  # fmt: skip
    for i, changed in enumerate(p for p in points if p.new_incumbent):
        axes.axvline(
            changed.round, linestyle="--", color=_INCUMBENT_COLOUR, linewidth=1.4, zorder=1,
            label="new incumbent" if i == 0 else None,
        )  # fmt: skip
    axes.margins(y=0.15)
    if logarithmic:
        _times_on(axes)
    else:
        axes.set_ylabel("reward", fontsize=12)
    axes.tick_params(labelsize=11, labelbottom=True)
    axes.locator_params(axis="x", integer=True)
    axes.grid(visible=True, alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _number_stages(axes: "Axes", measured: Sequence[tuple[RoundPoint, float]]) -> None:
    """The stage of a roll-out above its point."""
    for p, reward in measured:
        if p.stage is not None:
            axes.annotate(str(p.stage), (p.round, reward), (0, 7), textcoords="offset points", ha="center", fontsize=9)


def _draw_withdrawn(axes: "Axes", withdrawn: Sequence[RoundPoint], lowest: float) -> None:
    """Arms that broke a guardrail: where their reward is, or at the bottom."""
    label, marker, colour = _WITHDRAWN
    measured = [(p.round, p.reward) for p in withdrawn if p.reward is not None and p.reward >= lowest]
    unknown = [p.round for p in withdrawn if p.reward is None]
    if measured:
        axes.plot(
            *zip(*measured, strict=True), marker, color=colour, label=label, markersize=9, markeredgecolor="white",
            zorder=4,
        )  # fmt: skip
    if unknown:
        axes.plot(
            unknown, [0.04] * len(unknown), marker, color=colour, label=label, markersize=9, markeredgecolor="white",
            transform=axes.get_xaxis_transform(), zorder=4,
        )  # fmt: skip


def _times_on(axes: "Axes") -> None:
    """A logarithmic axis in numbers that people know, and a line at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415 - loads matplotlib

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda times, _: f"{times:g} ×"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axhline(1.0, color=_INCUMBENT_COLOUR, linewidth=1, label="as declared", zorder=1)
    axes.set_ylabel("times faster", fontsize=12)
