from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oppertune.core.errors import InvalidContext, InvalidInput
from oppertune.core.types import Context, PredictResponse, TuningRequest, generate_request_id

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
features = st.dictionaries(st.text(), scalars)


@given(features)
def test_a_contexts_id_does_not_depend_on_the_order_of_its_features(data):
    backwards = dict(reversed(data.items()))
    assert Context(data).id == Context(backwards).id
    assert Context(data) == Context(backwards)
    assert hash(Context(data)) == hash(Context(backwards))


@given(features, features)
def test_different_features_have_different_ids(one, other):
    assert (Context(one).id == Context(other).id) == (
        orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    )


def test_an_id_of_ones_own_is_kept_and_no_data_has_the_empty_one():
    assert Context({"a": 1}, id="mine").to_dict() == {"data": {"a": 1}, "id": "mine"}
    assert Context().to_dict() == {"data": None, "id": ""}
    assert Context({}).id != ""


@pytest.mark.parametrize("data", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}, {(1, 2): 3}])
def test_data_that_is_not_json_is_refused(data):
    for context_id in ("", "mine"):
        with pytest.raises(InvalidContext) as caught:
            Context(data, id=context_id)
        assert isinstance(caught.value, TypeError)
    with pytest.raises(InvalidContext):
        Context(id=cast("Any", 5))


def test_request_ids_differ():
    assert len({generate_request_id() for _ in range(1000)}) == 1000


def test_a_request_is_equal_after_a_round_through_json():
    request = TuningRequest("r", Context({"job": 1}), {"n": 1, "c": "a", "x": 0.5}, reward=0.25)
    assert TuningRequest.from_dict(orjson.loads(orjson.dumps(request.to_dict()))) == request
    assert TuningRequest.from_dict({"id": "r"}) == TuningRequest("r")


@pytest.mark.parametrize(
    "wrong", [{}, {"id": 5}, {"id": "r", "context": 5}, {"id": "r", "prediction": []}, {"id": "r", "reward": "x"}]
)
def test_what_is_no_request_is_refused(wrong):
    with pytest.raises(InvalidInput):
        TuningRequest.from_dict(wrong)


def test_a_response_unpacks_and_has_a_dictionary():
    """Fault 7: to_dict always raised."""
    response = PredictResponse({"n": 1}, "r")
    prediction, request_id = response
    assert (prediction, request_id) == ({"n": 1}, "r")
    assert response.to_dict() == {"prediction": {"n": 1}, "request_id": "r"}
