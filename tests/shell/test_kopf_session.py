"""What stands between Kopf and the API server: nothing that ends Kopf comes through."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from heterollm_operator.kube.kinds import Scope, find
from heterollm_operator.kube.kopf_session import Guard, Response

PODS = Scope(find("v1", "Pod"), None)
DEEP = '{"a":' * 1100 + "1" + "}" * 1100
GONE = {"type": "ERROR", "object": {"code": 410}}


def event(name: str, spec: str = "{}", kind: str = "ADDED") -> bytes:
    return f'{{"type":"{kind}","object":{{"metadata":{{"name":"{name}"}},"spec":{spec}}}}}\n'.encode()


class RecordingSink:
    """A sink that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []

    def listed(self, scope: Scope) -> None:
        self.notes.append(("listed", scope))

    def opened(self, scope: Scope) -> None:
        self.notes.append(("opened", scope))

    def unreadable(self, scope: Scope, reason: str) -> None:
        self.notes.append(("unreadable", scope, reason))

    async def failed(self, scope: Scope, status: int, message: str) -> None:
        self.notes.append(("failed", scope, status, message))


class Server:
    """An API server that says the same to everybody, through the guard."""

    def __init__(self) -> None:
        self.status = 200
        self.chunks: list[bytes] = []
        self.sink = RecordingSink()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        for chunk in self.chunks:
            await response.write(chunk)
        return response

    async def get(self, query: str = "", path: str = PODS.path) -> tuple[int, Any]:
        """As Kopf does: a document, or the lines of a stream."""
        guard = Guard({PODS.path: PODS}, self.sink)
        async with (
            aiohttp.ClientSession(middlewares=[guard], response_class=Response) as session,
            session.get(f"{self.url}{path}{query}") as response,
        ):
            if not query:
                return response.status, await response.json()
            data = b"".join([chunk async for chunk in response.content.iter_chunked(1024)])
            return response.status, [json.loads(line) for line in data.splitlines()]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    yield server
    await runner.cleanup()


async def watched(server: Server) -> list[Any]:
    """The names that come through, or what comes instead."""
    status, events = await server.get("?watch=true")
    assert status == 200
    assert server.sink.notes.pop(0) == ("opened", PODS)
    return [item["object"].get("metadata", {}).get("name", item) for item in events]


async def test_events_come_through_whatever_the_chunks(server: Server) -> None:
    whole = b"".join(event(f"p{number}", '{"text":"\u2028 ä"}') for number in range(5)) + b"\n"
    server.chunks = [whole[start : start + 7] for start in range(0, len(whole), 7)]
    assert await watched(server) == ["p0", "p1", "p2", "p3", "p4"]
    assert server.sink.notes == []


async def test_what_nests_too_deep_is_cut_and_counted(server: Server) -> None:
    server.chunks = [event("a"), event("deep", DEEP), event("b")]
    assert await watched(server) == ["a", "deep", "b"]
    assert server.sink.notes == [("unreadable", PODS, "too_deep")]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":3}',
        b'{"type":"LATER","object":{}}',
        b'{"type":[],"object":{}}',
    ],
)
async def test_what_is_no_event_is_left_out(server: Server, line: bytes) -> None:
    server.chunks = [event("a"), line + b"\n", event("b")]
    assert await watched(server) == ["a", "b"]
    assert server.sink.notes == [("unreadable", PODS, "no_event")]


async def test_what_the_end_cuts_short_is_left_out(server: Server) -> None:
    server.chunks = [event("a"), event("b")[:-5]]
    assert await watched(server) == ["a"]


async def test_an_error_in_a_stream_makes_kopf_list_anew(server: Server) -> None:
    server.chunks = [event("a"), b'{"type":"ERROR","object":{"code":500,"message":"no"}}\n', event("b")]
    assert await watched(server) == ["a", GONE, "b"]
    assert server.sink.notes == [("failed", PODS, 500, "no")]


async def test_a_stream_that_is_too_old_is_no_failure(server: Server) -> None:
    server.chunks = [json.dumps(GONE).encode() + b"\n"]
    assert await watched(server) == [GONE]
    assert server.sink.notes == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500, 503])
@pytest.mark.parametrize("query", ["", "?watch=true"])
async def test_refusals_look_to_kopf_as_what_it_tries_again(server: Server, status: int, query: str) -> None:
    server.status = status
    server.chunks = [b'{"kind":"Status","message":"not for you"}']
    found, _ = await server.get(query)
    assert found == 429
    assert server.sink.notes == [("failed", PODS, status, "not for you")]


async def test_pages_are_read_without_what_is_too_deep(server: Server) -> None:
    server.chunks = [b'{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"deep"},"x":', DEEP.encode(), b"}]}"]
    status, page = await server.get()
    assert (status, [item["metadata"]["name"] for item in page["items"]]) == (200, ["a", "deep"])
    assert server.sink.notes == [("unreadable", PODS, "too_deep"), ("listed", PODS)]


async def test_a_page_that_is_none_is_a_failure(server: Server) -> None:
    server.chunks = [b"<html>"]
    async with (
        aiohttp.ClientSession(middlewares=[Guard({PODS.path: PODS}, server.sink)], response_class=Response) as session,
        session.get(f"{server.url}{PODS.path}") as response,
    ):
        assert response.status == 429
    assert server.sink.notes == [("failed", PODS, 500, "the listing is not JSON")]


async def test_kopfs_discovery_passes_as_it_is(server: Server) -> None:
    server.status = 404
    server.chunks = [b"{}"]
    assert await server.get("", "/api/v1") == (404, {})
    assert server.sink.notes == []
