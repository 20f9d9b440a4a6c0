from typing import Any

from ...schemas.state import Unit


def begin(spec: Any, scope: Any, arms: Any, **k: Any) -> None:
    scope.units = {n: Unit(arm=a) for n, a in arms.items()}


def begin_stage(scope: Any) -> None: ...
def promoted(scope: Any, arm: str) -> None: ...
def note(*a: Any, **k: Any) -> None: ...
