"""Summaries: merging is exact and order-free; percentiles are within 1 %."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.core.summary import RELATIVE_ACCURACY, Summary, bin_index, bin_value, exact_sum

NUMBERS = st.floats(min_value=-1e100, max_value=1e100, allow_nan=False)
MEASUREMENTS = st.lists(st.tuples(NUMBERS, st.integers(1, 1000)), min_size=1, max_size=60)


def summarised(measurements: list[tuple[float, int]]) -> Summary:
    summary = Summary()
    for value, weight in measurements:
        summary.add(value, weight)
    return summary


def merged(parts: list[Summary]) -> Summary:
    whole = Summary()
    for part in parts:
        whole.merge(part)
    return whole


@given(MEASUREMENTS, st.randoms(use_true_random=False), st.integers(1, 60))
def test_any_order_and_grouping_of_the_same_measurements_gives_the_same_summary(measurements, rng, split):
    straight = summarised(measurements)
    shuffled = rng.sample(measurements, len(measurements))
    other = merged([summarised(part) for part in (shuffled[:split], shuffled[split:]) if part])
    straight.canonicalise()
    other.canonicalise()
    assert other == straight


@given(st.lists(NUMBERS, max_size=50))
def test_an_expansion_is_the_exact_sum_of_its_terms(numbers):
    expansion = exact_sum(numbers)
    assert sum(map(Fraction, expansion)) == sum(map(Fraction, numbers))
    assert expansion == sorted(expansion, key=abs, reverse=True)


def test_more_terms_than_are_gathered_are_added_up_on_the_way():
    rng = random.Random(1)
    numbers = [rng.uniform(-1, 1) * 10 ** rng.randint(-10, 10) for _ in range(2000)]
    summary = summarised([(n, 1) for n in numbers])
    assert len(summary.total) < 600
    assert summary.sum == math.fsum(numbers)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_a_measurement_of_that_rank(numbers, q):
    found = summarised([(n, 1) for n in numbers]).quantile(q)
    rank = q * (len(numbers) - 1)
    near = sorted(numbers)[math.floor(rank) : math.ceil(rank) + 1]
    assert min(abs(found - n) / n for n in near) <= RELATIVE_ACCURACY * (1 + 1e-9)


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_bin_stands_for_its_values_within_one_percent(value):
    assert abs(bin_value(bin_index(value)) - value) <= RELATIVE_ACCURACY * value * (1 + 1e-9)


def test_quantiles_go_through_negative_numbers_and_zero():
    summary = summarised([(n, 1) for n in (-100.0, -10.0, 0.0, 0.0, 10.0)])
    assert summary.quantile(0.0) == pytest.approx(-100, rel=0.01)
    assert summary.quantile(0.25) == pytest.approx(-10, rel=0.01)
    assert summary.quantiles((0.5, 0.75, 1.0)) == [0.0, 0.0, pytest.approx(10, rel=0.01)]


@given(MEASUREMENTS)
def test_mean_and_deviation_stay_inside_what_was_measured(measurements):
    summary = summarised(measurements)
    assert min(v for v, _ in measurements) <= summary.mean <= max(v for v, _ in measurements)
    assert 0 <= summary.std < math.inf


WHOLE = st.lists(st.tuples(st.integers(-1000, 1000).map(float), st.integers(1, 1000)), max_size=60)
"""Numbers whose products and sums are exact, whatever the order of multiplying."""


@given(WHOLE, WHOLE, st.integers(1, 100))
def test_merging_with_a_weight_is_adding_each_measurement_so_often(before, measurements, weight):
    whole, expected = summarised(before), summarised([*before, *((value, n * weight) for value, n in measurements)])
    whole.merge(summarised(measurements), weight)
    whole.canonicalise()
    expected.canonicalise()
    assert whole == expected


def test_an_empty_summary_has_no_figures():
    empty = Summary()
    assert math.isnan(empty.mean)
    assert math.isnan(empty.std)
    assert math.isnan(empty.quantile(0.5))
