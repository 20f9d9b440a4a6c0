"""HTTP for the service: nothing here is tuned."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """A server whose requests find the service as ``self.server.shop``."""

    request_queue_size = 128

    def __init__(self, address, shop):
        self.shop = shop
        super().__init__(address, Handler)

    def handle_error(self, request, client_address):
        """A customer who leaves before the answer is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: GET /search/WORD, POST /prices/N, GET /status."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        what, _, word = self.path[1:].partition("/")
        if what == "search":
            self._answer(*self.server.shop.handle(write=False, key=word))
        elif what == "status":
            self._answer(200, json.dumps(self.server.shop.status()).encode())
        else:
            self._answer(404, b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        what, _, number = self.path[1:].partition("/")
        if what == "prices" and number.isdecimal():
            self._answer(*self.server.shop.handle(write=True, key=number))
        else:
            self._answer(404, b"{}")

    def _answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: it serves hundreds of requests per second."""
