"""Measures the declared defaults against what was found, in turns, and prints both as JSON.

oppertune tuner show shipper --json | python examples/own_app/compare.py > result.json
"""

import json
import os
import platform
import statistics
import sys
import time

from shipper import PARAMETERS, new_events, pack


def measure(values, events):
    """Processor time and bytes per event, over as many blocks as it takes for so many events."""
    cpu_s = size = packed = 0
    while packed < events:
        block, took_s = pack(new_events(values["events"]), values)
        cpu_s, size, packed = cpu_s + took_s, size + len(block), packed + values["events"]
    return cpu_s * 1e6 / packed, size / packed


def compare(tuned, repetitions=9, events=20_000):
    """Both in turns, so that a busy moment of the machine slows both; medians over the repetitions."""
    sides = {"default": {p.name: p.val for p in PARAMETERS}, "tuned": tuned}
    measured = {side: [] for side in sides}
    for _ in range(repetitions):
        for side, values in sides.items():
            measured[side].append(measure(values, events))
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}",
    }
    for side, values in sides.items():
        cpu_us, size = zip(*measured[side], strict=True)
        result[side] = {
            "values": values,
            "cpu_us_per_event": round(statistics.median(cpu_us), 2),
            "cpu_us_per_event_from_to": [round(min(cpu_us), 2), round(max(cpu_us), 2)],
            "bytes_per_event": round(statistics.median(size), 2),
        }
    return result


if __name__ == "__main__":
    print(json.dumps(compare(json.load(sys.stdin)["scopes"][0]["incumbent"]["values"]), indent=2))
