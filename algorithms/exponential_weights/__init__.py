"""Exponential weights over all combinations of categories, and EXP3, which it and its slates variant are made of."""

from .exponential_weights import MAX_ARMS, ExponentialWeights

__all__ = ["MAX_ARMS", "ExponentialWeights"]
