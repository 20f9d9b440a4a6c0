"""AutoScope does round by round what OPPerTune 0.2.0 did (tests/data/README.md says how that was recorded)."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from narrowing import open_requests
from oppertune.algorithms.autoscope import AutoScope
from oppertune.core.types import Context

ORACLE = json.loads(gzip.decompress((Path(__file__).parents[1] / "data" / "oracle.json.gz").read_bytes()))
CASES = [case for case in ORACLE["cases"] if case["algorithm"] == "autoscope"]

PAIRS_CONTEXTS = {"a_autoscope_twopoint", "h_autoscope_mixed_twopoint_rmsprop_tree"}
"""There the original paired plays of different contexts (its fault 17)."""


def near(x):
    return pytest.approx(x, rel=1e-9, abs=1e-9)


def contexts_of(case):
    recorded = case["contexts"]
    if "data" in recorded:
        return recorded["data"]
    return [{recorded["feature"]: value} for value in recorded["sequence"]]


def played(case, **arguments):
    """The instance after all rounds, with what was recorded checked on the way; its rewards."""
    instance = AutoScope(case["parameters"], **case["arguments"], **arguments)
    objective, result = case["objective"], case["result"]
    recorded = {entry["round"]: entry for entry in result["trajectory"] + result.get("checkpoints", [])}
    rewards = []
    for t, data in enumerate(contexts_of(case)[: case["rounds"]]):
        context = Context(data)
        prediction, request_id = instance.predict(context)
        x = np.array([prediction[name] for name in objective["x"]], dtype=np.float64)
        names = {"np": np, "math": math, "p": prediction, "c": data, "t": t, "x": x, **objective["constants"]}
        rewards.append(float(eval(objective["expression"], names)))  # noqa: S307 - our own data file
        if entry := recorded.get(t):
            request = next(r for r in open_requests(instance) if r.id == request_id)
            assert request.metadata is not None
            assert request.metadata["leaf"] == entry["leaf"]
            assert prediction == near(entry["prediction"])
            assert rewards[-1] == near(entry["reward"])
        instance.set_reward(rewards[-1], context.id)
    return instance, rewards


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_every_recorded_round_is_the_originals(case):
    instance, rewards = played(case, pair_across_contexts=case["id"] in PAIRS_CONTEXTS)
    result = case["result"]
    final = result["final_state"]
    assert instance._tree.weights == pytest.approx(np.array(final["W"]), abs=1e-8)
    assert instance._tree.bias == pytest.approx(np.array(final["bias"]), abs=1e-8)
    for leaf, expected in zip(instance.leaves, final["leaves"], strict=True):
        assert leaf.centre.tolist() == near(expected["centre"])
    assert np.mean(rewards) == near(result["summary"]["mean"])
    assert max(rewards) == near(result["summary"]["max"])
    for value, expected in zip(
        case.get("after", {"values": []})["values"], result.get("after_result", []), strict=True
    ):
        assert instance.predict(Context({case["contexts"]["feature"]: value})).prediction == near(
            expected["prediction"]
        )


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES if case["id"] in PAIRS_CONTEXTS])
def test_the_repair_of_pairs_differs_where_the_original_paired_different_contexts(case):
    with pytest.raises(AssertionError):
        played(case)


def test_all_cases_are_there():
    assert len(CASES) == 10
