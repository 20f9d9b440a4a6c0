"""The stream and the in-process loop are one: same seed, same rewards, same predictions, round by round."""

from collections.abc import Mapping
from typing import Any

import pytest

from oppertune.algorithms.all import create_tuning_instance
from oppertune.schemas import TunerSpec
from world import SPEC, World, spec

CATEGORIES = [
    {"name": "mode", "type": "categorical", "val": "b", "categories": ["a", "b", "c"]},
    {"name": "level", "type": "categorical", "val": "y", "categories": ["x", "y"]},
]
NUMBERS = [
    {"name": "pool", "type": "integer", "val": 10, "min": 0, "max": 100, "step": 5},
    {"name": "ratio", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0},
    {"name": "step", "type": "real", "val": 0.3, "min": 0.0, "max": 1.0, "step": 0.1},
    {"name": "constant", "type": "integer", "val": 3, "min": 3, "max": 3},
]
CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "bluefin-1": ("bluefin", NUMBERS, {"feedback": 1, "random_seed": 1}),
    "bluefin-2": ("bluefin", NUMBERS, {"feedback": 2, "random_seed": 2}),
    "bluefin-sgd": ("bluefin", NUMBERS, {"feedback": 2, "optimizer": "sgd", "eta_decay_rate": 0.03, "random_seed": 3}),
    "exponential_weights": ("exponential_weights", CATEGORIES, {"random_seed": 4}),
    "exponential_weights_slates": ("exponential_weights_slates", CATEGORIES, {"random_seed": 5}),
    "hybrid_solver": ("hybrid_solver", CATEGORIES + NUMBERS, {"random_seed": 6}),
    "hybrid_solver-args": (
        "hybrid_solver",
        CATEGORIES + NUMBERS,
        {
            "categorical_algorithm": "exponential_weights_slates",
            "categorical_algorithm_args": {"random_seed": 123},
            "numerical_algorithm_args": {"feedback": 2, "random_seed": 123},
        },
    ),
    "uniform_random": ("uniform_random", CATEGORIES + NUMBERS, {"random_seed": 7}),
    "identity": ("identity", CATEGORIES + NUMBERS, {}),
}


def reward_of(values: Mapping[str, object]) -> float:
    return sum(float(v) / 100 if isinstance(v, int | float) else 0.1 * len(str(v) + "x") for v in values.values()) % 1.0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted-every-round"])
def test_stream_and_in_process_predict_the_same(case, restarts):
    algorithm, parameters, args = CASES[case]
    written = spec(
        parameters=parameters,
        algorithm={"name": algorithm, "args": args},
        measurement={**SPEC["measurement"], "min_samples": 1},
    )
    in_process = create_tuning_instance(TunerSpec.model_validate(written).values(), algorithm, args)
    world = World()
    world.apply(written)
    world.here()
    world.fold()
    for _ in range(60):
        prediction, _ = in_process.predict()
        streamed = world.config().arms[0].values
        assert streamed == prediction
        reward = reward_of(prediction)
        in_process.set_reward(reward)
        world.now_ms += 1000
        world.measured("a", reward)
        world.fold()
        if restarts:
            world.restore()
    if algorithm != "identity":
        assert len({r.request_id for r in world.rounds}) == 60
        assert len({str(r.values) for r in world.rounds}) > 1, "it did explore"
