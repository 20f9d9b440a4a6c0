"""DDPG: an actor that proposes a configuration for a state, and a critic of it. Needs torch."""

from .ddpg import DDPG

__all__ = ["DDPG"]
