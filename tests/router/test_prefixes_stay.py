"""Fact 5: a conversation's beginning decides its engine, and an engine keeps its share over a restart elsewhere."""

from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp

from tests.router.engine import Engine
from tests.router.envoy import Envoy, chat, policy, tier

PODS = ("c-small-0-0", "c-small-1-0", "c-small-2-0", "c-small-3-0")


async def test_prefixes_stick_to_pods_over_a_restart_at_another_address() -> None:
    async with AsyncExitStack() as stack:
        before = [await stack.enter_async_context(Engine(pod)) for pod in PODS]
        # Other ports, as if every pod had come back with another address.
        after = [await stack.enter_async_context(Engine(pod)) for pod in PODS]
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *before))))
        client = await stack.enter_async_context(envoy.session())

        first = await _owners(client)
        assert len(set(first)) > 1, "the prefixes must spread"
        assert await _owners(client) == first

        await envoy.publish(policy(tier("small", *after)))
        await envoy.healthy("small", len(PODS))
        assert await _owners(client) == first
        assert sum(len(engine.requests) for engine in after) == len(first)


async def test_later_turns_of_a_conversation_stay_on_its_engine() -> None:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(pod)) for pod in PODS]
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines))))
        client = await stack.enter_async_context(envoy.session())
        messages = [{"role": "system", "content": "You are terse. " * 50}, {"role": "user", "content": "hello"}]
        for turn in range(6):
            await client.post("/v1/chat/completions", json={"model": "auto", "messages": messages})
            messages += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"turn {turn}"}]
        assert sorted(len(engine.requests) for engine in engines) == [0, 0, 0, 6]


async def _owners(client: aiohttp.ClientSession) -> list[str]:
    owners = []
    for number in range(20):
        answer = await client.post("/v1/chat/completions", json=chat(f"Document {number}: " + "text " * 200))
        owners.append((await answer.json())["model"])
    return owners
