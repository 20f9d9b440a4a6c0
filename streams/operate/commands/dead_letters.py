"""``oppertune dead-letters``: what could not be used, and why."""

import json
import time
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ....core.errors import CommandFailed
from ...broker import BrokerSettings
from ..console import line, out
from ..exit_codes import ExitCode
from ..outputs import DeadLetterList, ListedDeadLetter, ShownDeadLetter
from ..reading.dead_letters import (
    DeadLetterRecord,
    newest_and_counts,
    parse_duration,
    parse_place,
    read_dead_letters,
)
from ..reporting.waiting import ago
from ..text import printable
from ..times import when
from .connection import connected
from .options import AsJson

dead_letters = typer.Typer(no_args_is_help=True, help="See events that could not be used, and why.")


@dead_letters.command("list", epilog="Example: oppertune dead-letters list --tuner checkout --since 2h")
@connected
def dead_letters_list(
    *,
    settings: BrokerSettings,
    tuner: Annotated[str, typer.Option(help="only of this tuner")] = "",
    reason: Annotated[str, typer.Option(help="only with this reason, such as unknown_tuner")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="only of the last 90s, 15m, 2h or 7d")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="show the newest so many")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest last, and how many there are of each reason."""
    now_ms = time.time_ns() // 1_000_000
    since_ms = now_ms - int(parse_duration(since).total_seconds() * 1000) if since else 0
    shown, counts = newest_and_counts(read_dead_letters(settings, tuner=tuner, reason=reason, since_ms=since_ms), limit)
    if as_json:
        DeadLetterList(reasons=counts, letters=[ListedDeadLetter.model_validate(_listed(one)) for one in shown]).show()
        return
    if not shown:
        out.print("no dead letters")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("place", "ago", "tuner", "from", "reason", "detail"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"place", "ago"})
    for one in shown:
        said = one.headers
        told = (one.place, ago(one.written_ms, now_ms), said.tuner, said.instance, said.reason, said.detail)
        table.add_row(*(line(word) for word in told))
    out.print(table)
    out.print(line(", ".join(f"{number} {word}" for word, number in counts.items())))
    if (number := sum(counts.values())) > len(shown):
        out.print(f"the newest {len(shown)} of {number}; more with --limit", highlight=False)


@dead_letters.command("show", epilog="Example: oppertune dead-letters show 3:17")
@connected
def dead_letters_show(
    name: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="as the list names it")],
    *,
    settings: BrokerSettings,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter whole: where it came from, why it could not be used, and what it held."""
    partition, offset = parse_place(name)
    found = next((one for one in read_dead_letters(settings, partition=partition) if one.offset == offset), None)
    if found is None:
        raise CommandFailed(f"there is no dead letter {name}; see: oppertune dead-letters list", ExitCode.NOT_FOUND)
    if as_json:
        ShownDeadLetter.model_validate(_listed(found) | _whole(found)).show()
        return
    for field, value in (_listed(found) | _whole(found)).items():
        if field != "value" and value != "":
            shown = when(value) if field.endswith("_ms") and isinstance(value, int) else printable(value)
            out.print(Text.assemble((f"{field.removesuffix('_ms'):12} ", "bold"), shown), soft_wrap=True)
    body = found.body()
    out.print()
    shown = printable(body) if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    out.print(shown, soft_wrap=True, highlight=False)


def _listed(one: DeadLetterRecord) -> dict[str, object]:
    said = one.headers.model_dump(include={"reason", "detail", "disposition", "tuner", "instance", "topic", "size"})
    return {"place": one.place, "written_ms": one.written_ms} | said


def _whole(one: DeadLetterRecord) -> dict[str, object]:
    said = one.headers.model_dump(include={"partition", "offset", "event_id", "timestamp_ms", "sha256"})
    return said | {"key": one.key.decode(errors="backslashreplace"), "value": one.body()}
