"""One line for each thing that happens, for people."""

from collections.abc import Mapping

from rich.text import Text

from ..console import line
from ..outputs import WatchEvent
from ..times import when

_COLOURS = {"measured": "green", "broken": "bold red", "failed": "red", "skipped": "yellow", "superseded": "yellow"}
_STATUS_COLOURS = {"achieved": "bold cyan", "tuning": "green", "suspended": "bold red", "deleted": "bold yellow"}


def watch_line(event: WatchEvent) -> Text:
    """What happened, as one line for people."""
    context = "".join(f" {name}={value}" for name, value in (event.context or {}).items())
    parts = [
        line(f"{when(event.time_ms) if event.time_ms else '':23} ", "dim"),
        line(event.tuner, "bold"),
        line(f"{context} "),
        *_what(event),
    ]
    return Text.assemble(*parts)


def _what(event: WatchEvent) -> list[Text]:
    if event.what == "round":
        reward = "-" if event.reward is None else f"{event.reward:.4g}"
        said = f"  ({event.said})" if event.said else ""
        return [
            line(f"round {event.round} {_arm(event)} "),
            line(event.outcome, _COLOURS.get(event.outcome, "")),
            line(f" reward {reward}{_better(event)}  {_values(event.changed) or 'same values'}{said}"),
        ]
    if event.what == "incumbent":
        reward = "" if event.reward is None else f", reward {event.reward:.4g}"
        values = _values(event.values) or "values that another replaced since"
        return [line(f"new incumbent{reward}: {values}", "bold green")]
    if event.what == "status":
        said = f": {event.said}" if event.said else ""
        return [line(f"{event.status}{said}", _STATUS_COLOURS.get(event.status, "yellow"))]
    place = f" (oppertune dead-letters show {event.place})" if event.place else ""
    return [line(f"{event.what.replace('_', ' ')}: {event.said}{place}", "red")]


def _arm(event: WatchEvent) -> str:
    """What ran: beside others, which arm, and where a roll-out stands."""
    stage = "" if event.stage is None else f", stage {event.stage}"
    units = "" if event.units is None else f" on {event.units}"
    return f"{event.arm}{stage}{units}" if event.arm else f"{event.kind}"


def _better(event: WatchEvent) -> str:
    """By how much better than the incumbent beside it, in the objective's reward; worse has a minus."""
    if event.better is None:
        return ""
    doubt = "" if event.better_se is None else f" ± {event.better_se:.2g}"
    return f" ({event.better:+.3g}{doubt} beside the incumbent)"


def _values(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
