"""The contexts of a tuner by what people say of them: ``--context FIELD=VALUE``."""

from collections.abc import Sequence

from ....core.errors import CommandFailed
from ....schemas.state import ScopeState
from ..exit_codes import ExitCode
from .tuners import TunerView


def matching(view: TunerView, context: Sequence[str]) -> list[ScopeState]:
    """The contexts with all these fields; all of them where none is named.

    Raises:
        CommandFailed: There is none.
    """
    wanted = dict(one.partition("=")[::2] for one in context)
    found = [
        scope
        for scope in view.active_scopes
        if all(str((scope.context or {}).get(name)) == value for name, value in wanted.items())
    ]
    if not found:
        raise CommandFailed(f"tuner {view.name} has no context {', '.join(context)}", ExitCode.NOT_FOUND)
    return found


def the_one(view: TunerView, context: Sequence[str]) -> ScopeState:
    """The only context with these fields.

    Raises:
        CommandFailed: There is none, or there are several.
    """
    found = matching(view, context)
    if len(found) > 1:
        more = "other or more fields" if context else "one"
        raise CommandFailed(
            f"tuner {view.name} has {len(found)} such contexts: name {more} with --context FIELD=VALUE", ExitCode.USAGE
        )
    return found[0]
