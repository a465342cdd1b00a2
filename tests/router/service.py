"""A stub of a service outside of the cluster: OpenAI's protocol over TLS, with accounts and models of its own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from heterollm_controllers.routing.ir import ExternalService, TierRoute
from tests.router.certificates import issue
from tests.router.engine import Answer, Engine, ok

__all__ = ["KEY", "MODEL", "Service"]

KEY = "sk-of-the-service"
MODEL = "acme/big-1"


class Service(Engine):
    """One service at a path prefix; it knows one key and one model, and answers others as OpenAI does."""

    def __init__(self, directory: Path, answer: Answer = ok, *, prefix: str = "/api/v2", key: str = KEY) -> None:
        super().__init__("service", answer)
        self.certificate = issue(directory, "service")
        self.paths: list[str] = []
        self._directory = directory
        self._prefix = prefix
        self._key = key

    async def __aenter__(self) -> Service:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._account)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._context())
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    def tier(self, name: str, key_file: str | None, *, trusting: str | None = None, **more: Any) -> TierRoute:
        """It as a tier, for routers that trust its certificate unless `trusting` is another."""
        ca = trusting if trusting is not None else self.certificate["tls.crt"]
        service = ExternalService("127.0.0.1", self.port, True, self._prefix, key_file, ca)
        return TierRoute(name, MODEL, (), external=service, **more)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._directory / "service.crt", self._directory / "service.key")
        return context

    async def _account(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        body: Mapping[str, object] = await request.json()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.requests.append(dict(body))
        if request.headers.get("authorization") != f"Bearer {self._key}":
            return _error(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        if body.get("model") != MODEL or not request.path.startswith(self._prefix):
            return _error(404, f"The model {body.get('model')} does not exist for organization org-acme")
        answer = await self.answer(self, request)
        if not answer.prepared:
            answer.headers.update({"openai-organization": "org-acme", "set-cookie": "a=b"})
        return answer


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
