"""Health and metrics over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Answer", "serve"]

Answer = tuple[int, bytes]
"""Status and body of a plain-text answer."""


def serve(port: int, pages: dict[str, Callable[[], Answer]]) -> ThreadingHTTPServer:
    """Serve `pages` in threads of their own, until the server is shut down."""

    class Handler(BaseHTTPRequestHandler):
        # Clients that send nothing hold a thread no longer than this (seconds).
        timeout = 10

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, body = page() if page else (404, b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds: not worth a line."""

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
