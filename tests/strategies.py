"""Hypothesis strategies that several test modules share."""

from decimal import Decimal

from hypothesis import strategies as st

from oppertune.core.values import Categorical, Integer, Real

finite = st.floats(-1e9, 1e9)
whole = st.integers(-(2**40), 2**40)


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    low, step, n = draw(whole), draw(st.integers(1, 10**6)), draw(st.integers(0, 1000))
    return Integer("i", low + draw(st.integers(0, n)) * step, low, low + n * step, step)


@st.composite
def stepped_reals(draw: st.DrawFn) -> Real:
    """What a person would write: a minimum and a step of few digits, and the maximum as they add up on paper."""
    digits = draw(st.integers(0, 6))
    step = Decimal(draw(st.integers(1, 9999))).scaleb(-digits)
    low = Decimal(draw(st.integers(-(10**6), 10**6))).scaleb(-digits)
    n = draw(st.integers(0, 500))
    return Real("r", *map(float, (low + draw(st.integers(0, n)) * step, low, low + n * step, step)))


@st.composite
def plain_reals(draw: st.DrawFn) -> Real:
    low, val, high = sorted(draw(finite) for _ in range(3))
    return Real("r", val, low, high)


@st.composite
def log_integers(draw: st.DrawFn) -> Integer:
    low, val, high = sorted(draw(st.integers(1, 10**12)) for _ in range(3))
    return Integer("i", val, low, high, log=True)


@st.composite
def log_reals(draw: st.DrawFn) -> Real:
    low, val, high = sorted(draw(st.floats(1e-9, 1e9)) for _ in range(3))
    return Real("r", val, low, high, log=True)


categoricals = st.lists(st.text(), min_size=1, unique=True).map(lambda c: Categorical("c", c[-1], c))
numbers = integers() | stepped_reals() | plain_reals() | log_integers() | log_reals()
parameters = numbers | categoricals
