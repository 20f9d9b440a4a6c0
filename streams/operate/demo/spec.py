"""What the demo tunes, and how: the spec that it applies."""

from typing import Any

from .workload import PARAMETERS, WRITE_SHARE

TUNER = "orders"
METRIC = "latency_ms"


def demo_spec(default_p95_ms: float) -> dict[str, Any]:
    """The spec: the reward says how many times faster than the declared defaults a configuration is.

    It is the logarithm of that: 0 is as fast as the defaults, 0.7 twice as fast, -0.7 half as fast.

    Args:
        default_p95_ms: What the fleet measured with its declared defaults before tuning.
    """
    faster = {"metric": METRIC, "aggregate": "p95", "goal": "minimize", "scale": default_p95_ms, "log": True}
    return {
        "name": TUNER,
        "description": "SQLite settings of an order service",
        "parameters": [p.to_dict() for p in PARAMETERS],
        "context": {"features": [{"name": "traffic", "values": list(WRITE_SHARE)}]},
        "objective": {"terms": [faster]},
        "measurement": {"interval_s": 0.25, "settle_s": 0.05, "min_samples": 60, "min_instance_share": 0.6},
        "deadlines": {"activation_s": 5.0, "measurement_s": 5.0},
        "rollout": {"turns": 2, "every": 12},
        "heartbeat_s": 2.0,
        "lease_s": 6.0,
    }
