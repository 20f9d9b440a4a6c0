"""Health and metrics over HTTP, from threads of their own: they answer while the event loop stands still."""

import contextlib
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ...core.errors import Refused
from .health import health, report
from .metrics import registry
from .settings import WorkerSettings
from .status import WorkerStatus

log = logging.getLogger(__name__)

INDEX = """\
oppertune worker

/livez    200 while it is alive, 503 where it should be ended
/readyz   200 while events are applied as they come, else 503; both say why, as JSON
/metrics  for Prometheus
"""


@contextlib.contextmanager
def pages(settings: WorkerSettings, status: WorkerStatus) -> Iterator[None]:
    """Serve the pages while in this context, where the settings name a port.

    Raises:
        Refused: The address cannot be listened at, most often because another process does.
    """
    if settings.health_port is None:
        yield
        return
    try:
        server = _Server((settings.health_host, settings.health_port), settings, status)
    except OSError as error:
        raise Refused(
            f"cannot serve health at {settings.health_host}:{settings.health_port} ({error.strerror or error}): "
            f"choose another --health-port, or stop what listens there"
        ) from error
    with server:
        threading.Thread(target=server.serve_forever, name="oppertune-health", daemon=True).start()
        log.info("health: http://%s:%d", settings.health_host, server.server_address[1])
        try:
            yield
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    """One thread for each request, so that a slow reader holds up nobody."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], settings: WorkerSettings, status: WorkerStatus) -> None:
        self.settings = settings
        self.status = status
        self.metrics: CollectorRegistry = registry(status, settings)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, as HTTPServer does: that can take long, and nothing here uses it."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - socketserver's
        """Log faults of ours, but not a reader that went away."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("a page could not be made", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds for a request: a client that sends nothing must not keep a thread
    server_version = "oppertune"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        settings, status = self.server.settings, self.server.status
        if path in {"/livez", "/readyz"}:
            now = monotonic()
            condition = health(status, settings, now)
            good = condition.alive if path == "/livez" else condition.ready
            body = orjson.dumps(report(status, settings, now), option=orjson.OPT_APPEND_NEWLINE)
            self._answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body)
        elif path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, content_type, encode(self.server.metrics))
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", INDEX.encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", INDEX.encode())

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _answer(self, code: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Log no requests: probes come every few seconds."""
