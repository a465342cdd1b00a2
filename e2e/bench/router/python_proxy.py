"""A proxy as one writes it in Python: reads the body, looks at its model, passes the request on and the answer back.

Usage: python -m e2e.bench.router.python_proxy PORT ENGINE_PORT...
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence

import aiohttp
import uvloop
from aiohttp import web

__all__: list[str] = []

_HEADERS = ("content-type", "authorization")


class _Proxy:
    """One client session for all requests."""

    def __init__(self, engine_ports: Sequence[int]) -> None:
        self._engines = itertools.cycle(f"http://127.0.0.1:{port}" for port in engine_ports)
        self._session: aiohttp.ClientSession | None = None

    async def open(self, app: web.Application) -> None:
        """Needs the running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(), auto_decompress=False
        )

    async def close(self, app: web.Application) -> None:
        """Counterpart of open."""
        assert self._session is not None
        await self._session.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        assert self._session is not None
        body = await request.read()
        if not isinstance(json.loads(body).get("model"), str):
            return web.json_response({"error": {"message": "The field `model` is missing."}}, status=400)
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        async with self._session.post(next(self._engines) + request.path, data=body, headers=headers) as answer:
            if answer.headers.get("transfer-encoding") != "chunked":
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
            response = web.StreamResponse(
                status=answer.status, headers={"content-type": answer.headers["content-type"]}
            )
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            return response


def _main(port: int, engine_ports: Sequence[int]) -> None:
    uvloop.install()
    proxy = _Proxy(engine_ports)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{path:v1/.*}", proxy.serve)
    app.on_startup.append(proxy.open)
    app.on_cleanup.append(proxy.close)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    _main(int(sys.argv[1]), [int(word) for word in sys.argv[2:]])
