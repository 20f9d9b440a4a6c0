"""The technical summary's code works as it is printed there."""

from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from oppertune.algorithms.base import _PredictResponse
from oppertune.core.types import Context
from oppertune.core.values import Integer, Real

SNIPPETS = Path(__file__).parents[1] / "data" / "snippets"  # as text: a formatter would change them
BASIC = (SNIPPETS / "basic-usage.txt").read_text()
GUIDE = (SNIPPETS / "implementing-new-algorithms.txt").read_text()

PARAMETERS = [Integer("workers", 4, 1, 16), Real("rate", 0.01, 0.001, 0.1)]


class App:
    def __init__(self):
        self.seen = []

    def set_parameters(self, parameters):
        self.seen.append(parameters)

    def run_and_collect_metrics(self):
        now = self.seen[-1]
        return SimpleNamespace(goodness=(now["algorithm"] == "accurate") * 0.5 + 0.02 * now["workers"])


def test_the_basic_usage_snippet_runs_its_hundred_rounds_and_learns():
    app = App()
    names = {"app": app, "calculate_reward": lambda metrics: min(metrics.goodness, 0.9)}
    exec(BASIC, names)  # noqa: S102 - the snippet under test
    assert len(app.seen) == 100
    assert all(list(seen) == ["algorithm", "workers", "learning_rate"] for seen in app.seen)
    assert all(p.contains(seen[p.name]) for seen in app.seen for p in names["parameters"])
    assert names["tuning_instance"].iteration == 100
    late = [seen["algorithm"] for seen in app.seen[50:]]
    assert late.count("accurate") > 30
    assert names["tuning_instance"].recommend()["algorithm"] == "accurate"


def test_the_basic_usage_snippet_stops_when_the_target_is_reached():
    app = App()
    exec(BASIC, {"app": app, "calculate_reward": lambda metrics: 0.95})  # noqa: S102
    assert len(app.seen) == 1


@pytest.fixture
def guide():
    names = {}
    exec(GUIDE, names)  # noqa: S102
    return names["YourCustomAlgorithm"]


def test_the_guides_algorithm_as_printed_runs_the_declared_configuration(guide):
    algorithm = guide(PARAMETERS, custom_param=0.2)
    prediction, request_id = algorithm.predict(Context({"job": 1}))
    assert prediction == {"workers": 4, "rate": 0.01}
    algorithm.set_reward(0.5, Context({"job": 1}).id)
    request = algorithm.ask()
    algorithm.tell(request.id, 0.5)
    assert algorithm.iteration == 2
    assert algorithm.custom_param == 0.2
    assert request_id


def test_an_algorithm_written_by_the_guide_streams_with_nothing_added(guide):
    class Halving(guide):
        class Meta(guide.Meta):
            pass

        def _initialize_algorithm_state(self):
            self.total = 0.0
            self.seen = []

        def _your_prediction_logic(self, current_params, context):
            return {name: value * (0.5 ** len(self.seen)) for name, value in current_params.items()}

        def _update_algorithm_state(self, reward):
            self.total += reward
            self.seen.append(reward)

        def _predict(self, tuning_request):
            response = super()._predict(tuning_request)
            assert isinstance(response, _PredictResponse)
            return response

    original = Halving(PARAMETERS, random_seed=1)
    original.check_streamable()
    assert [p.max for p in original.params] == [15, 1.0], "params are transformed"
    for _ in range(3):
        request = original.ask(Context({"job": 1}))
        original.tell(request.id, 0.25)
    pending = original.ask()
    restored = Halving(PARAMETERS)
    restored.set_state(orjson.loads(orjson.dumps(original.get_state())))
    restored.tell(pending.id, 1.0)
    original.tell(pending.id, 1.0)
    assert restored.total == original.total == 1.75
    assert restored.ask().prediction == original.ask().prediction
    assert restored.recommend(Context({"job": 1})) == original.recommend(Context({"job": 1}))
