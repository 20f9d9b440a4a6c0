"""The conformance suite finds what it looks for: each of these algorithms breaks one clause of the contract."""

import random

import numpy as np
import pytest

from oppertune.algorithms.base import Algorithm, _PredictResponse
from oppertune.algorithms.testing import AlgorithmConformance
from oppertune.core.values import Categorical, Integer, Real

PARAMETERS = (Categorical("mode", "a", ("a", "b")), Integer("pool", 5, 1, 9))
TESTS = [name for name in dir(AlgorithmConformance) if name.startswith("test_")]


class Suite(AlgorithmConformance):
    long_rounds = 200


class Sound(Algorithm):
    """Draws, and keeps the sum of its rewards: nothing wrong with it."""

    class Meta:
        supported_parameter_types = (Categorical, Integer, Real)

    def __init__(self, parameters, random_seed=None):
        super().__init__(parameters, random_seed=random_seed)
        self.rng = random.Random(random_seed)
        self.sum = 0.0
        self.noted = {}

    def draw(self, p):
        return self.rng.choice(p.categories) if isinstance(p, Categorical) else self.rng.randint(0, int(p.max))

    def _predict(self, tuning_request):
        return _PredictResponse({p.name: self.draw(p) for p in self.params})

    def _set_reward(self, tuning_request):
        self.sum = max(-1e300, min(1e300, self.sum + tuning_request.learned_reward / 1e8))


class WritesIntoTheContext(Sound):
    def _predict(self, tuning_request):
        if tuning_request.context.data is not None:
            tuning_request.context.data["seen"] = True
        return super()._predict(tuning_request)


class DrawsFromTheProcess(Sound):
    def draw(self, p):
        return super().draw(p) if isinstance(p, Categorical) else np.random.randint(0, int(p.max))  # noqa: NPY002


class IgnoresItsSeed(Sound):
    def __init__(self, parameters, random_seed=None):
        super().__init__(parameters)


class ForgetsOnRestart(Sound):
    class Meta(Sound.Meta):
        configuration = ("played",)

    def __init__(self, parameters, random_seed=None):
        super().__init__(parameters, random_seed=random_seed)
        self.played = 0

    def draw(self, p):
        self.played += 1
        return p.val if self.played % 3 == 0 else super().draw(p)


class SharesItsGenerator(Sound):
    shared = random.Random(1)

    def draw(self, p):
        return self.shared.choice(p.categories) if isinstance(p, Categorical) else super().draw(p)


class KeepsEveryReward(Sound):
    def _set_reward(self, tuning_request):
        self.noted[str(len(self.noted))] = tuning_request.learned_reward


class RunsAwayWithLargeRewards(Sound):
    def _set_reward(self, tuning_request):
        self.sum += tuning_request.learned_reward * 1e10


class DriftsWithTime(Sound):
    def _set_reward(self, tuning_request):
        self.sum = self.sum * 1e4 + tuning_request.learned_reward / 1e300


class NotesEveryRequest(Sound):
    def _predict(self, tuning_request):
        self.noted[tuning_request.id] = True
        return super()._predict(tuning_request)

    def _set_reward(self, tuning_request):
        self.noted.pop(tuning_request.id, None)


class LearnsFromWhatIsAbandoned(Sound):
    def _abandon(self, tuning_request):
        self.sum += 1

    def _recommend(self, context):
        return {p.name: p.val if self.sum < 5 else self.sum and p.cast(0) for p in self.params}


class UsesTheContextItSaysItDoesNot(Sound):
    def _predict(self, tuning_request):
        first = next(iter(tuning_request.context.data or ("",)))
        return super()._predict(tuning_request) if first == "job" else _PredictResponse(None)


class SaysItLearnsFromOthers(Sound):
    class Meta(Sound.Meta):
        learns_from_others = True

    def _recommend(self, context):
        return {p.name: p.val for p in self.params}


class SaysItTakesReals(Sound):
    def draw(self, p):
        if isinstance(p, Real):
            raise NotImplementedError
        return super().draw(p)


class RecommendsByDrawing(Sound):
    def _recommend(self, context):
        return {p.name: self.draw(p) for p in self.params} if self.sum else None


class AnswersOnlyTheNewest(Sound):
    def _set_reward(self, tuning_request):
        if self.noted.setdefault("newest", tuning_request.id) != tuning_request.id:
            raise KeyError(tuning_request.id)


BREAKERS = {
    WritesIntoTheContext: "test_what_it_was_given_and_what_it_gave_are_the_callers",
    DrawsFromTheProcess: "test_neither_global_randomness_nor_other_settings_are_touched",
    IgnoresItsSeed: "test_the_same_seed_gives_the_same_predictions",
    ForgetsOnRestart: "test_a_restart_after_every_call_makes_no_difference",
    SharesItsGenerator: "test_instances_in_threads_do_not_disturb_each_other",
    KeepsEveryReward: "test_many_rounds_neither_let_it_drift_nor_grow",
    RunsAwayWithLargeRewards: "test_every_prediction_is_legal_whatever_the_rewards",
    DriftsWithTime: "test_many_rounds_neither_let_it_drift_nor_grow",
    NotesEveryRequest: "test_abandoned_requests_leave_nothing_behind",
    LearnsFromWhatIsAbandoned: "test_an_abandoned_request_is_closed_and_teaches_nothing",
    UsesTheContextItSaysItDoesNot: "test_a_context_makes_a_difference_only_where_it_says_so",
    SaysItLearnsFromOthers: "test_it_learns_from_others_only_where_it_says_so",
    SaysItTakesReals: "test_it_takes_the_kinds_of_parameters_that_it_says",
    RecommendsByDrawing: "test_recommending_changes_nothing_and_is_the_declared_configuration_at_first",
    AnswersOnlyTheNewest: "test_requests_are_answered_in_any_order_and_once",
}


def failures(algorithm):
    """Names of the tests that fail for an algorithm."""
    failed = set()
    for name in TESTS:
        try:
            getattr(Suite(), name)(lambda seed: algorithm(PARAMETERS, random_seed=seed))
        except Exception:  # noqa: BLE001 - whatever it raises, it is found
            failed.add(name)
    return failed


def test_a_sound_algorithm_passes():
    assert failures(Sound) == set()


@pytest.mark.parametrize(("algorithm", "test"), BREAKERS.items(), ids=lambda x: getattr(x, "__name__", "by"))
def test_what_breaks_the_contract_is_found(algorithm, test):
    assert test in failures(algorithm)
