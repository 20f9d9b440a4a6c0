"""AutoScope: a decision tree learns which contexts share a learner, and the learners at its leaves what to play there.

As in OPPerTune (Somashekar et al. 2024, *OPPerTune: Post-deployment configuration tuning of services made easy*, NSDI),
with the tree of ``tree``. A reward trains the leaf that played, and through that leaf's gradient the tree: if g is the
gradient on the unit box at the played leaf, and C the centres of all leaves, choosing leaf l would have been better by
g . C_l, so the tree moves up the gradient of that.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import InvalidArgument, InvalidContext, MissingExtra
from ...core.types import Context
from ...core.values import Categorical, Integer, ParameterValue, Real, ValueType
from ..base import Algorithm, _PredictResponse, _TuningRequest
from ..bluefin import BlueFin
from ..hybrid_solver import HybridSolver
from ..shared.arguments import checked_count, checked_flag, checked_number
from ..shared.arrays import Array
from ..shared.optimizers import create_optimizer
from .feature import AutoScopeFeature, checked_features
from .tree import Tree

if TYPE_CHECKING:
    import torch

_MOST_HEIGHT = 8
"""Levels of splits: 256 leaves, each a learner of its own."""


class AutoScope(Algorithm):
    """A tree of contexts over leaf learners.

    Any number of requests may be open. A reward is learned by the leaf that played its configuration, even when the
    tree has since moved the context to another; the tree learns from it too, by where it puts the context now.
    Categories give the tree no gradient: it is trained by the numbers, and by nothing where there are none.

    Args:
        parameters: Parameters of any kind. Where some are categorical, a ``bluefin`` leaf becomes a ``hybrid_solver``
            of ``exponential_weights_slates`` and ``bluefin``, with the leaf's arguments for the latter.
        features: Fields of the context, at least one: ``AutoScopeFeature``, or mappings of its attributes.
        leaf_algorithm: ``bluefin`` or ``hybrid_solver`` (whose numbers are learned by ``bluefin``).
        leaf_algorithm_args: Arguments of each leaf. A ``random_seed`` among them is the same for all leaves, as in the
            original; without, each has one of its own.
        height: Levels of splits h, 1 to 8: 2^h leaves.
        and_bias_is_learnable: Start with a random preference among leaves, and learn it.
        over_param: Hidden layers of the original, deprecated there; ignored, with a warning.
        eta: Step size of the tree.
        delta: The original keeps it and makes no use of it; so does this.
        optimizer: ``rmsprop`` or ``sgd``, of the tree.
        optimizer_args: Its arguments; ``lr`` takes the place of ``eta``. Default: ``{"lr": eta}``.
        internal_weights: W at the start, shape (2^h - 1, F), F inputs; default: uniform in ±1/sqrt(F), as torch's
            ``Linear``.
        fix_internal_weights: Do not train the tree.
        pair_across_contexts: Pair successive plays of a leaf, whatever their contexts, as the original does with
            two-point feedback. Their difference is then the contexts' as well as the configurations'.
        random_seed: Seed of the tree and of the leaves.

    Raises:
        InvalidArgument: An argument is outside its range.
    """

    class Meta:
        """Flags, see ``Capabilities``."""

        supported_parameter_types = (Categorical, Integer, Real)
        supports_context = True
        configuration = (
            *("features", "height", "eta", "delta", "leaf_algorithm", "pair_across_contexts"),
            *("_trains_bias", "_fixed"),
        )

    def __init__(  # noqa: PLR0913, PLR0917 - the original's arguments
        self,
        parameters: Iterable[ValueType | Mapping[str, object]],
        features: Iterable[AutoScopeFeature | Mapping[str, Any]],
        leaf_algorithm: str = "bluefin",
        leaf_algorithm_args: Mapping[str, Any] | None = None,
        height: int = 3,
        and_bias_is_learnable: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        over_param: object = None,
        eta: float = 0.01,
        delta: float = 0.1,
        optimizer: str = "rmsprop",
        optimizer_args: Mapping[str, float] | None = None,
        internal_weights: Sequence[Sequence[float]] | Array | None = None,
        fix_internal_weights: bool = False,  # noqa: FBT001, FBT002
        random_seed: int | None = None,
        *,
        pair_across_contexts: bool = False,
    ) -> None:
        super().__init__(parameters, random_seed=random_seed)
        self.features = checked_features(features)
        if checked_count("height", height, 1) > _MOST_HEIGHT:
            raise InvalidArgument(f"height must be at most {_MOST_HEIGHT}, not {height}")
        if over_param is not None:
            warnings.warn("over_param is deprecated, and ignored", DeprecationWarning, stacklevel=2)
        self.height = height
        self.eta = checked_number("eta", eta, above=0)
        self.delta = checked_number("delta", delta, above=0, up_to=0.5)
        self.pair_across_contexts = checked_flag("pair_across_contexts", pair_across_contexts)
        self._trains_bias = checked_flag("and_bias_is_learnable", and_bias_is_learnable)
        self._fixed = checked_flag("fix_internal_weights", fix_internal_weights)
        # One seed for the tree, and one for each leaf, all of them from the instance's own.
        tree_seed, *leaf_seeds = np.random.SeedSequence(self._random_seed).generate_state(2**height + 1, np.uint64)
        self._tree = self._planted(internal_weights, np.random.default_rng(tree_seed))
        options = dict(optimizer_args or {"lr": self.eta})
        self._optimizer = create_optimizer(optimizer, **{"eta": options.pop("lr", self.eta), **options})
        self.leaf_algorithm, arguments = self._leaf_kind(leaf_algorithm, dict(leaf_algorithm_args or {}))
        self.leaves = [self._leaf(arguments, int(seed)) for seed in leaf_seeds]

    def _planted(self, weights: Sequence[Sequence[float]] | Array | None, rng: np.random.Generator) -> Tree:
        n_splits, n_inputs = 2**self.height - 1, len(self.inputs)
        bound = 1 / math.sqrt(n_inputs)
        w = rng.uniform(-bound, bound, (n_splits, n_inputs)) if weights is None else np.array(weights, dtype=np.float64)
        if w.shape != (n_splits, n_inputs) or not np.isfinite(w).all():
            raise InvalidArgument(f"internal_weights must be {n_splits} x {n_inputs} finite numbers, not {w.shape}")
        bound = 1 / math.sqrt(n_splits)
        n_leaves = 2**self.height
        return Tree(w, rng.uniform(-bound, bound, n_leaves) if self._trains_bias else np.zeros(n_leaves))

    def _leaf_kind(self, name: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Name and arguments of the leaves' algorithm."""
        if name not in ("bluefin", "hybrid_solver"):
            raise InvalidArgument(f"leaf_algorithm must be bluefin or hybrid_solver, not {name!r}")
        if name == "hybrid_solver" and args.get("numerical_algorithm", "bluefin") != "bluefin":
            raise InvalidArgument("the numbers of a leaf must be learned by bluefin, whose gradient trains the tree")
        if name == "bluefin" and any(isinstance(p, Categorical) for p in self.params):
            seed = {"random_seed": args.pop("random_seed")} if "random_seed" in args else {}
            choices = {"categorical_algorithm": "exponential_weights_slates"}
            return "hybrid_solver", {**choices, "numerical_algorithm_args": args, **seed}
        return name, args

    def _leaf(self, arguments: dict[str, Any], seed: int) -> BlueFin | HybridSolver:
        # Transformed once more they stay the same, so leaves work in the units of self.params.
        given: Any = self.params or self.parameters
        seeded = {"random_seed": seed, **arguments}
        try:
            if self.leaf_algorithm == "hybrid_solver":
                return HybridSolver(given, **seeded)
            if not self.params:
                given = [Real("constant", 0.0, 0.0, 0.0)]
            return BlueFin(given, **seeded)
        except TypeError as error:
            raise InvalidArgument(f"leaf_algorithm_args: {error}") from error

    @property
    def inputs(self) -> list[str]:
        """Names of the tree's inputs, F of them."""
        return [name for feature in self.features for name in feature.inputs]

    def _check_context(self, context: Context) -> None:
        self._encoded(context)

    def _predict(self, tuning_request: _TuningRequest) -> _PredictResponse:
        x = self._encoded(tuning_request.context)
        leaf = self._tree.leaf(x)
        response = self.leaves[leaf].propose(self._of_leaf(tuning_request))
        prediction = response.prediction if self.params else {}
        return _PredictResponse(prediction, {"leaf": leaf, "of_leaf": response.metadata})

    def _set_reward(self, tuning_request: _TuningRequest) -> None:
        request = self._of_leaf(tuning_request)
        leaf = self.leaves[(tuning_request.metadata or {})["leaf"]]
        centres = None if self._fixed else np.array([_centre(other) for other in self.leaves])
        gradient = leaf.update(request)
        if gradient is not None and centres is not None:
            self._train(self._encoded(tuning_request.context), centres @ gradient)

    def _train(self, x: Array, value: Array) -> None:
        """Move the tree so that it rather selects leaves of a higher value, shape (L,), at x."""
        tree = self._tree
        by_weight, by_bias, by_leaf = tree.gradient(x, value)
        parts = [by_weight.ravel(), by_bias, by_leaf] if self._trains_bias else [by_weight.ravel(), by_bias]
        step = self._optimizer(np.concatenate(parts))
        n, m = by_weight.size, by_weight.size + len(by_bias)
        tree.weights = tree.weights + step[:n].reshape(by_weight.shape)
        tree.bias = tree.bias + step[n:m]
        if self._trains_bias:
            tree.leaf_bias = tree.leaf_bias + step[m:]

    def _abandon(self, tuning_request: _TuningRequest) -> None:
        if tuning_request.metadata is not None:
            self.leaves[tuning_request.metadata["leaf"]].withdraw(self._of_leaf(tuning_request))

    def _refuse(self, tuning_request: _TuningRequest) -> bool:
        if tuning_request.metadata is None:
            return True
        return self.leaves[tuning_request.metadata["leaf"]].turn_down(self._of_leaf(tuning_request))

    def _recommend(self, context: Context) -> Mapping[str, Any] | None:
        if context.data is None or not self.params:
            return None
        return self.leaves[self._tree.leaf(self._encoded(context))].recommend()

    def _of_leaf(self, request: _TuningRequest) -> _TuningRequest:
        """A request as its leaf sees it: contexts that share a leaf pair their plays apart, or all together."""
        return _TuningRequest(
            id=request.id,
            context=Context() if self.pair_across_contexts else request.context,
            prediction=self._transformed(request.prediction) if request.prediction else None,
            metadata=None if request.metadata is None else request.metadata["of_leaf"],
            reward=request.reward,
        )

    def _encoded(self, context: Context) -> Array:
        """The tree's inputs, shape (F,).

        Raises:
            InvalidContext: The context lacks a feature, or has it with an impossible value.
        """
        data = context.data
        if data is None:
            raise InvalidContext("AutoScope needs a context with data: predict(Context({...}))")
        if missing := [feature.name for feature in self.features if feature.name not in data]:
            raise InvalidContext(f"the context lacks {', '.join(missing)}")
        return np.array([x for feature in self.features for x in feature.encode(data[feature.name])])

    # ---- the tree, for people and elsewhere -------------------------------------------------------------------------

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """The leaf of each point, one-hot, as a tensor that gradients pass through.

        Args:
            x: Inputs as named by ``inputs``, shape (F,) or (batch, F).

        Returns:
            Shape (L,) or (batch, L), of x's type.

        Raises:
            MissingExtra: torch is not installed.
        """
        try:
            import torch  # noqa: PLC0415 - nothing else here needs it
        except ImportError as error:
            raise MissingExtra("AutoScope.forward", "torch") from error
        tree = self._tree
        weights, bias, sides, leaf_bias = (
            torch.as_tensor(a, dtype=x.dtype) for a in (tree.weights, tree.bias, tree.sides, tree.leaf_bias)
        )
        z = x @ weights.T + bias
        fac = z.detach().abs().mean(dim=-1, keepdim=True)
        passing = z * (z.detach().abs() <= 1)
        signs = passing + ((z.detach() >= 0) * fac - passing.detach())  # forward fac 1[z >= 0], backward the identity
        q = (2 * signs - fac) @ sides.T + leaf_bias
        soft = torch.softmax(q, dim=-1)
        hard = torch.nn.functional.one_hot(q.argmax(dim=-1), q.shape[-1]).to(x.dtype)
        return hard + soft - soft.detach()

    def describe(self) -> str:
        """The tree in words: each split by its features, each leaf with what it recommends and has learned."""
        lines: list[str] = []

        def visit(node: int, indent: str) -> None:
            n_splits = len(self._tree.bias)
            if node >= n_splits:
                leaf = self.leaves[node - n_splits]
                values = ", ".join(f"{k} = {_shown(v)}" for k, v in self._configuration(node - n_splits).items())
                lines.append(f"{indent}leaf {node - n_splits}: {values} ({leaf.iteration} rewards)")
                return
            lines.append(f"{indent}if {self._split(node)} >= 0:")
            visit(2 * node + 1, indent + "    ")
            lines.append(f"{indent}else:")
            visit(2 * node + 2, indent + "    ")

        visit(0, "")
        return "\n".join(lines)

    def policy(self) -> dict[str, Any]:
        """What contexts get, as plain JSON data: see ``scope_of``. No exploration is in it."""
        tree = self._tree
        return {
            "features": [
                {"name": f.name, "values": None if f.values is None else list(f.values)} for f in self.features
            ],
            "weights": tree.weights.tolist(),
            "bias": tree.bias.tolist(),
            "leaf_bias": tree.leaf_bias.tolist(),
            "leaves": [self._configuration(leaf) for leaf in range(len(self.leaves))],
        }

    def _configuration(self, leaf: int) -> dict[str, ParameterValue]:
        tuned = self._legal(self.leaves[leaf].recommend()) if self.params else {}
        return self._completed(tuned)

    def _split(self, node: int) -> str:
        """The expression of a split, larger weights first."""
        terms = sorted(zip(self._tree.weights[node].tolist(), self.inputs, strict=True), key=lambda term: -abs(term[0]))
        text = " ".join(f"{'-' if w < 0 else '+'} {abs(w):.2f} {name}" for w, name in terms)
        bias = float(self._tree.bias[node])
        return f"{text} {'-' if bias < 0 else '+'} {abs(bias):.2f}".removeprefix("+ ")


def _centre(leaf: BlueFin | HybridSolver) -> Array:
    if isinstance(leaf, BlueFin):
        return leaf.centre
    numbers = leaf.numerical_tuning_instance
    return numbers.centre if isinstance(numbers, BlueFin) else np.zeros(0)


def _shown(x: ParameterValue) -> str:
    return f"{x:.4g}" if isinstance(x, float) else str(x)
