"""Fact 5: a conversation's beginning decides its engine, and an engine keeps its share over a restart elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp

from tests.router.engine import Engine, ok, slow
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


async def test_a_new_engine_takes_its_share_and_a_removed_one_gives_up_only_its_own() -> None:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(f"c-small-{number}-0")) for number in range(9)]
        few, many = policy(tier("small", *engines[:8])), policy(tier("small", *engines))
        envoy = await stack.enter_async_context(Envoy(few))
        client = await stack.enter_async_context(envoy.session())
        before = await _owners(client, 300)
        await envoy.publish(many)
        await envoy.healthy("small", 9)
        grown = await _owners(client, 300)
        moved = [new for old, new in zip(before, grown, strict=True) if old != new]
        assert 300 / 9 * 0.5 < len(moved) < 300 / 9 * 1.7
        assert moved.count(engines[8].name) >= 0.9 * len(moved), "what moves, moves to the new engine"

        await envoy.publish(few)
        assert await _owners(client, 300) == before


async def test_prefixes_spread_evenly_enough() -> None:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(pod)) for pod in PODS]
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines))))
        client = await stack.enter_async_context(envoy.session())
        shares = Counter(await _owners(client, 400))
        assert set(shares) == set(PODS)
        assert max(shares.values()) < 1.6 * 400 / len(PODS)


async def test_a_popular_prefix_overflows_to_other_engines_and_returns() -> None:
    """Bounded load: no engine gets more than 1.5 times the average."""
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(pod, slow)) for pod in PODS]
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines))))
        client = await stack.enter_async_context(envoy.session())
        held: list[asyncio.Task[aiohttp.ClientResponse]] = []

        def arrived() -> bool:
            return sum(len(engine.requests) for engine in engines) == len(held)

        for _ in range(40):
            held.append(asyncio.create_task(client.post("/v1/chat/completions", json=chat())))
            await envoy.until(arrived)
        assert max(len(engine.requests) for engine in engines) <= 40 / len(PODS) * 1.5 + 1
        for engine in engines:
            engine.answer = ok
            engine.release.set()
        await asyncio.gather(*held)
        owners = {(await (await client.post("/v1/chat/completions", json=chat())).json())["model"] for _ in range(5)}
        assert len(owners) == 1


async def _owners(client: aiohttp.ClientSession, count: int = 20) -> list[str]:
    owners = []
    for number in range(count):
        answer = await client.post("/v1/chat/completions", json=chat(f"Document {number}: " + "text " * 200))
        owners.append((await answer.json())["model"])
    return owners
