"""No request but one to a model reaches an engine, whose other paths stop it, change it or show what it holds.

Two guards see to that, of which each is enough: no client can send the header that names a tier's route, and those
routes match nothing but the methods and paths of requests to models.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given

from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import Endpoint, RoutingPolicy, TierRoute
from tests.router.envoy import Envoy, chat
from tests.router.http2 import Http2
from tests.router.policies import policies
from tests.router.test_policy_files import FEW, resources

PATHS = {"/v1/chat/completions", "/v1/completions", "/v1/responses"}
CHOSEN = ("small", "small/diverted")
METHODS = ("POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FLUSH")
TRICKS = (
    "/flush_cache",
    "//flush_cache",
    "/./flush_cache",
    "/flush_cache/",
    "/v1/flush_cache",
    "/v1/../flush_cache",
    "/v1/chat/completions/flush_cache",
    "/v1/chat/completions/../../../flush_cache",
    "/v1/chat/completions/..//..//../flush_cache",
    "/v1/chat/completions/%2e%2e/%2e%2e/%2e%2e/flush_cache",
    "/v1/chat/completions/..%2f..%2f..%2fflush_cache",
    "/v1/chat/completions%2f..%2f..%2f..%2fflush_cache",
    "/v1/chat/completions%252f..%252f..%252f..%252fflush_cache",
    "/v1/chat/completions;/../../../flush_cache",
    "/v1/chat/completions;x=flush_cache",
    "/v1/chat/completions/..;/..;/..;/flush_cache",
    "/v1/chat/completions%3f/../../../../flush_cache",
    "/v1/chat/completions%23/../../../../flush_cache",
    "/v1/chat/completions%00/../../../../flush_cache",
    "/v1/chat/completions#/../../../flush_cache",
    "/v1/chat/completions\\..\\..\\..\\flush_cache",
    "/v1\\..\\flush_cache",
    "\\flush_cache",
    "/flush_cache?/v1/chat/completions",
    "/flush_cache#/v1/chat/completions",
    "/flush_cache;/v1/chat/completions",
    "/flush_cache%3f/v1/chat/completions",
    "/flush_cache%00/v1/chat/completions",
    "/healthz/../flush_cache",
    "/v1/models/../../flush_cache",
    "/V1/CHAT/COMPLETIONS/../../../flush_cache",
    "http://router/flush_cache",
    "http://router/v1/chat/completions/../../../flush_cache",
    "http://router//flush_cache",
    "flush_cache",
    "*",
    "router:80",
    "/v1/chat/completions/",
    "/V1/chat/completions",
    "/v1%2fchat%2fcompletions",
    "/v1/responses/resp_1",
    "/v1/responses/resp_1/cancel",
)
HEADERS = (
    "",
    "x-http-method-override: DELETE\r\nx-method-override: DELETE\r\n",
    "x-original-url: /flush_cache\r\nx-rewrite-url: /flush_cache\r\n",
    "x-envoy-original-path: /flush_cache\r\nx-forwarded-prefix: /flush_cache\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\nsec-websocket-version: 13\r\n",
    "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
)


class Engine:
    """Notes the first line of every request as it comes over the wire, and answers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    async def __aenter__(self) -> Engine:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                lengths = [line[15:] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                if (method, target) != ("GET", "/ready"):
                    self.asked.append((method, target))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    def beyond_models(self) -> list[tuple[str, str]]:
        """What has come that is no request to a model."""
        return [(method, target) for method, target in self.asked if (method, target.split("?")[0]) not in ALLOWED]


ALLOWED = {("POST", path) for path in PATHS}


class Unguarded(Envoy):
    """A router that lacks guards."""

    def __init__(self, first: RoutingPolicy, *, header: bool, routes: bool) -> None:
        super().__init__(first, manager={} if header else {"early_header_mutation_extensions": []})
        self._routes = routes

    def data(self, changed: RoutingPolicy) -> dict[str, str]:
        files = super().data(changed)
        if self._routes:
            return files
        response = json.loads(files["rds.json"])
        for route in routes_to_engines(response["resources"]):
            named = [header for header in route["match"]["headers"] if header["name"] == "x-llm-chosen"]
            if named:
                route["match"] = {"prefix": "/", "headers": named}
        return files | {"rds.json": json.dumps(response)}


def routes_to_engines(configurations: Sequence[Any]) -> Iterator[Any]:
    """Those that name a cluster."""
    for configuration in configurations:
        for host in configuration["virtual_hosts"]:
            yield from (route for route in host["routes"] if "direct_response" not in route)


@asynccontextmanager
async def router(*, header: bool = True, routes: bool = True) -> AsyncIterator[tuple[Envoy, Engine]]:
    """A router with these guards, all of whose tiers are one engine."""
    async with Engine() as engine:
        endpoints = (Endpoint("engine-0", "127.0.0.1", engine.port),)
        tiers = (TierRoute("small", "m/s", endpoints, diverted_percent=50), TierRoute("large", "m/l", endpoints))
        asked = RoutingPolicy("demo", tiers, reserved_percent=20, trust_headers=True)
        async with Unguarded(asked, header=header, routes=routes) as envoy:
            await envoy.healthy("small", 1)
            yield envoy, engine


async def attack(envoy: Envoy) -> int:
    """Send every trick with every method and header, each on a connection of its own; how many."""
    body = json.dumps(chat(model="small"))
    texts = []
    for trick, method in itertools.product(TRICKS, METHODS):
        for more in HEADERS if method in ("POST", "GET") else HEADERS[:1]:
            for chosen in CHOSEN if not more else CHOSEN[:1]:
                head = f"{method} {trick} HTTP/1.1\r\nhost: router\r\nx-llm-chosen: {chosen}\r\n"
                length = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                texts.append((head + more + length + body).encode())
    left = iter(texts)

    async def one_after_another() -> None:
        for text in left:
            await send(envoy, text)

    await asyncio.gather(*(one_after_another() for _ in range(16)))
    async with asyncio.timeout(20):
        for trick in TRICKS:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                async with Http2(envoy.url) as client:
                    await client.post(trick, body.encode(), {"x-llm-chosen": "small"})
    return len(texts)


async def send(envoy: Envoy, text: bytes) -> None:
    """Write this on a connection, and wait for the answer's head or the end."""
    at = urlsplit(envoy.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        async with asyncio.timeout(10):
            writer.write(text)
            await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


@pytest.mark.parametrize(("header", "routes"), [(True, True), (True, False), (False, True)])
async def test_each_guard_alone_keeps_everything_else_from_engines(header: bool, routes: bool) -> None:
    async with router(header=header, routes=routes) as (envoy, engine):
        assert await attack(envoy) > 1000
        assert engine.beyond_models() == []
        # They still answer what they are for.
        before = len(engine.asked)
        async with envoy.session() as client:
            for path in sorted(PATHS):
                assert (await client.post(path, json=chat(model="small"))).status == 200
        assert engine.asked[before:] == [("POST", path) for path in sorted(PATHS)]


async def test_without_both_they_would_be_reached() -> None:
    async with router(header=False, routes=False) as (envoy, engine):
        await attack(envoy)
        assert {("POST", "/flush_cache"), ("DELETE", "/flush_cache")} <= set(engine.beyond_models())


@FEW
@given(policies)
def test_every_route_to_a_cluster_says_what_may_be_asked(policy: RoutingPolicy) -> None:
    found = list(routes_to_engines(resources(envoy_files(policy, 1), "rds.json")))
    assert found
    for route in found:
        match = route["match"]
        assert match["safe_regex"]["regex"] == "/v1/(chat/completions|completions|responses)"
        assert not match.keys() & {"prefix", "path", "path_separated_prefix", "connect_matcher"}
        assert {"name": ":method", "string_match": {"exact": "POST"}} in match["headers"]
        assert "upgrade_configs" not in route["route"]
