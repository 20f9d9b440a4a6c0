"""Rounds as a table: CSV, or Parquet."""

import csv
import os
import tempfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from ....core.errors import CommandFailed, MissingExtra
from ....schemas.records import RoundRecord
from ..exit_codes import ExitCode

Row = dict[str, str | int | float | bool | None]

_PLAIN = (
    "tuner", "scope", "round", "incarnation", "kind", "outcome", "why", "request_id", "opened_ms", "activated_ms",
    "closed_ms", "events", "instances", "reward", "told", "incumbent",
)  # fmt: skip


def row(closed: RoundRecord) -> Row:
    """A round as a flat row: ``value.NAME`` of each parameter, ``context.NAME``, ``metric.NAME.p95`` and so on."""
    flat: Row = {name: getattr(closed, name) for name in _PLAIN}
    flat |= {f"context.{name}": value for name, value in (closed.context or {}).items()}
    flat |= {f"value.{name}": value for name, value in (closed.values or {}).items()}
    for metric, result in closed.metrics.items():
        flat |= {f"metric.{metric}.{name}": value for name, value in result.model_dump().items()}
    return flat


def columns_and_rows(rounds: Iterable[RoundRecord]) -> tuple[list[str], list[Row]]:
    """Columns and rows; a column that some rounds lack is empty there."""
    rows = [row(closed) for closed in rounds]
    columns = dict.fromkeys(_PLAIN) | dict.fromkeys(sorted({name for r in rows for name in r} - set(_PLAIN)))
    return list(columns), rows


def write(rounds: Iterable[RoundRecord], path: Path, *, force: bool = False) -> int:
    """Write rounds to a file, whole or not at all; its ending says how.

    Args:
        rounds: In the order in which they are to stand.
        path: ``….csv`` or ``….parquet``.
        force: Whether a file that is there may be replaced.

    Returns:
        The number of rounds.

    Raises:
        CommandFailed: Another ending, the file is there, or it cannot be written.
        MissingExtra: Parquet needs the extra ``parquet``.
    """
    writer = check(path, force=force)
    columns, rows = columns_and_rows(rounds)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as made:
            part = Path(made.name)
        try:
            writer(part, columns, rows)
            os.chmod(part, 0o666 & ~_umask())  # noqa: PTH101 - as any new file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CommandFailed(f"cannot write {path}: {error.strerror or error}", ExitCode.FAILED) from error
    return len(rows)


def check(path: Path, *, force: bool) -> Callable[[Path, list[str], list[Row]], None]:
    """Who writes such a file; raises what :func:`write` would, before the work."""
    writer = {".csv": _write_csv, ".parquet": _write_parquet}.get(path.suffix.lower())
    if writer is None:
        raise CommandFailed(f"{path}: give a name that ends in .csv or .parquet", ExitCode.USAGE)
    if path.exists() and not force:
        raise CommandFailed(f"{path} is there already: give another name, or --force", ExitCode.USAGE)
    if writer is _write_parquet:
        _pyarrow()
    return writer


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_csv(path: Path, columns: list[str], rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, columns: list[str], rows: list[Row]) -> None:
    arrow, parquet = _pyarrow()
    arrays = {name: _column([r.get(name) for r in rows]) for name in columns}
    parquet.write_table(arrow.table({name: arrow.array(values) for name, values in arrays.items()}), path)


def _column(values: list[str | int | float | bool | None]) -> list[str | int | float | bool | None]:
    """A column of one type: where an older spec gave a parameter another, all become text; whole and real are real."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1:
        return [None if value is None else str(value) for value in values]
    return values


def _pyarrow() -> tuple[Any, Any]:
    """The modules, which have no types; imported late: they are large, and an extra of their own."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtra("Parquet", "parquet") from error
