"""librdkafka's handles as everything here but the client uses them: nobody waits for one to be taken down.

Taking one down waits for its threads, and those for what they are in: a look-up that no name server answers holds them
for minutes, even where another broker of the list serves well.
"""

import _thread
import contextlib

import confluent_kafka
from confluent_kafka import admin


class _TakenDownAside:
    def __del__(self) -> None:
        # Whoever holds it last, such as an error's traceback, hands it to a thread of its own. Not threading's: an
        # object may be collected anywhere, also where its locks are held.
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            _thread.start_new_thread(_let_go, (self,))


def _let_go(handle: object) -> None:
    """Hold the last reference, so that it is dropped in this thread."""


class AdminClient(_TakenDownAside, admin.AdminClient):
    """librdkafka's."""


class Consumer(_TakenDownAside, confluent_kafka.Consumer):
    """librdkafka's, for readers that are assigned their partitions and join no group."""

    def close(self) -> None:
        """There is no group to leave, and the rest is done aside."""


class Producer(_TakenDownAside, confluent_kafka.Producer):
    """librdkafka's."""
