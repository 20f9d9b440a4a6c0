import math
from collections import Counter
from unittest import mock

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oppertune.core import assignment
from oppertune.core.assignment import BASELINE, choose, cut, cut_rest, grow, position
from oppertune.core.errors import InvalidArgument

shares = st.lists(st.floats(0, 1), max_size=8)
salts = st.text(max_size=20)
fleets = st.one_of(st.integers(1, 60), st.sampled_from([200, 1000])).map(lambda n: [f"unit-{i}" for i in range(n)])


@st.composite
def shared_out(draw, most, arms=6):
    """How many units each arm takes, no more than there are."""
    counts, left = [], most
    for _ in range(draw(st.integers(1, arms))):
        counts.append(draw(st.integers(0, left)))
        left -= counts[-1]
    return draw(st.permutations(counts))


def dealt(salt, units, pieces):
    """How many units fall into each arm, through :func:`choose`; ``None``: behind them all."""
    return Counter(choose(pieces, position(salt, unit)) for unit in units)


def counts(wanted, units):
    """The same, as it is wanted."""
    return Counter(dict(enumerate(wanted)) | {None: units - sum(wanted)})


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


@given(st.data(), salts, fleets)
def test_a_cut_gives_each_arm_exactly_the_wanted_number_of_units(data, salt, units):
    wanted = data.draw(shared_out(len(units)))
    pieces = list(zip(cut(salt, units, wanted), range(len(wanted)), strict=True))
    assert dealt(salt, units, pieces) == counts(wanted, len(units))
    assert [share == 0 for share, _ in pieces] == [count == 0 for count in wanted]
    assert (sum(share for share, _ in pieces) == 1) == (sum(wanted) == len(units))


@pytest.mark.parametrize("n", [1, 2, 3, 10, 49, 200, 1000])
@pytest.mark.parametrize("part", [0.01, 0.025, 0.1, 0.25, 0.95, 1.0])
def test_a_cut_is_exact_for_each_size_and_share(n, part):
    units = [f"host-{i}" for i in range(n)]
    m = math.ceil(part * n)
    for round_ in range(20):
        [share] = cut(f"7/{round_}", units, [m])
        assert dealt(f"7/{round_}", units, [(share, 0)]) == counts([m], n)


def test_a_border_is_half_way_between_two_units_and_the_first_arm_begins_at_0():
    places = {"a": 0.125, "b": 0.25, "c": 0.75, "d": 0.875}
    with mock.patch.object(assignment, "position", lambda _, unit: places[unit]):
        assert cut("", "dacb", [2, 1]) == [0.5, 0.3125]
        assert cut("", "dacb", [0, 1, 3]) == [0.0, 0.1875, 0.8125]
        assert cut("", "dacba", [4]) == [1.0]
        assert cut("", "", [0, 0]) == [0.0, 0.0]
        assert grow("", "dacb", 1) == 0.1875
        assert cut_rest("", "dacb", 0.1875, [1], 1) == [(0.3125, BASELINE), (0.3125, 0), (0.1875, BASELINE)]
        assert cut_rest("", "dacb", 0.1875, [2], 2) == [(0.3125, 0), (0.3125, BASELINE), (0.1875, 0)]


near = st.builds(
    lambda base, steps: min(base * (1 + steps * 2.0**-52), 1.0),
    st.sampled_from([0.0, 2.0**-64, 1e-5, 0.1, 0.3, 0.5, 0.7, 1 - 2.0**-53]),
    st.integers(-3, 3),
)


@example(places=[0.5, 0.5 + 2.0**-53, 0.5 + 2.0**-52], first=1, second=1)  # neighbours among floats
@example(places=[0.3, 0.3, 0.3, 0.7], first=1, second=2)
@given(
    places=st.lists(near | st.floats(0, 1), min_size=1, max_size=12), first=st.integers(0, 4), second=st.integers(0, 4)
)
def test_units_that_are_all_but_in_one_place_are_parted_or_go_to_the_later_arm_together(places, first, second):
    assume(first + second <= len(places))
    at = {f"{n}": place for n, place in enumerate(places)}
    with mock.patch.object(assignment, "position", lambda _, unit: at[unit]):
        widths = cut("", at, [first, second])
    shares = list(zip(widths, (0, 1), strict=True))
    cells = sorted(int(place * 2**53) for place in places)
    arms = [choose(shares, place) for place in sorted(places)]
    for upto, arm in ((first, (0,)), (first + second, (0, 1))):
        parted = upto == 0 or (cells[upto - 1] < 2**53 if upto == len(cells) else cells[upto - 1] < cells[upto])
        inside = sum(chosen in arm for chosen in arms)
        assert inside == upto if parted else inside <= upto


class TestRollOut:
    @given(st.data(), salts, fleets)
    def test_arms_baseline_and_candidate_get_exactly_what_is_wanted(self, data, salt, units):
        upto = grow(salt, units, data.draw(st.integers(0, len(units))))
        candidate = sum(position(salt, unit) < upto for unit in units)
        wanted = data.draw(shared_out(len(units) - candidate))
        pieces = cut_rest(salt, units, upto, wanted, data.draw(st.integers(0, 10**6)))
        assert min(width for width, _ in pieces) >= 0
        in_order = [(upto, "candidate"), *pieces]
        assert sum(width for width, _ in in_order) == 1
        rest = {BASELINE: len(units) - candidate - sum(wanted), "candidate": candidate}
        assert dealt(salt, units, in_order) == Counter(dict(enumerate(wanted)) | rest)
        entries = Counter(arm for _, arm in pieces)
        assert all(n <= 2 for n in entries.values())
        assert sum(n == 2 for n in entries.values()) <= 1, "there is one opening of the circle"

    @given(salts, fleets, st.lists(st.integers(0, 10), min_size=1, max_size=4))
    def test_over_all_ranks_each_unit_is_in_each_arm_equally_often(self, salt, units, wanted):
        assume(sum(wanted) <= len(units) <= 60)
        arms: dict[str, Counter[int | None]] = {unit: Counter() for unit in units}
        for rank in range(len(units)):
            pieces = cut_rest(salt, units, 0.0, wanted, rank)
            for unit in units:
                arms[unit][choose(pieces, position(salt, unit))] += 1
        often = {arm: count for arm, count in enumerate(wanted) if count}
        assert all({arm: n for arm, n in seen.items() if arm != BASELINE} == often for seen in arms.values())

    @given(salts, fleets, st.data())
    def test_a_candidate_holds_at_least_so_many_and_nobody_is_taken_off_it_whoever_joins_or_leaves(
        self, salt, units, data
    ):
        present, upto, stays = set(units), 0.0, set[str]()
        for step in range(data.draw(st.integers(1, 6))):
            present -= set(data.draw(st.lists(st.sampled_from(sorted(present)), max_size=3))) if present else set()
            present |= {f"joined-{step}-{n}" for n in range(data.draw(st.integers(0, 3)))}
            count = data.draw(st.integers(0, len(present)))
            before, upto = upto, grow(salt, present, count, upto)
            on_it = {unit for unit in present if choose([(upto, True)], position(salt, unit))}
            assert upto >= before
            assert len(on_it) >= count
            assert stays & present <= on_it
            if upto > before:
                assert len(on_it) == count, "it grew though it held as many"
            stays |= on_it

    def test_a_border_that_is_handed_in_is_never_rounded_back(self):
        assert grow("", ["a"], 0, 2.0**-60) == 2.0**-53
        assert grow("", ["a"], 0, 1.0) == 1.0

    def test_where_nobody_or_nothing_remains_the_baseline_takes_the_piece(self):
        assert cut_rest("7", [], 0.25, [], 3) == [(0.75, BASELINE)]
        assert cut_rest("7", ["a", "b"], 1.0, [0], 0) == [(0.0, BASELINE)]
        assert cut_rest("7", ["a", "b"], 0.0, [0, 2], 1) == [(1.0, 1)]


def test_cohorts_of_two_salts_have_no_more_in_common_than_chance():
    units, m, rounds = [f"unit-{i}" for i in range(200)], 40, 400
    cohorts = []
    for round_ in range(rounds):
        [share] = cut(f"3/{round_}", units, [m])
        cohorts.append({unit for unit in units if position(f"3/{round_}", unit) < share})
    overlaps = [len(a & b) for a, b in zip(cohorts[::2], cohorts[1::2], strict=True)]
    expected = m * m / len(units)
    variance = expected * (1 - m / len(units)) ** 2 * len(units) / (len(units) - 1)  # hypergeometric
    standard_error = math.sqrt(variance / len(overlaps))
    assert abs(sum(overlaps) / len(overlaps) - expected) < 4 * standard_error


@pytest.mark.parametrize("wanted", [[3], [2, 1], [-1], [-1, 2]])
def test_more_than_there_are_and_fewer_than_none_are_refused(wanted):
    with pytest.raises(InvalidArgument, match="2 units"):
        cut("7", ["a", "b"], wanted)
    with pytest.raises(InvalidArgument, match="2 units"):
        cut_rest("7", ["a", "b"], 0.0, wanted, 0)
    with pytest.raises(InvalidArgument, match="2 units"):
        grow("7", ["a", "b"], wanted[0] if len(wanted) == 1 else 3)


@pytest.mark.parametrize("upto", [-0.1, 1.1, math.nan, math.inf])
def test_a_border_outside_of_the_circle_is_refused(upto):
    with pytest.raises(InvalidArgument, match="share"):
        grow("7", ["a"], 0, upto)
    with pytest.raises(InvalidArgument, match="share"):
        cut_rest("7", ["a"], upto, [], 0)
