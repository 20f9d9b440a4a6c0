"""How commands speak: to people on consoles, to scripts in JSON."""

from rich.console import Console

from .outputs import Output

out = Console()
err = Console(stderr=True)


def report(data: Output, sentence: str, *, as_json: bool) -> None:
    """What a command did: as data for scripts, or as a sentence for people."""
    if as_json:
        data.show()
    else:
        out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def printable(said: str) -> str:
    """Text that does nothing to a terminal but to be read: somebody else wrote it."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in said)
