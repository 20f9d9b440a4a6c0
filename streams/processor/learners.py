"""Learners of a tuner: built from its spec, seeded from what names them, kept in its records."""

import hashlib
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...algorithms.all import create_tuning_instance, get_algorithm_class
from ...algorithms.base import Algorithm
from ...core.types import Context
from ...schemas.context import Feature
from ...schemas.spec import TunerSpec
from ...schemas.state import ScopeState, TunerState


def seed_of(*parts: object) -> int:
    """A seed of 63 bits that any worker can compute again."""
    return int.from_bytes(hashlib.sha256("\n".join(map(str, parts)).encode()).digest()[:8]) >> 1


def build(spec: TunerSpec, incarnation: int, scope: str) -> Algorithm:
    """A new learner for a scope (``""`` also for the one that all scopes share).

    A seed in the arguments is used as it is for the scope without context, so that a stream repeats an in-process run;
    other scopes derive theirs from it, so that they do not all explore the same directions. A learner that all scopes
    share is told the context's features, where it takes them and the spec's arguments do not name any.

    Raises:
        OppertuneError: The algorithm is not known here, cannot be used in a stream, or refuses its arguments.
    """
    args: dict[str, Any] = dict(spec.algorithm.args)
    given = args.get("random_seed")
    if given is not None and scope:
        args["random_seed"] = seed_of(given, scope)
    elif given is None and _takes("random_seed", spec.algorithm.name):
        args["random_seed"] = seed_of(spec.name, incarnation, scope)
    if spec.context.learner == "shared" and spec.context.features and _takes("features", spec.algorithm.name):
        args.setdefault("features", [{"name": f.name, "values": f.values} for f in spec.context.features])
    learner = create_tuning_instance(spec.values(), spec.algorithm.name, args)
    learner.get_state()  # an algorithm that keeps what no state can hold is refused here, not after a crash
    return learner


_MOST_SHARING = 8
"""Contexts up to which one learner for all is the default: its memory and its time are shared, too."""


def decided(spec: TunerSpec) -> TunerSpec:
    """A spec that says whether its contexts share a learner, where it left that open (``auto``).

    They share one where there are few contexts, and the learner uses the features: what one context teaches is then
    used in the others as far as they turn out to be alike (docs/decisions/0017). Else each has its own.

    Raises:
        OppertuneError: As :func:`build`.
    """
    if spec.context.learner != "auto":
        return spec
    sharing = _with_learner(spec, "shared")
    few = 1 < _count(spec.context.features) <= _MOST_SHARING
    if few and _takes("features", spec.algorithm.name) and build(sharing, 0, "").capabilities.supports_context:
        return sharing
    return _with_learner(spec, "per_context")


def decided_as(spec: TunerSpec, standing: TunerSpec) -> TunerSpec:
    """A spec for a tuner that stands: where it leaves open whether contexts share a learner, what stands will do.

    Raises:
        OppertuneError: As :func:`build`.
    """
    alike = (spec.context.features, spec.algorithm) == (standing.context.features, standing.algorithm)
    if spec.context.learner == "auto" and alike:
        return _with_learner(spec, standing.context.learner)
    return decided(spec)


def _with_learner(spec: TunerSpec, learner: str) -> TunerSpec:
    return spec.model_copy(update={"context": spec.context.model_copy(update={"learner": learner})})


def _count(features: Sequence[Feature]) -> float:
    """How many contexts there can be."""
    return math.prod(len(f.bins) + 1 if f.bins is not None else len(f.values or ()) or math.inf for f in features)


def try_out(spec: TunerSpec, incarnation: int, known: Iterable[Context] = ()) -> None:
    """Whether a learner can be built from a spec, and asked for the contexts that are known or declared.

    Where a feature may have any value, only apps can tell which contexts there are.

    Raises:
        OppertuneError: As :func:`build`; or the learner needs contexts of another kind.
    """
    learner = build(spec, incarnation, "")
    for context in (*_declared(spec.context.features), *known):
        learner.check_context(context)


def _declared(features: Sequence[Feature]) -> list[Context]:
    """Contexts in which every declared value occurs; none where a feature may have any value."""
    if not features:
        return [Context()]
    values = [[0, len(f.bins)] if f.bins is not None else f.values or [] for f in features]
    rows = max(map(len, values)) if all(values) else 0
    return [Context({f.name: v[i % len(v)] for f, v in zip(features, values, strict=True)}) for i in range(rows)]


class Learners:
    """A tuner's learners: one per scope, or one that all scopes share. Brought to life from their state when needed.

    Args:
        tuner: The tuner's own record.
        scopes: Its scopes, by context id.
    """

    def __init__(self, tuner: TunerState, scopes: Mapping[str, ScopeState]) -> None:
        self._tuner = tuner
        self._scopes = scopes
        self._alive: dict[str, Algorithm] = {}

    @property
    def shared(self) -> bool:
        """All scopes share one, kept in the tuner's own record."""
        return self._tuner.spec.context.learner == "shared"

    def owner(self, scope: str) -> str:
        """The scope that a scope's learner is named by: ``""`` where all share one."""
        return "" if self.shared else scope

    def of(self, scope: str) -> Algorithm:
        """The learner of a scope."""
        name = self.owner(scope)
        if name not in self._alive:
            learner = build(self._tuner.spec, self._tuner.incarnation, name)
            stored = self._tuner.learner if self.shared else self._scopes[name].learner
            if stored is not None:
                learner.set_state(stored)
            self._alive[name] = learner
        return self._alive[name]

    def store(self, name: str) -> None:
        """Put the state of the learner named by a scope into the record that keeps it."""
        state = self._alive[name].get_state()
        if self.shared:
            self._tuner.learner = state
        else:
            self._scopes[name].learner = state


def _takes(argument: str, name: str) -> bool:
    """Whether an algorithm can be given an argument; what takes any passes them on, and the base class takes a seed."""
    parameters = inspect.signature(get_algorithm_class(name).__init__).parameters
    return argument in parameters or (
        argument == "random_seed" and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    )
