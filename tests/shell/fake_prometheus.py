"""A Prometheus of canned answers on loopback, and builders of what one answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, dict[str, str]], Awaitable[web.StreamResponse]]


def row(value: object, at: float | None = None, **labels: str) -> dict[str, Any]:
    """One element of a vector."""
    return {"metric": labels, "value": [time.time() if at is None else at, str(value)]}


def vector(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What Prometheus answers to a query."""
    return {"status": "success", "data": {"resultType": "vector", "result": list(rows)}, **more}


def says(body: object, status: int = 200) -> Answer:
    """Answers that, whatever is asked; text as it is and anything else as JSON."""

    async def answer(_: web.Request, __: dict[str, str]) -> web.StreamResponse:
        return web.Response(text=body if isinstance(body, str) else json.dumps(body), status=status)

    return answer


ENDED = web.AppKey("ended", asyncio.Event)
"""Set when the server ends: handlers that would go on for ever end then."""


async def silent(request: web.Request, _: dict[str, str]) -> web.StreamResponse:
    """Never answers."""
    await request.app[ENDED].wait()
    return web.Response(status=503)


async def dripping(request: web.Request, _: dict[str, str]) -> web.StreamResponse:
    """Answers byte by byte, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        while not request.app[ENDED].is_set():
            await response.write(b" ")
            await asyncio.sleep(0.01)
    return response


class FakePrometheus:
    """Answers as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = says(vector())
        self.asked: list[dict[str, str]] = []
        self.requests: list[web.Request] = []
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.requests.append(request)
        self.asked.append(form)
        return await self.answer(request, form)


@asynccontextmanager
async def fake_prometheus() -> AsyncIterator[FakePrometheus]:
    """Serve until the end of the context."""
    fake = FakePrometheus()
    app = web.Application()
    app.add_routes([web.route("*", "/api/v1/{kind}", fake._handle)])
    app[ENDED] = asyncio.Event()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        app[ENDED].set()
        await runner.cleanup()
