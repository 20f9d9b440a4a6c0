"""What a test knows of a type and the checker does not. Each function checks it when it runs."""

from typing import Any

from oppertune.algorithms.all import ALGORITHMS
from oppertune.algorithms.base import Algorithm
from oppertune.core.requests import RequestManager
from oppertune.core.values import Categorical, Integer, ParameterValue, Real, ValueType


def number(value: ParameterValue) -> float:
    """A number of a configuration, to reckon with."""
    assert not isinstance(value, str)
    return value


def category(value: ParameterValue) -> str:
    """A category of a configuration."""
    assert isinstance(value, str)
    return value


def numeric(parameter: ValueType) -> Integer | Real:
    """A parameter that has bounds."""
    assert not isinstance(parameter, Categorical)
    return parameter


def open_requests(algorithm: Algorithm) -> RequestManager:
    """What an algorithm keeps to itself: its open requests, as it keeps them."""
    requests = vars(algorithm)["_Algorithm__requests"]
    assert isinstance(requests, RequestManager)
    return requests


def registry_entries() -> dict[str, Any]:
    """What the registry of algorithms keeps to itself: by name a class, or where to load it from."""
    entries = vars(ALGORITHMS)["_entries"]
    assert isinstance(entries, dict)
    return entries
