import math
from typing import Any


def look(spec: Any, scope: Any, arm: str, now_ms: int, *, stage: bool) -> dict[str, Any]:
    return {}


def breach(spec: Any, evidence: Any) -> str:
    return ""


def over_limit(spec: Any, scope: Any, arm: str, now_ms: int) -> Any:
    return None


def baseline_over_limit(spec: Any, scope: Any) -> bool:
    return False


def is_lost(found: Any) -> bool:
    return False


def lose(scope: Any, instance: str) -> None: ...
def relative(spec: Any, scope: Any, arm: str, *, stage: bool) -> Any:
    return None


def better(spec: Any, scope: Any, arm: str, min_change: float) -> Any:
    return None


def better_at_end(*a: Any) -> bool:
    return False


def threshold(alpha: float) -> float:
    return math.log(1 / alpha)
