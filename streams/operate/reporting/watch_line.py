"""One line for each thing that happens, for people."""

from datetime import datetime

from rich.text import Text

from ..console import printable
from ..outputs import WatchEvent

_COLOURS = {"measured": "green", "failed": "red", "skipped": "yellow", "superseded": "yellow"}
_STATUS_COLOURS = {"achieved": "bold cyan", "tuning": "green", "suspended": "bold red", "deleted": "bold yellow"}


def watch_line(event: WatchEvent) -> Text:
    """What happened, as one line for people."""
    clock = datetime.fromtimestamp(event.time_ms / 1000).astimezone().strftime("%H:%M:%S") if event.time_ms else ""
    context = " ".join(f"{k}={v}" for k, v in (event.context or {}).items())
    where = Text.assemble(
        (f"{clock:8} ", "dim"), (printable(event.tuner), "bold"), f" {context}" if context else "", " "
    )
    if event.what == "round":
        reward = "-" if event.reward is None else f"{event.reward:.4g}"
        changed = ", ".join(f"{name}={_short(value)}" for name, value in event.changed.items()) or "same values"
        return where.append_text(
            Text.assemble(
                f"round {event.round} {event.kind} ",
                (event.outcome, _COLOURS.get(event.outcome, "")),
                f" reward {reward}  {changed}" + (f"  ({event.said})" if event.said else ""),
            )
        )
    if event.what == "incumbent":
        values = ", ".join(f"{name}={_short(value)}" for name, value in event.values.items())
        return where.append(f"new incumbent, reward {event.reward:.4g}: {values}", "bold green")
    if event.what == "status":
        said = f": {event.said}" if event.said else ""
        return where.append(f"{event.status}{said}", _STATUS_COLOURS.get(event.status, "yellow"))
    place = f" (oppertune dead-letters show {event.place})" if event.place else ""
    return where.append(f"{event.what.replace('_', ' ')}: {printable(event.said)}{place}", "red")


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
