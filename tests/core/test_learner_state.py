"""What a learner's state says: where it comes from, and what was learned. The base class's tests go through it all."""

from types import SimpleNamespace

import pytest

from oppertune.core.errors import InvalidState, NotStreamable, StateMismatch
from oppertune.core.learner_state import check_attributes, check_header, encode_attributes, header, restore_attributes
from oppertune.core.state import STATE_FORMAT
from oppertune.core.values import Integer

POOL, OTHER = Integer("pool", 5, 1, 9), Integer("pool", 5, 1, 10)
OWN = header("BlueFin", [POOL])


def test_a_state_of_the_same_algorithm_and_parameters_is_taken():
    check_header({**header("BlueFin", [Integer("pool", 5, 1, 9)]), "learner": {}}, OWN)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ([], InvalidState),
        ({}, InvalidState),
        ({**OWN, "format": STATE_FORMAT + 1}, InvalidState),
        (header("Slates", [POOL]), StateMismatch),
        (header("BlueFin", [OTHER]), StateMismatch),
        (header("BlueFin", [POOL, Integer("rows", 1, 0, 2)]), StateMismatch),
    ],
)
def test_any_other_state_is_refused(state, error):
    with pytest.raises(error):
        check_header(state, OWN)


def test_attributes_come_back_and_those_made_later_go():
    writer, reader = SimpleNamespace(n=1, seen=(1, 2)), SimpleNamespace(n=7, seen=(), later=3)
    restore_attributes(reader, ["n", "seen", "later"], encode_attributes(writer, ["n", "seen"]))
    assert vars(reader) == {"n": 1, "seen": (1, 2)}


SHARED: list[int] = []


@pytest.mark.parametrize(
    ("attributes", "named"), [({"lock": object()}, r"\.lock: "), ({"a": SHARED, "b": SHARED}, "a and b are one object")]
)
def test_what_would_be_lost_is_named(attributes, named):
    with pytest.raises(NotStreamable, match=named):
        check_attributes(SimpleNamespace(**attributes), list(attributes))
