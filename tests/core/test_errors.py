import inspect
import re

import pytest

from oppertune.core import errors

CLASSES = {name: c for name, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}


def test_every_error_is_in_the_tree_at_the_head_of_the_module_under_its_parent():
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        if not (match := re.match(r"    ([│ ├└─]*)(\w+)(?: \((\w+)\))?", line)):
            continue
        depth = len(match[1]) // 4
        path = [*path[:depth], match[2]]
        drawn[match[2]] = (path[depth - 1] if depth else None, match[3])
    assert drawn.keys() == CLASSES.keys()
    for name, (parent, standard) in drawn.items():
        bases = [base.__name__ for base in CLASSES[name].__bases__]
        assert bases == [b for b in (parent or "Exception", standard) if b], name


@pytest.mark.parametrize("name", sorted(name for name, c in CLASSES.items() if "__init__" not in vars(c)))
def test_an_error_prints_its_message_as_it_is(name):
    assert str(CLASSES[name]("what to do")) == "what to do"


def test_a_missing_extra_says_what_to_install():
    error = errors.MissingExtra("the algorithm 'ddpg'", "torch")
    assert "pip install 'oppertune-streams[torch]'" in str(error)
    assert isinstance(error, ImportError)
