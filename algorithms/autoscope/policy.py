"""The scopes that a tree learned, read without it: an app can find its own from the exported policy alone."""

import math
from collections.abc import Mapping
from typing import Any

from ...core.errors import InvalidContext
from .feature import AutoScopeFeature


def scope_of(policy: Mapping[str, Any], data: Mapping[str, Any]) -> int:
    """The leaf of a context by an exported policy, in plain Python: an app can find its scope without this library.

    Its configuration is ``policy["leaves"][scope_of(policy, data)]``.

    Args:
        policy: What ``AutoScope.policy`` gave, perhaps after a round through JSON.
        data: The context's data.

    Raises:
        InvalidContext: The data lacks a feature, or has it with an impossible value.
    """
    features = [AutoScopeFeature(f["name"], f["values"]) for f in policy["features"]]
    if missing := [f.name for f in features if f.name not in data]:
        raise InvalidContext(f"the context lacks {', '.join(missing)}")
    x = [value for f in features for value in f.encode(data[f.name])]
    z = [
        math.fsum(w * value for w, value in zip(row, x, strict=True)) + b
        for row, b in zip(policy["weights"], policy["bias"], strict=True)
    ]
    fac = sum(map(abs, z)) / len(z)

    def score(leaf: int) -> float:
        total, node = float(policy["leaf_bias"][leaf]), len(z) + leaf
        while node:
            parent = (node - 1) // 2
            total += fac if (z[parent] >= 0) == (node == 2 * parent + 1) else -fac
            node = parent
        return total

    scores = [score(leaf) for leaf in range(len(policy["leaf_bias"]))]
    return scores.index(max(scores))
