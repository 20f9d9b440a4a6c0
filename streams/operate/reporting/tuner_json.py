"""Tuners as JSON, for scripts: the same as ``tuner_text.py`` shows to people."""

from collections.abc import Mapping

from ....schemas.spec import TunerSpec
from ....schemas.state import OpenRequest, ScopeState
from ...processor.presence import present
from ...processor.request import expected, samples
from ...processor.shared_parameters import not_shared
from ...processor.versions import current
from ..outputs import (
    BestList,
    BestOfContext,
    ListedTuner,
    RollingOut,
    ShownArm,
    ShownInstance,
    ShownScope,
    ShownTuner,
    TunerList,
)
from ..reading.tuners import TunerView
from .waiting import waiting_for


def list_data(views: Mapping[str, TunerView], now_ms: int) -> TunerList:
    """All tuners, as data, at a wall time."""
    return TunerList(
        tuners=[
            ListedTuner(
                tuner=view.name,
                status=view.status,
                algorithm=view.state.spec.algorithm.name if view.state is not None else None,
                instances=view.instances(now_ms),
                rounds=sum(s.round for s in view.active_scopes),
                reward=max((r for s in view.active_scopes if (r := s.incumbent.reward) is not None), default=None),
            )
            for view in views.values()
        ]
    )


def show_data(view: TunerView, rewards: Mapping[str, list[float]], now_ms: int) -> ShownTuner:
    """One tuner, as data; learners and windows left out."""
    state = view.state
    return ShownTuner(
        tuner=view.name,
        status=view.status,
        unreadable=view.unreadable or None,
        suspended=state.suspended if state is not None else None,
        hold=state.hold if state is not None else None,
        pins=state.pins if state is not None else {},
        spec=state.spec if state is not None else None,
        incarnation=state.incarnation if state is not None else None,
        lag=view.partition.lag,
        applied_ms=view.partition.time_ms,
        scopes=[
            ShownScope(
                scope=scope.scope,
                context=scope.context,
                round=scope.round,
                open=scope.arms[0].id if scope.arms else None,
                waiting_for=waiting_for(state, scope, view.partition, now_ms),
                not_shared=not_shared(state, scope, view.partition.presence_known_ms(now_ms)),
                incumbent=scope.incumbent,
                version=current(scope).number,
                pins=scope.pins,
                proposal=scope.proposal,
                schedule=scope.schedule,
                arms=[
                    _arm(state.spec, scope, request, view.partition.presence_known_ms(now_ms)) for request in scope.arms
                ],
                rollout=_rollout(state.spec, scope),
                achieved=scope.achieved,
                streak=scope.streak,
                worst_reward=scope.worst_reward,
                last_reward=scope.last_reward,
                rewards=rewards.get(scope.scope, []),
                outcomes=scope.outcomes,
                instances=_instances(scope, view.partition.presence_known_ms(now_ms)),
            )
            for scope in view.active_scopes
            if state is not None
        ],
    )


def _instances(scope: ScopeState, now_ms: int) -> list[ShownInstance]:
    here = set(present(scope, now_ms))
    return [
        ShownInstance(instance=name, present=name in here, expires_ms=presence.expires_ms)
        for name, presence in sorted(scope.presence.items())
    ]


def _arm(spec: TunerSpec, scope: ScopeState, request: OpenRequest, now_ms: int) -> ShownArm:
    return ShownArm(
        arm=request.arm,
        kind=request.kind,
        request_id=request.id,
        values=request.values,
        instances=len(expected(scope, request, now_ms)),
        samples=samples(spec, request),
        evidence=request.evidence,
    )


def _rollout(spec: TunerSpec, scope: ScopeState) -> RollingOut | None:
    rolling = scope.rollout
    if rolling is None:
        return None
    return RollingOut(
        number=rolling.number,
        candidate=rolling.values,
        by=rolling.by,
        reason=rolling.reason,
        stage=rolling.stage + 1 if scope.schedule == "beside" else None,
        stages=spec.rollout.stages,
        since_ms=rolling.since_ms,
        candidate_rewards=rolling.candidate_rewards,
        incumbent_rewards=rolling.incumbent_rewards,
    )


def best_data(view: TunerView, context: Mapping[str, str]) -> BestList:
    """The incumbents of a tuner, of contexts with these fields."""
    return BestList(
        tuner=view.name,
        incumbents=[
            BestOfContext(
                context=scope.context,
                values=scope.incumbent.values,
                reward=scope.incumbent.reward,
                confirmed=scope.incumbent.confirmed,
                since_round=scope.incumbent.since_round,
            )
            for scope in view.active_scopes
            if all(str((scope.context or {}).get(name)) == value for name, value in context.items())
        ],
    )
