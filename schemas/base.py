"""What all records share: the version field, bounded types, and how a record is read from bytes.

Events and commands ignore unknown fields (a newer producer may add some), and refuse another major version. What a
person writes by hand (a spec) refuses unknown fields, because there they are typing errors.
"""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

SCHEMA_VERSION = 1
"""The major version of every record here. Adding an optional field does not change it."""

MAX_EVENT_BYTES = 256 * 1024
"""Largest event that the fold accepts (design §4)."""

TUNER_NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"

TunerName = Annotated[str, StringConstraints(pattern=TUNER_NAME)]
ContextId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128)]
InstanceName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Hash = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Prose = Annotated[str, StringConstraints(max_length=1000)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e100, le=1e100, strict=True)]
"""A measured number. The bound leaves room for sums of squares: nothing computed from it can overflow."""
PositiveSeconds = Annotated[float, Field(allow_inf_nan=False, gt=0, le=31 * 86400)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=31 * 86400)]
Milliseconds = Annotated[int, Field(ge=0, le=2**53)]
"""Milliseconds since 1970-01-01 UTC."""
Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]
Counter = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]
Value = Annotated[str, StringConstraints(max_length=1000)] | int | Finite
"""One parameter's value: a category, an integer or a real."""
Values = Annotated[dict[ParameterName, Value], Field(max_length=200)]
Scalar = Annotated[str, StringConstraints(max_length=200)] | bool | int | Finite | None
ContextData = Annotated[dict[ParameterName, Scalar], Field(max_length=50)]
Json = dict[str, Any]


def ms(seconds: float) -> int:
    """Whole milliseconds, rounded up: a deadline is never early."""
    return math.ceil(seconds * 1000)


class Record(BaseModel):
    """Anything that travels on a topic: versioned, and tolerant of fields it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=False)

    v: Literal[1] = Field(description="major version of the record's schema")

    topic: ClassVar[str] = ""
    """Name of the topic that carries the record, without the prefix."""

    @classmethod
    def from_bytes(cls, raw: bytes | str) -> Self:
        """Read a record from JSON.

        Raises:
            pydantic.ValidationError: The bytes are not JSON, or not such a record.
        """
        record: Self = cls.__pydantic_validator__.validate_json(raw)  # as model_validate_json does, without its options
        return record

    def to_bytes(self) -> bytes:
        """The record as compact JSON in UTF-8."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Handwritten(BaseModel):
    """A part of what a person writes: unknown fields are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def explain(error: ValidationError, limit: int = 5) -> str:
    """The problems of a record in one line each, ``field: problem``, without echoing its contents."""
    problems = [f"{'.'.join(map(str, e['loc'])) or 'record'}: {e['msg']}" for e in error.errors()[:limit]]
    more = error.error_count() - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more > 0 else "")
