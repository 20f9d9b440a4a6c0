"""AutoScope: a decision tree over learners, that learns which contexts share one."""

from .autoscope import AutoScope
from .feature import AutoScopeFeature
from .policy import scope_of

__all__ = ["AutoScope", "AutoScopeFeature", "scope_of"]
