"""As much of an API server as the agent uses: one watch on one ConfigMap."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType

from aiohttp import web

__all__ = ["ApiServer"]


class ApiServer:
    """Tells the present ConfigMap to every new watch, and its changes to the open ones."""

    def __init__(self) -> None:
        self.token = "first"
        self.watches = 0
        self.queries: list[dict[str, str]] = []
        self.port = 0
        self._present: dict[str, object] | None = None
        self._open: list[asyncio.Queue[dict[str, object] | None]] = []
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> ApiServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/here/configmaps", self._watch)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and break the open watches."""
        self.end_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def put(self, data: dict[str, str], uid: str = "one") -> None:
        """Create or change the ConfigMap."""
        kind = "ADDED" if self._present is None else "MODIFIED"
        self._present = {"metadata": {"name": "c-policy", "uid": uid}, "data": data}
        self.tell({"type": kind, "object": self._present})

    def delete(self) -> None:
        """Delete the ConfigMap."""
        gone, self._present = self._present, None
        self.tell({"type": "DELETED", "object": gone})

    def tell(self, event: dict[str, object] | None) -> None:
        """Send an event to the open watches; None ends them."""
        for queue in self._open:
            queue.put_nowait(event)

    def end_watches(self) -> None:
        """End the open watches normally."""
        self.tell(None)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        self.watches += 1
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()
        if self._present is not None:
            queue.put_nowait({"type": "ADDED", "object": self._present})
        self._open.append(queue)
        try:
            while (event := await queue.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._open.remove(queue)
        return response
