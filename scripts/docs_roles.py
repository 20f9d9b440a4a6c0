"""For the API pages: names that docstrings mark as Sphinx knows them (``:meth:`ask` ``) are shown as code."""

import re

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?\.*([^`]+)`")


class Roles(Extension):
    """Replaces the marks in the docstring of whatever is read."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
