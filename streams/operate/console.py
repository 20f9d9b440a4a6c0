"""How commands speak: to people on consoles, to scripts in JSON. Whatever comes to a console is text (``text.py``)."""

import logging
from collections.abc import Iterable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from .outputs import Output
from .text import printable
from .times import when


class Console(RichConsole):
    """A console on which text is text: no markup, no codes for emoji, no escape sequences but Rich's own."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Rich does; what a terminal would obey is escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, lines=True), segment.style)


class LogFormatter(logging.Formatter):
    """Log lines with their zone, in which others' text is text, and begins no line of its own."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        """When it was said."""
        return when(record.created * 1000)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line; a traceback comes after it."""
        return printable(super().formatMessage(record))


out = Console()
err = Console(stderr=True)


def line(said: object, style: str = "") -> Text:
    """Others' text in one line, for a console."""
    return Text(printable(said), style)


def report(data: Output, sentence: str, *, as_json: bool) -> None:
    """What a command did: as data for scripts, or as a sentence for people."""
    if as_json:
        data.show()
    else:
        out.print(line(sentence), soft_wrap=True)
