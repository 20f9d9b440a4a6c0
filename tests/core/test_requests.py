import time
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from oppertune.core.errors import InvalidArgument, TooManyRequests, UnknownRequest
from oppertune.core.requests import RequestManager, _TuningRequest
from oppertune.core.types import Context


def request(request_id, context_id=""):
    return SimpleNamespace(id=request_id, context=Context(id=context_id))


class ManagerAgreesWithAList(RuleBasedStateMachine):
    """A list in order of opening is the model; look-ups in it are slow and plainly right."""

    opened = Bundle("opened")

    def __init__(self):
        super().__init__()
        self.manager = RequestManager(limit=5)
        self.model = []
        self.count = 0

    @rule(target=opened, context_id=st.sampled_from(["", "a", "b"]))
    def open(self, context_id):
        self.count += 1
        new = request(f"r{self.count}", context_id)
        if len(self.model) == 5:
            with pytest.raises(TooManyRequests):
                self.manager.open(new)
        else:
            self.manager.open(new)
            self.model.append(new)
        return new

    @rule(old=consumes(opened))
    def close(self, old):
        if old in self.model:
            assert self.manager.close(old.id) is old
            self.model.remove(old)
        with pytest.raises(UnknownRequest):
            self.manager.close(old.id)

    @invariant()
    def every_look_up_agrees(self):
        assert list(self.manager) == self.model
        assert len(self.manager) == len(self.model)
        assert self.manager.oldest() is (self.model[0] if self.model else None)
        for context_id in ("", "a", "b"):
            mine = [r for r in self.model if r.context.id == context_id]
            assert self.manager.of_context(context_id) == mine
            assert self.manager.newest(context_id) is (mine[-1] if mine else None)
        for r in self.model:
            assert self.manager.get(r.id) is r
            assert r.id in self.manager


TestManagerAgreesWithAList = ManagerAgreesWithAList.TestCase


def test_an_id_is_open_once():
    manager = RequestManager()
    manager.open(request("r"))
    for wrong in ("r", ""):
        with pytest.raises(InvalidArgument):
            manager.open(request(wrong))
    manager.close("r")
    manager.open(request("r"))
    manager.clear()
    assert list(manager) == manager.of_context("") == []


def test_a_limit_below_one_is_refused():
    with pytest.raises(InvalidArgument):
        RequestManager(limit=0)


def test_closing_leaves_nothing_behind():
    manager = RequestManager()
    for i in range(100):
        manager.open(request(f"r{i}", f"c{i}"))
        manager.close(f"r{i}")
    assert not manager._by_id
    assert not manager._by_context


def test_look_ups_take_the_same_time_among_many_as_among_few():
    """Fault 41: linear scans made a round seven times slower with 5,000 open requests."""

    def duration(n):
        manager = RequestManager(limit=50_000)
        for i in range(n):
            manager.open(request(f"r{i}", f"c{i}"))
        last = f"c{n - 1}"
        best = float("inf")
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(100):
                manager.newest(last)
                manager.of_context(last)
                manager.open(manager.close(f"r{n - 1}"))
            best = min(best, time.perf_counter() - start)
        return best

    assert duration(20_000) < 10 * duration(20)


def test_open_requests_come_back_in_order_with_all_that_they_hold():
    manager, restored = RequestManager(), RequestManager()
    manager.open(_TuningRequest("a", Context({"job": 1}), prediction={"n": 1}, metadata={"arms": (0, 1)}, origin="a"))
    manager.open(_TuningRequest("b", prediction={"n": 2}, reward=0.5, reward_data={"next": 1}, origin="b"))
    restored.open(_TuningRequest("gone"))
    restored.set_state(orjson.loads(orjson.dumps(manager.get_state())))
    assert list(restored) == list(manager)


def test_a_damaged_state_leaves_the_open_requests_alone():
    manager = RequestManager()
    manager.open(_TuningRequest("kept", origin="kept"))
    with pytest.raises(KeyError):
        manager.set_state([{"id": "new"}])
    assert [r.id for r in manager] == ["kept"]


def test_twins_share_context_and_origin():
    manager = RequestManager()
    first = _TuningRequest("a", origin="a")
    for r in (first, _TuningRequest("b", origin="a"), _TuningRequest("c", origin="c")):
        manager.open(r)
    manager.open(_TuningRequest("d", Context(id="elsewhere"), origin="a"))
    assert [r.id for r in manager.twins(first)] == ["b"]
