"""One scope: who is present, what is open, what was measured of it, and when something is due.

Functions of a scope's state, its tuner's spec and the time; nothing here talks to a learner.
"""

import math

from ...core.summary import Summary, exact_sum
from ...schemas.configs import Arm, ConfigRecord, Configuration
from ...schemas.events import ContextEvent, MeasuredSummary, MetricEvent
from ...schemas.keys import request_id
from ...schemas.records import MetricResult
from ...schemas.spec import TunerSpec
from ...schemas.state import OpenRequest, Presence, ScopeState, TunerState
from .decode import NotUsed
from .once import count_once

ONE_ARM = "candidate"
"""The only arm while a scope runs one configuration at a time."""

MAX_METRICS = 64
MAX_BINS = 16_384
"""Bounds of what one open request may hold, over all its metrics."""


def ms(seconds: float) -> int:
    """Whole milliseconds, rounded up: a deadline is never early."""
    return math.ceil(seconds * 1000)


def is_present(scope: ScopeState, now_ms: int) -> bool:
    """Whether any instance is present."""
    return any(p.expires_ms >= now_ms for p in scope.presence.values())


def see(spec: TunerSpec, scope: ScopeState, event: ContextEvent | MetricEvent, now_ms: int, ttl_s: float) -> None:
    """Note a sign of life of an instance.

    Raises:
        NotUsed: The scope has as many instances as its spec allows.
    """
    presence = scope.presence.get(event.instance)
    if presence is None:
        if len(scope.presence) >= spec.max_instances:
            forget_absent(scope, now_ms)
        if len(scope.presence) >= spec.max_instances:
            raise NotUsed("refused", "too_many_instances", f"more than {spec.max_instances} instances in one context")
        presence = scope.presence[event.instance] = Presence(expires_ms=0)
    presence.expires_ms = max(presence.expires_ms, now_ms + ms(ttl_s))
    if isinstance(event, ContextEvent) and event.seq is not None:
        presence.boot, presence.seq = event.boot, event.seq


def forget_absent(scope: ScopeState, now_ms: int) -> None:
    """Drop the instances whose time is up."""
    scope.presence = {name: p for name, p in scope.presence.items() if p.expires_ms >= now_ms}


def activate(spec: TunerSpec, request: OpenRequest, instance: str, now_ms: int) -> None:
    """Note that an instance runs the request. Events come in any order: the earliest counts."""
    request.ran.setdefault(instance, 0)
    if request.activated_ms is None or now_ms < request.activated_ms:
        request.activated_ms = now_ms
        request.measure_by_ms = now_ms + ms(spec.measurement_s)


def match(tuner: TunerState, scope: ScopeState, event: MetricEvent, now_ms: int) -> OpenRequest:
    """The open request that a metric event belongs to.

    Raises:
        NotUsed: It belongs to none: it is late, of an earlier spec, unknown, or measured something else.
    """
    request = scope.open
    if request is None or request.id != event.request_id:
        raise _of_another_request(tuner, scope, event)
    if event.values_hash != request.hash:
        raise NotUsed("refused", "values_differ", "measured with other values than the request's")
    if now_ms > deadline_ms(request):
        raise NotUsed("late", "after_deadline", letter=False)
    if event.active_for_s < tuner.spec.measurement.settle_s:
        raise NotUsed("settling", "settling", letter=False)
    return request


def _of_another_request(tuner: TunerState, scope: ScopeState, event: MetricEvent) -> NotUsed:
    def names(incarnation: int) -> bool:
        return event.request_id == request_id(tuner.tuner, incarnation, scope.scope, event.round, event.arm)

    if event.round <= scope.round and names(tuner.incarnation):
        return NotUsed("late", "round_closed", letter=False)
    if any(names(incarnation) for incarnation in tuner.earlier):
        return NotUsed("superseded", "earlier_spec", letter=False)
    return NotUsed("dead_letter", "unknown_request", f"no request {event.request_id} was made for this scope")


def measure(spec: TunerSpec, request: OpenRequest, event: MetricEvent, now_ms: int) -> None:
    """Add an event's measurements to its request.

    Raises:
        NotUsed: It was counted before, or the request is full.
    """
    if (
        len(request.metrics) + len(event.metrics) > MAX_METRICS
        and len(request.metrics.keys() | event.metrics) > MAX_METRICS
    ):
        raise NotUsed("refused", "too_many_metrics", f"more than {MAX_METRICS} metrics in one round")
    bins = 0
    for summary in request.metrics.values():
        bins += len(summary.bins) + len(summary.negative)
    if bins > MAX_BINS:
        raise NotUsed("refused", "too_many_bins", f"more than {MAX_BINS} histogram bins in one round")
    count_once(request, event)
    activate(spec, request, event.instance, now_ms)
    request.ran[event.instance] += 1
    request.events += 1
    request.intervals_s.append(event.interval_s)
    for name, measurement in event.metrics.items():
        known = request.metrics.get(name)
        summary = known if known is not None else request.metrics.setdefault(name, Summary())
        if isinstance(measurement, float):
            summary.add(measurement, event.weight)
        elif isinstance(measurement, MeasuredSummary):
            summary.merge(
                count=measurement.count,
                total=[measurement.sum],
                squares=[measurement.sum_sq],
                low=measurement.min,
                high=measurement.max,
                bins=measurement.bins,
                negative=measurement.negative,
                zeros=measurement.zeros,
                weight=event.weight,
            )
        else:
            for number in measurement:
                summary.add(number, event.weight)


def settle(scope: ScopeState) -> None:
    """Bring what was summed up into its canonical form, before it is written."""
    if scope.open is not None:
        scope.open.intervals_s = exact_sum(scope.open.intervals_s)
        for summary in scope.open.metrics.values():
            summary.settle()


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


def enough_instances(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether enough of the instances reported that are present or ran the request.

    One that ran it and is gone counts: a configuration that kills its instances must not be judged by the survivors.
    """
    reported = sum(1 for reports in request.ran.values() if reports)
    others = sum(1 for name, p in scope.presence.items() if p.expires_ms >= now_ms and name not in request.ran)
    return reported > 0 and reported >= spec.measurement.min_instance_share * (len(request.ran) + others)


def measured_enough(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> bool:
    """Whether the spec's measurement rule is met."""
    return (
        request.activated_ms is not None
        and samples(spec, request) >= spec.measurement.min_samples
        and now_ms >= request.activated_ms + ms(spec.measurement.duration_s)
        and enough_instances(spec, scope, request, now_ms)
    )


def due_ms(spec: TunerSpec, scope: ScopeState) -> int | None:
    """When time alone next changes the scope; ``None`` where it never does."""
    request = scope.open
    if request is None:
        return None
    due = [scope.published_ms + ms(spec.lease / 3), deadline_ms(request) + 1]
    if request.activated_ms is not None and samples(spec, request) >= spec.measurement.min_samples:
        ripe = request.activated_ms + ms(spec.measurement.duration_s)
        if ripe > scope.published_ms:
            due.append(ripe)
    return min(due)


def deadline_ms(request: OpenRequest) -> int:
    """The last moment at which an event for the request counts: of activation, then of measurement."""
    return request.activate_by_ms if request.measure_by_ms is None else request.measure_by_ms


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


def config_record(tuner: TunerState, scope: ScopeState) -> ConfigRecord:
    """The scope's answer to the fleet as things stand."""
    spec = tuner.spec
    request = None if tuner.paused or tuner.suspended is not None else scope.open
    if tuner.suspended is not None:
        status = "suspended"
    elif tuner.paused:
        status = "paused"
    elif scope.achieved:
        status = "achieved"
    else:
        status = "tuning" if request is not None else "parked"
    arms = []
    if request is not None:
        arms.append(
            Arm(
                arm=request.arm,
                request_id=request.id,
                round=request.round,
                kind=request.kind,
                values=request.values,
                hash=request.hash,
                share=1.0,
            )
        )
    return ConfigRecord(
        v=1,
        tuner=tuner.tuner,
        scope=scope.scope,
        context=scope.context,
        incarnation=tuner.incarnation,
        version=scope.version,
        status=status,
        incumbent=Configuration(values=scope.incumbent.values, hash=scope.incumbent.hash),
        arms=arms,
        salt=f"{tuner.incarnation}",
        lease_s=spec.lease,
        published_ms=scope.published_ms,
        features=spec.context.features,
        restart=spec.restart(),
        interval_s=spec.measurement.interval_s,
        settle_s=spec.measurement.settle_s,
        heartbeat_s=spec.heartbeat_s,
    )
