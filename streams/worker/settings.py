"""What can be set of a worker."""

from dataclasses import dataclass

from ..broker import BrokerSettings


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Where the broker is, and the worker's patience.

    Attributes:
        broker: How to reach it, and the prefix of the topics.
        session_timeout_s: After so long without a heartbeat the group gives a worker's partitions to others. Lower
            takes over sooner, and drops workers that were only held up.
        heartbeat_s: How often a heartbeat is sent; a third of the session's time-out or less.
        transaction_timeout_s: A transaction that is not committed in this time is given up, and the process with it.
        restore_timeout_s: How long restoring a partition may take, a wait for others' open transactions included.
        start_timeout_s: How long to wait for a broker when starting.
        stop_timeout_s: After being asked to stop, leave by then even where the broker does not answer.
        tick_s: How often time passes without events, and the ends of the logs are asked for.
        watchdog_s: A worker that has lag and applies nothing, or whose loop stands still, for so long is ended.
        fetch_wait_s: How long the broker may hold a fetch while there is nothing new. aiokafka has one fetch under way
            per broker, and a partition that was not part of it waits for its end: at Faust's 1.5 s that is seen.
        queued_records: At most so many fetched records of a partition wait to be folded.
        health_port: Serve health and metrics over HTTP at this port, 0 for any that is free; ``None``: do not.
        health_host: Address to serve them at.
        broker_silent_s: A broker that has not answered for so long is called silent, and the worker not ready.
        stuck_s: An event loop that stood still for so long is called stuck, and the worker not alive; so is, but for
            the latter, one with lag that applied nothing for so long.
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
        """Name under which the owner of a partition writes: the same for every worker, so that a newer one fences."""
        return f"{self.transactional_id_prefix}{partition}"

    @property
    def transactional_id_prefix(self) -> str:
        """What all these names begin with."""
        return f"{self.broker.prefix}worker-"
