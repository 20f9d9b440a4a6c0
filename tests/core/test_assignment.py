from hypothesis import given
from hypothesis import strategies as st

from oppertune.core.assignment import choose, position

shares = st.lists(st.floats(0, 1), max_size=8)


@given(salt=st.text(max_size=20), unit=st.text(max_size=20))
def test_a_position_is_fixed_and_in_range(salt, unit):
    assert 0 <= position(salt, unit) <= 1
    assert position(salt, unit) == position(salt, unit)


def test_a_position_is_what_the_documentation_says():
    # printf '7:job-1' | sha256sum: the first 16 digits, over 2^64
    assert position("7", "job-1") == 0xB82740AE7070BB74 / 2**64


@given(shares=shares, where=st.floats(0, 1, exclude_max=True))
def test_arms_take_consecutive_shares_and_the_rest_none(shares, where):
    arms = list(enumerate(shares))
    chosen = choose([(share, n) for n, share in arms], where)
    if chosen is None:
        assert where >= sum(shares)
    else:
        before = sum(shares[:chosen])
        assert before <= where < before + shares[chosen] + 1e-12


def test_units_spread_over_arms_by_share_and_another_salt_deals_anew():
    def dealt(salt):
        return [choose([(0.5, "plus"), (0.25, "minus")], position(salt, f"job-{n}")) for n in range(4000)]

    first = dealt("1")
    assert abs(first.count("plus") / 4000 - 0.5) < 0.05
    assert abs(first.count("minus") / 4000 - 0.25) < 0.05
    assert first != dealt("2")
