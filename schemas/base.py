"""What all records share: the version field, bounded types, and how a record is read from bytes.

Events and commands ignore unknown fields (a newer producer may add some), and refuse another major version. What a
person writes by hand (a spec) refuses unknown fields, because there they are typing errors.
"""

import math
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from .sentences import sentences_by_place

SCHEMA_VERSION = 1
"""The major version of every record here. Adding an optional field does not change it."""

MAX_EVENT_BYTES = 256 * 1024
"""Largest event that the fold accepts. The topics keep the broker's limit of 1 MiB: that one is for whole batches."""

MAX_NAME = 100
"""Characters of a parameter's name."""

MAX_PARAMETERS = 200
"""Parameters of a configuration."""

MAX_DECLARED = 1000
"""Parameters that an app can say it has: more than a configuration's, for a part of them may be tuned elsewhere."""

MAX_METRICS = 64
"""Metrics of one request: in an event, and in a round. Far more than an objective and what is watched beside it need;
and those of a round's record stay below 64 kB, each with a name of 100 characters and eight numbers."""

MAX_SUMMARY_BINS = 4_096
"""Bins of a summary above zero, and as many below. Each is 2 % wider than the one before, so they span 35 powers of
ten; and at 16 bytes a bin both sides together are 128 kB, half an event."""

MAX_SECONDS = 31 * 86_400
"""Longest time that a record may tell: a month is longer than any interval, lease or deadline that makes sense."""

TUNER_NAME = r"^[a-z0-9][a-z0-9._-]{0,99}$"

TunerName = Annotated[str, StringConstraints(pattern=TUNER_NAME)]
ContextId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128)]
InstanceName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Hash = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Prose = Annotated[str, StringConstraints(max_length=1000)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e100, le=1e100, strict=True)]
"""A measured number. The bound leaves room for sums of squares: nothing computed from it can overflow."""
PositiveSeconds = Annotated[float, Field(allow_inf_nan=False, gt=0, le=MAX_SECONDS)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=MAX_SECONDS)]
Milliseconds = Annotated[int, Field(ge=0, le=2**53)]
"""Milliseconds since 1970-01-01 UTC."""
Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]
Counter = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=-(2**63 - 1), le=2**63 - 1)]
"""Any whole number: larger ones do not survive JSON writers such as orjson, nor 64-bit clients. Where a :data:`Finite`
may stand, too, one that is larger is read as that."""
_ANY_NUMBER: TypeAdapter[int | float] = TypeAdapter(Whole | Finite)


def bounded(data: Any) -> Any:  # noqa: ANN401 - any JSON
    """JSON as it is, if every number in it is a :data:`Whole` or a :data:`Finite`.

    Raises:
        ValueError: One is not.
    """
    if isinstance(data, dict):
        for value in data.values():
            bounded(value)
    elif isinstance(data, list):
        for value in data:
            bounded(value)
    elif isinstance(data, int | float):
        try:
            _ANY_NUMBER.validate_python(data)
        except ValidationError:
            raise ValueError("a number is not finite, or has too many digits") from None
    return data


Value = Annotated[str, StringConstraints(max_length=1000)] | Whole | Finite
"""One parameter's value: a category, an integer or a real."""
Values = Annotated[dict[ParameterName, Value], Field(max_length=MAX_PARAMETERS)]
Scalar = Annotated[str, StringConstraints(max_length=200)] | bool | Whole | Finite | None
ContextData = Annotated[dict[ParameterName, Scalar], Field(max_length=50)]
Json = dict[str, Any]


def ms(seconds: float) -> int:
    """Whole milliseconds, rounded up: a deadline is never early."""
    return math.ceil(seconds * 1000)


class OpenWords:
    """Marks a field whose words may grow without a new major version: ``Annotated[Literal["a", "b"], OpenWords()]``.

    Writers are held to the known words by type checking. A reader takes any word of 1 to 128 characters as it came, and
    does what the field's description says with one that is not among :func:`words_of`: so a worker can be upgraded
    before its readers.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.str_schema(min_length=1, max_length=128, metadata={"words": words_of(source)})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return {"anyOf": [{"enum": list(schema["metadata"]["words"])}, handler(schema)]}


def words_of(literal: object) -> tuple[str, ...]:
    """The known words of a field: those of its ``Literal``."""
    return get_args(literal)


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
    found = sentences_by_place(error.errors(include_url=False, include_input=False))
    problems = [f"{'.'.join(map(str, place)) or 'record'}: {said}" for place, said in list(found.items())[:limit]]
    more = len(found) - len(problems)
    return "; ".join(problems) + (f"; and {more} more" if more > 0 else "")
