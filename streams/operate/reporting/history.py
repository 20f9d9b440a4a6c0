"""The versions of a tuner's incumbents: as data, for people, and two of them side by side."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from ....core.errors import CommandFailed
from ....schemas.state import ScopeState, Version
from ...processor.versions import numbered
from ..console import line
from ..exit_codes import ExitCode
from ..outputs import ChangedValue, HistoryOfContext, ShownVersion, TunerDiff, TunerHistory
from ..times import when

Values = Mapping[str, str | int | float]


def history_data(name: str, scopes: Sequence[ScopeState]) -> TunerHistory:
    """The versions that are remembered of some contexts, oldest first."""
    return TunerHistory(
        tuner=name,
        contexts=[
            HistoryOfContext(scope=scope.scope, context=scope.context, versions=_versions(scope.versions))
            for scope in scopes
        ],
    )


def _versions(versions: Sequence[Version]) -> list[ShownVersion]:
    before: Sequence[Version | None] = [None, *versions]
    return [
        ShownVersion(
            **version.model_dump(),
            changed=changes(earlier.values, version.values) if earlier is not None else [],
        )
        for earlier, version in zip(before, versions, strict=False)
    ]


def changes(before: Values, after: Values) -> list[ChangedValue]:
    """Which parameters are others in one configuration than in another, or only in one of them."""
    return [
        ChangedValue(parameter=name, before=before.get(name), after=after.get(name))
        for name in dict.fromkeys([*after, *before])
        if before.get(name) != after.get(name)
    ]


def diff_data(name: str, scope: ScopeState, first: int, second: int) -> TunerDiff:
    """What is different in one version of a context's incumbent and another.

    Raises:
        CommandFailed: One of them is not remembered.
    """
    found = []
    for number in (first, second):
        version = numbered(scope, number)
        if version is None:
            known = ", ".join(str(one.number) for one in scope.versions)
            raise CommandFailed(f"there is no version {number}; there are: {known}", ExitCode.NOT_FOUND)
        found.append(version)
    return TunerDiff(
        tuner=name,
        scope=scope.scope,
        context=scope.context,
        first=first,
        second=second,
        changed=changes(found[0].values, found[1].values),
    )


def history(told: TunerHistory) -> RenderableType:
    """Versions for people, a table for each context, newest last."""
    tables: list[RenderableType] = []
    for context in told.contexts:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("version", "since", "gain", "by", "changed", "why"):
            table.add_column(heading, justify="right" if heading in {"version", "gain"} else "left", overflow="fold")
        for version in context.versions:
            gain = f"{version.gain:.4g}" if version.gain is not None else "-"
            changed = ", ".join(map(in_words, version.changed)) or "-"
            cells = (version.number, when(version.since_ms), gain, version.by, changed, version.reason or "-")
            table.add_row(*map(line, cells))
        tables += [line(_context(context.context), "bold"), table]
    return Group(*tables)


def diff(told: TunerDiff) -> RenderableType:
    """Two versions side by side for people: what is different alone."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("parameter")
    for number in (told.first, told.second):
        table.add_column(f"version {number}", justify="right")
    for one in told.changed:
        table.add_row(*(line("-" if cell is None else cell) for cell in (one.parameter, one.before, one.after)))
    same = line("the same values") if not told.changed else table
    return Group(line(_context(told.context), "bold"), same)


def in_words(one: ChangedValue) -> str:
    """One changed value.

    >>> in_words(ChangedValue(parameter="pool", before=10, after=20))
    'pool 10 -> 20'
    """
    before, after = ("-" if x is None else f"{x:.6g}" if isinstance(x, float) else x for x in (one.before, one.after))
    return f"{one.parameter} {before} -> {after}"


def _context(context: Mapping[str, object] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in context.items()) if context else "no context"
