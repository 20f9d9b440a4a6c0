"""Is a configuration legal under a spec, and as what values?"""

import math
from collections.abc import Mapping

from ...core.values import Categorical, ParameterValue, ValueType
from ...schemas.spec import TunerSpec

Values = Mapping[str, ParameterValue]

_ROUNDING = 1e-9


def configuration(values: Values, spec: TunerSpec) -> dict[str, ParameterValue] | None:
    """A configuration of another spec under this one, ``None`` where it is not legal.

    A parameter that the other has not takes its declared value: until now the app ran what it was written with.
    """
    found: dict[str, ParameterValue] = {}
    for parameter in spec.values():
        x = legal(parameter, values.get(parameter.name, parameter.val))
        if x is None:
            return None
        found[parameter.name] = x
    return found


def legal(parameter: ValueType, x: ParameterValue) -> ParameterValue | None:
    """A value as the parameter has it, ``None`` where it is not legal: learners keep numbers up to rounding."""
    if isinstance(parameter, Categorical) or isinstance(x, str):
        return x if parameter.contains(x) else None
    nearest = parameter.snap(x)
    return nearest if math.isclose(nearest, x, rel_tol=_ROUNDING, abs_tol=_ROUNDING) else None
