"""The technical summary's code works as it is printed there."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import orjson
import pytest
from guided import Halving, YourCustomAlgorithm

from narrowing import registry_entries
from oppertune.algorithms.all import ALGORITHMS, create_tuning_instance
from oppertune.algorithms.autoscope import AutoScope, AutoScopeFeature
from oppertune.algorithms.base import Algorithm
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.types import Context
from oppertune.core.values import Integer, Real, ValueType

SNIPPETS = Path(__file__).parents[1] / "data" / "snippets"  # as text: a formatter would change them
BASIC = (SNIPPETS / "basic-usage.txt").read_text()
CONTEXT_AWARE = (SNIPPETS / "context-aware-tuning.txt").read_text()  # its Context is imported nowhere in the summary

PARAMETERS: list[ValueType] = [Integer("workers", 4, 1, 16), Real("rate", 0.01, 0.001, 0.1)]


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
    names: dict[str, Any] = {"app": app, "calculate_reward": lambda metrics: min(metrics.goodness, 0.9)}
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


def test_the_autoscope_snippet_runs_after_the_first_as_printed():
    names: dict[str, Any] = {"app": App(), "calculate_reward": lambda metrics: metrics.goodness, "Context": Context}
    exec(BASIC, names)  # noqa: S102
    exec(CONTEXT_AWARE, names)  # noqa: S102
    autoscope, context = names["autoscope"], names["context"]
    assert list(names["prediction"]) == ["algorithm", "workers", "learning_rate"]
    assert all(p.contains(names["prediction"][p.name]) for p in names["parameters"])
    assert [request.id for request in autoscope.get_tuning_requests()] == [names["request_id"]]
    autoscope.set_reward(0.5, context.id)
    assert autoscope.iteration == 1


def test_the_guides_features_are_autoscopes():
    names: dict[str, Any] = {"AutoScopeFeature": AutoScopeFeature}
    exec((SNIPPETS / "context-features.txt").read_text(), names)  # noqa: S102
    autoscope = AutoScope(PARAMETERS, names["features"], random_seed=1)
    context = Context({"workload_type": "oltp", "time_of_day": "morning", "user_load": "light"})
    autoscope.tell(autoscope.ask(context).id, 0.5)
    assert autoscope.iteration == 1


def test_the_guides_algorithm_as_printed_runs_the_declared_configuration():
    algorithm = YourCustomAlgorithm(PARAMETERS, custom_param=0.2)
    prediction, request_id = algorithm.predict(Context({"job": 1}))
    assert prediction == {"workers": 4, "rate": 0.01}
    algorithm.set_reward(0.5, Context({"job": 1}).id)
    request = algorithm.ask()
    algorithm.tell(request.id, 0.5)
    assert algorithm.iteration == 2
    assert algorithm.custom_param == 0.2
    assert request_id


def test_the_guides_registry_entry_makes_it_known_by_name(monkeypatch):
    package = ModuleType("theirs.your_custom_algorithm")
    vars(package)["YourCustomAlgorithm"] = YourCustomAlgorithm
    monkeypatch.setitem(sys.modules, "theirs", ModuleType("theirs"))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    names: dict[str, Any] = {"__package__": "theirs", "Dict": dict, "Type": type, "Algorithm": Algorithm}
    exec((SNIPPETS / "registering-new-algorithms.txt").read_text(), names)  # noqa: S102
    monkeypatch.setattr(ALGORITHMS, "_entries", dict(registry_entries()))
    ALGORITHMS.update(names["ALGORITHMS"])
    assert type(create_tuning_instance(PARAMETERS, "your_custom_algorithm")) is YourCustomAlgorithm


def test_an_algorithm_written_by_the_guide_streams_with_nothing_added():
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


class TestTheGuidesAlgorithmKeepsTheContract(AlgorithmConformance):
    @pytest.fixture
    def make(self):
        return lambda seed: Halving(PARAMETERS, random_seed=seed)
