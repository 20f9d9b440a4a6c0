"""The settings of a worker, each with the reason for its default."""

from dataclasses import dataclass

from ..broker import BrokerSettings


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Where the broker is, and how long the worker waits for what.

    Attributes:
        broker: How to reach it, and the prefix of the topics.
        session_timeout_s: The group gives a worker's partitions to others after so long without a heartbeat. A lower
            value takes over sooner, but drops workers that were only held up: three heartbeats may be late.
        heartbeat_s: How often a heartbeat is sent: a third of the session time-out or less, as Kafka recommends.
        transaction_timeout_s: A transaction that is not committed in this time is given up, and the process ends.
            Kafka's own default, long enough to outlast the restart of a broker.
        restore_timeout_s: How long restoring a partition may take. It includes the wait for other programs' open
            transactions, which Kafka aborts after 60 s by default.
        start_timeout_s: How long to wait for a broker when starting: long enough where both are started together.
        stop_timeout_s: A worker that was asked to stop is gone after so long, even where the broker does not answer: a
            stop takes less than 5 s, half of what Docker grants.
        tick_s: How often the ends of the logs are asked for, so that time passes without events: short beside
            deadlines, which are seconds, and one question a tick whatever the number of partitions.
        watchdog_s: End a worker whose event loop stands still, or which has lag and applies nothing, for so long.
            Longer than any fold or garbage collection, and no shorter than a transaction may take.
        fetch_wait_s: How long the broker may hold a fetch while there is nothing new. aiokafka has one fetch under way
            per broker, and a partition that is not part of it waits for its end: at Faust's 1.5 s that is noticeable.
        queued_records: At most so many fetched records of a partition wait to be folded: a fraction of a second's work,
            so that the loop never runs dry, in some 20 MB at 1 kB a record.
        health_port: Serve health and metrics over HTTP at this port, 0 for any that is free; ``None``: do not.
        health_host: Address to serve them at.
        broker_silent_s: When the broker has not answered for so long, health says ``broker_silent``, and the worker is
            not ready. It is asked at least once a second, and a change of leader takes some of them.
        stuck_s: When the event loop has stood still for so long, health says ``stuck``, and the worker is not alive.
            Health says ``stuck``, too, when there was lag and nothing was applied for so long, but then the worker
            counts as alive. Well before ``watchdog_s``, so that it is seen before the worker ends.
    """

    broker: BrokerSettings
    session_timeout_s: float = 10.0
    heartbeat_s: float = 3.0
    transaction_timeout_s: float = 60.0
    restore_timeout_s: float = 60.0
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 4.0
    tick_s: float = 0.25
    watchdog_s: float = 60.0
    fetch_wait_s: float = 0.1
    queued_records: int = 20_000
    health_port: int | None = None
    health_host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from elsewhere; it serves no secrets
    broker_silent_s: float = 5.0
    stuck_s: float = 15.0

    @property
    def group(self) -> str:
        """Consumer group of all workers of the prefix."""
        return f"{self.broker.prefix}worker"

    def transactional_id(self, partition: int) -> str:
        """Name under which a partition's owner writes: the same in every worker, so that a new one fences the old."""
        return f"{self.transactional_id_prefix}{partition}"

    @property
    def transactional_id_prefix(self) -> str:
        """The beginning of all transactional ids, for which a worker needs rights."""
        return f"{self.broker.prefix}worker-"
