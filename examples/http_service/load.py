"""Traffic for the service: arrivals on a schedule of their own, whatever the service does, as customers come.

    python examples/http_service/load.py --targets 127.0.0.1:8080,127.0.0.1:8081 --mix read-heavy,write-heavy

Options may come from the environment, too: LOAD_TARGETS and so on. At its end (SIGTERM, or --seconds) it prints what
the customers saw, as JSON.
"""

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import sys
import threading
import time

from store import PRODUCTS, WORDS

WRITE_SHARE = {"read-heavy": 0.05, "write-heavy": 0.5}
POPULARITY = [1 / rank**1.2 for rank in range(1, len(WORDS) + 1)]  # Zipf: a few are asked for most of the time
GIVE_UP_S = 1.0


def customers(target, mix, rate_per_s, seed, until, seen):
    """One connection's requests. Their latency counts from when they were due: waiting in a queue is waiting, too."""
    chance = random.Random(seed)
    connection = http.client.HTTPConnection(target, timeout=10)
    due = time.monotonic()
    while due < until:
        due = max(due + chance.expovariate(rate_per_s), time.monotonic() - GIVE_UP_S)
        time.sleep(max(due - time.monotonic(), 0))
        try:
            if chance.random() < WRITE_SHARE[mix]:
                connection.request("POST", f"/prices/{chance.randrange(PRODUCTS)}", body=b"")
            else:
                connection.request("GET", f"/search/{chance.choices(WORDS, POPULARITY)[0]}")
            response = connection.getresponse()
            response.read()
            seen.append((time.monotonic(), (time.monotonic() - due) * 1000, response.status == 200))
        except (OSError, http.client.HTTPException):
            connection.close()  # not up yet, or no more; it connects again with the next request
            time.sleep(0.2)


def report(seen, since):
    ms = sorted(latency_ms for at, latency_ms, _ in seen if at >= since)
    errors = sum(not ok for at, _, ok in seen if at >= since)
    shown = {f"p{p}_ms": round(ms[len(ms) * p // 100], 2) for p in (50, 95, 99)} if ms else {}
    return {"requests": len(ms), "errors": errors, "mean_ms": round(statistics.fmean(ms), 2) if ms else None, **shown}


def option(parser, name, default, text):
    parser.add_argument(f"--{name}", default=os.environ.get(f"LOAD_{name.upper()}", default), help=text)


def main():
    parser = argparse.ArgumentParser(description="Traffic for the HTTP service.")
    option(parser, "targets", "127.0.0.1:8080", "host:port, with commas between them")
    option(parser, "mix", "read-heavy,write-heavy", "of each target in turn")
    option(parser, "rate", "60", "requests per second to each target")
    option(parser, "connections", "16", "to each target")
    option(parser, "seconds", "inf", "how long")
    option(parser, "warmup", "0", "seconds at the start that are not reported")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    since = time.monotonic() + float(args.warmup)
    until = since + float(args.seconds)
    mixes = args.mix.split(",")
    seen = {}
    threads = []
    for number, target in enumerate(args.targets.split(",")):
        what = (target, mixes[number % len(mixes)], float(args.rate) / int(args.connections))
        seen[target] = []
        for seed in range(int(args.connections)):
            threads.append(threading.Thread(target=customers, args=(*what, seed, until, seen[target]), daemon=True))
            threads[-1].start()
    try:
        for thread in threads:
            thread.join()
    finally:
        print(json.dumps({target: report(list(requests), since) for target, requests in seen.items()}))


if __name__ == "__main__":
    main()
