"""The reports as a WSGI application: for gunicorn's gevent worker, or any other."""

import atexit
from collections.abc import Callable, Iterable

from reports import PARAMETERS, Reports

from oppertune.streams.client import TunerClient

tuned = TunerClient("reports", PARAMETERS).start()
atexit.register(tuned.close)
reports = Reports(tuned)


def app(environ: dict[str, str], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """``/reports/7``, and nothing else."""
    number = environ["PATH_INFO"].rpartition("/")[2]
    if not number.isdigit():
        start_response("404 Not Found", [("Content-Length", "0")])
        return []
    body = reports.answer(int(number))
    start_response("200 OK", [("Content-Encoding", "deflate"), ("Content-Length", str(len(body)))])
    return [body]
