"""What a tuner brings along, its learner and its reward function: an arithmetic error there is the tuner's own.

One that is raised anywhere else in a fold comes of the numbers of the event that is folded, and is that event's.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OwnFault(Exception):  # noqa: N818 - tells whose error its cause is
    """An arithmetic error in a tuner's own code; its cause is that error."""


def own(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a tuner's own code.

    Raises:
        OwnFault: It raised an arithmetic error. Whatever else it raises comes as it is.
    """
    try:
        return call(*args, **kwargs)
    except ArithmeticError as error:
        raise OwnFault from error
