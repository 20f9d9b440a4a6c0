"""How long does a round take? Microseconds of predict() and set_reward() with ten parameters, for every algorithm.

The rows, blocks and rounds are those of the original's table (OPPerTune 0.2.0). A figure is the median of the blocks.
Machines differ, so each is also given in ``loops``: in parts of a fixed pure-Python loop that is timed before and after
it. ``ratio`` is ours over the original's, both in loops; below 0.5 is less than half the time. The spaces have ten
parameters: ``num`` five integers and five reals, ``catK`` categories of K, ``mix`` four categories of four, three
integers, three reals.

Run on an idle machine: python benchmarks/latency.py [--quick] [--json] [--only WORD,…]. A full run writes
docs/benchmarks/latency.md; it takes two minutes. Stopped, it prints what it has.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pages import FOLDER, ORIGINAL_CALIBRATION_MS, calibration_ms, machine, stop_on_signals, table
from problems import CATEGORIES

from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.base import Algorithm
from oppertune.core.errors import MissingExtra, OppertuneError
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

JOBS = [Context({"job": job}) for job in range(8)]


class Row(NamedTuple):
    """A row of the table; ``original_us`` is None for what the original had not, or could not run (``original``)."""

    name: str
    space: str
    algorithm: str
    args: Mapping[str, Any]
    original_us: float | None
    blocks: int
    rounds: int
    before: int = 0
    contexts: Sequence[Context] = (Context(),)
    original: str = "–"


SLATES = {"categorical_algorithm": "exponential_weights_slates"}
TWO_POINT = {"feedback": 2, "optimizer": "sgd"}
TREE = {"features": [{"name": "job"}], "height": 3, "leaf_algorithm_args": {"feedback": 2}}

ROWS = (
    Row("uniform_random", "mix", "uniform_random", {}, 7, 9, 1000),
    Row("identity", "mix", "identity", {}, 2, 9, 1000),
    Row("bluefin 1pt rmsprop", "num", "bluefin", {}, 73, 9, 1000),
    Row("bluefin 2pt sgd", "num", "bluefin", TWO_POINT, 64, 9, 1000),
    Row("exponential_weights K=2^10", "cat2", "exponential_weights", {}, 60, 9, 300),
    Row("exponential_weights K=3^10", "cat3", "exponential_weights", {}, 1123, 9, 30),
    Row("exponential_weights K=4^10", "cat4", "exponential_weights", {}, None, 9, 30, original="OverflowError"),
    Row("exponential_weights_slates 10x4", "cat4", "exponential_weights_slates", {}, 118, 9, 500),
    Row("hybrid_solver default", "mix", "hybrid_solver", {}, 182, 9, 500),
    Row(
        "hybrid_solver slates + 2pt",
        "mix",
        "hybrid_solver",
        {**SLATES, "numerical_algorithm_args": {"feedback": 2}},
        183,
        9,
        500,
    ),
    Row("autoscope h=3, 8 jobs, 2pt", "num", "autoscope", TREE, 715, 9, 200, contexts=JOBS),
    Row("slates", "mix", "slates", {}, 1471, 9, 200),
    Row("hopt tpe, rounds 21-80", "mix", "hopt", {}, 17_819, 3, 20, before=20),
    Row("hopt tpe, rounds 301-330", "mix", "hopt", {}, 39_327, 3, 10, before=300),
    Row("bayesian_optimization, rounds 11-25", "mix", "bayesian_optimization", {}, 361_590, 3, 5, before=10),
    Row("ddpg, 400 learning steps", "mix", "ddpg", {"state_config": []}, 638_049, 3, 5, before=10),
    Row("surrogate, rounds 21-80", "mix", "surrogate", {}, None, 3, 20, before=20),
    Row("auto, rounds 301-330", "mix", "auto", {}, None, 3, 10, before=300),
)


def parameters(space: str) -> list[ValueType]:
    """Ten parameters."""
    choices = (
        [
            Categorical(f"p{i:02d}", "a", CATEGORIES[: int(space[3:])] if space != "mix" else CATEGORIES)
            for i in range(10)
        ]
        if space != "num"
        else []
    )
    integers = [Integer(f"p{i:02d}", 10, 0, 20) for i in range(10)]
    reals = [Real(f"p{i:02d}", 0.5, 0.0, 1.0) for i in range(10)]
    if space == "num":
        return [*integers[:5], *reals[5:]]
    return [*choices[:4], *integers[4:7], *reals[7:]] if space == "mix" else list(choices)


def play(tuning: Algorithm, rounds: int, rng: np.random.Generator, contexts: Sequence[Context]) -> None:
    rewards = (0.5 + 0.1 * rng.normal(size=rounds)).tolist()
    single = tuning.capabilities.supports_single_reward
    for i, reward in enumerate(rewards):
        context = contexts[i % len(contexts)]
        prediction = tuning.predict(context)
        if single:
            tuning.set_reward(reward, context.id)
        else:
            tuning.store_reward(prediction.request_id, reward)
            tuning.set_reward(context_id=context.id)


def measure(row: Row, *, quick: bool) -> dict[str, Any]:
    """The figures of a row."""
    seeded = {} if row.algorithm == "identity" else {"random_seed": 1}
    tuning = create_tuning_instance(parameters(row.space), row.algorithm, {**row.args, **seeded})
    rng = np.random.default_rng(1)
    blocks, rounds, before = (1, 2, min(row.before, 10)) if quick else (row.blocks, row.rounds, row.before)
    play(tuning, before, rng, row.contexts)
    calibration = calibration_ms(3 if quick else 15)
    taken = []
    for _ in range(blocks):
        start = time.perf_counter()
        play(tuning, rounds, rng, row.contexts)
        taken.append((time.perf_counter() - start) / rounds * 1e6)
    calibration = (calibration + calibration_ms(3 if quick else 15)) / 2
    us = statistics.median(taken)
    figures = {"us": us, "min": min(taken), "max": max(taken), "calibration_ms": calibration}
    figures["loops"] = us / 1e3 / calibration
    if row.original_us is not None:
        theirs = row.original_us / 1e3 / ORIGINAL_CALIBRATION_MS
        figures |= {"original_us": row.original_us, "original_loops": theirs, "ratio": figures["loops"] / theirs}
    return figures


def attempt(row: Row, *, quick: bool) -> dict[str, Any]:
    """A row with its figures, or with what its algorithm says against running it."""
    about = {"name": row.name, "space": row.space, "original": row.original}
    try:
        return about | measure(row, quick=quick)
    except MissingExtra as error:
        return about | {"not_run": "not available", "why": str(error)}
    except OppertuneError as error:
        return about | {"not_run": "refused", "why": str(error)}


def page(found: list[dict[str, Any]]) -> str:
    """The table, and why what could not be run was not."""
    head = ["algorithm", "space", "µs", "min", "max", "loop ms", "loops", "original µs", "original loops", "ratio"]
    rows = [[row["name"], row["space"], *_cells(row)] for row in found]
    not_run = [f"{row['name']}: {row['why']}." for row in found if "why" in row]
    return "\n\n".join([table(head, rows), *not_run])


def _cells(row: Mapping[str, Any]) -> list[str]:
    formats = {"us": ",.0f", "min": ",.0f", "max": ",.0f", "calibration_ms": ".1f", "loops": ".2g"}
    formats |= {"original_us": ",.0f", "original_loops": ".2g", "ratio": ".2f"}
    instead = {"us": row.get("not_run"), "original_us": row["original"]}
    return [format(row[key], of) if key in row else instead.get(key) or "–" for key, of in formats.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rounds each: only to see that it works")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, on the last line")
    parser.add_argument("--only", default="", help="rows whose names contain one of these, by commas")
    options = parser.parse_args()
    words = [word for word in options.only.split(",") if word]
    found: list[dict[str, Any]] = []
    stopped = False
    stop_on_signals()
    try:
        for row in ROWS:
            if not words or any(word in row.name for word in words):
                print(f"{row.name} ...", file=sys.stderr, flush=True)
                found.append(attempt(row, quick=options.quick))
    except KeyboardInterrupt:
        stopped = True
        print("stopped; what there is follows", file=sys.stderr)
    print(page(found))
    if not options.quick and not words and len(found) == len(ROWS):
        FOLDER.mkdir(exist_ok=True)
        about = "\n\n".join((__doc__ or "").split("\n\n")[:-1])
        made = machine("numpy", "optuna", "torch") + f" The original's loop took {ORIGINAL_CALIBRATION_MS} ms."
        made += " Made by `python benchmarks/latency.py`."
        (FOLDER / "latency.md").write_text(f"# Latency\n\n{about}\n\n{made}\n\n{page(found)}\n")
    if options.json:
        print(json.dumps({"rows": found, "stopped": stopped}))
    sys.exit(1 if stopped else 0)


if __name__ == "__main__":
    main()
