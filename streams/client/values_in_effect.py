"""Which values the app runs: it is told of new ones by its callbacks, or says itself that it has applied them."""

import logging
from collections.abc import Callable, Sequence
from time import monotonic

from .parameters import Values

_log = logging.getLogger(__name__)

Callback = Callable[[Values, Values], object]
"""A change callback: called with the new and the old values."""


class ValuesInEffect:
    """What the app runs now, and how it comes to run something else.

    Args:
        tuner: The tuner's name.
        values: The values that the app runs already; ``None`` where that is unknown.
        callbacks: The app's change callbacks; some may be added later.
        auto_activate: Whether values are in effect once the callbacks have returned.

    Attributes:
        values: The values in effect; ``None`` while that is unknown.
        since: When they, or the last that were, took effect, by the monotonic clock; ``None`` before a record came.
        auto_activate: As given.
        problem: The last callback that raised; empty where none did.
    """

    def __init__(
        self, tuner: str, values: Values | None, callbacks: Sequence[Callback], *, auto_activate: bool
    ) -> None:
        self.values = values
        self.since: float | None = None
        self.auto_activate = auto_activate
        self.problem = ""
        self._tuner = tuner
        self._callbacks = callbacks

    def change(self, new: Values, old: Values) -> bool:
        """Tell the app of other values.

        Args:
            new: What the instance itself is to run.
            old: The values that could be read before.

        Returns:
            Whether they are in effect now. If not, the app has yet to say so (:meth:`confirm`), or a callback raised.
        """
        if self.values is None or new != self.values:
            self.values = None
            if not self._call_back(new, old) or not self.auto_activate:
                return False
        self.confirm(new)
        return True

    def confirm(self, values: Values) -> None:
        """These values are in effect: the app has applied them, or goes on with them."""
        if self.since is None or values != self.values:
            self.since = monotonic()
        self.values = values

    def _call_back(self, new: Values, old: Values) -> bool:
        self.problem = ""
        for callback in tuple(self._callbacks):
            try:
                callback(new, old)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's own code may raise anything
                self.problem = f"a change callback raised {type(error).__name__}: {error}"[:300]
                _log.exception(
                    "tuner %s: a change callback raised: the values are not reported as in effect", self._tuner
                )
        return not self.problem
