"""What would become of a tuner that stands if a spec were applied, told before it is."""

from ....core.errors import OppertuneError
from ....schemas.spec import TunerSpec
from ...processor import edit, learners
from ...processor.tuner import Tuner
from ..reading.tuners import TunerView


def losses(view: TunerView | None, spec: TunerSpec) -> list[str]:
    """What applying a spec would lose, in sentences; none where nothing is.

    Args:
        view: The tuner of its name as it stands, ``None`` where there is none.
        spec: The spec as it was written.
    """
    if view is None:
        return []
    if view.state is None:
        return ["its state cannot be read: it begins anew"]
    try:
        tuner = Tuner(view.state, {scope.scope: scope for scope in view.scopes})
        return edit.losses(tuner, learners.decided_as(spec, tuner.spec))
    except OppertuneError as error:  # not installed here; where it is, in the workers, nothing may be lost
        return [f"what would be lost cannot be told here: {error}"]
