r"""Others' text as text: instances, contexts, authors, reasons, categories and units do nothing but be read. Pure.

All that commands print goes through :func:`printable`: what is put together from others' text where it is put together,
and all else on the consoles (``console.py``).
"""

import re
import shlex

from ...core.errors import InvalidInput


def printable(said: object, *, lines: bool = False) -> str:
    r"""Text without anything that a terminal would obey: such characters are written as their escapes.

    Args:
        said: Text, or what is printed as such.
        lines: It may have several lines, and tabs; else it stays in its line.

    >>> printable("\x1b[2Jshop\n")
    '\\x1b[2Jshop\\n'
    """
    text, kept = str(said), "\n\t" if lines else ""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def printable_json(document: str) -> str:
    r"""A JSON document without anything that a terminal would obey: the same data, with JSON's own escapes.

    >>> printable_json('{"unit": "\x9b2J"}')
    '{"unit": "\\u009b2J"}'
    """
    if document.isprintable():
        return document
    return "".join(c if c.isprintable() else _json_escape(c) for c in document)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def shell_lines(values: dict[str, str | int | float]) -> list[str]:
    """``NAME=value``, a line each, which a shell takes as assignments and nothing else.

    What no variable can be named by becomes an underscore: ``pool.size`` is ``pool_size``.

    Raises:
        InvalidInput: Two names become one, or a value cannot stand in a line.
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        variable = re.sub(r"[^A-Za-z0-9_]|^(?=[0-9])", "_", name)
        if variable in found:
            raise InvalidInput(f"two parameters would both be the variable {variable}: take them from --json")
        if not str(value).isprintable():
            raise InvalidInput(f"the value of {printable(name)} cannot stand in a line: take it from --json")
        found[variable] = shlex.quote(str(value))
    return [f"{variable}={value}" for variable, value in found.items()]
