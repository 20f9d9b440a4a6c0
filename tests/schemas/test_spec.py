"""Parameters as people write them."""

import pytest
import yaml
from pydantic import ValidationError

from oppertune.core.values import Categorical, Integer, Real
from oppertune.schemas.spec import TunerSpec


def spec(*parameters: str) -> TunerSpec:
    return TunerSpec.model_validate({"name": "shop", "parameters": [yaml.safe_load(p) for p in parameters]})


@pytest.mark.parametrize("word", ["on", "true", "'on'", "yes"])
def test_a_switch_is_on_however_yaml_spells_it(word):
    made = spec(f"{{name: gzip, type: switch, val: {word}}}")
    assert made.declared() == {"gzip": "on"}
    assert made.values() == [Categorical("gzip", "on", ("off", "on"))]
    assert TunerSpec.model_validate(made.model_dump(mode="json")) == made


def test_categories_that_yaml_takes_for_truth_values_are_told():
    with pytest.raises(ValidationError, match="put it in quotes, or use type: switch"):
        spec("{name: gzip, type: categorical, val: on, categories: [on, off]}")


def test_a_logarithmic_scale_reaches_the_learner():
    made = spec(
        "{name: rows, type: integer, val: 100, min: 1, max: 10000, log: true}",
        "{name: rate, type: real, val: 0.1, min: 0.001, max: 1, log: true}",
    )
    assert made.values() == [Integer("rows", 100, 1, 10000, log=True), Real("rate", 0.1, 0.001, 1, log=True)]
    with pytest.raises(ValidationError, match="log needs a min above 0"):
        spec("{name: rows, type: integer, val: 0, min: 0, max: 9, log: true}")


def test_a_stored_spec_without_the_new_fields_is_the_same_spec():
    made = spec("{name: rows, type: integer, val: 100, min: 1, max: 10000, unit: rows}")
    old = made.model_dump(mode="json")
    for new in ("log", "restart"):
        del old["parameters"][0][new]
    assert TunerSpec.model_validate(old) == made
    assert made.restart() == []
    assert spec("{name: port, type: integer, val: 1, min: 1, max: 9, restart: true}").restart() == ["port"]
