"""Streams go through event by event, untouched, and end as they end."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.router.engine import Engine, stream
from tests.router.envoy import Envoy, chat, policy, tier


async def test_every_event_arrives_before_the_next_is_sent() -> None:
    async with (
        Engine("s0", stream) as engine,
        Envoy(policy(tier("small", engine))) as envoy,
        envoy.session() as client,
        asyncio.timeout(10),
    ):
        await engine.events.put("first")
        answer = await client.post("/v1/chat/completions", json=chat(stream=True))
        assert answer.content_type == "text/event-stream"
        assert answer.headers["x-llm-tier"] == "small"
        assert await answer.content.readuntil(b"\n\n") == b"data: first\n\n"
        for event in ("two", "三", "[DONE]"):
            await engine.events.put(event)
            assert await answer.content.readuntil(b"\n\n") == f"data: {event}\n\n".encode()
        await engine.events.put(None)
        assert await answer.content.read() == b""


async def test_a_stream_that_breaks_is_not_sent_again() -> None:
    async with (
        Engine("s0", stream) as engine,
        Engine("l0") as large,
        Envoy(policy(tier("small", engine), tier("large", large))) as envoy,
        envoy.session() as client,
        asyncio.timeout(10),
    ):
        await engine.events.put("first")
        answer = await client.post("/v1/chat/completions", json=chat(stream=True))
        await answer.content.readuntil(b"\n\n")
        await engine.kill()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        assert not large.requests
