import math
from decimal import localcontext
from typing import Any, cast

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowing import numeric
from oppertune.core.errors import InvalidArgument, InvalidParameter, InvalidParameterType
from oppertune.core.values import Categorical, Integer, Real, to_dict, to_value
from strategies import integers, numbers, parameters, stepped_reals


@given(parameters)
def test_a_parameter_is_equal_after_a_round_through_json(value):
    assert to_value(orjson.loads(orjson.dumps(value.to_dict()))) == value
    assert to_value(value) is value
    assert to_dict(value) == to_dict(value.to_dict()) == value.to_dict()


@given(parameters)
def test_the_declared_value_is_legal_and_its_own_nearest(value):
    assert value.contains(value.val)
    assert value.snap(value.val) == value.val
    assert type(value.snap(value.val)) is value.dtype


@given(numbers, st.floats(allow_nan=False) | st.integers())
def test_the_nearest_legal_value_is_legal_final_and_nearest(value, x):
    snapped = value.snap(x)
    assert value.contains(snapped)
    assert type(snapped) is value.dtype
    assert value.snap(snapped) == snapped
    others = [value.min, value.max, value.val]
    distance = abs(snapped - x)
    assert all(distance <= abs(other - x) * (1 + 1e-12) for other in others)


@given(numbers, st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_snapping_keeps_the_order(value, x, y):
    low, high = sorted((x, y))
    assert value.snap(low) <= value.snap(high)


@given(integers() | stepped_reals())
def test_a_grid_starts_at_min_ends_at_max_and_never_leaves_them(value):
    grid = [value.at(k) for k in range(value.n_steps + 1)]
    assert grid[0] == value.min
    assert grid[-1] == value.max
    assert grid == sorted(set(grid))
    assert all(value.contains(x) for x in grid)
    assert not value.contains(value.max + (value.step or 1))
    if value.n_steps:
        assert not value.contains(value.min + value.step / 2) or value.step == 1


def test_every_value_of_a_decimal_grid_is_accepted_and_written_as_a_person_would():
    """Fault 28: 0..1 step 0.1 refused six of its eleven values, and could return 1.7000000000000002 above 1.7."""
    for k in range(11):
        assert Real("r", k / 10, 0, 1, 0.1).val == k / 10
    assert [Real("r", 0.1, 0.1, 0.95, 0.05).at(k) for k in (1, 4, 16)] == [0.15, 0.3, 0.9]
    assert Real("r", 0.1 + 0.2, 0, 1, 0.1).val == 0.3
    assert Real("r", 0, 0, 1, 1 / 3).at(3) == 1.0


def test_decimal_settings_of_the_host_do_not_move_the_grid():
    with localcontext() as context:
        context.prec = 2
        assert Real("r", 0, 0, 1000, 0.125).at(1001) == 125.125


@pytest.mark.parametrize("x", [0.35, 0.3 + 1e-9, -0.1, 1.1, math.nan, math.inf, "0.3", None, True, [0.3]])
def test_what_is_not_on_the_grid_is_not_contained(x):
    assert not Real("r", 0.3, 0, 1, 0.1).contains(x)


@pytest.mark.parametrize("x", [3, 11, -2, 2.5, math.nan, math.inf, "2", None, True])
def test_what_is_not_on_the_integers_is_not_contained(x):
    assert not Integer("i", 2, 0, 10, 2).contains(x)


def test_whole_floats_and_numpy_numbers_are_integers():
    four, zero, ten, two = cast("tuple[Any, ...]", (np.int64(4), np.int32(0), 10.0, np.float64(2)))
    value = Integer("i", four, zero, ten, two)
    assert value == Integer("i", 4, 0, 10, 2)
    assert type(value.val) is int
    assert value.contains(4.0)
    assert value.contains(np.int64(4))
    half, one = cast("tuple[Any, ...]", (np.float32(0.5), np.int64(1)))
    assert Real("r", half, 0, one) == Real("r", 0.5, 0, 1)
    assert type(Real("r", half, 0, 1).val) is float


def test_strings_of_numpy_become_plain_ones():
    value = Categorical("c", np.str_("a"), (np.str_("a"), "b"))
    assert {type(x) for x in (value.val, *value.categories)} == {str}


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: Integer("i", True, 0, 1), InvalidParameterType),
        (lambda: Integer("i", cast("Any", 1.5), 0, 2), InvalidParameterType),
        (lambda: Integer("i", cast("Any", math.inf), 0, 2), InvalidParameterType),
        (lambda: Integer(cast("Any", 1), 1, 0, 2), InvalidParameterType),
        (lambda: Integer("i", 3, 0, 2), InvalidParameter),
        (lambda: Integer("i", 1, 0, 2, 0), InvalidParameter),
        (lambda: Integer("i", 1, 0, 2, 2), InvalidParameter),
        (lambda: Integer("i", 0, 0, 3, 2), InvalidParameter),
        (lambda: Integer("i", 0, 0, 2**63), InvalidParameter),
        (lambda: Real("r", cast("Any", "0"), 0, 1), InvalidParameterType),
        (lambda: Real("r", False, 0, 1), InvalidParameterType),
        (lambda: Real("r", math.nan, 0, 1), InvalidParameter),
        (lambda: Real("r", 0, 0, math.inf), InvalidParameter),
        (lambda: Real("r", 0, -1e308, 1e308), InvalidParameter),
        (lambda: Real("r", 0, 0, 10**400), InvalidParameter),
        (lambda: Real("r", 2, 0, 1), InvalidParameter),
        (lambda: Real("r", 0, 0, 1, 0.3), InvalidParameter),
        (lambda: Real("r", 0.25, 0, 1, 0.1), InvalidParameter),
        (lambda: Real("r", 0, 0, 1, -0.1), InvalidParameter),
        (lambda: Real("r", 1e9, 1e9, 1e9 + 1, 1e-9), InvalidParameter),
        (lambda: Categorical("c", "a", "abc"), InvalidParameterType),
        (lambda: Categorical("c", "a", cast("Any", {"a", "b"})), InvalidParameterType),
        (lambda: Categorical("c", "a", ["a", cast("Any", 1)]), InvalidParameterType),
        (lambda: Categorical("c", cast("Any", 1), ["a"]), InvalidParameterType),
        (lambda: Categorical("c", "b", ["a"]), InvalidParameter),
        (lambda: Categorical("c", "a", []), InvalidParameter),
        (lambda: Categorical("c", "a", ["a", "a"]), InvalidParameter),
        (lambda: to_value(cast("Any", 5)), InvalidParameterType),
        (lambda: to_value({"type": "complex", "name": "z"}), InvalidParameter),
        (lambda: to_value({"type": "real", "name": "r", "val": 0}), InvalidParameter),
        (lambda: to_value({"type": "real", "name": "r", "val": 0, "min": 0, "max": 1, "setp": 1}), InvalidParameter),
        (lambda: Real.from_dict({"type": "integer", "name": "r", "val": 0, "min": 0, "max": 1}), InvalidParameter),
    ],
)
def test_a_wrong_definition_is_refused(build, error):
    with pytest.raises(error) as caught:
        build()
    assert isinstance(caught.value, TypeError) == (error is InvalidParameterType)
    assert isinstance(caught.value, ValueError)


def test_a_step_may_be_left_out_of_a_dictionary():
    """Fault 31: KeyError."""
    assert numeric(to_value({"type": "integer", "name": "i", "val": 1, "min": 0, "max": 2})).step == 1
    assert numeric(to_value({"type": "real", "name": "r", "val": 1, "min": 0, "max": 2})).step is None


def test_categories_are_found_by_name_and_by_index():
    value = Categorical("c", "b", ["a", "b"])
    assert (value.n_categories, value.encoded_value(), value.encoded_value("a"), value.category(0)) == (2, 1, 0, "a")
    assert (value.cast("a"), value.cast(1), value.cast(-2)) == ("a", "b", "a")
    for wrong in ("c", 1.0, True):
        with pytest.raises(InvalidArgument):
            value.cast(wrong)
    with pytest.raises(IndexError):
        value.cast(2)
    assert not value.contains(1)
    assert hash(value) == hash(Categorical("c", "b", ("a", "b")))


@pytest.mark.parametrize("value", [Integer("i", 0, 0, 10, 5), Real("r", 0, 0, 1)])
def test_nan_has_no_nearest_value(value):
    for wrong in (math.nan, "1", None, True, np.nan):
        with pytest.raises(InvalidArgument):
            value.snap(wrong)
        with pytest.raises(InvalidArgument):
            value.cast(wrong)
    assert value.snap(-math.inf) == value.min
    assert value.snap(math.inf) == value.max


def test_the_nearest_of_two_integers_is_an_even_number_of_steps_away():
    value = Integer("i", 0, 0, 20, 4)
    assert [value.snap(x) for x in (2, 6, 10, 2.0, 6.0, 10.0)] == [0, 8, 8, 0, 8, 8]


def test_large_integers_are_exact():
    value = Integer("i", 2**62, 0, 2**63 - 1)
    assert value.snap(2**62 + 1) == 2**62 + 1
    assert value.contains(2**62 + 1)


@pytest.mark.parametrize(
    ("value", "constant"),
    [
        (Integer("i", 1, 1, 1, 5), True),
        (Integer("i", 1, 1, 2), False),
        (Real("r", 1, 1, 1), True),
        (Real("r", 1, 1, 1, 0.5), True),
        (Real("r", 1, 1, 2), False),
        (Categorical("c", "a", ["a"]), True),
        (Categorical("c", "a", ["a", "b"]), False),
    ],
)
def test_a_parameter_with_one_legal_value_is_constant(value, constant):
    assert value.is_constant == constant


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Integer("i", 1, 0, 10, log=True), "log needs a min above 0"),
        (lambda: Real("r", 0.0, -1, 10, log=True), "log needs a min above 0"),
        (lambda: Integer("i", 2, 2, 10, 2, log=True), "log does not go with a step"),
        (lambda: Real("r", 0.5, 0.5, 1, 0.1, log=True), "log does not go with a step"),
        (lambda: Integer("i", 1, 1, 10**13, log=True), "log needs a max of 1e"),
        (lambda: Integer("i", 1, 1, 10, log=cast("Any", 1)), "must be true or false"),
    ],
)
def test_no_logarithmic_scale(made, said):
    with pytest.raises(InvalidParameter, match=said):
        made()


def test_a_step_is_no_larger_than_the_range():
    with pytest.raises(InvalidParameter, match="is larger than max - min"):
        Real("r", 0.5, 0, 1, 1e9)


def test_a_scale_is_in_the_dictionary_only_where_it_is_logarithmic():
    plain, log = Integer("i", 1, 1, 10), Integer("i", 1, 1, 10, log=True)
    assert "log" not in plain.to_dict()
    assert log.to_dict()["log"] is True
    assert [Integer.from_dict(v.to_dict()) for v in (plain, log)] == [plain, log]
    assert plain != log


def test_a_switch_is_a_category_of_two():
    assert Categorical.switch("gzip", val=True) == Categorical("gzip", "on", ("off", "on"))
