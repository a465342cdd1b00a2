"""What stands between Kopf and the API server: nothing reaches Kopf that would end its watches.

One answer that Kopf cannot read or does not expect ends all of its watches for good. So its HTTP session cuts out what
nests too deep, leaves out what is no event, and reports what the server refuses; of refusals Kopf only learns in the
one way after which it always tries again, beginning with a new listing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import aiohttp

from heterollm_operator.kube import documents
from heterollm_operator.kube.kinds import Scope

__all__ = ["Guard", "Response", "Sink"]

_log = logging.getLogger(__name__)

_GONE = b'{"type":"ERROR","object":{"code":410}}\n'
"""After this event Kopf lists anew; any other error in a stream ends it."""

_INTERNAL_ERROR = 500
_TOO_MANY_REQUESTS = 429
_EVENTS = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR")


class Sink(Protocol):
    """Who is told. Called in Kopf's event loop."""

    def listed(self, scope: Scope) -> None:
        """Kopf got a listing."""

    def opened(self, scope: Scope) -> None:
        """Kopf opened a stream."""

    def unreadable(self, scope: Scope, reason: str) -> None:
        """A document is left out, or a part of it."""

    async def failed(self, scope: Scope, status: int, message: str) -> None:
        """The server answered with an error; returns when it may be asked again."""


class Response(aiohttp.ClientResponse):
    """An answer that is read without what nests too deep, and once only."""

    document: Any = None
    cut = False

    async def json(self, **_: Any) -> Any:
        """The decoded answer. Raises ValueError when it is not JSON."""
        if self.document is None:
            self.document, self.cut = await documents.read_large(await self.read())
        return self.document


class Guard:
    """A middleware of Kopf's HTTP session."""

    def __init__(self, scopes: Mapping[str, Scope], sink: Sink) -> None:
        """`scopes` by URL path: what else is requested (Kopf's discovery) passes as it is."""
        self._scopes = scopes
        self._sink = sink

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send a request of Kopf's."""
        response = cast(Response, await handler(request))
        scope = self._scopes.get(request.url.path)
        if scope is None:
            return response
        if response.status != 200:
            await self._sink.failed(scope, response.status, _message(await response.read()))
            response.status = _TOO_MANY_REQUESTS
        elif "watch" in request.url.query:
            self._sink.opened(scope)
            stream = _Lines(response.content, lambda line: self._event(scope, line))
            response.content = cast(aiohttp.StreamReader, stream)
        elif await self._is_page(scope, response):
            self._sink.listed(scope)
        else:
            await self._sink.failed(scope, _INTERNAL_ERROR, "the listing is not JSON")
            response.status = _TOO_MANY_REQUESTS
        return response

    async def _is_page(self, scope: Scope, response: Response) -> bool:
        try:
            items = (await response.json()).get("items") or []
        except (ValueError, AttributeError):
            return False
        for item in items if response.cut else ():
            if documents.is_cut(item):
                self._cut(scope, item)
        return True

    async def _event(self, scope: Scope, line: bytes) -> bytes:
        """An event as Kopf may have it; nothing instead of what is none."""
        try:
            event, cut = await documents.read_large(line)
            type_, body = event["type"], event["object"]
            known = type_ in _EVENTS and isinstance(body, dict)
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            _log.error("Left out of the watch of %s, for it is no event: %r", scope.path, line[:200])
            self._sink.unreadable(scope, "no_event")
            return b""
        if type_ == "ERROR" and body.get("code") != 410:
            await self._sink.failed(scope, int(body.get("code") or _INTERNAL_ERROR), str(body.get("message"))[:300])
            return _GONE
        if cut:
            self._cut(scope, body)
            return json.dumps(event).encode() + b"\n"
        return line + b"\n"

    def _cut(self, scope: Scope, body: Mapping[str, Any]) -> None:
        metadata = body.get("metadata") or {}
        where = f"{scope.kind.kind} {metadata.get('namespace')}/{metadata.get('name')}"
        _log.warning("%s nests more than %d levels deep; what is deeper is not read", where, documents.DEEPEST)
        self._sink.unreadable(scope, "too_deep")


class _Lines:
    """A stream of which whole lines alone are passed on, as `check` wants them."""

    def __init__(self, stream: aiohttp.StreamReader, check: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._stream = stream
        self._check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The lines. One that the end of the stream cut short will come again."""
        begun = bytearray()
        async for chunk in self._stream.iter_chunked(size):
            head, *lines = chunk.split(b"\n")
            begun += head
            for following in lines:
                if begun and (line := await self._check(bytes(begun))):
                    yield line
                begun = bytearray(following)


def _message(data: bytes) -> str:
    try:
        return str(documents.decode(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace").strip()[:300]
