"""Extras that a machine may lack: what needs one is skipped, and says which."""

import pytest

from oppertune.algorithms.all import get_algorithm_class
from oppertune.core.errors import MissingExtra


def skip_without_extra(algorithm: str) -> None:
    """Skip the test where packages that an algorithm needs are not installed. A module of our own is not excused."""
    try:
        get_algorithm_class(algorithm)
    except MissingExtra as missing:
        cause = missing.__cause__
        if not isinstance(cause, ModuleNotFoundError) or (cause.name or "oppertune").startswith("oppertune"):
            raise
        pytest.skip(str(missing))
