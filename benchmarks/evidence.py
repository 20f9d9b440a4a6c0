"""How often does a guardrail withdraw an arm that is as good as the baseline, and how soon one that is worse?

Simulated fleets are judged by `streams/processor/guardrails.py` itself. An interval is 10 s. Each unit has about 100
requests in one; their latency is lognormal (σ 0.6), of 1 % Pareto (1.5). Machines differ by 15 %; a unit's own noise of
10 % lasts (AR(1), 0.9); all share shocks of 5 % and a daily swing of 40 %, which machines follow by 20 % more or less.
Half a percent of requests fail, in proportion to the unit's slowness. A tenth of the units is the arm (of 4, one). At
first there are five rounds, 30 intervals in all, in which everyone runs the incumbent; then one round of an hour, with
a look at each interval. Latencies are not drawn one by one, but how many of a unit's are above the edge, which is the
bin of the baseline's 95th percentile in the interval before.

Each guardrail is judged by itself at α = 0.01. *Strict* ones have the tolerance 0; *default* ones 10 % for p95, and one
percentage point for the share of errors. False: the share of hours in which an arm like the baseline was withdrawn, of
which 0.01 is promised. Other figures are intervals until the arm was withdrawn, median / 90th percentile; –: not within
the hour in so many runs. In brackets, what was measured before it was built, in a simulation of the same kind.

Run: python benchmarks/evidence.py [--quick] [--json] [--runs SHARE]. Without --quick it writes
docs/benchmarks/evidence.md. Takes some twenty minutes; --runs 0.1 a tenth of it.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pages import FOLDER, machine, stop_on_signals, table

from oppertune.core.summary import GAMMA
from oppertune.schemas.spec import TunerSpec
from oppertune.schemas.state import Incumbent, Quantity, ScopeState
from oppertune.streams.processor import guardrails, quantities
from oppertune.streams.processor.contributions import ONE, tolerated_bins
from oppertune.streams.processor.quantities import BASELINE

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]

ARM = "e1"
INTERVAL_MS = 10_000
LEARNING = (6, 5)
"""Intervals of a round in which everyone runs the incumbent, and how many rounds."""

THRESHOLD = -math.log(0.01)
STRICT, DEFAULT, ERRORS_STRICT, ERRORS = "p95 strict", "p95 default", "share strict", "share default"
WATCHED = (STRICT, DEFAULT, ERRORS_STRICT, ERRORS)


def spec_of(names: tuple[str, ...]) -> TunerSpec:
    """A tuner with some of the guardrails, each on a metric of its own: none hides another."""
    return TunerSpec.model_validate(
        {
            "name": "benchmark",
            "parameters": [{"name": "x", "type": "real", "val": 1, "min": 0, "max": 2}],
            "objective": {"function": "none"},
            "measurement": {"interval_s": INTERVAL_MS / 1000},
            "guardrails": [
                {"metric": name.split(" ")[1], "aggregate": name.split(" ")[0], "goal": "minimize"}
                | ({"tolerance": 0} if "strict" in name else {})
                for name in names
            ],
        }
    )


class Fleet(NamedTuple):
    """How many units, how many of them in the arm, hours of equal arms, hours of bad ones, intervals in an hour."""

    units: int
    arm: int
    equal: int
    worse: int
    intervals: int


FLEETS = (Fleet(4, 1, 1000, 200, 360), Fleet(20, 2, 1000, 200, 360), Fleet(200, 20, 200, 60, 360),
          Fleet(1000, 100, 60, 24, 180))  # fmt: skip


class Case(NamedTuple):
    """How an arm differs: latencies times, share of errors more; and which guardrails are looked at."""

    title: str
    slower: float
    errors: float
    watched: tuple[str, ...]


EQUAL = Case("equal", 1.0, 0.0, WATCHED)
WORSE = (
    *(Case(f"{slower:g}x p95", slower, 0.0, (STRICT, DEFAULT)) for slower in (2.0, 1.5, 1.2)),
    *(Case(f"+{100 * more:g} pp errors", 1.0, more, (ERRORS_STRICT, ERRORS)) for more in (0.05, 0.01)),
)

SPIKE: Mapping[int, Mapping[tuple[str, str], str]] = {
    4: {("equal", STRICT): ".003", ("equal", DEFAULT): ".000", ("equal", ERRORS_STRICT): ".005",
        ("2x p95", STRICT): "1 / 3", ("1.5x p95", STRICT): "12 / 64", ("1.2x p95", STRICT): "–",
        ("2x p95", DEFAULT): "3 / 6", ("1.5x p95", DEFAULT): "64 / –", ("1.2x p95", DEFAULT): "–",
        ("+5 pp errors", ERRORS_STRICT): "1 / 5", ("+1 pp errors", ERRORS_STRICT): "–"},
    20: {("equal", STRICT): ".002", ("equal", DEFAULT): ".000", ("equal", ERRORS_STRICT): ".008",
         ("2x p95", STRICT): "1 / 1", ("1.5x p95", STRICT): "2 / 5", ("1.2x p95", STRICT): "56 / –",
         ("2x p95", DEFAULT): "1 / 1", ("1.5x p95", DEFAULT): "3 / 21", ("1.2x p95", DEFAULT): "–",
         ("+5 pp errors", ERRORS_STRICT): "1 / 2", ("+1 pp errors", ERRORS_STRICT): "25 / –"},
    200: {("equal", STRICT): ".005", ("equal", DEFAULT): ".000", ("equal", ERRORS_STRICT): ".000",
          ("2x p95", STRICT): "1 / 1", ("1.5x p95", STRICT): "1 / 1", ("1.2x p95", STRICT): "1 / 2",
          ("2x p95", DEFAULT): "1 / 1", ("1.5x p95", DEFAULT): "1 / 1", ("1.2x p95", DEFAULT): "6 / 63",
          ("+5 pp errors", ERRORS_STRICT): "1 / 1", ("+1 pp errors", ERRORS_STRICT): "1 / 2"},
    1000: {("equal", STRICT): ".000", ("equal", DEFAULT): ".000", ("equal", ERRORS_STRICT): ".000",
           ("2x p95", STRICT): "1 / 1", ("1.5x p95", STRICT): "1 / 1", ("1.2x p95", STRICT): "1 / 1",
           ("2x p95", DEFAULT): "1 / 1", ("1.5x p95", DEFAULT): "1 / 1", ("1.2x p95", DEFAULT): "1 / 2",
           ("+5 pp errors", ERRORS_STRICT): "1 / 1", ("+1 pp errors", ERRORS_STRICT): "1 / 1"},
}  # fmt: skip
"""What the spike's tables say, by fleet, case and guardrail."""


# ---- the world ------------------------------------------------------------------------------------------------------

_GRID = np.linspace(-6.0, 12.0, 7201)
_BEYOND = 0.99 * np.array([0.5 * math.erfc(x / (0.6 * math.sqrt(2))) for x in _GRID]) + 0.01 * np.exp(
    -1.5 * np.maximum(_GRID, 0.0)
)
_BIN = math.log(GAMMA)


def beyond(log_latency: Floats) -> Floats:
    """Share of a usual unit's requests that are slower."""
    found: Floats = np.interp(log_latency, _GRID, _BEYOND)
    return found


def slowness(rng: np.random.Generator, units: int, intervals: int) -> Floats:
    """Logarithm of how slow each unit is in each interval."""
    noise = np.empty((intervals, units))
    noise[0] = rng.normal(0, 0.1, units)
    for t in range(1, intervals):
        noise[t] = 0.9 * noise[t - 1] + rng.normal(0, 0.1 * math.sqrt(1 - 0.9**2), units)
    swing = 0.4 * np.sin(2 * math.pi * (np.arange(intervals) / 8640 + rng.random()))
    shared = rng.normal(0, 0.05, intervals)
    found: Floats = (
        rng.normal(0, 0.15, units) + noise + np.outer(swing, 1 + rng.normal(0, 0.2, units)) + shared[:, None]
    )
    return found


def edges(slow: Floats) -> Counts:
    """Bin of the 95th percentile of some units together, by interval."""
    low = np.full(len(slow), -400, dtype=np.int64)
    high = np.full(len(slow), 800, dtype=np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        above = beyond(middle[:, None] * _BIN - slow).mean(axis=1) > 0.05
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


class Counted(NamedTuple):
    """By interval and unit: requests, and of each guardrail how many were bad."""

    requests: Counts
    bad: dict[str, Counts]


def count(rng: np.random.Generator, slow: Floats, edge: Counts, arm: int, case: Case, bins: int) -> Counted:
    """What units count in some intervals; the first ``arm`` of them are the arm, whose edge may be some bins higher."""
    slow = slow.copy()
    slow[:, :arm] += math.log(case.slower)
    requests = rng.poisson(100, slow.shape)
    strict = beyond(edge[:, None] * _BIN - slow)
    shifted = beyond((edge[:, None] + bins) * _BIN - slow)
    above = rng.binomial(requests, strict)
    further = above.copy()
    further[:, :arm] = rng.binomial(above[:, :arm], (shifted / strict)[:, :arm])
    failing = np.minimum(0.005 * np.exp(slow), 0.5)
    failing[:, :arm] += case.errors
    failed = rng.binomial(requests, failing)
    return Counted(requests, {STRICT: above, DEFAULT: further, ERRORS_STRICT: failed, ERRORS: failed})


# ---- an hour, judged ------------------------------------------------------------------------------------------------


def hour(rng: np.random.Generator, fleet: Fleet, case: Case) -> dict[str, int | None]:
    """Intervals until each guardrail withdrew the arm; ``None`` where it did not."""
    spec = spec_of(case.watched)
    length, rounds = LEARNING
    slow = slowness(rng, fleet.units, length * rounds + fleet.intervals + 1)
    scope = ScopeState(
        v=1, tuner=spec.name, scope="", incarnation=0, incumbent=Incumbent(values=spec.declared(), hash="h")
    )
    for tracked in spec.quantities:
        scope.quantities[tracked.name] = Quantity(scale="share", edge=0)
    names = [f"u{i}" for i in range(fleet.units)]
    everyone = dict.fromkeys(names, BASELINE)
    start, now_ms = 1, INTERVAL_MS
    for _ in range(rounds):
        _begin(spec, scope, everyone, now_ms)
        part = slice(start, start + length)
        edge = edges(slow[start - 1 : start + length - 1])
        for at_ms in _play(scope, names, case, count(rng, slow[part], edge, 0, case, 0), now_ms):
            quantities.advance(spec, scope, at_ms)
        now_ms += length * INTERVAL_MS
        start += length
    _begin(spec, scope, everyone | dict.fromkeys(names[: fleet.arm], ARM), now_ms)
    bins = max(map(tolerated_bins, spec.quantities))
    counted = count(rng, slow[start:], edges(slow[start - 1 : -1, fleet.arm :]), fleet.arm, case, bins)
    found: dict[str, int | None] = dict.fromkeys(case.watched)
    for at_ms in _play(scope, names, case, counted, now_ms):
        looked = guardrails.look(spec, scope, ARM, at_ms, stage=False)
        for name in case.watched:
            if found[name] is None and name in looked and looked[name].level >= THRESHOLD:
                found[name] = (at_ms - now_ms) // INTERVAL_MS
        if None not in found.values():
            break
    return found


def _begin(spec: TunerSpec, scope: ScopeState, arms: Mapping[str, str], now_ms: int) -> None:
    quantities.begin(spec, scope, arms, [BASELINE], [], now_ms, keep_history=False)


def _play(scope: ScopeState, names: list[str], case: Case, counted: Counted, now_ms: int) -> Iterator[int]:
    """Interval by interval, the round's sums of each unit as if its events had been noted; times at which they are."""
    requests = np.cumsum(counted.requests, axis=0)
    bad = {name: np.cumsum(counted.bad[name], axis=0) * ONE for name in case.watched}
    units = [scope.units[name] for name in names]
    for t in range(len(requests)):
        for name in case.watched:
            for unit, num, den in zip(units, bad[name][t].tolist(), requests[t].tolist(), strict=True):
                unit.sums.setdefault(name, [0] * 6)[:2] = [num, den]
        for unit in units:
            unit.reports = t + 1
        now_ms += INTERVAL_MS
        yield now_ms


# ---- tables ---------------------------------------------------------------------------------------------------------


def shown(hours: list[int | None], case: Case) -> str:
    """The share of hours with an alarm where arms are equal; else median and 90th percentile of the time to it."""
    if case is EQUAL:
        return f"{sum(x is not None for x in hours) / len(hours):.3f}".lstrip("0")
    ordered = sorted(math.inf if x is None else x for x in hours)
    median, p90 = (ordered[math.ceil(q * len(ordered)) - 1] for q in (0.5, 0.9))
    return "–" if math.isinf(median) else f"{median:g} / " + ("–" if math.isinf(p90) else f"{p90:g}")


def cell(fleet: Fleet, case: Case, name: str, found: Mapping[tuple[int, str, str], list[int | None]]) -> str:
    """Ours, and the spike's in brackets where it has one."""
    hours = found.get((fleet.units, case.title, name))
    spike = SPIKE[fleet.units].get((case.title, name))
    return (shown(hours, case) if hours else "") + (f" ({spike})" if spike is not None else "")


def page(fleets: tuple[Fleet, ...], found: Mapping[tuple[int, str, str], list[int | None]]) -> str:
    """Both tables."""
    equal = table(
        ["units, in the arm", "hours", *(f"{name}" for name in WATCHED)],
        [
            [f"{f.units:,}, {f.arm}", str(len(found.get((f.units, "equal", STRICT), []))),
             *(cell(f, EQUAL, name, found) for name in WATCHED)]
            for f in fleets
        ],
    )  # fmt: skip
    worse = table(
        ["units, in the arm", "guardrail", *(case.title for case in WORSE)],
        [
            [f"{f.units:,}, {f.arm}", word, *(cell(f, case, case.watched[i], found) for case in WORSE)]
            for f in fleets
            for i, word in enumerate(("strict", "default"))
        ],
    )
    return (
        f"## Arms as good as the baseline: withdrawn\n\n{equal}\n\n## Worse arms: intervals until withdrawn\n\n{worse}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few short hours: only to see that it runs")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--runs", type=float, default=1.0, help="share of the hours that are played")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fleets = tuple(
        Fleet(f.units, f.arm, 2, 2, 3) if options.quick
        else f._replace(equal=max(round(f.equal * options.runs), 1), worse=max(round(f.worse * options.runs), 1))
        for f in (FLEETS[:2] if options.quick else FLEETS)
    )  # fmt: skip
    stop_on_signals()
    found: dict[tuple[int, str, str], list[int | None]] = {}
    stopped = False
    try:
        for fleet in fleets:
            for case in (EQUAL, *WORSE):
                print(f"{fleet.units} units, {case.title} ...", file=sys.stderr, flush=True)
                for run in range(fleet.equal if case is EQUAL else fleet.worse):
                    rng = np.random.default_rng([options.seed, fleet.units, *case.title.encode(), run])
                    for name, interval in hour(rng, fleet, case).items():
                        found.setdefault((fleet.units, case.title, name), []).append(interval)
    except KeyboardInterrupt:
        stopped = True
    text = page(fleets, found)
    print(text)
    if not options.quick and not stopped:
        about = (__doc__ or "").split("\n\n")[:3]
        made = f"Seed {options.seed}; {machine('numpy')} Made by `python benchmarks/evidence.py`."
        (FOLDER / "evidence.md").write_text("# Evidence\n\n" + "\n\n".join([*about, made]) + f"\n\n{text}\n")
    if options.json:
        rows = [{"units": u, "case": c, "guardrail": g, "intervals": x} for (u, c, g), x in found.items()]
        print(json.dumps({"rows": rows, "stopped": stopped}))
    sys.exit(int(stopped))


if __name__ == "__main__":
    main()
