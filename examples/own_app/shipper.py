"""Packs web events into compressed blocks. How many to a block, laid out how, by which codec at which level?"""

import bz2
import json
import lzma
import random
import signal
import sys
import time
import zlib

from oppertune.core.values import Categorical, Integer
from oppertune.streams.client import TunerClient

PARAMETERS = [
    Categorical("codec", val="zlib", categories=("zlib", "bz2", "lzma")),
    Integer("level", val=6, min=1, max=9),
    Integer("events", val=50, min=10, max=2000, step=10),
    Categorical("layout", val="rows", categories=("rows", "columns")),
]
PACK = {"zlib": zlib.compress, "bz2": bz2.compress, "lzma": lambda data, level: lzma.compress(data, preset=level)}
PAGES = [f"/shop/{kind}/{n}" for kind in ("shoes", "hats", "bags") for n in range(60)]
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) Firefox/142.0", "Mozilla/5.0 (iPhone) Safari/604.1", "curl/8.9"]


def new_events(number):
    """Made up here; another app would take them from a queue."""
    choice = random.choice
    return [
        {"at": time.time(), "user": random.randrange(5000), "page": choice(PAGES), "agent": choice(AGENTS)}
        for _ in range(number)
    ]


def pack(events, values):
    """One block, and the processor time that it took in seconds."""
    began = time.thread_time()
    if values["layout"] == "columns":
        events = {field: [event[field] for event in events] for field in events[0]}
    block = PACK[values["codec"]](json.dumps(events).encode(), values["level"])
    return block, time.thread_time() - began


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # leaves the block below, which says goodbye
    with TunerClient("shipper", PARAMETERS) as tuned:
        while True:
            now = tuned.snapshot()  # a block is packed, measured and credited under one configuration
            block, cpu_s = pack(new_events(now["events"]), now)
            now.record("cpu_us_per_event", cpu_s * 1e6 / now["events"])
            now.record("bytes_per_event", len(block) / now["events"])
