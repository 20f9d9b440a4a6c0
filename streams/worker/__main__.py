"""A bare worker process: ``python -m oppertune.streams.worker --bootstrap HOST:PORT``. People use ``oppertune worker``.

Every field of :class:`WorkerSettings` is a flag: ``--session-timeout-s 8``.
"""

import argparse
import dataclasses
import logging

from ..broker import BrokerSettings
from ..broker.leaving import leave
from .run import run_worker
from .settings import WorkerSettings


def parse(arguments: list[str] | None = None) -> WorkerSettings:
    """Settings from the command line."""
    parser = argparse.ArgumentParser(prog="python -m oppertune.streams.worker", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", default="oppertune.")
    parser.add_argument("--embedded", action="store_true", help="the broker is the embedded one")
    others = [f for f in dataclasses.fields(WorkerSettings) if f.name != "broker"]
    for field in others:
        kind = field.type if isinstance(field.type, type) else int  # int | None is none
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    given = parser.parse_args(arguments)
    broker = BrokerSettings.load(bootstrap=given.bootstrap, prefix=given.prefix, embedded=given.embedded or None)
    return WorkerSettings(broker, **{f.name: getattr(given, f.name) for f in others})


def configure_logging() -> None:
    """Log to stderr, and of the libraries warnings only."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)


def main(arguments: list[str] | None = None) -> int:
    """Run a worker; its exit code."""
    configure_logging()
    return run_worker(parse(arguments))


if __name__ == "__main__":
    leave(main())
