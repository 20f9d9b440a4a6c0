"""One tuning request: which events belong to it, what was measured of it, and whether that is enough.

Functions of a request, its scope, the tuner's spec and the time; nothing here talks to a learner.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from ...core.summary import Summary, exact_sum
from ...schemas.base import MAX_METRICS, MAX_SECONDS, ms
from ...schemas.events import ContextEvent, MeasuredSummary, Measurement, MetricEvent
from ...schemas.keys import request_id
from ...schemas.records import MetricResult
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, ScopeState, TunerState
from . import lease
from .deduplication import count_once
from .disposition import Disposed
from .measurements import summary_of
from .presence import present, waited_for
from .shared_parameters import in_words, of_boot

MAX_SAMPLES = 2**53
"""Measurements of one metric in a round, each counted as often as its weight says: a record's counters hold no more."""

MAX_BINS = 16_384
"""Histogram bins of one request, over all its metrics: some 250 kB of state. A metric that spans nine decades has 2,100
of 1 %."""


def of_id(scope: ScopeState, id_: str | None) -> OpenRequest | None:
    """The scope's open request of an id."""
    for request in scope.arms:
        if request.id == id_:
            return request
    return None


MAX_BOOTS = 8
"""Boots of an instance that are known to have run a request: of one that starts again and again, the first do."""


def activate(spec: TunerSpec, request: OpenRequest, event: ContextEvent | MetricEvent, now_ms: int) -> None:
    """Note that an instance runs the request. Events come in any order: the earliest counts."""
    request.ran.setdefault(event.instance, 0)
    if event.boot is not None:
        request.boots = request.boots or {}
        boots = request.boots.setdefault(event.instance, [])
        if event.boot not in boots and len(boots) < MAX_BOOTS:
            boots.append(event.boot)
    if request.activated_ms is None or now_ms < request.activated_ms:
        request.activated_ms = now_ms
        request.measure_by_ms = now_ms + ms(spec.measurement_s)


def expected(scope: ScopeState, request: OpenRequest, now_ms: int) -> list[str]:
    """The instances that are present and should run a request: all of them, or those that stand in its arm."""
    here = present(scope, now_ms)
    if scope.schedule == "turns":
        return here
    return [name for name in here if (unit := scope.units.get(name)) is not None and unit.arm == request.arm]


def refused_by_all(scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether nobody runs a request, and all who should say that they cannot."""
    refused = request.refused or {}
    return not request.ran and all(name in refused for name in expected(scope, request, now_ms))


def refusals(request: OpenRequest) -> str:
    """Who cannot run a request, and why, by one of them; empty where nobody said so."""
    if not request.refused:
        return ""
    name, why = min(request.refused.items())
    others = f" and {len(request.refused) - 1} more" if len(request.refused) > 1 else ""
    return f"refused by {name}{others}: {why}"


def deadline_ms(request: OpenRequest) -> int:
    """The last moment at which an event for the request counts: of activation, then of measurement."""
    return request.activate_by_ms if request.measure_by_ms is None else request.measure_by_ms


def match(tuner: TunerState, scope: ScopeState, event: MetricEvent, now_ms: int) -> OpenRequest:
    """The open request that a metric event belongs to.

    Raises:
        Disposed: It belongs to none: it is late, of an earlier spec, unknown, or measured something else.
    """
    request = of_id(scope, event.request_id)
    if request is None:
        raise _of_another_request(tuner, scope, event)
    if event.values_hash != request.hash:
        boot = scope.producers.get(event.instance, {}).get(event.boot or "")
        why = in_words(of_boot(tuner, boot)) if boot is not None else ""
        said = "measured with other values than the request's"
        raise Disposed("refused", "values_differ", f"{said}: {why}" if why else said)
    if now_ms > deadline_ms(request):
        raise Disposed("late", "after_deadline", letter=False)
    if event.active_for_s < tuner.spec.measurement.settle_s:
        raise Disposed("settling", "settling", letter=False)
    return request


def _of_another_request(tuner: TunerState, scope: ScopeState, event: MetricEvent) -> Disposed:
    def names(incarnation: int) -> bool:
        return event.request_id == request_id(tuner.tuner, incarnation, scope.scope, event.round, event.arm)

    if event.round <= scope.round and names(tuner.incarnation):
        return Disposed("late", "round_closed", letter=False)
    if any(names(incarnation) for incarnation in tuner.earlier):
        return Disposed("superseded", "earlier_spec", letter=False)
    return Disposed("dead_letter", "unknown_request", f"no request {event.request_id} was made for this scope")


def measure(spec: TunerSpec, request: OpenRequest, event: MetricEvent, now_ms: int) -> None:
    """Add an event's measurements to its request.

    Raises:
        Disposed: It was counted before, or the request is full.
    """
    if (
        len(request.metrics) + len(event.metrics) > MAX_METRICS
        and len(request.metrics.keys() | event.metrics) > MAX_METRICS
    ):
        raise Disposed("refused", "too_many_metrics", f"more than {MAX_METRICS} metrics in one round")
    for name, measurement in event.metrics.items():
        known = request.metrics.get(name)
        if (known.count if known is not None else 0) + _samples_in(measurement) * event.weight > MAX_SAMPLES:
            raise Disposed(
                "refused", "too_many_samples", f"more than {MAX_SAMPLES} measurements of a metric in one round"
            )
    bins = 0
    for summary in request.metrics.values():
        bins += len(summary.bins) + len(summary.negative)
    if bins > MAX_BINS:
        raise Disposed("refused", "too_many_bins", f"more than {MAX_BINS} histogram bins in one round")
    count_once(request, event)
    activate(spec, request, event, now_ms)
    request.ran[event.instance] += 1
    request.events += 1
    request.intervals_s.append(event.interval_s)
    for name, measurement in event.metrics.items():
        known = request.metrics.get(name)
        summary = known if known is not None else request.metrics.setdefault(name, Summary())
        if isinstance(measurement, float):
            summary.add(measurement, event.weight)
        elif isinstance(measurement, MeasuredSummary):
            summary.merge(summary_of(measurement), event.weight)
        else:
            for number in measurement:
                summary.add(number, event.weight)


def _samples_in(measurement: Measurement) -> int:
    if isinstance(measurement, float):
        return 1
    return measurement.count if isinstance(measurement, MeasuredSummary) else len(measurement)


def in_canonical_form(requests: Iterable[OpenRequest]) -> None:
    """Bring what was summed up into the form that does not depend on the order of events, before it is written."""
    for request in requests:
        request.intervals_s = exact_sum(request.intervals_s)
        for summary in request.metrics.values():
            summary.canonicalise()


class Progress(NamedTuple):
    """How far the measurement of a request is.

    Attributes:
        samples: Measurements so far, of the objective's metric that has the fewest.
        samples_needed: So many are needed.
        reported: Instances that reported.
        reports_needed: So many are needed, of those that are present or ran the request.
        ripe_ms: Not enough before this time; ``None`` before its activation.
        deadline_ms: The last moment at which an event for it counts.
    """

    samples: int
    samples_needed: int
    reported: int
    reports_needed: int
    ripe_ms: int | None
    deadline_ms: int


def progress(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> Progress:
    """How far a measurement is at a time."""
    reported, needed = _reports(spec, scope, request, now_ms)
    return Progress(
        samples=samples(spec, request),
        samples_needed=spec.measurement.min_samples,
        reported=reported,
        reports_needed=needed,
        ripe_ms=ripe_ms(spec, scope, request),
        deadline_ms=deadline_ms(request),
    )


def samples(spec: TunerSpec, request: OpenRequest) -> int:
    """Measurements so far: of the objective's metric that has the fewest."""
    names = spec.objective.metrics
    if not names:
        return max((s.count for s in request.metrics.values()), default=0)
    fewest = -1
    for name in names:
        summary = request.metrics.get(name)
        count = summary.count if summary is not None else 0
        if fewest < 0 or count < fewest:
            fewest = count
    return fewest


BESIDE_INTERVALS = 3
"""Arms that run side by side are compared for so many intervals, unless the spec says how long: an instance's own noise
lasts for several."""


def ripe_ms(spec: TunerSpec, scope: ScopeState, request: OpenRequest) -> int | None:
    """Before this time the request was not measured for long enough; ``None`` before its activation."""
    if request.activated_ms is None:
        return None
    needed_s = spec.measurement.duration_s
    if scope.schedule == "beside" and spec.measurement.min_duration_s is None:
        needed_s = min(BESIDE_INTERVALS * spec.measurement.interval_s, MAX_SECONDS)
    return request.activated_ms + ms(needed_s)


def _reports(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> tuple[int, int]:
    """How many instances reported, and how many must, of those that are present or ran the request.

    One that ran it and is gone counts: a configuration that kills its instances must not be judged by the survivors.
    """
    reported = sum(1 for reports in request.ran.values() if reports)
    return reported, max(math.ceil(spec.measurement.min_instance_share * _concerned(scope, request, now_ms)), 1)


def _concerned(scope: ScopeState, request: OpenRequest, now_ms: int) -> int:
    return len(request.ran) + sum(1 for name in expected(scope, request, now_ms) if name not in request.ran)


def enough_instances(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether as many instances reported as must."""
    reported, needed = _reports(spec, scope, request, now_ms)
    return reported >= needed


def silent(scope: ScopeState, request: OpenRequest, now_ms: int) -> list[str]:
    """The instances that ran the request, reported nothing and fell silent, heartbeats too; not who said goodbye."""
    deadline = deadline_ms(request)
    return [
        name
        for name, signs in waited_for(scope, request).items()
        if any((sign.heard_ms or 0) <= deadline and sign.expires_ms < now_ms for sign in signs)
    ]


def can_be_measured(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether those that did not fall silent are as many as must report."""
    _, needed = _reports(spec, scope, request, now_ms)
    return _concerned(scope, request, now_ms) - len(silent(scope, request, now_ms)) >= needed


def judged_ms(spec: TunerSpec, scope: ScopeState, request: OpenRequest) -> int:
    """From when on it can be said what became of a request that was not measured enough.

    Behind its deadline, or later: of an instance that ran it and reported nothing, a sign of life after the deadline
    or the end of its presence tells whether it lives and has nothing to measure, or fell silent.
    """
    deadline = deadline_ms(request)
    signs = (sign for of_instance in waited_for(scope, request).values() for sign in of_instance)
    unknown = [sign.expires_ms for sign in signs if (sign.heard_ms or 0) <= deadline < sign.expires_ms]
    if not unknown or (samples(spec, request) and enough_instances(spec, scope, request, deadline)):
        return deadline + 1
    return max(unknown) + 1


def over(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether a request that was not measured enough is behind its deadline, and can be judged."""
    known = lease.ran_out(spec, scope, now_ms) or now_ms >= judged_ms(spec, scope, request)
    return known and now_ms > deadline_ms(request)


def never_recorded(spec: TunerSpec, request: OpenRequest) -> str:
    """Which metrics of the objective were never recorded while others were, in words; empty where none."""
    missing = [name for name in spec.objective.metrics if name not in request.metrics]
    if not missing or not request.metrics:
        return ""
    were = "was" if len(missing) == 1 else "were"
    return f"{', '.join(missing)} {were} never recorded; recorded: {', '.join(sorted(request.metrics))}"


def measured_enough(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether the spec's measurement rule is met."""
    ripe = ripe_ms(spec, scope, request)
    return (
        ripe is not None
        and samples(spec, request) >= spec.measurement.min_samples
        and now_ms >= ripe
        and enough_instances(spec, scope, request, now_ms)
    )


def results(request: OpenRequest) -> dict[str, MetricResult]:
    """What was measured, for the round's record."""
    found = {}
    for name, summary in request.metrics.items():
        p50, p95, p99 = summary.quantiles((0.5, 0.95, 0.99))
        found[name] = MetricResult(
            count=summary.count,
            mean=summary.mean,
            min=summary.low or 0.0,
            max=summary.high or 0.0,
            std=summary.std,
            p50=p50,
            p95=p95,
            p99=p99,
        )
    return found
