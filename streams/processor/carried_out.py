"""Which commands were carried out: one with the same id counts once, whatever became of its tuner since.

The newest ids are remembered as they are (hashed); older ones in a Bloom filter, which says of a command that was
carried out that it may have been, and so of one in tens of thousands that was not. Those are refused, and may be sent
with another id.
"""

import hashlib
from collections.abc import Iterable

from ...schemas.events import Command
from ...schemas.state import CarriedOutCommands, TunerState
from .disposition import Disposed

MAX_REMEMBERED = 10_000
"""Ids of a partition's commands: 190 kB of state, written with each command."""

MAX_FILTERED = 20_000
"""Older ids that one filter takes; then another begins, and the one before it is kept: 130 kB of state each."""

_FILTER_BITS = 2**19
_HASHES = 8
"""With 20,000 ids in it, a filter knows one other in 40,000 wrongly."""


class CarriedOut:
    """The commands that were carried out on a partition.

    Args:
        state: Its record; changes.
    """

    def __init__(self, state: CarriedOutCommands) -> None:
        self._state = state
        self._known = set(state.ids)
        self._new: list[tuple[int, str]] = []

    def know(self, tuners: Iterable[TunerState]) -> None:
        """Begin with what tuners know themselves: before there was a record, each knew its own last commands."""
        self._state.ids = sorted(_mark(tuner.tuner, id_) for tuner in tuners for id_ in tuner.commands)
        self._known = set(self._state.ids)

    def check(self, command: Command) -> None:
        """Refuse a command that was carried out before.

        Raises:
            Disposed: It was, or it cannot be known any more whether it was.
        """
        mark = _mark(command.tuner, command.id)
        if mark in self._known:
            raise Disposed("duplicate", "seen", letter=False)
        bits = _bits(mark)
        if any(older & bits == bits for older in (self._state.older, self._state.oldest)):
            raise Disposed(
                "refused",
                "too_old",
                f"a command of this id may have been carried out before: {len(self._known)} others were since, and of"
                " older ones nobody knows for sure. Send it with another id",
            )

    def add(self, command: Command, offset: int) -> None:
        """A command was carried out."""
        mark = _mark(command.tuner, command.id)
        self._known.add(mark)
        self._new.append((offset, mark))

    def written(self) -> bytes | None:
        """The record with what was added since the last time; ``None`` where nothing was."""
        if not self._new:
            return None
        state = self._state
        ids = [*state.ids, *(mark for _, mark in sorted(self._new))]  # by offset, however they were batched
        self._new.clear()
        forgotten, state.ids = ids[:-MAX_REMEMBERED], ids[-MAX_REMEMBERED:]
        for mark in forgotten:
            self._known.discard(mark)
            if state.filtered >= MAX_FILTERED:
                state.oldest, state.older, state.filtered = state.older, 0, 0
            state.older |= _bits(mark)
            state.filtered += 1
        return state.to_bytes()


def _mark(tuner: str, id_: str) -> str:
    return hashlib.sha256(f"{tuner}\n{id_}".encode()).hexdigest()[:16]


def _bits(mark: str) -> int:
    """The bits of a filter that stand for an id."""
    digest = hashlib.sha256(mark.encode()).digest()
    places = (int.from_bytes(digest[i : i + 4]) for i in range(0, 4 * _HASHES, 4))
    bits = 0
    for place in places:
        bits |= 1 << place % _FILTER_BITS
    return bits
