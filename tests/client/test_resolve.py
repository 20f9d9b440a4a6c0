import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from oppertune.core.errors import InvalidParameter, InvalidParameterType
from oppertune.core.values import Categorical, Integer, ParameterValue, Real
from oppertune.streams.client.parameters import Parameters
from oppertune.streams.client.resolve import not_shared, resolve_arm, resolve_each

OWN = Parameters([Integer("pool", 10, min=1, max=100), Categorical("mode", "slow", ["slow", "fast"])])
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(own=strategies.parameters, received=st.dictionaries(st.sampled_from(["i", "r", "c", "other"]), anything))
def test_whatever_is_received_values_are_inside_the_apps_own_bounds(own, received):
    resolved = resolve_each(Parameters([own]), received)
    assert own.contains(resolved.values[own.name])
    assert resolved.values.keys() == {own.name}
    assert not resolved.problems or own.name in received


@given(own=strategies.parameters)
def test_the_declared_value_is_taken_as_it_is(own):
    assert resolve_arm(Parameters([own]), {own.name: own.val}, {}) == {own.name: own.val}


def test_what_the_spec_lacks_runs_as_declared_and_is_named():
    assert resolve_arm(OWN, {"pool": 42}, {"pool": 20}) == {"pool": 42, "mode": "slow"}
    [said] = not_shared(OWN, {"pool": 20})
    assert "mode is not in the spec" in said
    assert "'slow'" in said


def test_of_what_the_app_lacks_an_arm_must_change_nothing_and_it_is_named():
    values: dict[str, ParameterValue] = {"pool": 42, "mode": "fast", "other": 1}
    assert resolve_arm(OWN, values, values | {"pool": 20}) == {"pool": 42, "mode": "fast"}
    with pytest.raises(ValueError, match="other=1 is of a parameter that this app lacks"):
        resolve_arm(OWN, values, values | {"other": 2})
    [said] = not_shared(OWN, values)
    assert "lacks other" in said
    assert not_shared(OWN, {"pool": 1, "mode": "x"}) == []


@pytest.mark.parametrize("pool", [0, 101, 4.5, "42", math.nan])
def test_an_arm_outside_the_apps_own_bounds_is_refused_as_a_whole(pool):
    with pytest.raises(ValueError, match="pool"):
        resolve_arm(OWN, {"pool": pool, "mode": "fast"}, {})


def test_an_incumbent_is_defaulted_value_by_value():
    resolved = resolve_each(OWN, {"pool": 1000, "mode": "fast"})
    assert resolved.values == {"pool": 10, "mode": "fast"}
    assert len(resolved.problems) == 1


def test_values_have_the_parameters_own_type():
    own = Parameters([Integer("n", 1, min=0, max=9), Real("x", 0.5, min=0, max=1)])
    values = resolve_arm(own, {"n": 3.0, "x": 1}, {})
    assert [type(v) for v in values.values()] == [int, float]


@pytest.mark.parametrize(
    ("declared", "legal", "illegal"),
    [
        ("slow", ["", "fast"], [1, None]),
        (1, [7, 7.0, -1], ["7", 7.5, True, math.inf]),
        (0.5, [1, 0.25], ["x", math.nan]),
        (True, ["on", "off", True, False], ["true", "yes", 1, 0.0, None]),
    ],
)
def test_of_a_mapping_only_the_type_is_checked(declared, legal, illegal):
    own = Parameters({"x": declared})
    assert own.declared == {"x": declared}
    assert all(own.legal("x", v) for v in legal)
    assert not any(own.legal("x", v) for v in illegal)
    assert all(type(own.cast("x", v)) is type(declared) for v in legal)


@pytest.mark.parametrize(
    ("declared", "error"),
    [
        ([], InvalidParameter),
        ({}, InvalidParameter),
        ([Integer("n", 1, min=0, max=9)] * 2, InvalidParameter),
        ({"x": math.nan}, InvalidParameter),
        ({"x": None}, InvalidParameterType),
        ({1: 1}, InvalidParameterType),
        (["pool"], InvalidParameterType),
    ],
)
def test_parameters_that_contradict_themselves_are_refused(declared, error):
    with pytest.raises(error):
        Parameters(declared)
