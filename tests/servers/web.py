"""A web server with TLS on loopback that answers from a table and writes down what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.certificates import Certificate

__all__ = ["Page", "WebServer", "web_server"]


@dataclass(frozen=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    location: str = ""


@dataclass
class WebServer:
    """A running server: where it listens, what it answers by «host/path», and what it was asked, with the query."""

    port: int
    pages: dict[str, Page]
    asked: list[str] = field(default_factory=list)


class _Quiet(ThreadingHTTPServer):
    """A client that does not like the certificate is no news."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@contextmanager
def web_server(certificate: Certificate, pages: Mapping[str, Page]) -> Iterator[WebServer]:
    """Answer ``pages``, 404 for the rest."""
    known = WebServer(0, dict(pages))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = (self.headers["Host"] or "").partition(":")[0]
            known.asked.append(f"{host}{self.path}")
            page = known.pages.get(host + self.path.partition("?")[0], Page(status=404))
            self.send_response(page.status)
            if page.location:
                self.send_header("Location", page.location)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = _Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = certificate.server_context().wrap_socket(server.socket, server_side=True)
    known.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
