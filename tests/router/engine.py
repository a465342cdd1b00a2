"""A stub engine on loopback: answers like SGLang as far as routing can tell, and fails on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType

from aiohttp import web

__all__ = ["Answer", "Engine", "crash", "error", "hang", "ok", "queue_full", "slow", "stream"]

Answer = Callable[["Engine", web.Request], Awaitable[web.StreamResponse]]

QUEUE_FULL = {"object": "error", "message": "The request queue is full.", "type": "ServiceUnavailable", "code": 503}


async def ok(engine: Engine, request: web.Request) -> web.StreamResponse:
    """A plain answer that names the engine."""
    choice = {"index": 0, "message": {"role": "assistant", "content": engine.name}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "model": engine.name, "choices": [choice]})


async def queue_full(engine: Engine, request: web.Request) -> web.StreamResponse:
    """SGLang's answer when --max-queued-requests is reached."""
    return web.json_response(QUEUE_FULL, status=503)


async def error(engine: Engine, request: web.Request) -> web.StreamResponse:
    """A failure of the engine."""
    return web.json_response({"object": "error", "message": "CUDA error", "code": 503}, status=503)


async def hang(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Never answers, and neither does /ready from then on."""
    engine.ready.clear()
    await engine.ready.wait()
    return await ok(engine, request)


async def crash(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Dies with the request in its hands."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def slow(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Answers when the test says so."""
    engine.waiting.set()
    await engine.release.wait()
    return await ok(engine, request)


async def stream(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Server-sent events, each sent when the test asks for it; an absent one ends the stream."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    while (event := await engine.events.get()) is not None:
        await response.write(f"data: {event}\n\n".encode())
    return response


@dataclass
class Engine:
    """One engine; `port` and `requests` are there once it has been entered."""

    name: str
    answer: Answer = ok
    port: int = 0
    requests: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    checks: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    events: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Engine:
        self.ready.set()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/ready", self._ready)
        app.router.add_post("/{path:v1/.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def kill(self) -> None:
        """Stop listening and drop what is open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _ready(self, request: web.Request) -> web.Response:
        self.checks += 1
        await self.ready.wait()
        return web.Response()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append({key.lower(): value for key, value in request.headers.items()})
        self.requests.append(json.loads(await request.read()))
        return await self.answer(self, request)
