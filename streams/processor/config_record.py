"""What the fleet is told of a scope: one word for how it stands, and its config record."""

from ...schemas.configs import ConfigRecord, Configuration, TunerStatus
from ...schemas.keys import values_hash
from ...schemas.state import ScopeState, TunerState
from . import holds
from .arms import published_arms

FIRST_REPORTS_S = (1.0, 2.0, 4.0)
"""When an instance that tries something reports first: a bad configuration is seen before its interval is over."""


def status_of(tuner: TunerState, scope: ScopeState) -> TunerStatus:
    """How a scope stands, in a word; what stands before it on the ladder hides the rest."""
    if tuner.suspended is not None:
        return "suspended"
    if tuner.hold is not None:
        return holds.STATUS_OF[tuner.hold.kind]
    if scope.achieved:
        return "achieved"
    if scope.arms and not holds.explores(tuner):
        return "observing"
    if scope.arms and scope.rollout is not None:
        return "rolling"
    return "tuning" if scope.arms else "parked"


def config_record(tuner: TunerState, scope: ScopeState) -> ConfigRecord:
    """The scope's answer to the fleet as things stand."""
    spec, fallback = tuner.spec, holds.fallback(tuner, scope)
    beside = scope.schedule == "beside" and bool(scope.arms)
    return ConfigRecord(
        v=1,
        tuner=tuner.tuner,
        scope=scope.scope,
        context=scope.context,
        incarnation=tuner.incarnation,
        version=scope.version,
        status=status_of(tuner, scope),
        incumbent=Configuration(values=fallback, hash=values_hash(fallback)),
        arms=published_arms(tuner, scope),
        salt=scope.salt or f"{tuner.incarnation}",
        lease_s=spec.lease_length_s,
        published_ms=scope.published_ms,
        features=spec.context.features,
        restart=spec.restart(),
        interval_s=spec.measurement.interval_s,
        settle_s=spec.measurement.settle_s,
        heartbeat_s=spec.heartbeat_s,
        first_report_s=[s for s in FIRST_REPORTS_S if s < spec.measurement.interval_s] if beside else [],
        stage=scope.rollout.stage + 1 if beside and scope.rollout is not None else None,
        stages=spec.rollout.stages if beside and scope.rollout is not None else [],
    )
