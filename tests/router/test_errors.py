"""Everything the router answers by itself has OpenAI's form, and the right status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier

MIB = 1 << 20
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A router with a tier that serves and one that has no engine."""
    async with (
        Engine("s0") as small,
        Envoy(policy(tier("small", small), tier("large"))) as envoy,
        envoy.session() as session,
    ):
        yield session


async def _refused(answer: aiohttp.ClientResponse) -> tuple[int, str, str]:
    assert answer.content_type == "application/json"
    error = (await answer.json())["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert len(error["message"]) > 10
    return answer.status, error["type"], error["code"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b'"auto"',
        b"[1]",
        b"{",
        b'{"model": "auto"',
        b'{"model": "auto"} x',
        b'{"model": "auto",}',
        b'{"model" "auto"}',
        b"{'model': 'auto'}",
        b'{"model": "auto\n"}',
        b'{"model": "auto}',
        b'{"model": truth}',
        b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"a": ' + b'{"a":' * 100_000,
        b"\xff\xfe\x00",
    ],
)
async def test_what_is_not_a_json_object_is_refused(client: aiohttp.ClientSession, body: bytes) -> None:
    answer = await client.post("/v1/chat/completions", data=body)
    assert await _refused(answer) == (400, "invalid_request_error", "invalid_json")


async def test_a_missing_model_is_refused(client: aiohttp.ClientSession) -> None:
    for body in ({}, {"model": None}, {"model": 7}, {"model": ["auto"]}):
        answer = await client.post("/v1/chat/completions", json=body)
        assert await _refused(answer) == (400, "invalid_request_error", "missing_model")


@pytest.mark.parametrize("model", ["gpt-4", "", "AUTO", "route_small", "small ", '"};', "a" * 100_000])
async def test_an_unknown_model_is_refused_with_what_exists(client: aiohttp.ClientSession, model: str) -> None:
    answer = await client.post("/v1/chat/completions", json=chat(model=model))
    assert await _refused(answer) == (404, "invalid_request_error", "model_not_found")
    assert "auto, small, large, model/small, model/large" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/flush_cache"),
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/../../release_memory_occupation"),
        ("POST", "/v1/chat/completionsx"),
        ("GET", "/v1/models/none"),
    ],
)
async def test_other_paths_do_not_exist(client: aiohttp.ClientSession, method: str, path: str) -> None:
    answer = await client.request(method, path, data=b"{}" if method == "POST" else None)
    assert await _refused(answer) == (404, "invalid_request_error", "not_found")


async def test_the_body_limit_is_16_mib(client: aiohttp.ClientSession) -> None:
    fits = json.dumps(chat("x" * (16 * MIB - 1000), model="small"))
    assert (await client.post("/v1/chat/completions", data=fits)).status == 200
    answer = await client.post("/v1/chat/completions", data=fits + " " * 2000)
    assert await _refused(answer) == (413, "invalid_request_error", "request_too_large")


async def test_a_tier_without_engines_is_an_error_of_the_server(client: aiohttp.ClientSession) -> None:
    answer = await client.post("/v1/chat/completions", json=chat(model="large"))
    assert await _refused(answer) == (503, "server_error", "no_engine")


async def test_what_is_not_http_is_refused_in_the_same_form(client: aiohttp.ClientSession) -> None:
    url = client._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert not body or json.loads(body)["error"]["type"] == "invalid_request_error"


async def test_models_are_listed_and_found(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/v1/models")
    assert (answer.status, answer.content_type) == (200, "application/json")
    listing = await answer.json()
    names = [model["id"] for model in listing["data"]]
    assert (listing["object"], names) == ("list", ["auto", "small", "large", "model/small", "model/large"])
    for name in names:
        found = await client.get(f"/v1/models/{name}")
        assert (found.status, (await found.json())["id"]) == (200, name)


async def test_the_service_can_be_probed(client: aiohttp.ClientSession) -> None:
    assert await (await client.get("/healthz")).text() == "ok\n"
