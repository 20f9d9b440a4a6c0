"""The tests that arms are judged by: their formulas against numerical integration, and how often they are wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.streams.processor.evidence import (
    Earlier,
    beside,
    lost_level,
    mixture_level,
    p_value,
    paired,
    variance,
)

BREAK = math.log(100)
FLOOR = 1e-8


def density_of_t(t, degrees, shifts, weights):
    """Of (Z + shift) / √(χ² / degrees), averaged over shifts: integrated over the χ."""
    s = np.linspace(1e-6, 6.0, 6001)
    chi = np.log(2) + (degrees / 2) * np.log(degrees / 2) - math.lgamma(degrees / 2)
    of_s = np.exp(chi + (degrees - 1) * np.log(s) - degrees * s**2 / 2)
    normal = np.exp(-0.5 * (t * s[None, :] - shifts[:, None]) ** 2) / math.sqrt(2 * math.pi)
    by_shift = np.trapezoid(normal * s * of_s, s, axis=1)
    return float(np.sum(weights * by_shift))


@pytest.mark.parametrize("degrees", [8.0, 14.0, 40.0])
@pytest.mark.parametrize("g", [0.3, 4.0, 30.0])
@pytest.mark.parametrize("t", [0.4, 2.5, 5.0])
def test_the_level_is_twice_the_likelihood_ratio_of_normal_effects_and_none(t, g, degrees):
    shifts = np.linspace(-9 * math.sqrt(g), 9 * math.sqrt(g), 1601)
    weights = np.exp(-(shifts**2) / (2 * g))
    mixed = density_of_t(t, degrees, shifts, weights / weights.sum())
    none = density_of_t(t, degrees, np.zeros(1), np.ones(1))
    assert mixture_level(t, g, degrees) == pytest.approx(math.log(2 * mixed / none), abs=1e-4)


def test_what_is_not_worse_is_no_evidence():
    assert mixture_level(0.0, 1.0, 9) == mixture_level(-3.0, 1.0, 9) == -math.inf
    found = beside([0.0], [0.1, 0.2] * 5, tau=0.1, floor=FLOOR)
    assert found is not None
    assert found.level == 0.0


@pytest.mark.parametrize("degrees", [1, 2, 5, 17, 60])
@pytest.mark.parametrize("t", [-1.3, 0.0, 0.7, 2.0, 4.5])
def test_the_p_value_is_the_area_beyond(t, degrees):
    angle = np.linspace(math.atan(t / math.sqrt(degrees)), math.pi / 2, 20001)  # t = √ν tan: the tail is finite
    area = np.trapezoid(np.cos(angle) ** (degrees - 1), angle)
    constant = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    assert p_value(t * 0.3, 0.3, degrees) == pytest.approx(constant * area, abs=1e-8)


def test_the_p_value_holds_far_out_and_for_many_units():
    assert 0 < p_value(40.0, 1.0, 30) < 1e-20
    assert p_value(1.6448536, 1.0, 1e6) == pytest.approx(0.05, abs=1e-6)


def test_the_formulas_of_a_comparison():
    arm, baseline = [0.5, 0.7], [0.1, 0.2, 0.0, 0.3, 0.1, 0.2, 0.0, 0.3, 0.15]
    found = beside(arm, baseline, shift=0.05, tau=0.2, floor=FLOOR)
    assert found is not None
    s2 = float(np.var(baseline, ddof=1))
    assert found.theta == pytest.approx(0.6 - 0.15 - 0.05)
    assert found.se == pytest.approx(math.sqrt(s2 * (1 / 2 + 1 / 9)))
    assert (found.degrees, found.arm_units, found.baseline_units) == (8, 2, 9)
    assert found.level == mixture_level(found.theta / found.se, (0.2 / found.se) ** 2, 8)


def test_the_spread_is_the_baseline_s():
    baseline = [0.0, 0.1] * 5
    wild = beside([0.4, 1.6], baseline, tau=0.2, floor=FLOOR)
    calm = beside([1.0, 1.0], baseline, tau=0.2, floor=FLOOR)
    assert wild is not None
    assert calm is not None
    assert wild.se == calm.se


def test_few_units_borrow_from_earlier_rounds_and_without_them_nothing_is_said():
    arm, baseline = [1.0], [0.0, 0.1, 0.2]
    assert beside(arm, baseline, tau=0.2, floor=FLOOR) is None
    assert beside(arm, baseline, tau=0.2, floor=FLOOR, earlier=Earlier(5.0, 0.04)) is None
    found = beside(arm, baseline, tau=0.2, floor=FLOOR, earlier=Earlier(6.0, 0.04))
    assert found is not None
    assert found.degrees == 8
    assert found.se**2 == pytest.approx((2 * variance(baseline) + 6 * 0.04) / 8 * (1 + 1 / 3))
    alone = beside(arm, [0.1], tau=0.2, floor=FLOOR, earlier=Earlier(99.0, 0.04))
    assert alone is not None
    assert alone.degrees == 20, "no more than twenty of earlier rounds"


def test_many_units_trust_themselves():
    baseline = [0.0, 0.1, 0.2] * 3
    assert beside([1.0], baseline, tau=0.2, floor=FLOOR) == beside(
        [1.0], baseline, tau=0.2, floor=FLOOR, earlier=Earlier(20.0, 9.0)
    )


def test_units_that_are_alike_are_believed_to_differ_a_little():
    found = beside([0.001], [0.0] * 20, tau=0.2, floor=1e-4)
    assert found is not None
    assert found.se == pytest.approx(0.01 * math.sqrt(1 + 1 / 20))
    assert found.level == 0.0


def test_nobody_is_not_compared():
    assert beside([], [0.0] * 20, tau=0.2, floor=FLOOR) is None
    assert beside([1.0], [], tau=0.2, floor=FLOOR, earlier=Earlier(20.0, 1.0)) is None
    assert paired([], tau=0.2, floor=FLOOR, earlier=Earlier(20.0, 1.0)) is None


def test_pairs_are_a_sample_of_their_own():
    differences = [0.3, 0.4, 0.2, 0.35, 0.1, 0.5, 0.25, 0.3, 0.3]
    found = paired(differences, shift=0.1, tau=0.2, floor=FLOOR)
    assert found is not None
    assert found.theta == pytest.approx(np.mean(differences) - 0.1)
    assert found.se == pytest.approx(np.std(differences, ddof=1) / 3)
    assert found.degrees == 8
    assert paired(differences[:8], tau=0.2, floor=FLOOR) is None


# ---- lost units -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 50), st.integers(1, 500))
def test_where_the_arm_is_not_to_blame_the_likelihood_ratio_is_1_on_average(arm, baseline):
    p = arm / (arm + baseline)
    q = 20 * p / (20 * p + 1 - p)
    if_arm, if_baseline = (q / p), (1 - q) / (1 - p)
    assert p * if_arm + (1 - p) * if_baseline == pytest.approx(1.0)
    assert lost_level(3, 0, arm, baseline) == pytest.approx(3 * math.log(if_arm))
    expected = 3 * math.log(if_arm) + 2 * math.log(if_baseline)
    assert lost_level(3, 2, arm, baseline) == pytest.approx(max(expected, 0.0))


@pytest.mark.parametrize(("arm", "baseline", "losses"), [(20, 180, 3), (2, 18, 3), (1, 3, 4), (100, 900, 3)])
def test_a_few_lost_units_are_proof_and_one_is_none(arm, baseline, losses):
    assert lost_level(losses, 0, arm, baseline) >= BREAK
    assert lost_level(losses - 1, 0, arm, baseline) < BREAK
    assert lost_level(1, 0, arm, baseline) < BREAK


def test_where_all_units_restart_nobody_is_blamed():
    assert lost_level(20, 180, 20, 180) == 0.0
    assert lost_level(1, 3, 1, 3) == 0.0
    assert lost_level(3, 0, 0, 10) == lost_level(3, 0, 10, 0) == 0.0


# ---- how often it is wrong ------------------------------------------------------------------------------------------


def withdrawn(rng, units, arm, looks, *, worse=0.0, earlier=None):
    """Whether it is at any look, by units whose noise lasts from look to look, as it does in a round."""
    noise = np.zeros(units)
    sums = np.zeros(units)
    for look in range(1, looks + 1):
        noise = 0.9 * noise + rng.normal(0, 0.1 * math.sqrt(1 - 0.81), units)
        sums += noise + rng.normal(0, 0.05, units)
        numbers = sums / look
        numbers[:arm] += worse
        found = beside(numbers[:arm].tolist(), numbers[arm:].tolist(), tau=0.1, floor=FLOOR, earlier=earlier)
        if found is not None and found.level >= BREAK:
            return True
    return False


@pytest.mark.parametrize(("units", "arm"), [(20, 2), (40, 4)])
def test_an_arm_like_the_baseline_is_hardly_ever_withdrawn_whenever_it_is_looked_at(units, arm):
    rng = np.random.default_rng(11)
    false = sum(withdrawn(rng, units, arm, 40) for _ in range(200))
    assert false <= 7, "1 % is promised: more than 7 of 200 come up once in 900 such tests"
    assert sum(withdrawn(rng, units, arm, 40, worse=0.5) for _ in range(50)) == 50
