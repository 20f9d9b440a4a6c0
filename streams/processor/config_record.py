"""What the fleet is told of a scope: one word for how it stands, and its config record."""

from ...schemas.configs import ConfigRecord, Configuration, TunerStatus
from ...schemas.state import ScopeState, TunerState
from .arms import published_arms


def status_of(tuner: TunerState, scope: ScopeState) -> TunerStatus:
    """How a scope stands, in a word; what stands before it on the ladder hides the rest."""
    if tuner.suspended is not None:
        return "suspended"
    if tuner.paused:
        return "paused"
    if scope.achieved:
        return "achieved"
    return "tuning" if scope.arms else "parked"


def config_record(tuner: TunerState, scope: ScopeState) -> ConfigRecord:
    """The scope's answer to the fleet as things stand."""
    spec = tuner.spec
    return ConfigRecord(
        v=1,
        tuner=tuner.tuner,
        scope=scope.scope,
        context=scope.context,
        incarnation=tuner.incarnation,
        version=scope.version,
        status=status_of(tuner, scope),
        incumbent=Configuration(values=scope.incumbent.values, hash=scope.incumbent.hash),
        arms=published_arms(tuner, scope),
        salt=f"{tuner.incarnation}",
        lease_s=spec.lease_length_s,
        published_ms=scope.published_ms,
        features=spec.context.features,
        restart=spec.restart(),
        interval_s=spec.measurement.interval_s,
        settle_s=spec.measurement.settle_s,
        heartbeat_s=spec.heartbeat_s,
    )
