"""The accounts of a partition: every offset of its sources is applied, a gap or lost, and no record has two fates."""

from collections.abc import Iterable, Mapping

from ...core.errors import AccountsDoNotBalance
from ...schemas.records import FoldedRange
from ...schemas.state import Disposition, PartitionOffsets, SourceState
from .effects import Received, Unreadable


def opened(offsets: PartitionOffsets) -> dict[str, FoldedRange]:
    """An empty account of one transaction for each source, where applying stands."""
    return {topic: FoldedRange(first=source.next, next=source.next) for topic, source in offsets.sources.items()}


def account(source: SourceState, account: FoldedRange, run: list[Received], log_start: int) -> list[Received]:
    """Count a source's next records, and what is missing before and among them.

    Returns those that are to be folded: without replays, and without what could not be read.

    Args:
        source: What was applied of it in all; changes.
        account: What this transaction applies of it; changes.
        run: Its records, in the order of offsets, at least one.
        log_start: The earliest offset that there still is: what is missing below it was deleted, above it are markers.
    """
    if run[0].offset < source.next:
        run = [r for r in run if r.offset >= source.next]
        if not run:
            return run
    held, spanned = len(run), run[-1].offset + 1 - source.next
    if spanned > held:
        lost = min(max(log_start - source.next, 0), run[0].offset - source.next)
        account.lost += lost
        account.gaps += spanned - held - lost
        source.lost += lost
        source.gaps += spanned - held - lost
    source.next = account.next = run[-1].offset + 1
    newest_ms = max(r.timestamp_ms for r in run)
    source.time_ms = max(source.time_ms, newest_ms)
    readable = [r for r in run if type(r.value) is not Unreadable]
    if len(readable) < len(run):
        account.lost += len(run) - len(readable)
        source.lost += len(run) - len(readable)
        account.unreadable = [*(account.unreadable or ()), *_runs(r.offset for r in run if type(r.value) is Unreadable)]
    return readable


def _runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending offsets as runs: the first, and the one behind the last."""
    runs: list[tuple[int, int]] = []
    for offset in offsets:
        first = runs.pop()[0] if runs and runs[-1][1] == offset else offset
        runs.append((first, offset + 1))
    return runs


def count(
    offsets: PartitionOffsets, accounts: Mapping[str, FoldedRange], dispositions: Iterable[tuple[str, int, Disposition]]
) -> None:
    """Count what became of each record, and check the sums.

    Raises:
        AccountsDoNotBalance: A fault of ours: the process must end.
    """
    for topic, offset, disposition in dispositions:
        account, source = accounts[topic], offsets.sources[topic]
        account.dispositions[disposition] = account.dispositions.get(disposition, 0) + 1
        source.dispositions[disposition] = source.dispositions.get(disposition, 0) + 1
        if disposition != "applied":
            account.other.append((offset, disposition))
    for topic, source in offsets.sources.items():
        counted = sum(source.dispositions.values()) + source.gaps + source.lost
        if source.first + counted != source.next:
            raise AccountsDoNotBalance(
                f"{topic}-{offsets.partition}: began at {source.first}, counted {counted}, applied to {source.next}"
            )
