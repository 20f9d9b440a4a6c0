"""What the demo shows while it tunes: rounds as they close, per context."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import TopicPartition
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ....schemas.records import RoundRecord
from ...broker import BrokerSettings
from ...broker.handles import Consumer
from ..reporting.picture import RoundPoint
from .spec import METRIC


class Rounds:
    """Closed rounds of all tuners, as the ``rounds`` topic brings them."""

    def __init__(self, settings: BrokerSettings, partitions: int) -> None:
        self._consumer = Consumer(settings.consumer())
        self._consumer.assign([TopicPartition(settings.topic("rounds"), p, 0) for p in range(partitions)])

    def new(self, wait_s: float) -> list[RoundRecord]:
        """What has come since the last call; waits for it, but not longer than that."""
        messages = self._consumer.consume(200, wait_s)
        return [RoundRecord.from_bytes(m.value() or b"") for m in messages if m.error() is None]

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


@dataclass(slots=True)
class ContextProgress:
    """One context's rounds so far."""

    points: list[RoundPoint] = field(default_factory=list)
    played: list[Mapping[str, object]] = field(default_factory=list)
    incumbent_p95_ms: float | None = None

    def first_with(self, values: Mapping[str, object]) -> int | None:
        """Of all rounds, counted from 1, the first that played these values; None where none did."""
        numbers = (n for n, played in enumerate(self.played, 1) if values.items() <= played.items())
        return next(numbers, None)


@dataclass(slots=True)
class DemoProgress:
    """All contexts' rounds so far."""

    contexts: dict[str, ContextProgress] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """Rounds that were measured, in all contexts."""
        return sum(1 for c in self.contexts.values() for p in c.points if p.outcome == "measured")

    def add(self, record: RoundRecord) -> None:
        """Take in a closed round."""
        if record.kind is None or record.context is None:
            return  # metrics that missed their round
        context = self.contexts.setdefault(str(record.context["traffic"]), ContextProgress())
        measured = record.metrics.get(METRIC)
        point = RoundPoint(
            context=str(record.context["traffic"]),
            round=record.round,
            reward=record.reward,
            kind=record.kind,
            outcome=record.outcome,
            new_incumbent=record.incumbent,
            p95_ms=measured.p95 if measured is not None else None,
        )
        context.points.append(point)
        context.played.append(record.values or {})
        if record.kind == "baseline":
            context.incumbent_p95_ms = point.p95_ms

    def render(self, elapsed_s: float, seconds: float) -> RenderableType:
        """The state of things, for a live display."""
        table = Table(
            "context", "rounds", "now trying", "last p95 ms", "best p95 ms", "incumbent p95 ms", "new incumbents"
        )
        for name, context in sorted(self.contexts.items()):
            measured = [p.p95_ms for p in context.points if p.p95_ms is not None]
            table.add_row(
                name,
                str(len(context.points)),
                context.points[-1].kind if context.points else "-",
                f"{measured[-1]:.2f}" if measured else "-",
                f"{min(measured):.2f}" if measured else "-",
                f"{context.incumbent_p95_ms:.2f}" if context.incumbent_p95_ms is not None else "-",
                str(sum(p.new_incumbent for p in context.points)),
            )
        left = Text(f"tuning, {max(seconds - elapsed_s, 0):.0f} s left ")
        return Group(left, ProgressBar(total=seconds, completed=min(elapsed_s, seconds), width=60), table)
