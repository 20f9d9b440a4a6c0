"""How bad can it get? Needles, plateaus, outliers, common load, a world that turns, and contexts, judged by the tails.

The system is made up of the demo's seven parameters (``oppertune demo``). Its reward is the logarithm of how many times
faster than declared a configuration is, seen with normal noise of 0.15. A 24th of the space is fast, six times: WAL
with NORMAL and one row a transaction, though neither setting does much alone. Families, 200 rounds each:

- ``needle``: as it is. ``plateau``: what is less than 1.2 times faster is told as 0, what is six times faster as 1.
- ``outliers``: one reward of twenty is lower by ten times the noise (a pause, a neighbour).
- ``load``: everything is half as fast from round 100 to 124.
- ``plain``: a plateau without any noise, but for some low hills.
- ``turned``: after 100 rounds of 300 another 24th is the fast one: PERSIST with FULL and 16 rows. Counted from there.

``first``: the round in which the fast part is first played, median and 95th percentile of the seeds; ``never`` by how
many. ``left``: of the runs that played it at least three times, those that would recommend something else in more than
10 of the last 100 rounds. ``rounds per alarm``: rounds for each time that the world was taken to have changed; in
``turned`` before it did. ``to alarm``: rounds from the turn to the alarm, median / 90th percentile. ``cost``: the mean
over all rounds of what was lost against the best, in that logarithm, and in the worst tenth of the seeds.

Contexts, with noise: a request of each is open at any time, and their rewards come in any order. ``alike``: each is the
system above; ``opposite``: every second is the turned one. Two of 200 rounds, 40 seeds, or eight of 100, 20 seeds.
``per_context``: a learner for each. ``shared``: one that is told the context, the default.

Run: python benchmarks/tails.py [--quick] [--json] [--only WORD,…] [--seeds N] [--processes N]. Without options it
writes docs/benchmarks/tails.md, in about twenty minutes on two cores.
"""

# ruff: noqa: E402 - the environment must be set before numpy is loaded

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product, starmap
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: processes share the cores already

import numpy as np
from numpy.typing import NDArray
from pages import FOLDER, machine, table

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.auto import Auto
from oppertune.algorithms.base import Algorithm
from oppertune.algorithms.surrogate import Surrogate
from oppertune.core.types import Context
from oppertune.core.values import ParameterValue
from oppertune.streams.operate.demo.workload import PARAMETERS

NOISE, OUTLIERS, OFF = 0.15, 0.05, 10
FAST, LEAST, LOAD = math.log(6.0), math.log(1.2), math.log(2.0)
BEST = FAST + 0.15
JOURNAL = {"DELETE": 0.0, "TRUNCATE": 0.05, "PERSIST": 0.1, "WAL": 0.1}
ROWS = {"1": 0.0, "4": -0.5, "16": -0.9}
TURN, LOADED = 100, range(100, 125)
CONTEXTS = {2: (200, 40), 8: (100, 20)}
"""How many there are, and the rounds of each and the seeds: runs are longer than the others, and the learner slower."""

LOOKED = 3
"""Plays after which the fast part counts as found."""

LEARNERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "uniform_random": ("uniform_random", {}),
    "hybrid_solver": ("hybrid_solver", {}),
    "auto": ("auto", {}),
}


@dataclass(frozen=True)
class Family:
    """What is played."""

    name: str
    cut: bool = False
    outliers: bool = False
    load: bool = False
    turned: bool = False
    exact: bool = False

    @property
    def rounds(self) -> int:
        """Of a run."""
        return 300 if self.turned else 200


FAMILIES = (
    Family("needle"),
    Family("needle, outliers", outliers=True),
    Family("plateau", cut=True),
    Family("plateau, outliers", cut=True, outliers=True),
    Family("load", load=True),
    Family("plain", cut=True, exact=True),
    Family("turned", turned=True),
)


@dataclass(frozen=True)
class Played:
    """A run: of each round whether it was fast, what it lost, and whether the recommendation was fast; and alarms."""

    fast: NDArray[np.bool_]
    lost: NDArray[np.float64]
    recommended: NDArray[np.bool_]
    alarms: list[int]


def is_fast(c: Mapping[str, ParameterValue], *, turned: bool = False) -> bool:
    """Whether a configuration is of the fast part."""
    found = c["journal_mode"], c["synchronous"], c["rows_per_transaction"]
    return found == (("PERSIST", "FULL", "16") if turned else ("WAL", "NORMAL", "1"))


def gain(c: Mapping[str, ParameterValue], *, turned: bool = False) -> float:
    """The logarithm of how many times faster than declared a configuration is."""
    cache = math.log2(float(c["cache_size_kib"]) / 2000) / 5
    small = 0.05 * cache + 0.1 * float(c["mmap_size_mib"]) / 256
    if is_fast(c, turned=turned):
        return FAST + small
    rows = dict(zip(ROWS, reversed(ROWS.values()), strict=True)) if turned else ROWS
    known = JOURNAL[str(c["journal_mode"])] + 0.1 * (c["synchronous"] == "NORMAL")
    return known + rows[str(c["rows_per_transaction"])] + small


def play(family: Family, learner: str, seed: int) -> Played:
    """Play a run."""
    name, args = LEARNERS[learner]
    tuning = create_tuning_instance(PARAMETERS, name, {**args, "random_seed": seed})
    rng = np.random.default_rng(20_000 + seed)
    fast, lost, recommended, alarms = [], [], [], []
    for t in range(family.rounds):
        turned = family.turned and t >= TURN
        before = _alarms(tuning)
        request = tuning.ask()
        value = gain(request.prediction, turned=turned)
        fast.append(is_fast(request.prediction, turned=turned))
        lost.append(BEST - value)
        tuning.tell(request.id, seen(family, value, t, rng))
        recommended.append(is_fast(tuning.recommend(), turned=turned))
        alarms += [t] * (_alarms(tuning) - before)
    return Played(np.array(fast), np.array(lost), np.array(recommended), alarms)


def _alarms(tuning: Algorithm) -> int:
    """How often a learner took the world to have changed."""
    chosen = tuning.chosen if isinstance(tuning, Auto) else tuning
    return chosen.alarms if isinstance(chosen, Surrogate) else 0


def seen(family: Family, value: float, t: int, rng: np.random.Generator) -> float:
    """The reward that is told."""
    if not family.exact:
        value += NOISE * float(rng.normal())
    if family.outliers and rng.random() < OUTLIERS:
        value -= OFF * NOISE
    if family.load and t in LOADED:
        value -= LOAD
    return float(np.clip((value - LEAST) / (FAST - LEAST), 0, 1)) if family.cut else value


def figures(family: Family, learner: str, runs: list[Played]) -> dict[str, Any]:
    """What a learner's runs of a family come to."""
    start = TURN if family.turned else 0
    first = [1 + int(r.fast[start:].argmax()) if r.fast[start:].any() else math.inf for r in runs]
    found = [r for r in runs if r.fast[start:].sum() >= LOOKED]
    cost = np.array([r.lost[start:].mean() for r in runs])
    watched = len(runs) * (TURN if family.turned else family.rounds)
    alarms = sum(1 for r in runs for t in r.alarms if not family.turned or t < TURN)
    after = [min((t - TURN + 1 for t in r.alarms if t >= TURN), default=math.inf) for r in runs]
    return {
        "learner": learner,
        "family": family.name,
        "first": _percentile(first, 50),
        "first_p95": _percentile(first, 95),
        "never": sum(math.isinf(x) for x in first),
        "left": sum(int((~r.recommended[-100:]).sum() > 10) for r in found),
        "found": len(found),
        "rounds_per_alarm": watched / alarms if alarms else None,
        "to_alarm": [_percentile(after, p) for p in (50, 90)] if family.turned else None,
        "cost": float(cost.mean()),
        "cost_worst": float(np.sort(cost)[-math.ceil(len(cost) / 10) :].mean()),
    }


def _percentile(x: list[float], p: float) -> float | None:
    """None beyond what can be counted."""
    found = float(np.percentile(x, p, method="inverted_cdf"))
    return found if math.isfinite(found) else None


@dataclass(frozen=True)
class Contexts:
    """What is played of contexts."""

    number: int
    shared: bool
    opposite: bool


def play_contexts(contexts: Contexts, rounds: int, seed: int) -> float:
    """The mean cost of a run in which a request of each context is open at any time."""
    features = {"features": ["traffic"]} if contexts.shared else {}
    learners = [
        create_tuning_instance(PARAMETERS, "auto", {**features, "random_seed": seed + 1000 * i})
        for i in range(1 if contexts.shared else contexts.number)
    ]
    rng, lost = np.random.default_rng(30_000 + seed), []
    of = [Context({"traffic": f"kind {i}"}) for i in range(contexts.number)]
    requests = [learners[i % len(learners)].ask(context) for i, context in enumerate(of)]
    for _ in range(rounds):
        for i in rng.permutation(contexts.number).tolist():
            learner = learners[i % len(learners)]
            value = gain(requests[i].prediction, turned=contexts.opposite and i % 2 == 1)
            lost.append(BEST - value)
            learner.tell(requests[i].id, value + NOISE * float(rng.normal()))
            requests[i] = learner.ask(of[i])
    return float(np.mean(lost))


def families_page(rows: list[dict[str, Any]]) -> str:
    head = ["learner", "family", "first", "95 %", "never", "left"]
    head += ["rounds per alarm", "to alarm", "cost", "worst tenth"]
    return table(head, [_row(r) for r in rows])


def _row(r: Mapping[str, Any]) -> list[str]:
    alarm = "–" if r["to_alarm"] is None else " / ".join(_count(x) for x in r["to_alarm"])
    cells = [r["learner"], r["family"], _count(r["first"]), _count(r["first_p95"]), str(r["never"])]
    cells += [f"{r['left']} of {r['found']}", _count(r["rounds_per_alarm"]), alarm]
    return [*cells, f"{r['cost']:.3f}", f"{r['cost_worst']:.3f}"]


def _count(x: float | None) -> str:
    return "–" if x is None else f"{x:,.0f}"


def contexts_page(costs: Mapping[Contexts, NDArray[np.float64]]) -> str:
    rows = []
    for number in CONTEXTS:
        for opposite in (False, True):
            both = [costs[Contexts(number, shared, opposite)] for shared in (False, True)]
            cells = [f"{x.mean():.3f} ({np.sort(x)[-math.ceil(len(x) / 10) :].mean():.3f})" for x in both]
            rows.append([f"{number} {'opposite' if opposite else 'alike'}", *cells])
    return table(["contexts", "per_context: cost (worst tenth)", "shared"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one family and seed: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--only", default="", help="families whose names contain one of these, by commas")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    words = [word for word in options.only.split(",") if word]
    seeds = range(1 if options.quick else options.seeds)
    families = [f for f in FAMILIES if not words or any(word in f.name for word in words)]
    rows, costs = [], {}
    with ProcessPoolExecutor(options.processes) as pool:
        for family in families[:1] if options.quick else families:
            for learner in LEARNERS:
                print(f"{learner}, {family.name} ...", file=sys.stderr, flush=True)
                runs = pool.map(partial(play, family, learner), seeds)
                rows.append(figures(family, learner, list(runs)))
        for number, (rounds, most) in () if words else CONTEXTS.items():
            for contexts in starmap(Contexts, product([number], (False, True), (False, True))):
                print(f"{contexts} ...", file=sys.stderr, flush=True)
                runs_of = partial(play_contexts, contexts, 5 if options.quick else rounds)
                costs[contexts] = np.array(list(pool.map(runs_of, seeds[:most])))
    page = "\n\n".join([families_page(rows), *([] if words else ["## Contexts", contexts_page(costs)])])
    print(page)
    if not (options.quick or words):
        about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
        made = f"{options.seeds} seeds. {machine('numpy')} Made by `python benchmarks/tails.py`."
        (FOLDER / "tails.md").write_text(f"# Tails\n\n{about}\n\n{made}\n\n## Families\n\n{page}\n")
    if options.json:
        found = [{**asdict(contexts), "cost": float(x.mean())} for contexts, x in costs.items()]
        print(json.dumps({"rows": rows, "contexts": found}))


if __name__ == "__main__":
    main()
