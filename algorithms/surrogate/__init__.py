"""Surrogate: a model of all configurations from the few that were played."""

from .surrogate import Surrogate

__all__ = ["Surrogate"]
