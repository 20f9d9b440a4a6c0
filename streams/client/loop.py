"""A ready-made loop around an application and a monitor of its metrics: set parameters, run, measure, reward.

For apps that run in units (jobs, batches, benchmarks). A service that runs all the time uses
:class:`oppertune.streams.client.TunerClient` directly.
"""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from .client import TunerClient
from .parameters import Values
from .snapshot import Snapshot

_log = logging.getLogger(__name__)

Metrics = TypeVar("Metrics")
Metrics_co = TypeVar("Metrics_co", covariant=True)


class Application(Protocol):
    """What is tuned. Any object with these methods is one."""

    def set_parameters(self, parameters: Mapping[str, Any], /) -> object:
        """Take these values from now on; called before the first run, and whenever they changed."""

    def run(self) -> object:
        """Do one unit of work under them."""


class MetricsMonitor(Protocol[Metrics_co]):
    """Measures a run. Any object with these methods is one."""

    def start(self) -> object:
        """A run begins."""

    def stop(self) -> Metrics_co:
        """It has ended, by itself or by an exception: what was measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class Runs:
    """What a loop has done.

    Attributes:
        count: Runs that ended, failed ones included.
        failed: Runs that raised.
        reward: Reward of the last run; ``None`` before the first.
        values: The configuration of the last run.
    """

    count: int = 0
    failed: int = 0
    reward: float | None = None
    values: Values = dataclasses.field(default_factory=dict)


class TuningLoop(Generic[Metrics]):
    """Runs an application again and again, each time under the newest configuration, and reports how it did.

    Each run is credited to the configuration that it began under. Its reward is recorded as the metric ``reward``, and
    every number in its metrics under its own name, for specs that declare an objective over them. A spec for a loop
    usually has ``measurement: {min_samples: 1}``: one run is a measurement.

    Example::

        client = TunerClient("database", parameters, auto_activate=False)
        TuningLoop(client, application, monitor, calculate_reward).run()

    Args:
        client: Of the tuner; best with ``auto_activate=False``, so that a configuration counts from its first run. The
            loop starts it where that was not done, and closes it then.
        application: What is tuned.
        monitor: Measures each run.
        reward: From the monitor's metrics to a reward; larger is better.
        failure_reward: A run that raises is recorded with this reward, and the loop goes on; ``None``: the exception
            ends the loop, and nothing is recorded for the run.
        every_s: A run begins at most so often, in seconds.
    """

    def __init__(
        self,
        client: TunerClient,
        application: Application,
        monitor: MetricsMonitor[Metrics],
        reward: Callable[[Metrics], float],
        *,
        failure_reward: float | None = None,
        every_s: float = 0.0,
    ) -> None:
        self._client = client
        self._application = application
        self._monitor = monitor
        self._reward = reward
        self._failure_reward = failure_reward
        self._every_s = every_s
        self._set: Values | None = None

    def run(
        self, runs: int | None = None, *, until_achieved: bool = False, stop: threading.Event | None = None
    ) -> Runs:
        """Run until told to stop.

        Args:
            runs: At most so many; default: no limit.
            until_achieved: End when the tuner's target is achieved.
            stop: Ends the loop after the run under way once it is set, such as by a handler of SIGTERM.

        Raises:
            Exception: Whatever the application raises, where there is no ``failure_reward``; whatever the monitor or
                the reward function raises: those are faults in code that must be right.
        """
        stop = stop or threading.Event()
        done = Runs()
        ours = not self._client.started
        self._client.start()
        try:
            while not stop.is_set() and (runs is None or done.count < runs):
                if until_achieved and self._client.tuner_status == "achieved":
                    break
                began = monotonic()
                done = self._run_once(done)
                stop.wait(max(began + self._every_s - monotonic(), 0.0))
        finally:
            if ours:
                self._client.close()
        return done

    def _run_once(self, done: Runs) -> Runs:
        snapshot = self._client.snapshot()
        if snapshot.values != self._set:
            self._application.set_parameters(dict(snapshot.values))
            self._set = snapshot.values
        self._client.applied(snapshot)
        self._monitor.start()
        failed = False
        try:
            self._application.run()
        except Exception:
            if self._failure_reward is None:
                self._monitor.stop()
                raise
            failed = True
            _log.exception("a run failed; it is recorded with the reward %s", self._failure_reward)
        metrics = self._monitor.stop()
        reward = self._reward(metrics) if not failed else self._failure_reward
        self._record(snapshot, metrics, reward)
        return Runs(done.count + 1, done.failed + failed, reward, snapshot.values)

    def _record(self, snapshot: Snapshot, metrics: Metrics, reward: float | None) -> None:
        if reward is not None:
            snapshot.record("reward", reward)
        for name, number in _numbers(metrics):
            if name != "reward":
                snapshot.record(name, number)


def _numbers(metrics: object) -> Iterator[tuple[str, float]]:
    """The numbers in an object's fields, or in a mapping, by name."""
    if isinstance(metrics, Mapping):
        fields: Mapping[Any, Any] = metrics
    elif dataclasses.is_dataclass(metrics) and not isinstance(metrics, type):
        fields = {f.name: getattr(metrics, f.name) for f in dataclasses.fields(metrics)}
    elif hasattr(metrics, "_asdict"):
        fields = metrics._asdict()
    else:
        fields = getattr(metrics, "__dict__", {})
    for name, number in fields.items():
        if isinstance(name, str) and isinstance(number, int | float) and not isinstance(number, bool):
            yield name, number
