"""The demo: a small fleet of real processes on SQLite, tuned while it works."""

from .run import run_demo

__all__ = ["run_demo"]
