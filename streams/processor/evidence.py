"""How sure it is that an arm is worse than the baseline: tests of one number for each unit, at every look.

A unit is an instance: what an arm is given to. What it measured in one interval is like what it measures in the next,
so intervals and requests are no sample of their own: arms are compared by the spread between units. Levels are natural
logarithms: evidence of level ln(1/α) comes up at any time, in arms as good as the baseline, with probability α at most.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

ENOUGH_DEGREES = 8
"""Degrees of freedom from which on the present round's spread is trusted alone; with fewer, earlier rounds help."""

MAX_EARLIER = 20.0
"""Degrees of freedom that the spread of earlier rounds may have."""


class Earlier(NamedTuple):
    """Spread between units as earlier rounds had it.

    Attributes:
        degrees: Of freedom, 0 to 20.
        variance: Of a unit's number.
    """

    degrees: float
    variance: float


class Evidence(NamedTuple):
    """What speaks for it that one arm is worse, or better, than another.

    Attributes:
        level: Natural logarithm; 0 or more. 0: nothing speaks for it.
        theta: How much worse, beyond what is let pass, on the scale of the units' numbers.
        se: Standard error of that.
        degrees: Of freedom, of the standard error.
        arm_units: Units of the arm that were compared.
        baseline_units: Units of the baseline that were compared.
        arm_value: The arm's aggregate, for people; ``None`` where it was not looked up.
        baseline_value: The baseline's.
        scale: Of the units' numbers, in a word; empty where there is none.
    """

    level: float
    theta: float
    se: float
    degrees: float
    arm_units: int
    baseline_units: int
    arm_value: float | None = None
    baseline_value: float | None = None
    scale: str = ""


def mixture_level(t: float, g: float, degrees: float) -> float:
    """Level of a t statistic, one-sided, under a normal mixture over what the effect may be.

    The likelihood ratio of t between effects that are normal about zero, and none, is that of √(1 + g) T to T, T being
    Student's: a mixture sequential probability ratio test (Robbins 1970) whose unknown variance has the right Haar
    prior (Lindon, Ham, Tingley, Bojinov, arXiv:2210.08589). Of the effects only those above zero count, so it is twice
    that at most.

    Args:
        t: Effect over its standard error.
        g: Variance of the mixture, in squared standard errors, above 0.
        degrees: Of freedom, above 0.

    Returns:
        The level, below 0 where t speaks against an effect of the mixture's size; -∞ where t is not above 0.
    """
    if not t > 0:
        return -math.inf
    per_degree = t * t / degrees
    gained = math.log1p(per_degree) - math.log1p(per_degree / (1 + g))
    return math.log(2) - math.log1p(g) / 2 + (degrees + 1) / 2 * gained


def variance(numbers: Sequence[float]) -> float:
    """The sample's variance, from two numbers on."""
    mean = math.fsum(numbers) / len(numbers)
    return math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)


def _spread(numbers: Sequence[float], floor: float, earlier: Earlier | None) -> tuple[float, float] | None:
    """Variance and degrees of freedom; ``None`` where they are too few."""
    degrees = float(len(numbers) - 1)
    squares = degrees * variance(numbers) if degrees > 0 else 0.0
    if 0 <= degrees < ENOUGH_DEGREES and earlier is not None:
        more = min(earlier.degrees, MAX_EARLIER)
        degrees, squares = degrees + more, squares + more * earlier.variance
    if degrees < ENOUGH_DEGREES:
        return None
    return max(squares / degrees, floor), degrees


def beside(
    arm: Sequence[float],
    baseline: Sequence[float],
    *,
    shift: float = 0.0,
    tau: float,
    floor: float,
    earlier: Earlier | None = None,
) -> Evidence | None:
    """Evidence that the arm's units are above the baseline's by more than a shift, both measured at the same time.

    The spread is the baseline's: a bad arm's own may be anything.

    Args:
        arm: A number for each unit of the arm.
        baseline: A number for each unit of the baseline.
        shift: So much is let pass.
        tau: Usual size of an effect, above 0: what the test is best at.
        floor: Least variance of a unit's number that is believed, above 0.
        earlier: Spread of earlier rounds: counts where the baseline has fewer than 9 units.

    Returns:
        ``None`` where it is inconclusive: nobody in the arm, or too few units for a spread.
    """
    found = _spread(baseline, floor, earlier) if arm and baseline else None
    if found is None:
        return None
    s2, degrees = found
    theta = math.fsum(arm) / len(arm) - math.fsum(baseline) / len(baseline) - shift
    se = math.sqrt(s2 * (1 / len(arm) + 1 / len(baseline)))
    return _evidence(theta, se, tau, degrees, len(arm), len(baseline))


def paired(
    differences: Sequence[float], *, shift: float = 0.0, tau: float, floor: float, earlier: Earlier | None = None
) -> Evidence | None:
    """Evidence from pairs: by instance where each runs both arms, or by pair of turns.

    Args:
        differences: Of each pair, arm less baseline.
        shift: So much is let pass.
        tau: As in :func:`beside`.
        floor: As there, of a difference.
        earlier: As there, of differences.

    Returns:
        ``None`` where it is inconclusive: too few pairs.
    """
    found = _spread(differences, floor, earlier) if differences else None
    if found is None:
        return None
    s2, degrees = found
    theta = math.fsum(differences) / len(differences) - shift
    return _evidence(theta, math.sqrt(s2 / len(differences)), tau, degrees, len(differences), len(differences))


def _evidence(theta: float, se: float, tau: float, degrees: float, arm: int, baseline: int) -> Evidence:
    level = mixture_level(theta / se, (tau / se) ** 2, degrees)
    return Evidence(max(level, 0.0), theta, se, degrees, arm, baseline)


MORE_LOST = 20.0
"""How much likelier a lost unit is an arm's, by odds, if the arm loses them: what the test of lost units is best at."""


def lost_level(arm_losses: int, baseline_losses: int, arm_units: int, baseline_units: int) -> float:
    """Level of the evidence that an arm loses its units, from whose units were lost; 0 or more.

    A likelihood ratio of two coins (Wald 1945): if the arm is not to blame, a lost unit is the arm's as often as a unit
    is. It needs no rate: where all units are restarted, losses come in proportion and say nothing.

    Args:
        arm_losses: How often a unit of the arm was lost.
        baseline_losses: How often one of the baseline's was.
        arm_units: Units in the arm.
        baseline_units: Units in the baseline.
    """
    if arm_units <= 0 or baseline_units <= 0:
        return 0.0
    p = arm_units / (arm_units + baseline_units)
    q = MORE_LOST * p / (MORE_LOST * p + 1 - p)
    return max(arm_losses * math.log(q / p) + baseline_losses * math.log((1 - q) / (1 - p)), 0.0)


def p_value(theta: float, se: float, degrees: float) -> float:
    """Chance of an effect of that size or more where there is none: Student's test, one-sided, for one look alone.

    Args:
        theta: The effect.
        se: Its standard error, above 0.
        degrees: Of freedom, above 0.
    """
    t = theta / se
    tail = _beta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2
    return tail if t > 0 else 1 - tail


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    before = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return before * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d₁ / (1 + d₂ / …)), from the front, with the numerators of that formula (Lentz 1976)."""
    tiny = 1e-300
    value, above, below = 1.0, 1.0, 0.0
    for i in range(1, 500):
        m = i // 2
        if i % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1 / ((1 + step * below) or tiny)
        above = (1 + step / above) or tiny
        value *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return 1 / value
