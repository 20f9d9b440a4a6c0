"""Customers of the reports: eight at a time, who mostly want the same few."""

import random
import sys
import time
import urllib.error
import urllib.request
from threading import Thread


def customer(url: str, seed: int, until: float) -> None:
    """Ask for reports, one after the other."""
    draw = random.Random(seed)
    while time.monotonic() < until:
        number = int(draw.paretovariate(0.8)) % 1000  # the most popular is every second one's
        try:
            with urllib.request.urlopen(f"{url}/reports/{number}", timeout=10) as answer:
                answer.read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)  # it is not there yet, or any more
        time.sleep(draw.expovariate(20))  # reads for 50 ms, on average


if __name__ == "__main__":
    address, seconds = sys.argv[1], float(sys.argv[2])
    customers = [Thread(target=customer, args=(address, i, time.monotonic() + seconds)) for i in range(8)]
    for one in customers:
        one.start()
    for one in customers:
        one.join()
