import collections
import json
import math
import random
from typing import Any, NamedTuple

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from oppertune.core.errors import InvalidState, NotStreamable
from oppertune.core.state import decode, encode, find_shared
from strategies import parameters

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | parameters
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
    | st.floats(width=32).map(np.float32)
)
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
data = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(lambda x: collections.deque(x, maxlen=100))
        | st.dictionaries(keys, inner)
        | st.sets(keys)
        | st.frozensets(keys)
    ),
    max_leaves=20,
)
dtypes = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "u8", "u1", "?"])
arrays = npst.arrays(dtypes, npst.array_shapes(min_dims=0, min_side=0))


def through_json(encoded):
    """Through a fast writer, and a strict one."""
    text = orjson.dumps(encoded)
    assert json.loads(json.dumps(encoded, allow_nan=False)) == orjson.loads(text)
    return orjson.loads(text)


def same(x, y):
    """Equal in type and value, with nan equal to itself and -0.0 unequal to 0.0."""
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and all(same(x[key], y[key]) for key in x)
    if isinstance(x, list | tuple | collections.deque):
        return len(x) == len(y) and all(map(same, x, y)) and getattr(x, "maxlen", 0) == getattr(y, "maxlen", 0)
    if isinstance(x, float | np.floating):
        return repr(x) == repr(y)
    return x == y


@given(data)
@example({"$": "array"})
@example({"a": math.nan, 1: -0.0})
def test_data_comes_back_as_it_was(x):
    assert same(decode(through_json(encode(x))), x)


@given(arrays)
def test_arrays_come_back_to_the_bit(x):
    back = decode(through_json(encode(x)))
    assert (back.dtype, back.shape) == (x.dtype, x.shape)
    nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    assert (np.isnan(back) == nan).all() if x.dtype.kind == "f" else True
    assert back[~nan].tobytes() == x[~nan].tobytes()


def test_the_memory_order_of_an_array_is_kept():
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    back = decode(through_json(encode(x)))
    assert back.flags.f_contiguous
    assert (back == x).all()


GENERATORS = {
    **{
        name: lambda name=name: np.random.Generator(getattr(np.random, name)(7))
        for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
    },
    "RandomState": lambda: np.random.RandomState(7),
    "Random": lambda: random.Random(7),
}


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS.keys())
def test_a_generator_goes_on_where_it_was(make):
    generator = make()
    for drawn in range(3):
        back = decode(through_json(encode(generator)))
        draw = "gauss" if isinstance(generator, random.Random) else "normal"
        ahead = [getattr(back, draw)(0, 1) for _ in range(9)]
        assert [getattr(decode(encode(generator)), draw)(0, 1) for _ in range(1)] == ahead[:1]
        for _ in range(drawn + 1):
            getattr(generator, draw)(0, 1)
        assert getattr(generator, draw)(0, 1) == ahead[drawn + 1]


def test_half_a_word_that_a_generator_has_left_is_kept():
    generator = np.random.default_rng(1)
    generator.integers(2**31, dtype=np.uint32)
    back = decode(through_json(encode(generator)))
    assert [back.integers(2**31, dtype=np.uint32) for _ in range(5)] == [
        generator.integers(2**31, dtype=np.uint32) for _ in range(5)
    ]


def test_a_bit_generator_alone_goes_on_too():
    bits = np.random.PCG64(3)
    assert np.random.Generator(decode(through_json(encode(bits)))).random() == np.random.Generator(bits).random()


def test_words_of_128_bits_are_hexadecimal():
    generator: Any = encode(np.random.default_rng(1))
    words = generator["state"]["state"]
    assert words["state"]["hex"].startswith("0x")
    assert encode(2**63 - 1) == 2**63 - 1
    assert encode(-(2**63)) == -(2**63)
    assert encode(2**63) == {"$": "int", "hex": hex(2**63)}


def test_equal_sets_look_equal_in_every_process():
    encoded: Any = encode(set("hgfedcba"))
    assert encoded["items"] == sorted("hgfedcba")


def test_what_was_encoded_shares_nothing_with_its_source():
    x: dict[str, Any] = {"a": [1, {"b": [2]}], "c": np.array([1.0])}
    encoded = encode(x)
    kept = json.dumps(encoded)
    x["a"][1]["b"].append(3)
    x["c"][0] = 9
    assert json.dumps(encoded) == kept


class Counter:
    def __init__(self, n=0):
        self.n = n

    def get_state(self):
        return {"n": self.n}

    def set_state(self, state):
        self.n = state["n"]


def test_stateful_objects_are_restored_in_place_wherever_they_stand():
    encoded = through_json(encode({"one": Counter(1), "more": [Counter(2), (Counter(3),)], "n": 4}))
    current: dict[str, Any] = {"one": Counter(), "more": [Counter(), (Counter(),)], "n": 0}
    back = decode(encoded, current)
    assert back["one"] is current["one"]
    assert (back["one"].n, back["more"][0].n, back["more"][1][0].n, back["n"]) == (1, 2, 3, 4)
    with pytest.raises(InvalidState):
        decode(encoded, {"one": Counter(), "more": [], "n": 0})


class Subclass(dict[str, int]):
    pass


class Pair(NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    "x",
    [
        object(),
        lambda: 1,
        Subclass(),
        Pair(1, 2),
        collections.defaultdict(list),
        np.array([1j]),
        np.array([object()]),
        np.array(["a"]),
        np.datetime64("2020"),
        random.SystemRandom(),
        Counter,
        {"deep": [{1: (object(),)}]},
        math,
    ],
)
def test_what_would_not_come_back_as_it_was_is_refused(x):
    with pytest.raises(NotStreamable):
        encode(x)


@pytest.mark.parametrize(
    "encoded",
    [
        {"$": "nonsense"},
        {"$": ["list"]},
        {"$": "array"},
        {"$": "array", "dtype": "O", "shape": [1], "data": [1]},
        {"$": "array", "dtype": "float64", "shape": [3], "data": [1.0]},
        {"$": "array", "dtype": "float64", "shape": [1], "data": ["x"]},
        {"$": "float", "value": "x"},
        {"$": "int", "hex": "x"},
        {"$": "generator", "state": {"bit_generator": "os.system", "state": {}}},
        {"$": "generator", "state": {"bit_generator": "PCG64", "state": {}}},
        {"$": "random", "version": 3, "words": [1], "gauss": None},
        {"$": "value", "value": {"type": "integer", "name": "i", "val": 3, "min": 0, "max": 2}},
        {"$": "dict", "items": [[1]]},
        {"$": "bytes", "hex": "x"},
        {"$": "object", "state": {}},
        {"$": "tuple", "items": 5},
    ],
)
def test_a_damaged_state_is_refused_as_such(encoded):
    with pytest.raises(InvalidState):
        decode(encoded)


def test_places_that_share_a_mutable_object_are_found():
    shared = np.zeros(3)
    generator = np.random.default_rng(1)
    assert find_shared({"a": shared, "b": {"c": [shared[1:]]}}) == ("a", "b['c'][0]")
    assert find_shared({"a": generator, "b": (np.random.Generator(generator.bit_generator),)}) == ("a", "b[0]")
    assert find_shared({"a": shared, "b": shared.copy(), "c": "text", "d": "text", "e": 5, "f": 5}) is None
