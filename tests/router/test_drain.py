"""A router that leaves finishes what it has, and asks its clients to connect elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from heterollm_agent.drain import drain
from tests.router.engine import Engine, ok, slow
from tests.router.envoy import Envoy, chat, policy, tier


@asynccontextmanager
async def holding() -> AsyncIterator[tuple[Engine, Envoy, aiohttp.ClientSession, asyncio.Task[aiohttp.ClientResponse]]]:
    """A router with one engine, and a request that it holds."""
    async with (
        Engine("a", slow) as engine,
        Envoy(policy(tier("small", engine))) as envoy,
        envoy.session() as client,
    ):
        held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
        await engine.waiting.wait()
        yield engine, envoy, client, held


async def test_draining_lasts_as_long_as_a_request_runs() -> None:
    async with holding() as (engine, envoy, client, held):
        assert envoy.admin is not None
        draining = asyncio.create_task(asyncio.to_thread(drain, envoy.admin, 0.2, 30.0))
        await envoy.until_async(lambda: _says(client, "close"))
        engine.answer = ok
        late = await client.post("/v1/chat/completions", json=chat())
        assert late.status == 200, "what still arrives is served"
        assert not draining.done()

        engine.release.set()
        assert (await held).status == 200
        await draining


async def test_draining_is_bounded_and_ends_with_envoy() -> None:
    async with holding() as (_, envoy, _, held):
        assert envoy.admin is not None
        begin = time.monotonic()
        await asyncio.to_thread(drain, envoy.admin, 0.1, 0.5)
        assert 0.5 <= time.monotonic() - begin < 5
        held.cancel()
        await envoy.stop()
        await asyncio.to_thread(drain, envoy.admin, 0.1, 30.0)


async def _says(client: aiohttp.ClientSession, connection: str) -> bool:
    answer = await client.get("/healthz")
    return answer.headers.get("connection") == connection
