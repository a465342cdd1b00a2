"""The listener speaks HTTP/2 beside HTTP/1.1, in clear text as over TLS."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from tests.router.certificates import issue, trusting
from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.http2 import Http2
from tests.router.mount import Mount

CHAT = "/v1/chat/completions"
BODY = json.dumps(chat("x" * 50_000)).encode()


async def test_a_client_with_prior_knowledge_is_served_over_http2() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine))))
        client = await stack.enter_async_context(Http2(envoy.url))
        async with asyncio.timeout(10):
            for _ in range(3):
                status, body = await client.post(CHAT, BODY)
                assert (status, json.loads(body)["model"]) == (200, "s0")
            status, body = await client.post(CHAT, b"no JSON")
            assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_json")
            assert (await client.post("/nowhere", b"{}"))[0] == 404
        # Over HTTP/2 nobody needs to say how long a body is; engines are told.
        assert [sent.get("content-length") for sent in engine.headers] == [str(len(BODY))] * 3
        assert not any("transfer-encoding" in sent for sent in engine.headers)


async def test_a_client_over_tls_is_served_over_http2(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        secret = issue(tmp_path, "router")
        engine = await stack.enter_async_context(Engine("s0"))
        envoy = Envoy(policy(tier("small", engine)), tls=True)
        Mount(envoy.tls_dir, **secret)
        await stack.enter_async_context(envoy)
        client = await stack.enter_async_context(Http2(envoy.url, trusting(secret, "h2")))
        async with asyncio.timeout(10):
            status, body = await client.post(CHAT, BODY)
        assert (status, json.loads(body)["model"]) == (200, "s0")


async def test_the_body_limit_holds_over_http2() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine), body_limit=10_000)))
        client = await stack.enter_async_context(Http2(envoy.url))
        async with asyncio.timeout(10):
            status, body = await client.post(CHAT, BODY)
        assert (status, json.loads(body)["error"]["code"]) == (0, "request_too_large")
        assert not engine.requests
