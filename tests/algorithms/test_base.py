import math
import random
from typing import Any, cast

import numpy as np
import orjson
import pytest

from narrowing import number, numeric, open_requests
from oppertune.algorithms.all import create_tuning_instance
from oppertune.algorithms.base import Algorithm, _PredictResponse
from oppertune.algorithms.bluefin import BlueFin
from oppertune.core.errors import (
    AlgorithmFault,
    InvalidArgument,
    InvalidParameter,
    InvalidParameterType,
    InvalidReward,
    InvalidState,
    NotStreamable,
    StateMismatch,
    TooManyRequests,
    UnknownRequest,
)
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Integer, Real, ValueType

PARAMETERS: list[ValueType] = [Integer("n", 2, 0, 10, 2), Real("x", 0.5, 0.0, 1.0), Integer("fixed", 7, 7, 7)]


class Probe(Algorithm):
    """Predicts a count, and writes down all that happens to it."""

    class Meta:
        supported_parameter_types = (Integer, Real)
        supports_context = True

    def __init__(self, parameters=PARAMETERS, **kwargs):
        super().__init__(parameters, **kwargs)
        self.asked = 0
        self.learned = []
        self.abandoned = []

    def _predict(self, tuning_request):
        self.asked += 1
        return _PredictResponse({"n": self.asked, "x": self.asked / 100}, {"number": self.asked})

    def _set_reward(self, tuning_request):
        self.learned.append([tuning_request.metadata["number"], tuning_request.reward])

    def _abandon(self, tuning_request):
        self.abandoned.append(tuning_request.metadata["number"])


class Sequences(Probe):
    class Meta:
        supported_parameter_types = (Integer, Real)
        supports_single_reward = False
        supports_sequence_of_rewards = True

    def _set_reward_for_sequence(self, tuning_requests):
        self.learned.append([request.reward for request in tuning_requests])


def test_a_prediction_is_complete_in_order_of_declaration_and_in_own_units():
    request = Probe().ask(request_id="r1")
    assert list(request.prediction.items()) == [("n", 2), ("x", 0.01), ("fixed", 7)]
    assert request.id == "r1"


def test_params_are_what_is_not_constant_in_transformed_units():
    params = Probe().params
    assert [(p.name, p.val, p.min, p.max) for p in map(numeric, params)] == [("n", 1, 0, 5), ("x", 0.5, 0.0, 1.0)]


def test_a_prediction_outside_the_bounds_is_brought_inside():
    algorithm = Probe()
    algorithm.asked = 1000
    assert algorithm.ask().prediction == {"n": 10, "x": 1.0, "fixed": 7}


@pytest.mark.parametrize("prediction", [{"n": 1}, {"n": math.nan, "x": 0.5}, {"n": "1", "x": 0.5}])
def test_a_prediction_that_is_none_is_a_fault_of_the_algorithm_and_opens_no_request(prediction, monkeypatch):
    algorithm = Probe()
    monkeypatch.setattr(Probe, "_predict", lambda self, request: _PredictResponse(prediction))
    with pytest.raises(AlgorithmFault, match="Probe"):
        algorithm.ask()
    assert algorithm.get_tuning_requests() == []


def test_set_reward_learns_from_the_newest_request_of_its_context_and_closes_all_of_it():
    algorithm = Probe()
    context = Context({"job": 1})
    for c in (context, context, None):
        algorithm.ask(c)
    algorithm.set_reward(0.5, context.id)
    assert algorithm.learned == [[2, 0.5]]
    assert algorithm.abandoned == [1], "a configuration that nobody will answer is withdrawn"
    assert len(algorithm.get_tuning_requests()) == 1
    algorithm.set_reward(0.25, Context())
    assert algorithm.learned == [[2, 0.5], [3, 0.25]]


def test_a_repeated_predict_does_not_carry_over_a_stored_reward():
    """Fault 19: the copy of the request brought the old reward along."""
    algorithm = Probe()
    first = algorithm.predict()
    algorithm.store_reward(first.request_id, 0.5)
    algorithm.predict()
    assert [request.reward for request in algorithm.get_tuning_requests()] == [0.5, None]


def test_one_answer_closes_every_id_of_a_configuration_and_is_learned_once():
    algorithm = Probe()
    ids = [algorithm.predict().request_id for _ in range(3)]
    algorithm.tell(ids[1], 0.5)
    assert algorithm.learned == [[1, 0.5]]
    assert algorithm.get_tuning_requests() == []


def test_a_configuration_is_withdrawn_with_the_last_of_its_ids():
    algorithm = Probe()
    ids = [algorithm.predict().request_id for _ in range(2)]
    algorithm.abandon(ids[0])
    assert algorithm.abandoned == []
    algorithm.abandon(ids[1])
    assert algorithm.abandoned == [1]


def test_a_sequence_of_stored_rewards_is_learned_together_also_when_all_are_zero():
    """Fault 20: a sequence of zeros was refused as if nothing had been stored."""
    algorithm = Sequences()
    ids = [algorithm.predict().request_id for _ in range(3)]
    assert len({r.prediction["x"] for r in algorithm.get_tuning_requests()}) == 3, "each predict is new"
    with pytest.raises(InvalidArgument, match="store_reward"):
        algorithm.set_reward()
    algorithm.store_reward(ids[0], 0.0)
    algorithm.store_reward(ids[2], 0)
    algorithm.set_reward()
    assert algorithm.learned == [[0.0, None, 0.0]]
    algorithm.tell(algorithm.ask().id, 0.5)
    assert algorithm.learned[1] == [0.5]
    assert algorithm.iteration == 2


def test_learning_in_a_way_that_the_algorithm_does_not_know_is_refused():
    algorithm, sequences = Probe(), Sequences()
    algorithm.predict()
    sequences.predict()
    with pytest.raises(InvalidArgument):
        algorithm.set_reward()
    with pytest.raises(InvalidArgument):
        sequences.set_reward(0.5)
    with pytest.raises(InvalidArgument):
        algorithm.observe({"n": 2, "x": 0.5, "fixed": 7}, 0.5)


def test_unknown_and_repeated_ids_are_refused():
    algorithm = Probe()
    algorithm.ask(request_id="r")
    asked = algorithm.asked
    with pytest.raises(InvalidArgument, match="open already"):
        algorithm.ask(request_id="r")
    with pytest.raises(InvalidArgument):
        algorithm.ask(request_id="")
    assert algorithm.asked == asked, "nothing is drawn for a request that can't be opened"
    for call in (
        lambda: algorithm.tell("q", 0.5),
        lambda: algorithm.abandon("q"),
        lambda: algorithm.store_reward("q", 1),
    ):
        with pytest.raises(UnknownRequest):
            call()
    with pytest.raises(UnknownRequest):
        algorithm.set_reward(0.5, "elsewhere")


def test_open_requests_are_bounded():
    algorithm = Probe()
    open_requests(algorithm).limit = 3
    for _ in range(3):
        algorithm.ask()
    with pytest.raises(TooManyRequests, match="3"):
        algorithm.ask()
    with pytest.raises(TooManyRequests):
        algorithm.predict()
    algorithm.abandon(algorithm.get_tuning_requests()[0].id)
    algorithm.ask()


def test_what_is_handed_out_is_not_what_is_kept():
    """Fault 29: changing the current prediction changed later ones, and constants were missing from it."""
    algorithm = Probe()
    algorithm.predict()
    current = algorithm.get_current_prediction()
    assert current is not None
    assert current["fixed"] == 7
    current["n"] = 99
    algorithm.ask().prediction["n"] = 99
    later = algorithm.get_current_prediction()
    assert later is not None
    assert later["n"] != 99
    assert algorithm.get_current_prediction("elsewhere") is None


def test_a_learner_that_raises_leaves_the_request_open(monkeypatch):
    algorithm = Probe()
    request = algorithm.ask()
    monkeypatch.setattr(Probe, "_set_reward", lambda self, request: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        algorithm.tell(request.id, 0.5)
    with pytest.raises(ZeroDivisionError):
        algorithm.set_reward(0.5)
    assert [r.id for r in algorithm.get_tuning_requests()] == [request.id]
    assert algorithm.iteration == 0


def test_the_best_mean_reward_per_context_is_recommended_by_default():
    algorithm = Probe()
    context = Context({"job": 1})
    for reward in (0.1, 0.9, 0.3):
        algorithm.tell(algorithm.ask(context).id, reward)
    assert algorithm.recommend(context) == {"n": 4, "x": 0.02, "fixed": 7}
    assert algorithm.recommend() == {"n": 2, "x": 0.5, "fixed": 7}
    algorithm.asked = 1
    algorithm.tell(algorithm.ask(context).id, -5.0)
    assert algorithm.recommend(context)["x"] == 0.03, "the mean counts, not the best"


def test_the_memory_of_what_was_played_is_bounded_and_keeps_the_best():
    algorithm = create_tuning_instance([Real("x", 0.5, 0.0, 1.0)], "uniform_random", {"random_seed": 1})
    best = max((algorithm.ask() for _ in range(500)), key=lambda request: request.prediction["x"])
    for request in algorithm.get_tuning_requests():
        algorithm.tell(request.id, number(request.prediction["x"]))
    assert algorithm.recommend() == best.prediction
    played: Any = algorithm.get_state()["played"]
    assert len(played[""]) == 32
    for i in range(200):
        algorithm.tell(algorithm.ask(Context({"job": i})).id, 0.5)
    played = algorithm.get_state()["played"]
    assert len(played) == 64


def test_an_algorithm_without_contexts_remembers_all_of_them_together():
    algorithm = Sequences()
    algorithm.tell(algorithm.ask(Context({"job": 1})).id, 0.5)
    assert algorithm.recommend(Context({"job": 2})) == algorithm.recommend() == {"n": 2, "x": 0.01, "fixed": 7}


@pytest.mark.parametrize("reward", [np.float32(0.5), np.int64(1), 1, 0.25])
def test_numbers_of_numpy_are_rewards(reward):
    algorithm = Probe()
    algorithm.tell(algorithm.ask().id, reward)
    assert algorithm.learned == [[1, float(reward)]]
    assert type(algorithm.learned[0][1]) is float


@pytest.mark.parametrize("reward", [np.nan, np.float32("inf"), np.bool_(1), [1.0], b"1"])
def test_anything_else_is_not_a_reward(reward):
    algorithm = Probe()
    request = algorithm.ask()
    with pytest.raises(InvalidReward):
        algorithm.tell(request.id, reward)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ([], InvalidParameter),
        ([PARAMETERS[0], PARAMETERS[0]], InvalidParameter),
        ([Categorical("c", "a", ("a",))], InvalidParameterType),
        ([{"type": "categorical", "name": "c", "val": "a", "categories": ["a"]}], TypeError),
        (["n"], InvalidParameterType),
    ],
)
def test_parameters_that_cannot_be_tuned_are_refused(parameters, error):
    with pytest.raises(error):
        Probe(parameters)


def test_parameters_may_be_dictionaries():
    assert Probe([p.to_dict() for p in PARAMETERS]).parameters == tuple(PARAMETERS)


# ---- state ----------------------------------------------------------------------------------------------------------


class Collector(Probe):
    """Holds one of everything that an author may keep."""

    class Meta(Probe.Meta):
        configuration = ("callback",)

    def __init__(self, parameters=PARAMETERS, **kwargs):
        super().__init__(parameters, **kwargs)
        self.callback = print
        self.rng = np.random.default_rng(1)
        self.dice = random.Random(1)
        self.matrix = np.array([[1.0, np.nan], [np.inf, -0.0]])
        self.by_pair = {(1, 2): {3, 4}}
        self.nested = [create_tuning_instance(parameters, "bluefin", {"random_seed": 1})]
        self.big = 2**200
        self.own = parameters[0]

    def _predict(self, tuning_request):
        self.asked += 1
        self.lazy = self.asked
        request = self.nested[0].ask()
        metadata = {"number": self.asked, "id": request.id, "noise": self.rng.normal(size=2)}
        return _PredictResponse({"n": self.dice.randint(0, 5), "x": float(self.rng.random())}, metadata)

    def _set_reward(self, tuning_request):
        self.nested[0].tell(
            tuning_request.metadata["id"], tuning_request.reward + tuning_request.metadata["noise"].sum()
        )


def test_attributes_of_every_kind_are_covered_without_a_line_of_the_author():
    original = Collector()
    original.check_streamable()
    for _ in range(5):
        original.tell(original.ask().id, 0.5)
    pending = original.ask(Context({"a": 1}, id="mine"))
    restored = Collector()
    restored.set_state(orjson.loads(orjson.dumps(original.get_state())))
    assert restored.matrix.tobytes() == original.matrix.tobytes()
    assert restored.by_pair == {(1, 2): {3, 4}}
    assert (restored.big, restored.own, restored.lazy) == (2**200, PARAMETERS[0], 6)
    assert restored.get_tuning_requests() == original.get_tuning_requests() == [pending]
    for algorithm in (original, restored):
        algorithm.tell(pending.id, 0.25)
    assert [original.ask(request_id=f"{i}") for i in range(5)] == [restored.ask(request_id=f"{i}") for i in range(5)]
    [one], [other] = restored.nested, original.nested
    assert isinstance(one, BlueFin)
    assert isinstance(other, BlueFin)
    assert one.centre.tobytes() == other.centre.tobytes()


def test_an_attribute_that_cannot_be_written_is_named():
    algorithm: Any = Probe()
    algorithm.socket = object()
    for call in (algorithm.check_streamable, algorithm.get_state):
        with pytest.raises(NotStreamable, match=r"Probe\.socket.*object"):
            call()


def test_two_attributes_that_share_an_object_are_named():
    algorithm: Any = Probe()
    algorithm.rng = np.random.default_rng(1)
    algorithm.parts = {"left": [algorithm.rng]}
    with pytest.raises(NotStreamable, match="rng and parts"):
        algorithm.check_streamable()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": 2}, InvalidState),
        ({"format": None}, InvalidState),
        ({"algorithm": "Other"}, StateMismatch),
        ({"parameters": "0"}, StateMismatch),
        ({"requests": [{"id": "r"}]}, InvalidState),
        ({"requests": None}, InvalidState),
        ({"iteration": "x"}, InvalidState),
        ({"learner": {"asked": 1}}, StateMismatch),
        ({"learner": {"asked": {"$": "nonsense"}, "learned": [], "abandoned": []}}, InvalidState),
        ({"played": [1]}, InvalidState),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error):
    algorithm = Probe()
    algorithm.ask(request_id="r1")
    algorithm.tell(algorithm.ask(request_id="r2").id, 0.5)
    before = algorithm.get_state()
    with pytest.raises(error):
        algorithm.set_state(Probe().get_state() | change)
    assert algorithm.get_state() == before


def test_a_state_learned_with_other_parameters_is_refused():
    with pytest.raises(StateMismatch, match="parameters"):
        Probe().set_state(Probe(PARAMETERS[:2]).get_state())
    with pytest.raises(InvalidState):
        Probe().set_state(cast("Any", []))


def test_attributes_made_after_a_state_was_written_are_gone_when_it_is_restored():
    algorithm = Collector()
    state = algorithm.get_state()
    algorithm.ask()
    assert algorithm.lazy == 1
    algorithm.set_state(state)
    assert not hasattr(algorithm, "lazy")


def test_an_authors_attributes_cannot_collide_with_the_base_classs():
    algorithm = Probe()
    for name in ("_requests", "_transformers", "_declared", "_played", "_iteration"):
        setattr(algorithm, name, "mine")
    algorithm.tell(algorithm.ask().id, 0.5)
    learner: Any = algorithm.get_state()["learner"]
    assert learner["_requests"] == "mine"
    assert algorithm.iteration == 1
