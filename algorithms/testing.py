"""What every algorithm must keep to, as tests that an author inherits.

For example::

    import pytest
    from oppertune.algorithms.testing import AlgorithmConformance

    class TestMyAlgorithm(AlgorithmConformance):
        @pytest.fixture
        def make(self):
            return lambda seed: MyAlgorithm(parameters, random_seed=seed)

``make(seed)`` builds a new instance, always with the same parameters and arguments but for the seed.
"""

# ruff: noqa: S101, S311, D102 - tests assert, draw reproducibly, and are named by what they say

import math
import random
import zlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

import orjson

from ..core.errors import InvalidReward, OppertuneError, UnknownRequest
from ..core.state import JsonDict
from ..core.types import Context, PredictionType, PredictResponse, TuningRequest
from .base import Algorithm

Make: TypeAlias = Callable[[int], Algorithm]

CONTEXTS = (Context(), Context({"job": 1}), Context({"job": 2}))


def some_reward(prediction: PredictionType) -> float:
    """A reward in [0, 1) that depends on nothing but the configuration."""
    return zlib.crc32(repr(sorted(prediction.items())).encode()) / 2**32


def through_json(state: JsonDict) -> JsonDict:
    """A state as it comes back from a topic. Fails where it is not strict JSON."""
    text = orjson.dumps(state)
    assert b"NaN" not in text
    read: JsonDict = orjson.loads(text)
    return read


def assert_legal(algorithm: Algorithm, prediction: PredictionType) -> None:
    """Fails unless every parameter has a legal value of its plain Python type, in the order of declaration."""
    assert list(prediction) == [p.name for p in algorithm.parameters]
    for p in algorithm.parameters:
        assert type(prediction[p.name]) is p.dtype, p.name
        assert p.contains(prediction[p.name]), (p, prediction[p.name])


def play(algorithm: Algorithm, script: random.Random, steps: int) -> Iterator[TuningRequest | PredictResponse]:
    """Ask, tell, abandon and predict in a random order, and yield what came back."""
    for _ in range(steps):
        pending = algorithm.get_tuning_requests()
        move = script.random()
        context = script.choice(CONTEXTS)
        if move < 0.45 or not pending:
            yield algorithm.ask(context, request_id=f"{script.getrandbits(64):x}")
        elif move < 0.85:
            request = script.choice(pending)
            algorithm.tell(request.id, some_reward(request.prediction))
        elif move < 0.95:
            algorithm.abandon(script.choice(pending).id)
        else:
            yield PredictResponse(algorithm.predict(context).prediction, "")  # its id is random by design


class AlgorithmConformance:
    """The contract. Each test takes ``make``, a fixture that the subclass provides."""

    def test_every_prediction_is_legal_whatever_the_rewards(self, make: Make) -> None:
        algorithm = make(1)
        rewards = [0.5, -1.0, 0.0, 1e300, -1e300, 1e-320, 1000.0, -1000.0]
        for i in range(40):
            request = algorithm.ask()
            assert_legal(algorithm, request.prediction)
            algorithm.tell(request.id, rewards[i % len(rewards)])
            assert_legal(algorithm, algorithm.recommend())

    def test_the_same_seed_gives_the_same_predictions(self, make: Make) -> None:
        first, second = make(7), make(7)
        assert list(play(first, random.Random(1), 60)) == list(play(second, random.Random(1), 60))

    def test_a_state_taken_at_any_moment_continues_equal(self, make: Make) -> None:
        for moment in range(0, 40, 3):
            original, script = make(3), random.Random(moment)
            list(play(original, script, moment))
            state = original.get_state()
            kept = orjson.dumps(state)
            restored = make(4)
            restored.set_state(through_json(state))
            assert orjson.dumps(restored.get_state()) == kept
            script_again = random.Random()
            script_again.setstate(script.getstate())
            assert list(play(original, script, 40)) == list(play(restored, script_again, 40))
            assert original.recommend() == restored.recommend()
            assert original.iteration == restored.iteration
            assert orjson.dumps(state) == kept, "a state must not change after it was taken"

    def test_a_state_can_be_taken_back(self, make: Make) -> None:
        algorithm = make(3)
        list(play(algorithm, random.Random(1), 20))
        state = algorithm.get_state()
        script = random.Random(2)
        once = list(play(algorithm, script, 20))
        algorithm.set_state(state)
        assert list(play(algorithm, random.Random(2), 20)) == once

    def test_it_can_be_streamed(self, make: Make) -> None:
        algorithm = make(3)
        algorithm.check_streamable()
        list(play(algorithm, random.Random(1), 20))
        algorithm.check_streamable()

    def test_requests_are_answered_in_any_order_and_once(self, make: Make) -> None:
        algorithm = make(5)
        requests = [algorithm.ask(CONTEXTS[i % len(CONTEXTS)]) for i in range(12)]
        assert len({request.id for request in requests}) == 12
        random.Random(1).shuffle(requests)
        for request in requests:
            algorithm.tell(request.id, some_reward(request.prediction))
            assert _raises(UnknownRequest, algorithm.tell, request.id, 0.5)
        assert algorithm.get_tuning_requests() == []

    def test_an_abandoned_request_is_closed_and_teaches_nothing(self, make: Make) -> None:
        algorithm = make(5)
        for _ in range(6):
            request = algorithm.ask()
            algorithm.tell(request.id, some_reward(request.prediction))
        before, count = algorithm.recommend(), algorithm.iteration
        for request in [algorithm.ask(context) for context in CONTEXTS * 3]:
            algorithm.abandon(request.id)
            assert _raises(UnknownRequest, algorithm.tell, request.id, 0.5)
            assert _raises(UnknownRequest, algorithm.abandon, request.id)
        assert algorithm.recommend() == before
        assert algorithm.iteration == count
        assert algorithm.get_tuning_requests() == []

    def test_a_reward_that_is_not_finite_is_refused_and_changes_nothing(self, make: Make) -> None:
        algorithm = make(5)
        request = algorithm.ask()
        before = orjson.dumps(algorithm.get_state())
        for reward in (math.nan, math.inf, -math.inf, True, "1", None, 10**400):
            assert _raises(InvalidReward, algorithm.tell, request.id, reward)
            assert _raises(InvalidReward, algorithm.store_reward, request.id, reward)
            if reward is not None:
                assert _raises(InvalidReward, algorithm.set_reward, reward)
        assert orjson.dumps(algorithm.get_state()) == before
        algorithm.tell(request.id, 0.5)

    def test_recommending_changes_nothing_and_is_the_declared_configuration_at_first(self, make: Make) -> None:
        algorithm = make(5)
        assert algorithm.recommend() == {p.name: p.val for p in algorithm.parameters}
        list(play(algorithm, random.Random(1), 30))
        before = orjson.dumps(algorithm.get_state())
        for context in CONTEXTS:
            assert_legal(algorithm, algorithm.recommend(context))
        assert orjson.dumps(algorithm.get_state()) == before

    def test_both_ways_in_are_equal_round_by_round(self, make: Make) -> None:
        app, stream = make(9), make(9)
        for i in range(40):
            context = CONTEXTS[i % len(CONTEXTS)]
            response, request = app.predict(context), stream.ask(context)
            assert response.prediction == request.prediction, f"round {i}"
            reward = some_reward(request.prediction)
            if app.capabilities.supports_single_reward:
                app.set_reward(reward, context.id)
            else:
                app.store_reward(response.request_id, reward)
                app.set_reward(context_id=context.id)
            stream.tell(request.id, reward)
            assert app.iteration == stream.iteration
            assert app.recommend(context) == stream.recommend(context)

    def test_predicting_again_returns_the_pending_configuration(self, make: Make) -> None:
        algorithm = make(9)
        if algorithm.capabilities.supports_sequence_of_rewards:
            return
        first, second = algorithm.predict(), algorithm.predict()
        assert first.prediction == second.prediction
        assert first.request_id != second.request_id
        algorithm.set_reward(0.5)
        assert algorithm.get_tuning_requests() == []
        assert algorithm.iteration <= 1


def _raises(error: type[OppertuneError], call: Callable[..., object], *args: object) -> bool:
    try:
        call(*args)
    except error:
        return True
    return False
