"""What of a tuner outlives an edit of its spec: incumbents, what was learned, contexts; in sentences, what does not.

A spec is compared field by field. What says how a tuner is measured, rolled out or kept alive is taken over as it is.
Where parameters, objective, algorithm or contexts differ, learning begins anew, with what is sound of what was
measured: rewards of the same objective, of configurations that the new space has. An incumbent stays where it is legal.
"""

from collections.abc import Iterator

from ...algorithms.base import Observation
from ...schemas.keys import values_hash
from ...schemas.spec import TunerSpec
from ...schemas.state import Incumbent, Pins, Proposal, ScopeState
from . import learners, rollout
from .closing import context_of
from .legal import Values, configuration, legal
from .tuner import Tuner

_MOST_CARRIED = 1000
"""Observations that all scopes together take along, each its newest: learning one takes milliseconds, and the whole
partition waits."""


def touches_learning(old: TunerSpec, new: TunerSpec) -> bool:
    """Whether a learner of one spec is not simply the other's, too."""
    return _of_learning(old) != _of_learning(new)


def _of_learning(spec: TunerSpec) -> object:
    return spec.values(), spec.objective, spec.algorithm, spec.context.features, spec.context.learner


def keeps_contexts(old: TunerSpec, new: TunerSpec) -> bool:
    """Whether both tell contexts apart by the same features; else only the scope of no context goes on."""
    return old.context.features == new.context.features


def incumbent(scope: ScopeState, old: TunerSpec, new: TunerSpec) -> Incumbent:
    """The incumbent of a scope under an edited spec: what was rolled out where legal, else the declared values."""
    before = scope.incumbent
    values = configuration(before.values, new) if before.confirmed else None
    confirmed = values is not None
    values = new.declared() if values is None else values
    runs_alike = values == configuration(before.values, new) and _ran_without(before.values, old, new)
    return Incumbent(
        values=values,
        hash=values_hash(values),
        reward=before.reward if runs_alike and old.objective == new.objective else None,
        since_round=before.since_round if confirmed else 0,
        confirmed=confirmed,
    )


def with_pins(incumbent: Incumbent, pinned: Values) -> Incumbent:
    """An incumbent with the values that are pinned; of another one than before, no reward is known."""
    values = incumbent.values | dict(pinned)
    if values == incumbent.values:
        return incumbent
    return Incumbent(values=values, hash=values_hash(values), confirmed=True)


def pins(pinned: Pins, new: TunerSpec) -> Pins:
    """The pins that are legal under an edited spec."""
    parameters = {parameter.name: parameter for parameter in new.values()}
    found = {}
    for name, pin in pinned.items():
        x = legal(parameters[name], pin.value) if name in parameters else None
        if x is not None:
            found[name] = pin.model_copy(update={"value": x})
    return found


def proposal(scope: ScopeState, new: TunerSpec) -> Proposal | None:
    """What an operator proposed and was not judged yet, where it can be under an edited spec."""
    proposed = scope.proposal or (rollout.as_proposal(scope.rollout) if scope.rollout is not None else None)
    values = configuration(proposed.values, new) if proposed is not None and new.rollout.enabled else None
    if proposed is None or values is None:
        return None
    return proposed.model_copy(update={"values": values, "hash": values_hash(values)})


def _ran_without(values: Values, old: TunerSpec, new: TunerSpec) -> bool:
    """Whether parameters that are there no more had their declared values, as in an app that does not know them."""
    there = {p.name for p in new.parameters}
    return all(values.get(p.name) == p.val for p in old.parameters if p.name not in there)


def observations(tuner: Tuner, scope: ScopeState, new: TunerSpec) -> list[Observation]:
    """What a scope's learner under an edited spec may be told of what the one before knows, oldest first."""
    most = max(_MOST_CARRIED // len(tuner.scopes), 1)
    return list(_sound(tuner, scope, new))[-most:]


def _sound(tuner: Tuner, scope: ScopeState, new: TunerSpec) -> Iterator[Observation]:
    if _in_vain(tuner, new):
        return
    for seen in _known(tuner, scope):
        values = configuration(seen.prediction, new)
        if values is not None and _ran_without(seen.prediction, tuner.spec, new):
            yield Observation(values, seen.reward)


def _in_vain(tuner: Tuner, new: TunerSpec) -> str:
    """Why nothing that was learned means the same under an edited spec; empty where it may."""
    causes = (
        (tuner.state.suspended is not None, "the tuner is suspended"),
        (tuner.spec.objective != new.objective, "rewards are of another objective, those of incumbents, too"),
        (not keeps_contexts(tuner.spec, new), "contexts are others"),
    )
    return next((why for holds, why in causes if holds), "")


def _known(tuner: Tuner, scope: ScopeState) -> list[Observation]:
    """What a scope's learner remembers of it; what all scopes share without telling them apart is the first one's."""
    learner = tuner.learners.of(scope.scope)
    if tuner.learners.shared and scope.scope and not learner.capabilities.supports_context:
        return []
    return learner.observations(context_of(scope))


def losses(tuner: Tuner, new: TunerSpec) -> list[str]:
    """What would be lost if the spec were applied to the tuner as it stands: sentences, none where nothing is.

    Args:
        tuner: The tuner; it is not changed.
        new: The spec, its learner decided.

    Raises:
        OppertuneError: No learner can be built from the new spec.
    """
    old, found = tuner.spec, list[str]()
    if not touches_learning(old, new):
        return found
    kept = [scope for name, scope in tuner.scopes.items() if not name or keeps_contexts(old, new)]
    if gone := len(tuner.scopes) - len(kept):
        found.append(f"contexts are told apart by other features: {gone} of them are forgotten, with their incumbents")
    for scope in kept:
        if scope.incumbent.confirmed and not incumbent(scope, old, new).confirmed:
            shown = ", ".join(f"{name}={value}" for name, value in scope.incumbent.values.items())
            found.append(f"the incumbent{_of(scope)} is not legal any more, the declared values run instead: {shown}")
        found += _gone(scope.pins, new, _of(scope))
        waits = scope.proposal or (scope.rollout is not None and scope.rollout.proposed_ms is not None)
        if waits and proposal(scope, new) is None:
            found.append(f"the configuration that was proposed{_of(scope)} cannot be judged any more")
    return found + _gone(tuner.state.pins, new, "") + _of_learned(tuner, kept, new)


def _gone(pinned: Pins, new: TunerSpec, where: str) -> list[str]:
    gone = sorted(pinned.keys() - pins(pinned, new).keys())
    return [f"the value to which {name} is pinned{where} is not legal any more: it is tuned again" for name in gone]


def _of(scope: ScopeState) -> str:
    named = ", ".join(f"{field}={value}" for field, value in (scope.context or {}).items())
    return f" of {named}" if named else ""


def _of_learned(tuner: Tuner, kept: list[ScopeState], new: TunerSpec) -> list[str]:
    if all(scope.last_reward is None for scope in tuner.scopes.values()):
        return []
    why = _in_vain(tuner, new)
    known = sum(len(_known(tuner, scope)) for scope in kept) if not why else 0
    if not why and not learners.build(new, tuner.state.incarnation, "").capabilities.learns_from_others:
        why = f"{new.algorithm.name} learns only from what it asked for"
    elif not why and not known:
        why = f"{tuner.spec.algorithm.name} keeps no configurations that another could learn from"
    if why:
        return [f"{why}: what was learned is forgotten"]
    gone = known - sum(len(observations(tuner, scope, new)) for scope in kept)
    if not gone:
        return []
    return [f"{gone} of {known} configurations that were measured are forgotten: the new space lacks them"]
