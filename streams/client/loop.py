"""A ready-made loop around an application and a monitor of its metrics: set parameters, run, measure, reward.

For apps that run in units (jobs, batches, benchmarks). A service that runs all the time uses
:class:`oppertune.streams.client.TunerClient` directly.
"""

import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from ...core.errors import InvalidArgument
from .parameters import Values
from .snapshot import Snapshot
from .tuned import Tuned

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


RewardFunction = Callable[[Metrics], float]
"""From a monitor's metrics to a reward; larger is better."""


@dataclasses.dataclass(frozen=True, slots=True)
class Runs:
    """What a loop has done.

    Attributes:
        count: Runs that ended, failed ones included.
        failed: Runs that failed, and were recorded with the ``failure_reward``.
        reward: Reward of the last run; ``None`` before the first.
        values: The configuration of the last run.
    """

    count: int = 0
    failed: int = 0
    reward: float | None = None
    values: Values = dataclasses.field(default_factory=dict)


class TuningLoop(Generic[Metrics]):
    """Runs an application again and again, each time under the newest configuration, and reports how it did.

    Each run is credited to the configuration that it began under, whatever comes meanwhile. Its reward is recorded as
    the metric ``reward``, and every number in its metrics under its own name, for specs that declare an objective over
    them. A spec for a loop usually has ``measurement: {min_samples: 1}``: one run is a measurement.

    A run fails when the application raises, or its reward is not a finite number. Then the loop ends with that error,
    and nothing is recorded: to the tuner, a configuration that was run and never measured is a failure. With a
    ``failure_reward``, it is recorded with that reward alone, and the loop goes on.

    In an app's own tests, give it an :class:`~oppertune.streams.client.OfflineClient`.

    Example::

        client = TunerClient("database", parameters, auto_activate=False)
        TuningLoop(client, application, monitor, calculate_reward).run()

    Args:
        client: Of the tuner; best with ``auto_activate=False``, so that a configuration counts from its first run. The
            loop starts it where that was not done, and closes it then.
        application: What is tuned.
        monitor: Measures each run.
        reward: From the monitor's metrics to a reward; larger is better.
        failure_reward: Reward of a run that fails; ``None``: it ends the loop.
        every_s: A run begins at most so often, in seconds.
        can_restart: Whether ``set_parameters`` can take parameters that need a restart: what waits for one is then
            taken before the next run.

    Raises:
        InvalidArgument: The ``failure_reward`` is not a finite number.
    """

    def __init__(
        self,
        client: Tuned,
        application: Application,
        monitor: MetricsMonitor[Metrics],
        reward: RewardFunction[Metrics],
        *,
        failure_reward: float | None = None,
        every_s: float = 0.0,
        can_restart: bool = False,
    ) -> None:
        if failure_reward is not None and not math.isfinite(failure_reward):
            raise InvalidArgument(f"failure_reward is a finite number, not {failure_reward}")
        self._client = client
        self._application = application
        self._monitor = monitor
        self._reward = reward
        self._failure = None if failure_reward is None else {"reward": float(failure_reward)}
        self._every_s = every_s
        self._can_restart = can_restart
        self._set: Values | None = None

    def run(
        self, runs: int | None = None, *, until_achieved: bool = False, stop: threading.Event | None = None
    ) -> Runs:
        """Run until told to stop.

        Args:
            runs: At most so many; default: no limit.
            until_achieved: End when the tuner's target is achieved.
            stop: Ends the loop after the run under way once it is set, such as by a handler of SIGTERM. (Ctrl-C ends
                it amidst the run, which is not recorded.)

        Raises:
            InvalidArgument: A reward is not a finite number, and there is no ``failure_reward``.
            Exception: Whatever the application raises, where there is no ``failure_reward``; whatever the monitor or
                the reward function raises: those are faults in code that must be right.
        """
        stop = stop or threading.Event()
        done = Runs()
        ours = not self._client.started
        self._client.start()
        next_at = 0.0
        try:
            while (runs is None or done.count < runs) and not stop.wait(max(next_at - monotonic(), 0.0)):
                if until_achieved and self._client.tuner_status == "achieved":
                    break
                next_at = monotonic() + self._every_s
                done = self._run_once(done)
        finally:
            if ours:
                self._client.close()
        return done

    def _run_once(self, done: Runs) -> Runs:
        if self._can_restart and self._client.awaiting_restart:
            self._client.accept_restart()
        snapshot = self._client.snapshot()
        measured = self._measure(snapshot)
        for name, number in measured.items():
            snapshot.record(name, number)
        failed = measured is self._failure
        return Runs(done.count + 1, done.failed + failed, measured["reward"], snapshot.values)

    def _measure(self, snapshot: Snapshot) -> dict[str, float]:
        """Run once: what was measured, or what a failure is recorded with."""
        try:
            self._set_parameters(snapshot.values)
        except Exception:
            if self._failure is None:
                raise
            _log.exception("the application did not take %s", dict(snapshot.values))
            self._client.applied(snapshot)  # else its failure would not count
            return self._failure
        self._client.applied(snapshot)
        self._monitor.start()
        try:
            self._application.run()
        except BaseException as error:  # Ctrl-C, too, must not leave the monitor running
            self._stop_monitor_anyway()
            if self._failure is None or not isinstance(error, Exception):
                raise
            _log.exception("the run under %s failed", dict(snapshot.values))
            return self._failure
        metrics = self._monitor.stop()
        reward = self._reward(metrics)
        if not math.isfinite(reward):
            if self._failure is None:
                raise InvalidArgument(f"the reward function gave {reward}: a reward is a finite number")
            _log.error("the run under %s failed: its reward was %s", dict(snapshot.values), reward)
            return self._failure
        return dict(_numbers(metrics)) | {"reward": float(reward)}

    def _set_parameters(self, values: Values) -> None:
        if values != self._set:
            self._set = None  # unknown, where the application raises
            self._application.set_parameters(dict(values))
            self._set = values

    def _stop_monitor_anyway(self) -> None:
        try:
            self._monitor.stop()
        except Exception:  # noqa: BLE001 - the run's own error is the one to tell
            _log.exception("the monitor could not be stopped after a run that failed")


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
        if isinstance(name, str) and not name.startswith("_") and _is_number(number):
            yield name, float(number)


def _is_number(value: object) -> bool:
    """Python's numbers, and numpy's; not truth values."""
    return isinstance(value, Real) and not isinstance(value, bool)
