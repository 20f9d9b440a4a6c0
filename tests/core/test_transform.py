import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowing import number, numeric
from oppertune.core.errors import InvalidArgument
from oppertune.core.transform import ValueTransformer
from oppertune.core.values import Categorical, Integer, Real
from strategies import log_integers, log_reals, numbers, parameters


@given(parameters)
def test_the_declared_value_comes_back(value):
    transformer = ValueTransformer(value)
    y = transformer.transform(value.val)
    back = transformer.inverse_transform(y)
    # So near an end that it cannot be told from it:
    if transformer.transformed.type == "real" and not 0 < number(y) < 1:
        assert back == pytest.approx(value.val, abs=1e-12 * (value.max - value.min))
    else:
        assert back == value.val
    assert type(back) is value.dtype


@given(parameters)
def test_the_transformed_parameter_holds_the_transformed_value(value):
    transformer = ValueTransformer(value)
    transformed = transformer.transformed
    assert transformed.name == value.name
    assert transformed.is_constant == value.is_constant
    assert transformer.transform(value.val) == transformed.val
    assert transformed.contains(transformed.val)


@given(numbers, st.floats(allow_nan=False))
def test_the_inverse_of_anything_is_legal(value, y):
    assert value.contains(ValueTransformer(value).inverse_transform(y))


@given(numbers, st.floats(0, 1))
def test_the_inverse_inside_the_bounds_is_legal_and_monotone(value, share):
    transformer = ValueTransformer(value)
    transformed = numeric(transformer.transformed)
    y = share * transformed.max
    assert value.contains(transformer.inverse_transform(y))
    assert transformer.inverse_transform(0) == value.min
    assert transformer.inverse_transform(transformed.max) == value.max
    half, whole = (number(transformer.inverse_transform(x)) for x in (y / 2, y))
    assert value.min <= half <= whole <= value.max


@given(log_integers() | log_reals(), st.floats(0, 1), st.floats(0, 1))
def test_a_logarithmic_scale_is_monotone_and_gets_its_values_back(value, one, other):
    transformer = ValueTransformer(value)
    low, high = sorted((one, other))
    end = numeric(transformer.transformed).max
    small, large = (number(transformer.inverse_transform(y * end)) for y in (low, high))
    assert small <= large
    back = transformer.inverse_transform(transformer.transform(small))
    assert back == pytest.approx(small, rel=1e-12, abs=0)


@given(parameters)
def test_transforming_a_transformed_parameter_changes_nothing(value):
    """Algorithms made of others rely on it: a part is built from the transformed parameters of the whole."""
    once = ValueTransformer(value).transformed
    assert ValueTransformer(once).transformed == once


def test_a_stepped_real_never_exceeds_its_maximum():
    """Fault 28: the inverse could exceed max by a unit in the last place."""
    value = Real("r", 0.2, 0.2, 1.7, 0.3)
    assert ValueTransformer(value).inverse_transform(5) == 1.7


@pytest.mark.parametrize(
    ("value", "x"),
    [(Integer("i", 0, 0, 10, 2), 3), (Real("r", 0, 0, 1), 1.1), (Categorical("c", "a", ["a"]), "b")],
)
def test_what_is_not_legal_is_not_transformed(value, x):
    with pytest.raises(InvalidArgument):
        ValueTransformer(value).transform(x)


@pytest.mark.parametrize("value", [Integer("i", 0, 0, 10, 2), Real("r", 0, 0, 1), Real("r", 1, 1, 1)])
def test_nan_stands_for_no_value(value):
    with pytest.raises(InvalidArgument):
        ValueTransformer(value).inverse_transform(math.nan)


@given(log_integers(), st.data())
def test_every_integer_comes_back_from_a_logarithmic_scale(value, data):
    transformer = ValueTransformer(value)
    x = data.draw(st.integers(value.min, value.max))
    assert transformer.inverse_transform(transformer.transform(x)) == x


def test_a_logarithmic_scale_gives_each_decade_the_same_share():
    """Learners see 1..10 as far apart as 10..100; the first and the last integer have their whole share, too."""
    real = ValueTransformer(Real("r", 1, 0.001, 1000, log=True))
    assert [real.inverse_transform(y) for y in (0, 1 / 3, 0.5, 2 / 3, 1)] == pytest.approx([0.001, 0.1, 1, 10, 1000])
    integer = ValueTransformer(Integer("i", 1, 1, 3, log=True))
    edge = math.log(1.5 / 0.5) / math.log(3.5 / 0.5)
    assert [integer.inverse_transform(y) for y in (0, edge - 1e-9, edge + 1e-9, 1)] == [1, 1, 2, 3]
    assert integer.transformed.val == pytest.approx(math.log(1 / 0.5) / math.log(3.5 / 0.5))


def test_a_logarithmic_range_of_two_neighbouring_numbers_works():
    low, high = 1e-09, 1.0000000000000003e-09
    transformer = ValueTransformer(Real("r", low, low, high, log=True))
    assert transformer.inverse_transform(transformer.transform(low)) == low
    assert transformer.inverse_transform(1.0) == high
