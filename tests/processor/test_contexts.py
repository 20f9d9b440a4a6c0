"""A learner that needs certain fields of the context: a wrong spec or event is refused, and no tuner suspended."""

import pytest

from world import World, spec

NUMBERS = [{"name": "pool", "type": "integer", "val": 10, "min": 1, "max": 100}]
TREE = {"name": "autoscope", "args": {"features": [{"name": "load"}]}}
NETWORK = {"name": "ddpg", "args": {"state_config": [{"type": "real", "name": "load", "val": 0, "min": 0, "max": 9}]}}


def wanting(algorithm, *features):
    return spec(parameters=NUMBERS, algorithm=algorithm, context={"features": list(features), "learner": "shared"})


@pytest.mark.parametrize("algorithm", [TREE, NETWORK], ids=["autoscope", "ddpg"])
def test_a_spec_whose_contexts_can_never_have_what_the_learner_needs_is_refused(algorithm):
    world = World()
    world.apply(wanting(algorithm, {"name": "lord", "bins": [1.0]}))
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]
    assert b"lacks load" in dict(world.letters[0].headers)["detail"]


def test_a_tree_without_any_feature_is_refused():
    world = World()
    world.apply(wanting(TREE))
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]


def test_every_declared_value_must_be_one_that_the_learner_knows():
    world = World()
    tree = {"name": "autoscope", "args": {"features": [{"name": "region", "values": ["eu", "us"]}]}}
    world.apply(wanting(tree, {"name": "region", "values": ["eu", "us", "asia"]}))
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]
    assert b"asia" in dict(world.letters[0].headers)["detail"]


@pytest.mark.parametrize("algorithm", [TREE, NETWORK], ids=["autoscope", "ddpg"])
def test_an_event_with_a_context_that_the_learner_cannot_take_is_a_dead_letter(algorithm):
    world = World()
    world.apply(wanting(algorithm, {"name": "load"}))
    world.here("a", context={"load": "much"})
    world.here("b", context={"load": 3})
    world.fold()
    assert world.letter_reasons() == ["context_invalid"]
    assert b"load" in dict(world.letters[0].headers)["detail"]
    assert world.tuner().suspended is None
    [scope] = [key.partition("/")[2] for key in world.configs if "/" in key]
    assert list(world.scope(scope).presence) == ["b"]


def test_a_changed_spec_that_cannot_take_the_contexts_that_are_there_changes_nothing():
    world = World()
    world.apply(wanting({"name": "bluefin"}, {"name": "load"}))
    world.here("a", context={"load": "much"})
    world.fold()
    before = world.tuner()
    world.apply(wanting(TREE, {"name": "load"}))
    world.fold()
    assert world.letter_reasons() == ["spec_invalid"]
    assert world.tuner() == before


# ---- whether they share a learner ------------------------------------------------------------------------------------


def deciding(features, algorithm="auto", parameters=NUMBERS, **context):
    world = World()
    world.apply(spec(parameters=parameters, algorithm={"name": algorithm}, context={"features": features, **context}))
    world.fold()
    assert not world.letters, world.letter_reasons()
    return world


MANY = [{"name": f"p{i}", "type": "real", "val": 0.5, "min": 0.0, "max": 1.0} for i in range(61)]
TWO = [{"name": "load", "values": ["low", "high"]}]


@pytest.mark.parametrize(
    ("features", "algorithm", "parameters", "expected"),
    [
        (TWO, "auto", NUMBERS, "shared"),
        (TWO, "surrogate", NUMBERS, "shared"),
        (TWO, "bluefin", NUMBERS, "per_context"),
        (TWO, "auto", MANY, "per_context"),
        ([], "auto", NUMBERS, "per_context"),
        ([{"name": "load"}], "auto", NUMBERS, "per_context"),
        ([{"name": "load", "bins": [1.0, 2.0, 3.0]}], "auto", NUMBERS, "shared"),
        ([*TWO, {"name": "hour", "values": list(range(24))}], "auto", NUMBERS, "per_context"),
        ([*TWO, {"name": "region"}], "auto", NUMBERS, "per_context"),
    ],
    ids=["few", "few, surrogate", "no features", "too many parameters", "none", "any", "bins", "many", "one of any"],
)
def test_contexts_share_a_learner_where_they_are_few_and_it_tells_them_apart(features, algorithm, parameters, expected):
    assert deciding(features, algorithm, parameters).tuner().spec.context.learner == expected


@pytest.mark.parametrize("said", ["shared", "per_context"])
def test_what_a_spec_says_of_it_is_done(said):
    world = deciding(TWO, learner=said)
    assert world.tuner().spec.context.learner == said


@pytest.mark.parametrize("before", ["shared", "per_context"])
def test_a_spec_that_leaves_it_open_changes_nothing_about_what_stands(before):
    world = deciding(TWO, learner=before)
    learned = world.tuner().incarnation
    world.apply(spec(parameters=NUMBERS, algorithm={"name": "auto"}, context={"features": TWO}))
    world.fold()
    assert (world.tuner().incarnation, world.tuner().spec.context.learner) == (learned, before)
    world.apply(spec(parameters=NUMBERS, algorithm={"name": "auto"}, context={"features": TWO, "max_contexts": 3}))
    world.fold()
    assert (world.tuner().incarnation, world.tuner().spec.context.learner) == (learned, before)
    assert world.tuner().spec.context.max_contexts == 3
    world.apply(spec(parameters=NUMBERS, algorithm={"name": "uniform_random"}, context={"features": TWO}))
    world.fold()
    assert world.tuner().spec.context.learner == "per_context", "an algorithm without features decides anew"
