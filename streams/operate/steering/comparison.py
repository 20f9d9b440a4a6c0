"""What would become of a tuner that stands if a spec were applied, told before it is."""

from ....core.errors import BrokerUnreachable, OppertuneError, TopicsInvalid
from ....schemas.spec import TunerSpec
from ...broker import BrokerSettings, require_broker
from ...processor import edit, learners
from ...processor.tuner import Tuner
from ..reading.tuners import TunerView, read_tuners

_LOOK_S = 2.0
"""For a dry run a broker that answers is a help, and no condition."""


def compared(settings: BrokerSettings, spec: TunerSpec) -> tuple[list[str] | None, str]:
    """What applying a spec would lose, ``None`` where no broker can be asked; and that in a sentence."""
    try:
        require_broker(settings, timeout_s=_LOOK_S)
        view = read_tuners(settings, spec.name).get(spec.name)
    except (BrokerUnreachable, TopicsInvalid) as error:
        return None, f"It was not compared with what stands: {error}"
    lost = losses(view, spec)
    if lost:
        return lost, f"Applying it would lose something: {'; '.join(lost)}"
    there_is = "There is no tuner of this name yet" if view is None else ""
    return lost, there_is or "Nothing that was learned or rolled out would be lost"


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
