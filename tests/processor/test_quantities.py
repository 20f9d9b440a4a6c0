"""What units measured, as whole numbers: exact, in any order, and moved on from round to round."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet import INTERVAL_MS, START_MS, Fleet, Latencies, empty_scope, guard, metric_event, spec_of
from oppertune.core.summary import GAMMA, Summary, bin_index
from oppertune.schemas.state import Quantity, ScopeState, Unit
from oppertune.streams.processor import quantities
from oppertune.streams.processor.contributions import (
    LOG_ONE,
    MOST_DENOMINATOR,
    ONE,
    contribution,
    tolerated_bins,
)
from oppertune.streams.processor.measurements import summary_of
from oppertune.streams.processor.quantities import BASELINE
from oppertune.streams.processor.unit_numbers import compared, number, plain_value

LOG_GAMMA = math.log(GAMMA)


def tracked_of(spec, name):
    return next(tracked for tracked in spec.quantities if tracked.name == name)


def measured_of(spec, name, numbers, *, shifted=False, interval_s=10.0, **known):
    """Numerator and denominator of one event, for a quantity of which so much is known."""
    tracked = tracked_of(spec, name)
    event = metric_event("u", {tracked.metric: numbers}, interval_s=interval_s)
    summary = summary_of(event.metrics[tracked.metric])
    quantity = Quantity(**known)
    found = contribution(tracked, quantity, summary, round(interval_s * 1000), 1, shifted=shifted)
    return found, tracked, quantity


# ---- what an event adds ---------------------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
LATENCIES = RNG.lognormal(4, 0.6, 500).tolist()
SIGNED = RNG.normal(1.0, 2.0, 500).tolist()

FORMULAS: dict[str, tuple[list[float], dict[str, Any], float, float, float]] = {
    "share err": ([0.0, 1.0, 1.0, 0.0, 0.0], {"scale": "share"}, math.asin(math.sqrt(2.375 / 5.75)), 0.4, 1e-12),
    "mean lat": (LATENCIES, {"scale": "log", "tick": -14}, math.log(np.mean(LATENCIES)), np.mean(LATENCIES), 1e-2),
    "mean any": (SIGNED, {"scale": "plain", "tick": -12, "unit": 2.0}, np.mean(SIGNED) / 2, np.mean(SIGNED), 1e-3),
    "rate lat": (LATENCIES, {"scale": "log"}, math.log(0.05), 50.0, 1e-12),
    "count lat": (LATENCIES, {"scale": "log"}, math.log(0.05), 500.0, 1e-12),
    "sum lat": (LATENCIES, {"scale": "log", "tick": -14}, math.log(sum(LATENCIES) / 1e4), sum(LATENCIES), 1e-6),
    "max lat": (LATENCIES, {"scale": "log", "tick": -14}, math.log(max(LATENCIES)), max(LATENCIES), 1e-6),
    "min lat": (LATENCIES, {"scale": "log", "tick": -14}, math.log(min(LATENCIES)), min(LATENCIES), 1e-6),
    "std lat": (LATENCIES, {"scale": "log", "tick": -14}, math.log(np.std(LATENCIES)), np.std(LATENCIES), 1e-6),
    "min any": (SIGNED, {"scale": "plain", "tick": -12, "unit": 2.0}, min(SIGNED) / 2, min(SIGNED), 1e-3),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_unit_s_number_is_what_the_formula_says(name):
    numbers, known, expected, plain, accuracy = FORMULAS[name]
    aggregate, metric = name.split()
    (num, den), tracked, quantity = measured_of(spec_of(guard(aggregate, metric)), name, numbers, **known)
    shift = quantity.tick * math.log(2) if known["scale"] == "log" and aggregate in {"mean", "sum"} else 0.0
    if aggregate in {"rate", "count"}:
        shift = -math.log(ONE)
    found = number(tracked, quantity, num, den)
    assert found is not None
    assert found + shift == pytest.approx(expected, rel=accuracy, abs=accuracy)
    assert plain_value(tracked, quantity, num, den, INTERVAL_MS) == pytest.approx(plain, rel=accuracy)
    assert isinstance(num, int)
    assert isinstance(den, int)


def test_a_percentile_of_the_objective_is_its_logarithm_by_measurements():
    spec = spec_of(terms=[{"metric": "lat", "aggregate": "p95", "goal": "minimize"}])
    (num, den), tracked, quantity = measured_of(spec, "~p95 lat", LATENCIES, scale="log", tick=-14)
    assert den == 500
    assert num == round(
        500 * math.log(summary_of(metric_event("u", {"lat": LATENCIES}).metrics["lat"]).quantile(0.95)) * LOG_ONE
    )
    assert plain_value(tracked, quantity, num, den, 1) == pytest.approx(np.quantile(LATENCIES, 0.95), rel=0.02)


def test_a_guarded_percentile_counts_what_is_beyond_the_edge_and_an_arm_s_edge_is_the_tolerance_further():
    spec = spec_of(guard("p95", "lat", tolerance=0.1), guard("p5", "speed", "maximize", tolerance=0.1))
    bins = math.ceil(math.log(1.1) / LOG_GAMMA)
    assert [tolerated_bins(tracked) for tracked in spec.quantities] == [bins, -bins]
    edge = bin_index(np.quantile(LATENCIES, 0.95))
    (num, den), *_ = measured_of(spec, "p95 lat", LATENCIES, scale="share", edge=edge)
    assert (num, den) == (ONE * sum(x > GAMMA**edge for x in LATENCIES), 500)
    (shifted, _), *_ = measured_of(spec, "p95 lat", LATENCIES, scale="share", edge=edge, shifted=True)
    assert shifted == ONE * sum(x > GAMMA ** (edge + bins) for x in LATENCIES) < num


def test_an_arm_that_is_as_slow_as_the_tolerance_has_no_more_beyond_its_edge_than_the_baseline():
    spec = spec_of(guard("p95", "lat", tolerance=0.1))
    edge = bin_index(np.quantile(LATENCIES, 0.95))
    (baseline, _), *_ = measured_of(spec, "p95 lat", LATENCIES, scale="share", edge=edge)
    slower = [1.1 * x for x in LATENCIES]
    (arm, _), *_ = measured_of(spec, "p95 lat", slower, scale="share", edge=edge, shifted=True)
    assert arm <= baseline
    (strict, _), *_ = measured_of(spec, "p95 lat", slower, scale="share", edge=edge)
    assert strict > baseline


def test_a_mean_is_cut_at_its_edge():
    spec = spec_of(guard("mean", "lat"))
    cut = bin_index(5 * np.quantile(LATENCIES, 0.95))
    (num, den), tracked, quantity = measured_of(spec, "mean lat", [*LATENCIES, 1e9], scale="log", tick=-14, edge=cut)
    expected = (sum(LATENCIES) + GAMMA**cut) / 501
    assert plain_value(tracked, quantity, num, den, 1) == pytest.approx(expected, rel=0.02)


def test_what_was_not_measured_counts_for_a_rate_alone():
    spec = spec_of(guard("rate", "lat"), guard("mean", "lat"))
    rate, mean = spec.quantities
    assert contribution(rate, Quantity(scale="log"), None, 10_000, 1, shifted=False) == (0, 10_000)
    assert contribution(mean, Quantity(scale="log", tick=-14), None, 10_000, 1, shifted=False) is None
    assert number(rate, Quantity(scale="log"), 0, 10_000) is not None, "half a measurement: a logarithm needs one"


def test_each_measurement_counts_as_often_as_the_event_says():
    spec = spec_of(guard("p95", "lat"), guard("rate", "lat"), guard("mean", "lat"))
    summary = summary_of(metric_event("u", {"lat": LATENCIES}).metrics["lat"])
    of_each = ({"scale": "share", "edge": 100}, {"scale": "log"}, {"scale": "log", "tick": -14})
    for tracked, known in zip(spec.quantities, map(Quantity.model_validate, of_each), strict=True):
        once, thrice = (contribution(tracked, known, summary, 10_000, n, shifted=False) for n in (1, 3))
        assert once is not None
        assert thrice is not None
        assert thrice[0] == 3 * once[0]
        assert thrice[1] == (once[1] if tracked.aggregate == "rate" else 3 * once[1])


@given(
    st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, -1.0]), min_size=1, max_size=40),
    st.sampled_from([0.01, 0.5, 0.95, 0.99, 0.999]),
)
def test_a_percentile_read_from_above_is_the_summary_s(numbers, rank):
    spec = spec_of(terms=[{"metric": "lat", "aggregate": f"p{100 * rank:g}", "goal": "minimize"}])
    (num, _), *_ = measured_of(spec, f"~p{100 * rank:g} lat", numbers, scale="plain", tick=0)
    summary = Summary()
    for x in numbers:
        summary.add(x)
    expected = round(min(max(summary.quantile(rank), -(2**28)), 2**28)) * len(numbers)
    assert num == expected


# ---- in any order ---------------------------------------------------------------------------------------------------

EVERY = spec_of(
    guard("p95", "latency"),
    guard("mean", "latency"),
    guard("share", "error"),
    guard("rate", "latency", "maximize"),
    guard("share", "error", limit=0.3),
    guard("max", "latency", limit=1e4),
    terms=[{"metric": "latency", "aggregate": "p99", "goal": "minimize"}],
)


def observed(spec=EVERY, units=4):
    fleet = Fleet(spec, units)
    fleet.observe(Latencies(5, units))
    return fleet


STATE = observed().scope.to_bytes()

events = st.tuples(
    st.sampled_from(["u0", "u1", "u2", "u3", "nobody"]),
    st.sampled_from([BASELINE, "e1"]),
    st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=5),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=5),
    st.sampled_from([1, 7, 10**6]),
    st.integers(0, 4),
)


def noted(order):
    scope = ScopeState.from_bytes(STATE)
    arms = {"u0": "e1", "u1": BASELINE, "u2": BASELINE, "u3": ""}
    quantities.begin(EVERY, scope, arms, [BASELINE], [], START_MS, keep_history=False)
    for instance, arm, latency, error, weight, slot in order:
        event = metric_event(instance, {"latency": latency, "error": error}, weight=weight)
        quantities.note(EVERY, scope, arm, arm == BASELINE, event, START_MS + slot * INTERVAL_MS)
    quantities.advance(EVERY, scope, START_MS + (len(order) % 2) * 9 * INTERVAL_MS)
    return scope


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=12).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_events_in_another_order_give_the_same_bytes(orders):
    first, second = (noted(order) for order in orders)
    assert [unit.model_dump_json() for unit in first.units.values()] == [
        unit.model_dump_json() for unit in second.units.values()
    ]
    said = [json.dumps(json.loads(scope.to_bytes()), sort_keys=True) for scope in (first, second)]
    assert said[0] == said[1]


lengths = st.lists(st.integers(0, 2**32), min_size=1, max_size=8)


@given(lengths.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
@example(([2**32, 2**32, 7], [7, 2**32, 2**32]))
def test_sums_that_are_full_are_full_in_any_order_and_fit_into_64_bits(orders):
    spec = spec_of(guard("rate", "lat"))
    ends = []
    for order in orders:
        scope = empty_scope()
        scope.units = {"u": Unit(arm="e1")}
        for den in order:
            event = metric_event("u", {"lat": [1.0]}, weight=10**6)
            object.__setattr__(event, "interval_s", max(den, 1) / 1000)
            quantities.note(spec, scope, "e1", False, event, START_MS)
        ends.append(scope.units["u"].sums["rate lat"])
    assert ends[0] == ends[1]
    assert abs(ends[0][0]) < 2**63
    full = sum(max(den, 1) for den in orders[0]) >= MOST_DENOMINATOR
    assert full == (ends[0][:2] == [0, MOST_DENOMINATOR])
    assert full == (number(spec.quantities[0], Quantity(scale="log"), *ends[0][:2]) is None)


@pytest.mark.parametrize("value", [1e100, -1e100, 1e-300])
def test_no_measurement_is_beyond_64_bits(value):
    fleet = observed(spec_of(guard("mean", "latency"), guard("mean", "signed"), guard("sum", "latency")), 4)
    for name in fleet.names:
        fleet.report(name, {"latency": [value], "signed": [value]}, weight=10**6)
        assert all(abs(x) < 2**63 for sums in fleet.scope.units[name].sums.values() for x in sums)
    ScopeState.from_bytes(fleet.scope.to_bytes())


# ---- whose sums -----------------------------------------------------------------------------------------------------


def test_only_what_a_unit_measured_in_the_arm_that_it_was_given_is_its_own():
    spec = spec_of(guard("share", "error"))
    scope = empty_scope()
    quantities.begin(spec, scope, {"a": "e1", "b": BASELINE, "c": ""}, [], [], START_MS, keep_history=False)
    for instance, arm in (("a", "e1"), ("a", BASELINE), ("b", BASELINE), ("c", BASELINE), ("stranger", BASELINE)):
        quantities.note(spec, scope, arm, arm == BASELINE, metric_event(instance, {"error": [1.0]}), START_MS + 5)
    assert {name: unit.sums for name, unit in scope.units.items()} == {
        "a": {"share error": [ONE, 1, 0, 0, 0, 0]},
        "b": {"share error": [ONE, 1, 0, 0, 0, 0]},
        "c": {},
    }
    assert [unit.reports for unit in scope.units.values()] == [1, 1, 0]
    assert [unit.last_ms for unit in scope.units.values()] == [START_MS + 5, START_MS + 5, 0]


def sums_after(*, keep_history=False, incumbent_arms=(BASELINE,), stage_arms=()):
    spec = spec_of(guard("share", "error"))
    scope = empty_scope()
    scope.units = {
        "a": Unit(arm="candidate", reports=2, losses=1, sums={"share error": [10, 3, 20, 4, 40, 9]}),
        "b": Unit(arm=BASELINE, losses=2, sums={"share error": [10, 3, 20, 4, 40, 9]}),
        "gone": Unit(arm=BASELINE, losses=1),
    }
    arms = {"a": BASELINE, "b": "e1", "new": BASELINE}
    quantities.begin(spec, scope, arms, incumbent_arms, stage_arms, START_MS, keep_history=keep_history)
    assert {name: unit.arm for name, unit in scope.units.items()} == arms
    assert all(unit.reports == 0 and unit.losses is None for unit in scope.units.values())
    return scope, scope.units["a"].sums["share error"], scope.units["b"].sums["share error"]


def test_a_history_is_half_of_what_it_was_and_what_the_incumbent_s_units_measured():
    _, candidate, baseline = sums_after()
    assert candidate == [0, 0, 20, 4, 40, 9]
    assert baseline == [0, 0, 20, 4, 40 * 5 // 9 + 10, 5 + 3], "half of 9 is 5, and the ratio stays"


def test_histories_stay_while_a_roll_out_lasts_and_its_stage_grows():
    scope, candidate, baseline = sums_after(keep_history=True, stage_arms=(BASELINE, "candidate"))
    assert candidate == baseline == [0, 0, 30, 7, 40, 9]
    assert scope.stage_losses == {"candidate": 1, BASELINE: 3}
    quantities.begin_stage(scope)
    assert scope.units["a"].sums["share error"] == [0, 0, 0, 0, 40, 9]
    assert scope.stage_losses == {}


def test_a_promoted_candidate_s_units_keep_what_they_measured_as_history():
    spec = spec_of(guard("share", "error"))
    scope = empty_scope()
    scope.units = {
        "a": Unit(arm="candidate", sums={"share error": [10, 3, 20, 4, 40, 9]}),
        "b": Unit(arm=BASELINE, sums={"share error": [10, 3, 20, 4, 40, 9]}),
    }
    quantities.promoted(scope, "candidate")
    assert scope.units["a"].sums["share error"] == [0, 0, 0, 0, 30, 7], "the stage's finished rounds and this one"
    assert scope.units["b"].sums["share error"] == [0] * 6, "of another configuration"
    quantities.begin(spec, scope, dict.fromkeys("ab", BASELINE), [BASELINE], [], START_MS, keep_history=False)
    assert scope.units["b"].sums["share error"][4:] == [0, 0], "what ran before is not the new incumbent's"


def test_histories_reach_twice_a_round_whatever_its_size():
    spec = spec_of(guard("rate", "lat"))
    scope = empty_scope()
    for _ in range(8):
        quantities.begin(spec, scope, {"a": BASELINE}, [BASELINE], [], START_MS, keep_history=False)
        for _ in range(3):
            quantities.note(spec, scope, BASELINE, True, metric_event("a", {"lat": [1.0]}), START_MS)
    quantities.begin(spec, scope, {"a": BASELINE}, [BASELINE], [], START_MS, keep_history=False)
    num, den = scope.units["a"].sums["rate lat"][4:]
    assert den == pytest.approx(2 * 30_000, rel=0.01)
    assert num / ONE / den == pytest.approx(1e-4, rel=1e-4), "halved again and again, the ratio is the same"


def test_a_quantity_that_the_spec_has_no_more_is_forgotten():
    fleet = observed()
    fleet.spec = spec_of(guard("share", "error"))
    fleet.begin()
    assert set(fleet.scope.quantities) == {"share error"}
    assert all(set(unit.sums) == {"share error"} for unit in fleet.scope.units.values())


# ---- windows --------------------------------------------------------------------------------------------------------


def test_an_edge_is_the_bin_of_the_baseline_s_percentile_in_its_window_and_nothing_counts_before_it():
    fleet = Fleet(spec_of(guard("p95", "lat")), 2)
    fleet.begin({"e1": 1})
    fleet.now_ms += INTERVAL_MS
    fleet.report("u0", {"lat": [1e6] * 500})
    fleet.report("u1", {"lat": LATENCIES[:199]})
    quantities.advance(fleet.spec, fleet.scope, fleet.now_ms)
    assert fleet.scope.quantities["p95 lat"].edge is None, "199 are too few"
    assert all(not unit.sums for unit in fleet.scope.units.values())
    fleet.report("u1", {"lat": LATENCIES[199:200]})
    quantities.advance(fleet.spec, fleet.scope, fleet.now_ms)
    exact = Summary()
    for x in LATENCIES[:200]:
        exact.add(x)
    quantity = fleet.scope.quantities["p95 lat"]
    assert quantity.edge == bin_index(exact.quantile(0.95)), "the arm's are not in it"
    assert isinstance(quantity.edge, int)
    assert quantity.window.count == 0
    fleet.report("u1", {"lat": LATENCIES})
    assert fleet.scope.units["u1"].sums["p95 lat"][1] == 500


def test_a_window_lasts_an_interval():
    fleet = Fleet(spec_of(guard("p95", "lat")), 1)
    fleet.begin()
    fleet.report("u0", {"lat": LATENCIES})
    quantities.advance(fleet.spec, fleet.scope, fleet.now_ms + INTERVAL_MS - 1)
    assert fleet.scope.quantities["p95 lat"].edge is None
    quantities.advance(fleet.spec, fleet.scope, fleet.now_ms + INTERVAL_MS)
    assert fleet.scope.quantities["p95 lat"].edge is not None


ZERO_ONE = [0.0] * 190 + [1.0] * 30
POSITIVE = LATENCIES[:300]
WITH_ZEROS = [0.0] * 30 + POSITIVE
SCALES = [
    ("mean", ZERO_ONE, "share"),
    ("mean", POSITIVE, "log"),
    ("mean", WITH_ZEROS, "plain"),
    ("mean", SIGNED, "plain"),
    ("mean", [0.5] * 30, "log"),
    ("sum", WITH_ZEROS, "log"),
    ("sum", SIGNED, "plain"),
    ("min", POSITIVE, "log"),
    ("min", WITH_ZEROS, "plain"),
    ("std", SIGNED, "log"),
    ("std", [2.0] * 30, "plain"),
    ("p95", WITH_ZEROS, "share"),
    ("p95", [-x for x in POSITIVE], "plain"),
]


@pytest.mark.parametrize(("aggregate", "numbers", "scale"), SCALES)
def test_the_baseline_s_window_shows_the_scale(aggregate, numbers, scale):
    fleet = Fleet(spec_of(guard(aggregate, "m")), 1)
    fleet.observe(lambda *_: {"m": numbers}, rounds=1, intervals=1)
    quantity = fleet.scope.quantities[f"{aggregate} m"]
    assert quantity.scale == scale
    fleet.interval(lambda *_: {"m": numbers})
    assert number(fleet.spec.quantities[0], quantity, *fleet.scope.units["u0"].sums[f"{aggregate} m"][:2]) is not None


def test_a_measured_reward_is_never_put_in_logarithms():
    for guardrails in ([], [guard("mean", "reward", "maximize")]):
        fleet = Fleet(spec_of(*guardrails, measured="reward"), 1)
        fleet.observe(lambda *_: {"reward": POSITIVE}, rounds=1, intervals=1)
        quantity = fleet.scope.quantities["mean reward"]
        assert quantity.scale == "plain"
        assert quantity.unit == pytest.approx(np.std(POSITIVE))


def test_what_contradicts_a_scale_is_measured_anew():
    fleet = Fleet(spec_of(guard("mean", "m"), guard("share", "error")), 2)
    fleet.observe(lambda *_: {"m": ZERO_ONE, "error": ZERO_ONE}, rounds=2)
    assert fleet.scope.units["u0"].sums["mean m"][5] > 0
    fleet.observe(lambda *_: {"m": POSITIVE, "error": ZERO_ONE}, rounds=1, intervals=1)
    assert fleet.scope.quantities["mean m"].scale == "log"
    assert all("mean m" not in unit.sums for unit in fleet.scope.units.values())
    assert fleet.scope.units["u0"].sums["share error"][5] > 0, "the other stays"
    fleet.observe(lambda *_: {"m": [1000 * x for x in POSITIVE], "error": ZERO_ONE}, rounds=1, intervals=1)
    assert fleet.scope.quantities["mean m"].scale == "log"
    assert "mean m" not in fleet.scope.units["u0"].sums, "a step of a thousandth of what it should be"


# ---- the spread of earlier rounds -----------------------------------------------------------------------------------


def spread_of(fleet):
    return fleet.scope.quantities["p95 latency"].spread


def test_spread_is_learned_though_the_units_are_too_few_to_judge_by():
    fleet = Fleet(spec_of(guard("p95", "latency")), 4)
    fleet.observe(Latencies(1, 4), rounds=12)
    fleet.begin()
    degrees, variance = spread_of(fleet)[0]
    assert degrees == 20, "no more than twenty, however many rounds"
    assert 1e-4 < variance < 0.05


def test_spread_is_not_learned_without_histories():
    """Else what tells hosts apart would be in it, and a bad arm of few units be missed."""
    fleet = Fleet(spec_of(guard("p95", "latency")), 4)
    latencies = Latencies(1, 4)
    latencies.host = np.array([0.5, 0.8, 1.3, 2.0])
    fleet.observe(latencies, rounds=1)
    fleet.begin()
    assert spread_of(fleet) == {}, "nobody had a history"
    fleet.observe(latencies, rounds=2)
    fleet.begin()
    quantity = fleet.scope.quantities["p95 latency"]
    assert spread_of(fleet)[0][1] < 0.02
    for unit in fleet.scope.units.values():
        unit.sums["p95 latency"][4:] = [0, 0]
    fleet.interval(latencies)
    now = compared(fleet.spec.quantities[0], quantity, [list(fleet.scope.units.values())], stage=False)
    assert np.var(now.numbers[0], ddof=1) > 3 * spread_of(fleet)[1][1], "hosts differ by far more"


def test_the_spread_of_a_round_is_in_only_from_the_next_on_and_by_how_long_it_lasted():
    fleet = Fleet(spec_of(guard("p95", "latency")), 6)
    latencies = Latencies(2, 6)
    fleet.observe(latencies, rounds=1)
    fleet.begin()
    for _ in range(5):
        fleet.interval(latencies)
        quantities.advance(fleet.spec, fleet.scope, fleet.now_ms)
    quantity = fleet.scope.quantities["p95 latency"]
    assert set(quantity.seen) == {0, 1, 2}
    assert quantity.seen[1].looks == 2
    begun_ms = quantity.since_ms
    known = set(quantity.spread)
    fleet.begin()
    assert known < set(quantity.spread) == {0, 1, 2}
    assert quantity.seen == {}
    late = quantities.earlier(fleet.spec, quantity, begun_ms, begun_ms + 100 * INTERVAL_MS)
    assert late == quantities.earlier(fleet.spec, quantity, begun_ms, begun_ms + 4 * INTERVAL_MS)
