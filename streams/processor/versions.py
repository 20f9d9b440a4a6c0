"""The one place where a scope's incumbent changes, and the history of what it was: versions, each with who and why.

A version is never changed, and its number never used again, whatever becomes of the tuner's spec or its learners. The
last one is the incumbent; the declared values are the first.
"""

from collections.abc import Mapping

from ...core.values import ParameterValue
from ...schemas.keys import values_hash
from ...schemas.state import MAX_VERSIONS, Incumbent, ScopeState, Version

LEARNER = "learner"
"""Author of a version that won by its measurements, and that no operator had proposed."""

Values = Mapping[str, ParameterValue]


def first(values: Values, *, by: str, reason: str, now_ms: int) -> list[Version]:
    """The history of a scope that begins with its declared values."""
    return [_version(1, values, by, reason, now_ms)]


def promote(
    scope: ScopeState,
    values: Values,
    *,
    by: str,
    reason: str,
    now_ms: int,
    gain: float | None = None,
    reward: float | None = None,
    restores: int | None = None,
) -> bool:
    """Make a configuration the incumbent; one that is it already stays as it is.

    Args:
        scope: The scope; its incumbent and history change.
        values: The whole configuration, legal under the tuner's spec.
        by: :data:`LEARNER`, or the author of the command.
        reason: Why, in a sentence.
        now_ms: Partition time.
        gain: Measured reward above the incumbent's, ``None`` where it was not measured.
        reward: What is known of its own reward.
        restores: Number of the version that a rollback brings back.

    Returns:
        Whether it is a new version.
    """
    if values_hash(values) == scope.incumbent.hash:
        return False
    version = _version(current(scope).number + 1, values, by, reason, now_ms)
    version.gain, version.restores = gain, restores
    scope.versions = [*scope.versions, version][-MAX_VERSIONS:]
    scope.incumbent = Incumbent(
        values=version.values,
        hash=version.hash,
        reward=reward,
        since_round=scope.round,
        confirmed=True,
    )
    return True


def inherit(scope: ScopeState, before: ScopeState, incumbent: Incumbent, *, by: str, reason: str, now_ms: int) -> None:
    """A scope that begins anew goes on with the history of what it was before; a new version where it runs another.

    Args:
        scope: As it begins.
        before: As it was.
        incumbent: What it runs now.
        by: Author of the command.
        reason: Why it begins anew.
        now_ms: Partition time.
    """
    scope.versions, scope.incumbent = before.versions, before.incumbent
    promote(scope, incumbent.values, by=by, reason=reason, now_ms=now_ms)
    scope.incumbent = incumbent


def current(scope: ScopeState) -> Version:
    """The version that is the incumbent."""
    return scope.versions[-1]


def numbered(scope: ScopeState, number: int) -> Version | None:
    """The version of a number; ``None`` where it is not remembered, or never was."""
    return next((version for version in scope.versions if version.number == number), None)


def before(scope: ScopeState) -> Version | None:
    """The version that a rollback goes back to where none is named; ``None`` where it is not remembered.

    After a rollback it is the one before that which was brought back: what was undone is not done again.
    """
    standing = current(scope)
    while standing.restores is not None and (restored := numbered(scope, standing.restores)) is not None:
        standing = restored
    earlier = [version for version in scope.versions if version.number < standing.number]
    return earlier[-1] if earlier else None


def _version(number: int, values: Values, by: str, reason: str, now_ms: int) -> Version:
    return Version(
        number=number, values=dict(values), hash=values_hash(values), since_ms=now_ms, by=by, reason=reason[:1000]
    )
