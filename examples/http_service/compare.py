"""Measures the declared defaults against what was found, for each kind of traffic, in turns; prints both as JSON.

oppertune tuner show http-service --json | python examples/http_service/compare.py > result.json
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from service import PARAMETERS

HERE = Path(__file__).parent
MEASURED = ("mean_ms", "p50_ms", "p95_ms", "memory_mb")


def measure(values, traffic, args):
    """What customers of a service with these values see; a service and a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "values.json").write_text(json.dumps(values))
        alone = {**os.environ, "OPPERTUNE_DISABLED": "1"}  # the client runs its declared values, and nothing else
        command = [sys.executable, HERE / "service.py", "--port", "0", "--values", f"{folder}/values.json"]
        with subprocess.Popen(command, env=alone, stdout=subprocess.PIPE, text=True) as service:
            try:
                target = service.stdout.readline().strip().removeprefix("http://")
                flags = ["--targets", target, "--mix", traffic, "--seconds", args.seconds, "--warmup", args.warmup]
                load = [sys.executable, HERE / "load.py", *flags, "--rate", args.rate]
                seen = json.loads(subprocess.run(load, stdout=subprocess.PIPE, check=True).stdout)[target]
                with urllib.request.urlopen(f"http://{target}/status") as status:
                    return seen | {"memory_mb": round(json.load(status)["memory_mb"], 1)}
            finally:
                service.terminate()


def summary(values, runs):
    return {
        "values": values,
        "requests": sum(run["requests"] for run in runs),
        "errors": sum(run["errors"] for run in runs),
    } | {name: statistics.median(run[name] for run in runs) for name in MEASURED}


def main():
    parser = argparse.ArgumentParser(description="Defaults against tuned values.")
    parser.add_argument("--seconds", default="10")
    parser.add_argument("--warmup", default="3")
    parser.add_argument("--rate", default="60")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    default = {p.name: p.val for p in PARAMETERS}
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}",
        "contexts": {},
    }
    for scope in json.load(sys.stdin)["scopes"]:
        traffic = scope["context"]["traffic"]
        sides = {"default": default, "tuned": default | scope["incumbent"]["values"]}
        runs = {side: [] for side in sides}
        for _ in range(args.repetitions):
            for side, values in sides.items():
                runs[side].append(measure(values, traffic, args))
        result["contexts"][traffic] = {side: summary(values, runs[side]) for side, values in sides.items()}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
