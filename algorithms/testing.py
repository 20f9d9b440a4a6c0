"""What every algorithm must keep to, as tests that an author inherits.

For example::

    import pytest
    from oppertune.algorithms.testing import AlgorithmConformance

    class TestMyAlgorithm(AlgorithmConformance):
        long_rounds = 20_000

        @pytest.fixture
        def make(self):
            return lambda seed: MyAlgorithm(parameters, random_seed=seed)

``make(seed)`` builds a new instance, always with the same parameters and arguments but for the seed.
"""

# ruff: noqa: S101, S311, D102 - tests assert, draw reproducibly, and are named by what they say

import copy
import inspect
import math
import random
import sys
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, TypeAlias

import numpy as np
import orjson

from ..core.errors import InvalidArgument, InvalidParameterType, InvalidReward, OppertuneError, UnknownRequest
from ..core.state import JsonDict, JsonValue, encode
from ..core.types import Context, PredictionType
from ..core.values import Categorical, Integer, Real
from .base import Algorithm

Make: TypeAlias = Callable[[int], Algorithm]

CONTEXTS = (Context(), Context({"job": 1}), Context({"job": 2}))

KINDS = (Categorical("kind", "a", ("a", "b")), Integer("count", 1, 0, 3), Real("share", 0.5, 0.0, 1.0))
"""A parameter of every kind."""

SERIES: tuple[Callable[[float], float], ...] = (
    lambda u: 1e-9 * u,
    lambda u: 1e9 * u,
    lambda u: u - 1.0,
    lambda u: -1e9 * u,
    lambda u: 1e9 + u,
    lambda u: (u - 0.5) * 10 ** (18 * u - 9),
    lambda _: 0.0,
    lambda _: -5.0,
)
"""Rewards of every scale and sign, and constant ones, from numbers in [0, 1)."""


def some_reward(prediction: PredictionType) -> float:
    """A reward in [0, 1) that depends on nothing but the configuration."""
    return zlib.crc32(repr(sorted(prediction.items())).encode()) / 2**32


def through_json(state: JsonDict) -> JsonDict:
    """A state as it comes back from a topic. Fails where something in it has no JSON of its own (tuples, NaN)."""
    read: JsonDict = orjson.loads(orjson.dumps(state))
    assert read == state
    return read


def assert_legal(algorithm: Algorithm, prediction: PredictionType) -> None:
    """Fails unless every parameter has a legal value of its plain Python type, in the order of declaration."""
    assert list(prediction) == [p.name for p in algorithm.parameters]
    for p in algorithm.parameters:
        assert type(prediction[p.name]) is p.dtype, p.name
        assert p.contains(prediction[p.name]), (p, prediction[p.name])


def assert_finite(algorithm: Algorithm) -> None:
    """Fails where something learned is no finite number."""
    state = algorithm.get_state()
    for name in ("learner", "played"):
        assert _finite(state.get(name)), f"not finite: {state[name]}"


def move(
    algorithm: Algorithm, script: random.Random, contexts: Sequence[Context] = CONTEXTS
) -> PredictionType | str | None:
    """Ask, tell, abandon, predict or store a reward, as the script has it, and return what came back."""
    pending = algorithm.get_tuning_requests()
    kind = script.random()
    context = script.choice(contexts)
    if kind < 0.45 or not pending:
        return algorithm.ask(context, request_id=f"{script.getrandbits(64):x}").prediction
    if kind < 0.5:
        return algorithm.predict(context).prediction
    request = script.choice(pending)
    if kind < 0.85:
        algorithm.tell(request.id, some_reward(request.prediction))
    elif kind < 0.95:
        algorithm.abandon(request.id)
    else:
        algorithm.store_reward(request.id, some_reward(request.prediction))
    return None


class AlgorithmConformance:
    """The contract. Each test takes ``make``, a fixture that the subclass provides.

    Attributes:
        contexts: What it is asked for: contexts that are legal with its arguments, at least one.
        steps: Rounds of a test, about. Fewer where a round takes milliseconds.
        long_rounds: Rounds after which nothing may have drifted, nor be larger than halfway: 20,000 where a round takes
            microseconds, and by then every memory must be full. 0: that test is left out.
    """

    contexts: ClassVar[tuple[Context, ...]] = CONTEXTS
    steps: ClassVar[int] = 40
    long_rounds: ClassVar[int] = 0

    def context(self, turn: int = 0) -> Context:
        """The contexts in turn, copied: what an algorithm writes into one in one test is not there in the next."""
        return copy.deepcopy(self.contexts[turn % len(self.contexts)])

    def play(self, algorithm: Algorithm, script: random.Random, steps: int) -> list[PredictionType | str | None]:
        """What comes back from a number of random moves."""
        contexts = copy.deepcopy(self.contexts)
        return [move(algorithm, script, contexts) for _ in range(steps)]

    def recommended(self, algorithm: Algorithm) -> list[PredictionType]:
        """The recommendation for each context."""
        return [algorithm.recommend(context) for context in copy.deepcopy(self.contexts)]

    # ---- what it predicts -------------------------------------------------------------------------------------------

    def test_every_prediction_is_legal_whatever_the_rewards(self, make: Make) -> None:
        algorithm = make(1)
        rewards = [0.5, -1.0, 0.0, 1e300, -1e300, 1e-320, 1000.0, -1000.0]
        for i in range(self.steps):
            context = self.context(i)
            request = algorithm.ask(context)
            assert_legal(algorithm, request.prediction)
            algorithm.tell(request.id, rewards[i % len(rewards)])
            assert_legal(algorithm, algorithm.recommend(context))
        assert_finite(algorithm)

    def test_rewards_of_any_scale_and_sign_leave_it_finite(self, make: Make) -> None:
        for series in SERIES:
            algorithm, script = make(2), random.Random(1)
            for i in range(self.steps):
                request = algorithm.ask(self.context(i))
                assert_legal(algorithm, request.prediction)
                algorithm.tell(request.id, series(script.random()))
            for prediction in self.recommended(algorithm):
                assert_legal(algorithm, prediction)
            assert_finite(algorithm)

    def test_many_rounds_neither_let_it_drift_nor_grow(self, make: Make) -> None:
        algorithm, contexts = make(2), copy.deepcopy(self.contexts)
        sizes = []
        for i in range(self.long_rounds):
            request = algorithm.ask(contexts[i % len(contexts)])
            # Alike and negative: nothing wins, so nothing stops what rounding errors there are from growing.
            algorithm.tell(request.id, -1.0)
            if (i + 1) % (self.long_rounds // 2) == 0:
                assert_legal(algorithm, request.prediction)
                assert_finite(algorithm)
                sizes.append(len(orjson.dumps(algorithm.get_state())))
        assert not sizes or sizes[-1] < 1.05 * sizes[0] + 100, f"a state of {sizes[0]} bytes grew to {sizes[-1]}"

    def test_the_same_seed_gives_the_same_predictions(self, make: Make) -> None:
        first, second = make(7), make(7)
        assert self.play(first, random.Random(1), self.steps) == self.play(second, random.Random(1), self.steps)

    def test_recommending_changes_nothing_and_is_the_declared_configuration_at_first(self, make: Make) -> None:
        algorithm = make(5)
        for context in (None, *copy.deepcopy(self.contexts)):
            assert algorithm.recommend(context) == {p.name: p.val for p in algorithm.parameters}
        self.play(algorithm, random.Random(1), self.steps)
        before = orjson.dumps(algorithm.get_state())
        for prediction in self.recommended(algorithm):
            assert_legal(algorithm, prediction)
        assert orjson.dumps(algorithm.get_state()) == before

    # ---- its state --------------------------------------------------------------------------------------------------

    def test_a_state_taken_at_any_moment_continues_equal(self, make: Make) -> None:
        for moment in (0, 1, self.steps // 3, self.steps):
            original, script = make(3), random.Random(moment)
            self.play(original, script, moment)
            state = original.get_state()
            kept = orjson.dumps(state)
            restored = make(4)
            restored.set_state(through_json(state))
            assert orjson.dumps(restored.get_state()) == kept
            script_again = random.Random()
            script_again.setstate(script.getstate())
            assert self.play(original, script, self.steps) == self.play(restored, script_again, self.steps)
            assert self.recommended(original) == self.recommended(restored)
            assert original.iteration == restored.iteration
            assert orjson.dumps(state) == kept, "a state must not change after it was taken"

    def test_a_restart_after_every_call_makes_no_difference(self, make: Make) -> None:
        original, script = make(3), random.Random(1)
        restarted, script_again = make(3), random.Random(1)
        contexts = copy.deepcopy(self.contexts)
        for i in range(self.steps):
            state = through_json(restarted.get_state())
            restarted = make(4)
            restarted.set_state(state)
            came, came_again = move(original, script, contexts), move(restarted, script_again, contexts)
            assert came == came_again, f"move {i}"
        assert self.recommended(original) == self.recommended(restarted)
        assert original.iteration == restarted.iteration

    def test_a_state_can_be_taken_back(self, make: Make) -> None:
        algorithm = make(3)
        self.play(algorithm, random.Random(1), self.steps // 2)
        state = algorithm.get_state()
        once = self.play(algorithm, random.Random(2), self.steps // 2)
        algorithm.set_state(state)
        assert self.play(algorithm, random.Random(2), self.steps // 2) == once

    def test_it_can_be_streamed(self, make: Make) -> None:
        algorithm = make(3)
        algorithm.check_streamable()
        self.play(algorithm, random.Random(1), self.steps // 2)
        algorithm.check_streamable()

    # ---- its requests -----------------------------------------------------------------------------------------------

    def test_requests_are_answered_in_any_order_and_once(self, make: Make) -> None:
        for shuffled in (False, True):
            algorithm = make(5)
            requests = [algorithm.ask(self.context(i)) for i in range(12)]
            assert len({request.id for request in requests}) == 12
            requests.reverse()
            if shuffled:
                random.Random(1).shuffle(requests)
            for request in requests:
                algorithm.tell(request.id, some_reward(request.prediction))
                assert _raises(UnknownRequest, algorithm.tell, request.id, 0.5)
            assert algorithm.get_tuning_requests() == []
            assert_legal(algorithm, algorithm.ask(self.context()).prediction)

    def test_what_is_said_twice_or_of_no_request_is_refused_and_changes_nothing(self, make: Make) -> None:
        algorithm, context = make(5), self.context()
        answered, abandoned, still_open = (algorithm.ask(context) for _ in range(3))
        algorithm.tell(answered.id, 0.5)
        algorithm.abandon(abandoned.id)
        before = orjson.dumps(algorithm.get_state())
        assert _raises(InvalidArgument, algorithm.ask, context, still_open.id)
        for request_id in (answered.id, abandoned.id, "never"):
            assert _raises(UnknownRequest, algorithm.tell, request_id, 0.5)
            assert _raises(UnknownRequest, algorithm.abandon, request_id)
            assert _raises(UnknownRequest, algorithm.store_reward, request_id, 0.5)
        assert orjson.dumps(algorithm.get_state()) == before

    def test_an_abandoned_request_is_closed_and_teaches_nothing(self, make: Make) -> None:
        algorithm = make(5)
        for _ in range(6):
            request = algorithm.ask(self.context())
            algorithm.tell(request.id, some_reward(request.prediction))
        before, count = self.recommended(algorithm), algorithm.iteration
        for request in [algorithm.ask(self.context(i)) for i in range(9)]:
            algorithm.abandon(request.id)
        assert self.recommended(algorithm) == before
        assert algorithm.iteration == count
        assert algorithm.get_tuning_requests() == []

    def test_abandoned_requests_leave_nothing_behind(self, make: Make) -> None:
        algorithm, sizes = make(5), []
        for i in range(3 * self.steps):
            algorithm.abandon(algorithm.ask(self.context(i)).id)
            sizes.append(len(orjson.dumps(algorithm.get_state())))
        third = len(sizes) // 3
        assert max(sizes[-third:]) < max(sizes[:third]) + 100

    def test_a_reward_that_is_not_finite_is_refused_and_changes_nothing(self, make: Make) -> None:
        algorithm = make(5)
        request = algorithm.ask(self.context())
        before = orjson.dumps(algorithm.get_state())
        for reward in (math.nan, math.inf, -math.inf, True, "1", None, 10**400):
            assert _raises(InvalidReward, algorithm.tell, request.id, reward)
            assert _raises(InvalidReward, algorithm.store_reward, request.id, reward)
            if reward is not None:
                assert _raises(InvalidReward, algorithm.set_reward, reward, request.context.id)
        assert orjson.dumps(algorithm.get_state()) == before
        algorithm.tell(request.id, 0.5)

    def test_what_needs_rewards_from_0_to_1_cuts_those_that_are_scaled(self, make: Make) -> None:
        def learned(reward: float, *, scaled: bool) -> JsonValue:
            algorithm = make(5)
            for i in range(self.steps):
                request = algorithm.ask(self.context(i))
                algorithm.tell(request.id, some_reward(request.prediction) if i else reward, {"scaled": scaled})
            return algorithm.get_state()["learner"]

        if make(5).capabilities.needs_unit_rewards:
            assert learned(-7.0, scaled=True) == learned(0.0, scaled=True)
            assert learned(7.0, scaled=True) == learned(1.0, scaled=True)
            assert learned(-7.0, scaled=False) != learned(0.0, scaled=False)

    def test_both_ways_in_are_equal_round_by_round(self, make: Make) -> None:
        app, stream = make(9), make(9)
        for i in range(self.steps):
            context = self.context(i)
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
        algorithm, context = make(9), self.context()
        if algorithm.capabilities.supports_sequence_of_rewards:
            return
        first, second = algorithm.predict(context), algorithm.predict(context)
        assert first.prediction == second.prediction
        assert first.request_id != second.request_id
        algorithm.set_reward(0.5, context.id)
        assert algorithm.get_tuning_requests() == []
        assert algorithm.iteration <= 1

    # ---- what it leaves alone ---------------------------------------------------------------------------------------

    def test_what_it_was_given_and_what_it_gave_are_the_callers(self, make: Make) -> None:
        algorithm = make(5)
        for context in copy.deepcopy(self.contexts):
            data = {"note": [1, {"deep": 2}]}
            given = copy.deepcopy((context.data, data))
            algorithm.predict(context, data)
            request = algorithm.ask(context)
            before = orjson.dumps(algorithm.get_state())
            algorithm.recommend(context).clear()
            for pending in (request, *algorithm.get_tuning_requests()):
                pending.prediction.clear()
            assert orjson.dumps(algorithm.get_state()) == before
            algorithm.tell(request.id, 0.5, data)
            assert (context.data, data) == given

    def test_neither_global_randomness_nor_other_settings_are_touched(self, make: Make) -> None:
        make(1)  # loads what it needs
        before = _global_settings()
        self.play(make(1), random.Random(1), self.steps)
        assert _global_settings() == before

    def test_instances_in_threads_do_not_disturb_each_other(self, make: Make) -> None:
        def played(seed: int) -> list[PredictionType | str | None]:
            return self.play(make(seed), random.Random(seed), self.steps)

        alone = [played(seed) for seed in range(3)]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(3) as pool:
                assert list(pool.map(played, range(3))) == alone
        finally:
            sys.setswitchinterval(before)

    # ---- its flags tell the truth -----------------------------------------------------------------------------------

    def test_it_takes_the_kinds_of_parameters_that_it_says(self, make: Make) -> None:
        algorithm = type(make(1))
        try:
            inspect.signature(algorithm).bind(KINDS)
        except TypeError:
            return  # it needs arguments that only its author knows
        for parameter in KINDS:
            if not isinstance(parameter, algorithm.capabilities.supported_parameter_types):
                assert _raises(InvalidParameterType, algorithm, [parameter])
                continue
            one = algorithm([parameter])
            request = one.ask()
            assert_legal(one, request.prediction)
            one.tell(request.id, 0.5)

    def test_a_context_makes_a_difference_only_where_it_says_so(self, make: Make) -> None:
        first, second = make(5), make(5)
        if first.capabilities.supports_context:
            return
        # The id may keep the halves of a pair, or what was played, apart: the data must not matter.
        contexts = copy.deepcopy(self.contexts)
        others = tuple(Context({"other": c.data}, id=c.id) if c.id else c for c in contexts)
        script, script_again = random.Random(1), random.Random(1)
        for i in range(self.steps):
            assert move(first, script, contexts) == move(second, script_again, others), f"move {i}"
        assert self.recommended(first) == [second.recommend(context) for context in others]

    def test_it_takes_rewards_in_the_ways_that_it_says(self, make: Make) -> None:
        algorithm, context = make(5), self.context(-1)
        flags = algorithm.capabilities
        if flags.needs_rewards:
            refused = UnknownRequest if flags.supports_single_reward else InvalidArgument
            assert _raises(refused, algorithm.set_reward, 0.5)
        algorithm.predict(context)
        before = orjson.dumps(algorithm.get_state())
        if not flags.supports_single_reward:
            assert _raises(InvalidArgument, algorithm.set_reward, 0.5, context.id)
        if not flags.supports_sequence_of_rewards:
            assert _raises(InvalidArgument, algorithm.set_reward, None, context.id)
        assert orjson.dumps(algorithm.get_state()) == before
        if flags.supports_single_reward:
            algorithm.set_reward(0.5, context.id)
        if flags.supports_sequence_of_rewards:
            for response in [algorithm.predict(context) for _ in range(3)]:
                algorithm.store_reward(response.request_id, some_reward(response.prediction))
            algorithm.set_reward(context_id=context.id)
        assert algorithm.get_tuning_requests() == []

    def test_what_nobody_would_run_is_closed_and_it_goes_on(self, make: Make) -> None:
        algorithm, context = make(5), self.context(-1)
        for worst in (None, None, 0.0, 0.0):
            request = algorithm.ask(context)
            assert algorithm.refuse(request.id, worst) in {None, worst}
            assert algorithm.get_tuning_requests() == []
            assert _raises(UnknownRequest, algorithm.refuse, request.id, worst)
        answered = algorithm.ask(context)
        algorithm.tell(answered.id, some_reward(answered.prediction))
        again = make(5)
        again.set_state(orjson.loads(orjson.dumps(algorithm.get_state())))
        assert again.ask(context).prediction == algorithm.ask(context).prediction

    def test_what_it_remembers_are_legal_configurations_and_their_rewards(self, make: Make) -> None:
        algorithm, context = make(5), self.context(-1)
        assert algorithm.observations(context) == []
        told = []
        for _ in range(3):
            request = algorithm.ask(context)
            told.append(some_reward(request.prediction))
            algorithm.tell(request.id, told[-1])
        seen = algorithm.observations(context)
        assert all(p.contains(one.prediction[p.name]) for one in seen for p in algorithm.parameters)
        assert all(min(told) <= one.reward <= max(told) for one in seen)

    def test_what_is_held_keeps_its_value(self, make: Make) -> None:
        """And what is learned of it is of the configuration that ran, where a learner can learn from others."""
        algorithm, draw = make(6), random.Random(6)
        for i in range(30):
            context, other = self.context(i), make(100 + i).ask(self.context(i)).prediction
            names = draw.sample(list(other), draw.randint(1, len(other)))
            held = {name: other[name] for name in names}
            request = algorithm.ask(context, held=held)
            assert_legal(algorithm, request.prediction)
            assert held.items() <= request.prediction.items()
            restored = make(6)
            restored.set_state(through_json(algorithm.get_state()))
            for instance in (algorithm, restored):
                if i % 5:
                    instance.tell(request.id, some_reward(request.prediction))
                else:
                    instance.abandon(request.id)
            assert restored.get_state() == algorithm.get_state()
        name = algorithm.parameters[0].name
        before = algorithm.get_state()
        assert _raises(InvalidArgument, algorithm.ask, None, None, {name: object()})
        assert _raises(InvalidArgument, algorithm.ask, None, None, {"no such": 1})
        assert algorithm.get_state() == before

    def test_it_learns_from_others_only_where_it_says_so(self, make: Make) -> None:
        algorithm, asked, context = make(5), make(5), self.context(-1)
        request = asked.ask(context)
        before, before_asked = _learned(algorithm), _learned(asked)
        if not algorithm.capabilities.learns_from_others:
            assert _raises(InvalidArgument, algorithm.observe, request.prediction, 0.5, context)
            assert _learned(algorithm) == before
            return
        assert _raises(InvalidArgument, algorithm.observe, {}, 0.5, context)
        assert _raises(InvalidReward, algorithm.observe, request.prediction, math.nan, context)
        assert _learned(algorithm) == before
        kept = dict(request.prediction)
        asked.tell(request.id, 0.5)
        algorithm.observe(request.prediction, 0.5, context)
        assert request.prediction == kept
        assert (_learned(algorithm) != before) == (_learned(asked) != before_asked), "it learns what it asked for alone"


def _raises(error: type[OppertuneError], call: Callable[..., object], *args: object) -> bool:
    try:
        call(*args)
    except error:
        return True
    return False


def _learned(algorithm: Algorithm) -> bytes:
    """What an instance has learned, as far as it is written."""
    state = algorithm.get_state()
    return orjson.dumps([state["learner"], state.get("played")])


def _finite(encoded: object) -> bool:
    if isinstance(encoded, list):
        return all(map(_finite, encoded))
    if not isinstance(encoded, dict):
        return True
    if encoded.get("$") == "float":
        return False
    if encoded.get("$") == "array":
        return not any(isinstance(number, str) for number in encoded["data"])
    return all(map(_finite, encoded.values()))


def _global_settings() -> list[object]:
    """What belongs to the host process, and a learner could change by mistake."""
    settings: list[object] = [random.getstate(), encode(np.random.get_state(legacy=False)), np.geterr()]  # noqa: NPY002 - the global
    torch = sys.modules.get("torch")
    if torch is not None:
        settings += [torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads()]
        settings.append(torch.is_grad_enabled())
    return settings
