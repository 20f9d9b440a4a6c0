"""What an instance says of its situation, and the features of it that name its scope."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..core.types import Context
from .base import Finite, Handwritten, ParameterName, Scalar

_SHOWN = 10
"""Values of a feature that are named in a sentence."""


class Feature(Handwritten):
    """A field of an app's context that makes a difference: taken as it is, or in bins."""

    name: ParameterName = Field(description="of a field of the apps' contexts")
    values: Annotated[list[Scalar], Field(min_length=1, max_length=100)] | None = Field(
        None, description="the values that may come; any other is refused"
    )
    bins: Annotated[list[Finite], Field(min_length=1, max_length=100)] | None = Field(
        None, description="ascending edges; the feature is the number of edges at or below the value"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.values is not None and self.bins is not None:
            raise ValueError("a feature has values or bins, not both")
        if self.bins is not None and any(a >= b for a, b in zip(self.bins, self.bins[1:], strict=False)):
            raise ValueError("bins must ascend")
        return self

    def reduce(self, value: Scalar) -> Scalar:
        """The feature's value for a field of a context.

        Raises:
            ValueError: The field is not what the spec declares.
        """
        if self.bins is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"context field {self.name!r} must be a number, as the spec puts it in bins")
            return sum(edge <= value for edge in self.bins)
        if self.values is not None and value not in self.values:
            listed = ", ".join(map(repr, self.values[:_SHOWN])) + (", …" if len(self.values) > _SHOWN else "")
            raise ValueError(f"context field {self.name!r} is none of those that the spec lists: {listed}")
        return value


def reduce_context(features: list[Feature], data: dict[str, Scalar] | None) -> Context:
    """The context that names an instance's scope: the declared features only; no features, no context.

    Raises:
        ValueError: A declared field is missing, or not what the spec declares.
    """
    if not features:
        return Context()
    missing = [f.name for f in features if data is None or f.name not in data]
    if missing or data is None:
        raise ValueError(f"context lacks the declared field {', '.join(missing)}")
    return Context({f.name: f.reduce(data[f.name]) for f in features})


class ContextSpec(Handwritten):
    """Which situations are tuned apart."""

    features: Annotated[list[Feature], Field(max_length=20)] = Field(
        [], description="what makes a difference; none: the whole fleet shares one configuration"
    )
    learner: Literal["auto", "per_context", "shared"] = Field(
        "auto", description="each context has a learner of its own, or all share one; auto: shared where they are few"
    )
    max_contexts: Annotated[int, Field(ge=1, le=1000)] = Field(64, description="events of further ones are refused")
