"""Words that people mistyped."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known; empty where none is alike.

    >>> did_you_mean("mni", ["min", "max"])
    '; did you mean min?'
    """
    near = difflib.get_close_matches(word.casefold(), list(words), n=1)
    return f"; did you mean {near[0]}?" if near else ""
