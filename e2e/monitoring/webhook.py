"""Receives what Alertmanager sends and appends each message to a file, one line of JSON each. Stands by itself."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Receiver(BaseHTTPRequestHandler):
    file: Path

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.file.open("a") as out:
            out.write(json.dumps({"received": time.time(), **body}) + "\n")
        self.send_response(200)
        self.end_headers()


if __name__ == "__main__":
    address, port, file = sys.argv[1:]
    _Receiver.file = Path(file)
    ThreadingHTTPServer((address, int(port)), _Receiver).serve_forever()
