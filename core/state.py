"""Learned state as JSON: encode Python and numpy data so that it survives any JSON writer and reader, bit for bit.

Plain JSON stays as it is. What JSON can't hold becomes an object with the key ``"$"``, which names its kind::

    nan, inf                {"$": "float", "value": "nan"}
    integer beyond 64 bits  {"$": "int", "hex": "0x1f…"}
    tuple, set, frozenset   {"$": "tuple", "items": […]}
    deque                   {"$": "deque", "items": […], "maxlen": 10}
    other keys than text    {"$": "dict", "items": [[key, value], …]}
    bytes                   {"$": "bytes", "hex": "00ff"}
    numpy array             {"$": "array", "dtype": "float64", "shape": [2, 3], "data": […]}
    numpy scalar            {"$": "scalar", "dtype": "int64", "value": 3}
    numpy Generator         {"$": "generator", "state": {"bit_generator": "PCG64", …}}
    numpy bit generator     {"$": "bit_generator", "state": {…}}
    numpy RandomState       {"$": "random_state", "state": {…}}
    random.Random           {"$": "random", "version": 3, "words": […], "gauss": null}
    parameter               {"$": "value", "value": {"type": "integer", …}}
    Stateful                {"$": "object", "state": {…}}

A :class:`Stateful` object (a nested learner, an optimizer) writes itself, and is restored in place: :func:`decode` is
handed the object that stands where the state is to go. An object that occurs twice is written twice: see
:func:`find_shared`.
"""

import functools
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput, InvalidState, NotStreamable
from .values import Categorical, Integer, Real, to_value

STATE_FORMAT = 1
"""Version of the encoding and of what surrounds it. Readers refuse any other."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonDict: TypeAlias = dict[str, JsonValue]

_INT64 = 2**63

_dtype_name = functools.cache(lambda dtype: str(dtype.name))  # numpy composes the name anew each time, slowly
_ARRAY_KINDS = "biuf"
_BIT_GENERATORS = {
    b.__name__: b for b in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class Stateful(Protocol):
    """An object that writes and restores its own state."""

    def get_state(self) -> JsonDict:
        """Everything that changes, as JSON-safe data that later changes do not touch."""

    def set_state(self, state: Mapping[str, JsonValue]) -> None:
        """Restore what :meth:`get_state` returned."""


def _is_stateful(x: object) -> TypeGuard[Stateful]:
    """What ``isinstance`` of a run-time protocol would say, at a tenth of its time: this is asked for every event."""
    kind = type(x)
    return hasattr(kind, "get_state") and hasattr(kind, "set_state")


def encode(x: object) -> JsonValue:
    """``x`` as JSON-safe data, sharing nothing mutable with it.

    Raises:
        NotStreamable: It, or something in it, has no encoding.
    """
    encoder = _ENCODERS.get(type(x))
    if encoder is not None:
        return encoder(x)
    if isinstance(x, np.generic):
        return _encode_scalar(x)
    if isinstance(x, np.random.BitGenerator):
        return {"$": "bit_generator", "state": _bit_generator_state(x)}
    if _is_stateful(x):
        return {"$": "object", "state": x.get_state()}
    raise NotStreamable(f"{type(x).__module__}.{type(x).__qualname__} can't be written as JSON")


def decode(encoded: object, current: object = None) -> Any:  # noqa: ANN401 - what was encoded decides what comes back
    """What :func:`encode` was given.

    Args:
        encoded: Its result, perhaps after a round through JSON.
        current: What stands where the result is to go. Stateful objects in it are restored in place.

    Raises:
        InvalidState: ``encoded`` is no such result, or needs an object that ``current`` lacks.
    """
    try:
        return _decode(encoded, current)
    except InvalidState:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidState(f"a damaged state: {type(error).__name__}: {error}") from error


def find_shared(named: Mapping[str, object]) -> tuple[str, str] | None:
    """Two places that hold the same mutable object, which would be two objects after a restore; None if there are none.

    Args:
        named: Objects by the name of the place that holds them.
    """
    seen: dict[int, str] = {}
    for name, x in named.items():
        for place, mutable in _mutables(name, x):
            if id(mutable) in seen:
                return seen[id(mutable)], place
            seen[id(mutable)] = place
    return None


def _mutables(place: str, x: object) -> Iterator[tuple[str, object]]:
    if isinstance(x, np.ndarray):
        yield place, x if x.base is None else x.base
    elif isinstance(x, np.random.Generator):
        yield place, x.bit_generator
    elif isinstance(x, list | dict | set | deque | random.Random | np.random.BitGenerator | np.random.RandomState):
        yield place, x
    if isinstance(x, dict):
        for key, item in x.items():
            yield from _mutables(f"{place}[{key!r}]", item)
    elif isinstance(x, list | tuple | deque):
        for i, item in enumerate(x):
            yield from _mutables(f"{place}[{i}]", item)


# Encoders, by exact type: a subclass may carry more than its base, so it is not taken for it.


def _same(x: Any) -> Any:  # noqa: ANN401
    return x


def _encode_int(x: int) -> JsonValue:
    return x if -_INT64 <= x < _INT64 else {"$": "int", "hex": hex(x)}


def _encode_float(x: float) -> JsonValue:
    return x if math.isfinite(x) else {"$": "float", "value": repr(x)}


def _encode_list(x: list[Any]) -> JsonValue:
    return [encode(item) for item in x]


def _encode_dict(x: dict[Any, Any]) -> JsonValue:
    for key in x:
        if type(key) is not str or key == "$":
            return {"$": "dict", "items": [[encode(key), encode(item)] for key, item in x.items()]}
    return {key: encode(item) for key, item in x.items()}


def _encode_tuple(x: tuple[Any, ...]) -> JsonValue:
    return {"$": "tuple", "items": [encode(item) for item in x]}


def _encode_deque(x: deque[Any]) -> JsonValue:
    return {"$": "deque", "items": [encode(item) for item in x], "maxlen": x.maxlen}


def _encode_set(x: set[Any] | frozenset[Any]) -> JsonValue:
    # Sorted: the order of a set of strings differs from process to process, and equal states should look equal.
    return {"$": type(x).__name__, "items": [encode(item) for item in sorted(x, key=repr)]}


def _encode_array(x: NDArray[Any]) -> JsonValue:
    if x.dtype.kind not in _ARRAY_KINDS or x.dtype.itemsize > 8:
        raise NotStreamable(f"a numpy array of {x.dtype} can't be written as JSON")
    order: Literal["C", "F"] = "F" if x.flags.f_contiguous and not x.flags.c_contiguous else "C"
    data = x.ravel(order).tolist()
    # A sum is finite only if all its terms are: one test instead of one per number.
    if x.dtype.kind == "f" and not math.isfinite(sum(data)):
        data = [number if math.isfinite(number) else repr(number) for number in data]
    encoded: JsonDict = {"$": "array", "dtype": _dtype_name(x.dtype), "shape": list(x.shape), "data": data}
    if order == "F":  # kept: numpy sums in memory order, and another order rounds differently
        encoded["order"] = order
    return encoded


def _encode_scalar(x: np.generic) -> JsonValue:
    if x.dtype.kind == "U":
        return str(x)
    if x.dtype.kind not in _ARRAY_KINDS or x.dtype.itemsize > 8:
        raise NotStreamable(f"a numpy scalar of {x.dtype} can't be written as JSON")
    return {"$": "scalar", "dtype": _dtype_name(x.dtype), "value": encode(x.item())}


def _bit_generator_state(x: np.random.BitGenerator) -> JsonValue:
    if type(x).__name__ not in _BIT_GENERATORS:
        raise NotStreamable(f"the state of a {type(x).__name__} can't be written as JSON")
    return _encode_dict(dict(x.state))


def _encode_generator(x: np.random.Generator) -> JsonValue:
    return {"$": "generator", "state": _bit_generator_state(x.bit_generator)}


def _encode_random(x: random.Random) -> JsonValue:
    version, words, gauss = x.getstate()
    return {"$": "random", "version": version, "words": list(words), "gauss": gauss}


def _encode_value(x: Categorical | Integer | Real) -> JsonValue:
    return {"$": "value", "value": _encode_dict(x.to_dict())}


_ENCODERS: dict[type, Callable[[Any], JsonValue]] = {
    type(None): _same,
    bool: _same,
    str: _same,
    int: _encode_int,
    float: _encode_float,
    list: _encode_list,
    dict: _encode_dict,
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_set,
    deque: _encode_deque,
    bytes: lambda x: {"$": "bytes", "hex": x.hex()},
    np.ndarray: _encode_array,
    np.random.Generator: _encode_generator,
    np.random.RandomState: lambda x: {"$": "random_state", "state": encode(x.get_state(legacy=False))},
    random.Random: _encode_random,
    Categorical: _encode_value,
    Integer: _encode_value,
    Real: _encode_value,
}


def _decode(x: Any, current: object) -> Any:  # noqa: ANN401
    if isinstance(x, list):
        stand_ins: Sequence[object] = (
            current if isinstance(current, list) and len(current) == len(x) else [None] * len(x)
        )
        return [_decode(item, stand_in) for item, stand_in in zip(x, stand_ins, strict=True)]
    if not isinstance(x, dict):
        return x
    if "$" not in x:
        known = current if isinstance(current, dict) else {}
        return {key: _decode(item, known.get(key)) for key, item in x.items()}
    kind = x["$"]
    if kind == "object":
        if not _is_stateful(current):
            raise InvalidState(f"the state holds an object where this instance has a {type(current).__name__}")
        current.set_state(x["state"])
        return current
    if kind == "tuple":
        return tuple(_decode(x["items"], list(current) if isinstance(current, tuple) else None))
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise InvalidState(f"a state of unknown kind {kind!r}")
    return decoder(x)


def _items(x: Mapping[str, Any]) -> list[Any]:
    return [_decode(item, None) for item in x["items"]]


def _decode_array(x: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(x["dtype"])
    if dtype.kind not in _ARRAY_KINDS:
        raise InvalidState(f"a numpy array of {dtype}")
    data = x["data"]
    if dtype.kind == "f":
        data = [float(number) for number in data]
    return np.array(data, dtype=dtype).reshape(x["shape"], order=x.get("order", "C"))


def _decode_bit_generator(x: Mapping[str, Any]) -> np.random.BitGenerator:
    state = _decode(x["state"], None)
    bit_generator = _BIT_GENERATORS[state["bit_generator"]]()
    bit_generator.state = state
    return bit_generator


def _decode_random_state(x: Mapping[str, Any]) -> np.random.RandomState:
    generator = np.random.RandomState()  # not our choice, but a user's algorithm may hold one
    generator.set_state(_decode(x["state"], None))
    return generator


def _decode_random(x: Mapping[str, Any]) -> random.Random:
    generator = random.Random()  # noqa: S311 - learners need reproducible draws, not secrets
    generator.setstate((x["version"], tuple(x["words"]), x["gauss"]))
    return generator


def _decode_value(x: Mapping[str, Any]) -> Categorical | Integer | Real:
    try:
        return to_value(x["value"])
    except InvalidInput as error:
        raise InvalidState(f"a damaged parameter: {error}") from error


_DECODERS: dict[object, Callable[[Mapping[str, Any]], object]] = {
    "float": lambda x: float(x["value"]),
    "int": lambda x: int(x["hex"], 16),
    "set": lambda x: set(_items(x)),
    "frozenset": lambda x: frozenset(_items(x)),
    "deque": lambda x: deque(_items(x), maxlen=x["maxlen"]),
    "dict": lambda x: {_decode(key, None): _decode(item, None) for key, item in x["items"]},
    "bytes": lambda x: bytes.fromhex(x["hex"]),
    "array": _decode_array,
    "scalar": lambda x: np.dtype(x["dtype"]).type(_decode(x["value"], None)),
    "generator": lambda x: np.random.Generator(_decode_bit_generator(x)),
    "bit_generator": _decode_bit_generator,
    "random_state": _decode_random_state,
    "random": _decode_random,
    "value": _decode_value,
}
