"""The Faust app: membership, assignment, fetching. What it fetches goes to the owned partitions, and no further."""

import logging

import faust

from ..processor import SOURCES
from .credentials import faust_credentials, faust_url
from .logs import keep_secrets
from .ownership import Ownership
from .settings import WorkerSettings
from .transport import Batch, Batches, Transport

_QUEUED_BATCHES = 16
"""Faust's default of 4,096 queued messages was made for single records; of ours each can be a fetch of 1 MiB."""

_REQUEST_TIMEOUT_S = 90.0
"""Faust's own default, and no less than a rebalance can take: the broker answers a request to join the group when all
members have joined, and one that is still restoring its partitions joins when it is done."""


class App(faust.App):  # type: ignore[misc]
    """Faust's, which needs no folder."""

    logger = logging.getLogger("faust.app")  # else it would be this module's, and Faust says much

    def _create_directories(self) -> None:
        """Make none: they would be for tables on disk, and there may be no place to write at."""


def create_app(settings: WorkerSettings, ownership: Ownership) -> faust.App:
    """A Faust app that consumes the three sources and gives whole fetches to the ownership.

    Args:
        settings: The worker's.
        ownership: Says where reading begins, and takes the batches.
    """
    keep_secrets()
    app = App(
        settings.group,
        # Its settings are these. Else names such as WEB_PORT, which Kubernetes sets for a service `web`, APP_DEBUG or
        # BROKER_URL would win over them.
        env={},
        broker=faust_url(settings.broker),
        broker_credentials=faust_credentials(settings.broker),
        broker_client_id=settings.group,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_request_timeout=max(
            _REQUEST_TIMEOUT_S, settings.session_timeout_s, settings.restore_timeout_s + settings.transaction_timeout_s
        ),
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
        store="memory://",
        # Faust's own assignor, which keeps the sources of a partition together, is used only with standbys, though
        # there are no tables: without it contexts-p and metrics-p went to different workers, which fenced each other.
        table_standby_replicas=1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=_QUEUED_BATCHES,
        # A transaction under way when partitions are revoked ends before they are dropped: see Ownership.
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        ConsumerScheduler=Batches,
    )
    app.transport = Transport(app, settings, ownership)
    ownership.attach(app)
    # acks=False: nothing is committed to the group. Offsets there would be nonsense to whoever reads them, and should
    # Faust ever begin to read without asking us where, it begins too early, never too late.
    sources = app.topic(
        *(settings.broker.topic(source) for source in SOURCES),
        key_serializer="raw",
        value_serializer="raw",
        key_type=bytes,
        value_type=bytes,
        acks=False,
    )

    @app.agent(sources, concurrency=1, name="fold")  # type: ignore[untyped-decorator]
    async def fold(stream: faust.Stream) -> None:
        async for event in stream.events():
            message = event.message
            if isinstance(message.value, Batch):
                await ownership.put(message.value, message.generation_id)

    return app
