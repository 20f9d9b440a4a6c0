"""What AutoScope promises beyond the contract; test_oracle_autoscope.py compares it with the original."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowing import number, open_requests
from oppertune.algorithms.autoscope import AutoScope, AutoScopeFeature, scope_of
from oppertune.algorithms.autoscope.tree import Tree, paths
from oppertune.core.errors import InvalidArgument, InvalidContext
from oppertune.core.types import Context
from oppertune.core.values import Categorical, Real

NUMBERS = (Real("ratio", 0.5, 0.0, 1.0), Real("share", 0.5, 0.0, 1.0))
FEATURES = [AutoScopeFeature("load"), AutoScopeFeature("kind", ("oltp", "olap", "mixed"))]
BUSY, CALM = Context({"load": 1.0, "kind": "oltp"}), Context({"load": -1.0, "kind": "oltp"})


def split_by_load(**arguments):
    """One split: load >= 0 plays leaf 0."""
    weights = [[1.0, 0.0, 0.0, 0.0]]
    return AutoScope(NUMBERS, FEATURES, height=1, internal_weights=weights, random_seed=1, **{"eta": 1e-6, **arguments})


def leaf_of(instance, request_id):
    metadata = open_requests(instance).get(request_id).metadata
    assert metadata is not None
    return metadata["leaf"]


def test_contexts_that_a_split_parts_learn_their_own_optimum():
    best = {BUSY.id: 0.8, CALM.id: 0.2}
    instance = split_by_load(leaf_algorithm_args={"feedback": 2, "eta": 0.02})
    for _ in range(300):
        for context in (BUSY, CALM):
            request = instance.ask(context)
            instance.tell(request.id, -sum((x - best[context.id]) ** 2 for x in request.prediction.values()))
    assert instance.recommend(BUSY)["ratio"] == pytest.approx(0.8, abs=0.1)
    assert instance.recommend(CALM)["ratio"] == pytest.approx(0.2, abs=0.1)


def test_the_tree_learns_to_part_contexts_that_want_different_things():
    best = {"a": 0.9, "b": 0.1}
    kinds = [AutoScopeFeature("kind", ("a", "b"))]
    together = [[0.02, 0.01]]
    instance = AutoScope(
        NUMBERS,
        kinds,
        height=1,
        internal_weights=together,
        eta=0.01,
        random_seed=3,
        leaf_algorithm_args={"feedback": 2, "eta": 0.02},
    )
    rng = np.random.default_rng(1)
    for _ in range(800):
        kind = "ab"[int(rng.integers(2))]
        request = instance.ask(Context({"kind": kind}))
        instance.tell(request.id, 1 - sum((number(x) - best[kind]) ** 2 for x in request.prediction.values()))
    policy = instance.policy()
    assert scope_of(policy, {"kind": "a"}) != scope_of(policy, {"kind": "b"})


def test_a_reward_is_learned_by_the_leaf_that_played_even_when_the_tree_has_moved():
    instance = split_by_load()
    request = instance.ask(BUSY)
    assert leaf_of(instance, request.id) == 0
    instance._tree.weights = -instance._tree.weights
    assert instance._tree.leaf(instance._encoded(BUSY)) == 1
    before = [leaf.centre.copy() for leaf in instance.leaves]
    instance.tell(request.id, 1.0)
    assert [bool((leaf.centre != b).any()) for leaf, b in zip(instance.leaves, before, strict=True)] == [True, False]
    assert instance.iteration == 1


def test_interleaved_contexts_on_one_leaf_are_paired_apart_unless_asked_otherwise():
    other = Context({"load": 2.0, "kind": "olap"})
    arguments = {"feedback": 2}
    apart = split_by_load(leaf_algorithm_args=arguments)
    first, second = apart.ask(BUSY).prediction, apart.ask(other).prediction
    assert first["ratio"] - 0.5 != pytest.approx(0.5 - second["ratio"])
    together = split_by_load(leaf_algorithm_args=arguments, pair_across_contexts=True)
    first, second = together.ask(BUSY).prediction, together.ask(other).prediction
    assert first["ratio"] - 0.5 == pytest.approx(0.5 - second["ratio"])


def test_the_seed_decides_the_tree_and_gives_each_leaf_its_own_directions():
    first, same, other = (AutoScope(NUMBERS, FEATURES, random_seed=seed) for seed in (1, 1, 2))
    assert (first._tree.weights == same._tree.weights).all()
    assert (first._tree.weights != other._tree.weights).any()
    assert first.ask(BUSY).prediction == same.ask(BUSY).prediction
    directions = [tuple(leaf.ask().prediction.values()) for leaf in other.leaves]
    assert len(set(directions)) == len(directions)
    alike = AutoScope(NUMBERS, FEATURES, leaf_algorithm_args={"random_seed": 5}, random_seed=1)
    assert len({tuple(leaf.ask().prediction.values()) for leaf in alike.leaves}) == 1


def test_categories_make_hybrid_leaves_and_numbers_train_the_tree():
    instance = AutoScope([*NUMBERS, Categorical("mode", "a", ("a", "b"))], FEATURES, height=1, random_seed=1)
    assert {type(leaf).__name__ for leaf in instance.leaves} == {"HybridSolver"}
    before = instance._tree.weights.copy()
    for _ in range(4):
        for context in (BUSY, CALM):
            request = instance.ask(context)
            instance.tell(request.id, number(request.prediction["ratio"]) + (request.prediction["mode"] == "b"))
    assert (instance._tree.weights != before).any()
    only = AutoScope([Categorical("mode", "a", ("a", "b"))], FEATURES, leaf_algorithm="hybrid_solver", random_seed=1)
    only.tell(only.ask(BUSY).id, 1.0)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_learnable_bias_is_learned_and_fixed_weights_stay(fixed):
    instance = AutoScope(
        NUMBERS, FEATURES, and_bias_is_learnable=True, fix_internal_weights=fixed, height=2, random_seed=1
    )
    assert instance._tree.leaf_bias.any()
    before = instance._tree.leaf_bias.copy(), instance._tree.weights.copy()
    for context in (BUSY, CALM, BUSY, CALM):
        instance.tell(instance.ask(context).id, 1.0)
    assert (instance._tree.leaf_bias != before[0]).any() != fixed
    assert (instance._tree.weights != before[1]).any() != fixed


def test_an_impossible_context_is_refused_and_changes_nothing():
    instance = split_by_load()
    before = json.dumps(instance.get_state())
    for data in (None, {}, {"load": 1}, {"load": "x", "kind": "oltp"}, {"load": True, "kind": "oltp"}):
        with pytest.raises(InvalidContext):
            instance.predict(Context(data))
    with pytest.raises(InvalidContext, match="one of 'oltp', 'olap', 'mixed', not 'other'"):
        instance.ask(Context({"load": 1, "kind": "other"}))
    assert json.dumps(instance.get_state()) == before
    instance.ask(Context({"load": 1, "kind": "olap", "more": "is ignored"}))
    assert instance.recommend() == {"ratio": 0.5, "share": 0.5}


@pytest.mark.parametrize(
    "arguments",
    [
        {"features": []},
        {"features": [{"name": "a"}, {"name": "a"}]},
        {"features": [{"nam": "a"}]},
        {"features": [{"name": "a", "values": ["x"]}]},
        {"features": [{"name": "a", "values": "xy"}]},
        {"height": 0},
        {"height": 9},
        {"leaf_algorithm": "ddpg"},
        {"internal_weights": [[1.0]]},
        {"optimizer_args": {"lrr": 1}},
        {"leaf_algorithm_args": {"etaa": 1}},
        {"leaf_algorithm": "hybrid_solver", "leaf_algorithm_args": {"numerical_algorithm": "uniform_random"}},
    ],
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InvalidArgument):
        AutoScope(NUMBERS, **{"features": FEATURES, **arguments})


def test_the_deprecated_layers_are_ignored_with_a_warning():
    with pytest.warns(DeprecationWarning, match="over_param"):
        AutoScope(NUMBERS, FEATURES, over_param=[4])


def test_truth_values_and_numbers_may_be_categories():
    feature = AutoScopeFeature("busy", (True, False))
    assert feature.encode(True) == [1.0, 0.0]
    assert AutoScopeFeature("shard", (0, 1)).encode(1) == [0.0, 1.0]
    with pytest.raises(InvalidContext):
        AutoScopeFeature("shard", (0, 1)).encode(True)


def test_describe_names_splits_and_recommendations():
    instance = split_by_load()
    text = instance.describe()
    assert text.splitlines()[0].startswith("if 1.00 load + 0.00 [kind = oltp]")
    assert "leaf 0: ratio = 0.5, share = 0.5 (0 rewards)" in text
    assert text.count("leaf") == 2


@given(st.integers(0, 50), st.integers(1, 4), st.floats(-9, 9), st.sampled_from(["oltp", "olap", "mixed"]))
def test_an_exported_policy_finds_the_scope_that_the_learner_plays(seed, height, load, kind):
    instance = AutoScope(NUMBERS, FEATURES, height=height, random_seed=seed)
    policy = json.loads(json.dumps(instance.policy()))
    context = Context({"load": load, "kind": kind})
    assert context.data is not None
    scope = scope_of(policy, context.data)
    assert scope == instance._tree.leaf(instance._encoded(context))
    assert policy["leaves"][scope] == instance.recommend(context)


def test_forward_selects_as_numpy_does_and_passes_the_same_gradient():
    torch = pytest.importorskip("torch")
    instance = AutoScope(NUMBERS, FEATURES, and_bias_is_learnable=True, random_seed=1)
    rng = np.random.default_rng(1)
    points = rng.normal(size=(20, 4))
    selected = instance.forward(torch.tensor(points))
    assert selected.shape == (20, 8)
    assert selected.argmax(dim=1).tolist() == [instance._tree.leaf(x) for x in points]
    assert selected.sum(dim=1).tolist() == pytest.approx([1.0] * 20)
    value = rng.normal(size=8)
    for x in points:
        tensor = torch.tensor(x, requires_grad=True)
        (instance.forward(tensor) @ torch.tensor(value)).backward()
        _, by_split, _ = instance._tree.gradient(x, value)
        assert tensor.grad.tolist() == pytest.approx((by_split @ instance._tree.weights).tolist(), abs=1e-12)


def test_paths_say_on_which_side_of_each_split_a_leaf_is():
    assert paths(2).tolist() == [[1, 1, 0], [1, -1, 0], [-1, 0, 1], [-1, 0, -1]]


def test_a_step_along_the_gradient_raises_what_the_softened_tree_is_worth():
    rng = np.random.default_rng(2)
    tree, x, value = Tree(rng.normal(size=(7, 3)) / 3, np.zeros(8)), rng.normal(size=3), rng.normal(size=8)
    _, _, by_leaf = tree.gradient(x, value)

    def worth():
        q = tree._scores(tree.weights @ x + tree.bias)
        s = np.exp(q) / np.exp(q).sum()
        return float(s @ value)

    before = worth()
    tree.leaf_bias = tree.leaf_bias + 1e-3 * by_leaf
    assert worth() > before
