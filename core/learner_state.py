"""What a learner's state says: the algorithm and parameters that it belongs to, and the attributes that were learned.

Only an instance of the same algorithm with the same parameters may restore a state; its header tells.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping

from .errors import InvalidState, NotStreamable, StateMismatch
from .state import STATE_FORMAT, JsonDict, decode, encode, find_shared
from .values import Categorical, Integer, Real


def header(algorithm: str, parameters: Iterable[Categorical | Integer | Real]) -> JsonDict:
    """How a state begins: version of the encoding, name of the algorithm, short hash of the parameters' definitions."""
    text = json.dumps([parameter.to_dict() for parameter in parameters])
    return {
        "format": STATE_FORMAT,
        "algorithm": algorithm,
        "parameters": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def check_header(state: object, own: Mapping[str, object]) -> None:
    """Check that a state was written by an instance like this one.

    Args:
        state: The state.
        own: This instance's :func:`header`.

    Raises:
        StateMismatch: The state is another algorithm's, or was learned with other parameters.
        InvalidState: It is no state, or of a format version that is not read.
    """
    if not isinstance(state, Mapping):
        raise InvalidState(f"a state is a dictionary, not {type(state).__name__}")
    if state.get("format") != own["format"]:
        raise InvalidState(f"state of format {state.get('format')!r}: this version reads {own['format']}")
    if state.get("algorithm") != own["algorithm"]:
        raise StateMismatch(f"the state of {state.get('algorithm')!r} is not for {own['algorithm']}")
    if state.get("parameters") != own["parameters"]:
        raise StateMismatch("the state was learned with other parameters than this instance's")


def encode_attributes(x: object, names: Iterable[str]) -> JsonDict:
    """Attributes of an object as JSON-safe data.

    Raises:
        NotStreamable: One has no encoding; the message names it.
    """
    encoded: JsonDict = {}
    for name in names:
        try:
            encoded[name] = encode(x.__dict__[name])
        except NotStreamable as error:
            raise NotStreamable(f"{type(x).__name__}.{name}: {error}") from error
    return encoded


def restore_attributes(x: object, names: Iterable[str], encoded: Mapping[str, object]) -> None:
    """Give an object the attributes that :func:`encode_attributes` wrote, and no others.

    Args:
        x: The object.
        names: Attributes that it has now. Those that were not written are deleted: they were made later.
        encoded: What was written.

    Raises:
        InvalidState: It is damaged.
    """
    for name in names:
        if name not in encoded:
            delattr(x, name)
    for name, item in encoded.items():
        setattr(x, name, decode(item, x.__dict__.get(name)))


def check_attributes(x: object, names: Collection[str]) -> None:
    """Check that attributes of an object can be written and restored without loss.

    Raises:
        NotStreamable: One has no encoding, or two share an object; the message names them.
    """
    encode_attributes(x, names)
    if shared := find_shared({name: x.__dict__[name] for name in names}):
        raise NotStreamable(
            f"{type(x).__name__}: {shared[0]} and {shared[1]} are one object, and would be two after a restore"
        )
