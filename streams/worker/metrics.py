"""The worker's metrics for Prometheus, read from its status when they are asked for.

Every metric is a line of :data:`METRICS`. Counters count since this worker started, or took the partition over: what
was counted elsewhere is not counted again, so rates may be summed over workers.

Series are bounded. Labels come from closed lists, or are partitions, installed algorithms, tuners and their contexts:
no instances, requests or values. At most :data:`MAX_TUNERS` tuners, suspended ones first, then by name, and
:data:`MAX_CONTEXTS` contexts of them have series of their own; ``oppertune_left_out`` says how many have not. A context
is named by its features as the spec reduces them, or by its id where that would be long, or not be unique.
"""

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ... import __version__
from ...schemas.state import DISPOSITIONS, HOLD_KINDS
from ..processor.learner_time import spent
from ..processor.statistics import ScopeStatistics
from .health import WORDS, context_name, health
from .settings import WorkerSettings
from .status import PartitionStatus, WorkerStatus

MAX_TUNERS = 1000
"""Prometheus keeps every series in memory: eleven of a tuner make 11,000 per worker at most."""

MAX_CONTEXTS = 1000
"""Four series each, so 4,000 more."""

MAX_LABEL = 100
"""A longer name of a context does not fit a legend, and its id is as good."""

OUTCOMES = ("measured", "broken", "failed", "skipped", "superseded")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its type, its labels, and what it means."""

    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    meaning: str


_P, _A, _T, _C = ("partition",), ("algorithm",), ("tuner",), ("tuner", "context")

METRICS: dict[str, Metric] = {
    "oppertune_build_info": Metric("gauge", ("version", "python"), "1: which version this is"),
    "oppertune_worker_ready": Metric("gauge", (), "1 where events are applied as they come, as /readyz says"),
    "oppertune_worker_state": Metric("gauge", ("state",), "1 for the worker's state, 0 for every other"),
    "oppertune_broker_last_answer_timestamp_seconds": Metric(
        "gauge", (), "when the broker last answered, which it is asked at least once a second; none before it did"
    ),
    "oppertune_group_generation": Metric("gauge", (), "the consumer group's; it grows with every rebalance"),
    "oppertune_owned_partitions": Metric("gauge", (), "how many partitions are here"),
    "oppertune_topic_partitions": Metric("gauge", (), "how many partitions there are, of all workers together"),
    "oppertune_transaction_seconds": Metric("histogram", (), "how long transactions took to be committed"),
    "oppertune_learner_seconds_total": Metric(
        "counter",
        _A,
        "time spent in learners, by the spec's algorithm: asking and telling them; not building them, nor reading or "
        "writing their state",
    ),
    "oppertune_learner_calls_total": Metric("counter", _A, "how many calls of learners took that time"),
    "oppertune_records_total": Metric("counter", _P, "records applied"),
    "oppertune_transactions_total": Metric("counter", _P, "transactions committed"),
    "oppertune_dispositions_total": Metric(
        "counter", ("partition", "disposition"), "records applied, by what became of them"
    ),
    "oppertune_lost_records_total": Metric(
        "counter", _P, "records that were deleted before they were applied, or cannot be read"
    ),
    "oppertune_lag_records": Metric("gauge", _P, "records and markers in the sources that are not applied yet"),
    "oppertune_applied_offset": Metric("gauge", ("partition", "topic"), "first offset of a source not applied yet"),
    "oppertune_end_offset": Metric("gauge", ("partition", "topic"), "end of a source, as the broker last told"),
    "oppertune_partition_time_lag_seconds": Metric(
        "gauge",
        _P,
        "by how much partition time, in which deadlines pass, is behind the broker's clock; none before it began",
    ),
    "oppertune_clock_ahead_seconds": Metric(
        "gauge",
        _P,
        "by how much this machine's clock is ahead of the broker's timestamps (behind: negative) at least; none before "
        "a record has told",
    ),
    "oppertune_tuners": Metric("gauge", _P, "tuners on the partition"),
    "oppertune_tuner_suspended": Metric("gauge", _T, "1 where it stands still, because something in it raised"),
    "oppertune_tuner_held": Metric(
        "gauge", ("tuner", "kind"), f"1 where an operator holds it so: {', '.join(HOLD_KINDS)}"
    ),
    "oppertune_rounds_total": Metric(
        "counter", ("tuner", "outcome"), f"rounds closed, arms side by side counted each: {', '.join(OUTCOMES)}"
    ),
    "oppertune_rollouts": Metric("gauge", _T, "contexts in which a roll-out is under way"),
    "oppertune_instances_present": Metric("gauge", _C, "instances that are there"),
    "oppertune_standstill": Metric(
        "gauge", _C, "1 where instances are there and no round was measured for long: health and tuner show say why"
    ),
    "oppertune_incumbent_reward": Metric("gauge", _C, "mean reward of the incumbent when it was last judged"),
    "oppertune_last_reward": Metric("gauge", _C, "reward of the newest round that had one"),
    "oppertune_target_achieved": Metric("gauge", _C, "1 where the target is reached; only where the spec has one"),
    "oppertune_left_out": Metric(
        "gauge", ("kind",), f"tuners beyond the {MAX_TUNERS}, and contexts beyond the {MAX_CONTEXTS}, that have series"
    ),
}
"""Every metric. Those of type counter have ``_total`` at their end, the histogram comes as ``_bucket``, ``_sum`` and
``_count``."""

_TRANSACTION = "oppertune_transaction_seconds"

transaction_seconds = Histogram(
    _TRANSACTION,
    METRICS[_TRANSACTION].meaning,
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
    registry=None,
)
"""One for the whole process, whichever partitions it owns."""

Family = CounterMetricFamily | GaugeMetricFamily


class WorkerMetrics(Collector):
    """Makes samples from a worker's status, each time Prometheus asks.

    Args:
        status: The worker's.
        settings: Its settings.
    """

    def __init__(self, status: WorkerStatus, settings: WorkerSettings) -> None:
        self._status = status
        self._settings = settings

    def describe(self) -> list[Family]:
        """Nothing: the names cannot clash with others, and describing them would need the status."""
        return []

    def collect(self) -> Iterator[Family]:
        """All but the histogram."""
        families = {name: _family(name, metric) for name, metric in METRICS.items() if metric.type != "histogram"}
        _of_worker(families, self._status, self._settings)
        _of_learners(families)
        partitions = sorted(self._status.partitions.items())
        for number, partition in partitions:
            _of_partition(families, str(number), partition)
        _of_tuners(families, [partition for _, partition in partitions])
        for family in families.values():
            if family.samples:
                yield family


def registry(status: WorkerStatus, settings: WorkerSettings) -> CollectorRegistry:
    """All metrics of a worker, ready to be exposed."""
    made = CollectorRegistry()
    made.register(WorkerMetrics(status, settings))
    made.register(transaction_seconds)
    return made


def _family(name: str, metric: Metric) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    return kind(name.removesuffix("_total"), metric.meaning, labels=metric.labels)


def _of_worker(families: dict[str, Family], status: WorkerStatus, settings: WorkerSettings) -> None:
    condition = health(status, settings, monotonic())
    families["oppertune_build_info"].add_metric((__version__, platform.python_version()), 1)
    families["oppertune_worker_ready"].add_metric((), condition.ready)
    for word in WORDS:
        families["oppertune_worker_state"].add_metric((word,), word == condition.word)
    if status.answered is not None:
        answered_s = time.time() - (monotonic() - status.answered)
        families["oppertune_broker_last_answer_timestamp_seconds"].add_metric((), answered_s)
    families["oppertune_group_generation"].add_metric((), status.generation)
    families["oppertune_owned_partitions"].add_metric((), len(status.partitions))
    families["oppertune_topic_partitions"].add_metric((), status.total_partitions)


def _of_learners(families: dict[str, Family]) -> None:
    for algorithm, time_spent in sorted(spent().items()):
        families["oppertune_learner_seconds_total"].add_metric((algorithm,), time_spent.seconds)
        families["oppertune_learner_calls_total"].add_metric((algorithm,), time_spent.calls)


def _of_partition(families: dict[str, Family], number: str, partition: PartitionStatus) -> None:
    statistics, initial = partition.statistics, partition.initial_statistics or partition.statistics
    families["oppertune_records_total"].add_metric((number,), partition.records)
    families["oppertune_transactions_total"].add_metric((number,), partition.transactions)
    for disposition in DISPOSITIONS:
        count = statistics.dispositions.get(disposition, 0) - initial.dispositions.get(disposition, 0)
        families["oppertune_dispositions_total"].add_metric((number, disposition), count)
    families["oppertune_lost_records_total"].add_metric((number,), partition.lost)
    families["oppertune_lag_records"].add_metric((number,), partition.lag)
    for topic, offset in partition.applied.items():
        families["oppertune_applied_offset"].add_metric((number, topic), offset)
    for topic, offset in partition.ends.items():
        families["oppertune_end_offset"].add_metric((number, topic), offset)
    if time_ms := max(statistics.time_ms, partition.read_to_ms):
        behind_s = max(time.time() - (partition.clock_ahead_s or 0.0) - time_ms / 1000, 0.0)
        families["oppertune_partition_time_lag_seconds"].add_metric((number,), behind_s)
    if partition.clock_ahead_s is not None:
        families["oppertune_clock_ahead_seconds"].add_metric((number,), partition.clock_ahead_s)
    families["oppertune_tuners"].add_metric((number,), len(statistics.tuners))


def _of_tuners(families: dict[str, Family], partitions: list[PartitionStatus]) -> None:
    tuners = [(name, tuner, p.rounds) for p in partitions for name, tuner in p.statistics.tuners.items()]
    tuners.sort(key=lambda one: (not one[1].suspended, one[0]))
    contexts = 0
    for name, tuner, rounds in tuners[:MAX_TUNERS]:
        families["oppertune_tuner_suspended"].add_metric((name,), bool(tuner.suspended))
        for kind in HOLD_KINDS:
            families["oppertune_tuner_held"].add_metric((name, kind), tuner.held == kind)
        for outcome in OUTCOMES:
            families["oppertune_rounds_total"].add_metric((name, outcome), rounds.get((name, outcome), 0))
        families["oppertune_rollouts"].add_metric((name,), sum(context.rolling for context in tuner.contexts))
        named = list(_named(tuner.contexts).items())[: MAX_CONTEXTS - contexts]
        contexts += len(named)
        for label, context in named:
            _of_context(families, (name, label), context)
    families["oppertune_left_out"].add_metric(("tuners",), max(len(tuners) - MAX_TUNERS, 0))
    total = sum(len(tuner.contexts) for _, tuner, _ in tuners)
    families["oppertune_left_out"].add_metric(("contexts",), total - contexts)


def _named(contexts: tuple[ScopeStatistics, ...]) -> dict[str, ScopeStatistics]:
    named: dict[str, ScopeStatistics] = {}
    for context in sorted(contexts):
        label = context_name(context)
        named[context.id if len(label) > MAX_LABEL or label in named else label] = context
    return named


def _of_context(families: dict[str, Family], labels: tuple[str, str], context: ScopeStatistics) -> None:
    families["oppertune_instances_present"].add_metric(labels, context.instances)
    families["oppertune_standstill"].add_metric(labels, bool(context.standstill))
    for name, value in (
        ("oppertune_incumbent_reward", context.incumbent_reward),
        ("oppertune_last_reward", context.last_reward),
        ("oppertune_target_achieved", context.achieved),
    ):
        if value is not None:
            families[name].add_metric(labels, value)
