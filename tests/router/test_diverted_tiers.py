"""A share of a tier's conversations is answered by the last tier: all of them while the tier is escalated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import pytest

from tests.router.engine import Engine, error
from tests.router.envoy import Envoy, chat, policy, tier


class Router(NamedTuple):
    """A running router, and a way to change the share."""

    envoy: Envoy
    client: aiohttp.ClientSession
    small: Engine
    large: Engine

    async def divert(self, percent: int, of_large: int = 0) -> None:
        """Publish these shares."""
        small = tier("small", self.small, diverted_percent=percent)
        await self.envoy.publish(policy(small, tier("large", self.large, diverted_percent=of_large)))

    async def tiers(self, conversations: int, turn: str = "") -> list[str]:
        """Who answers each of so many conversations."""
        return [await self.tier(f"Conversation {number}. " + "context " * 80, turn) for number in range(conversations)]

    async def tier(self, context: str, turn: str = "", **more: str) -> str:
        """Who answers."""
        messages = [{"role": "system", "content": context}, {"role": "user", "content": "hello"}]
        if turn:
            messages += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": turn}]
        body = {"model": "small", "messages": messages, **more}
        answer = await self.client.post("/v1/chat/completions", json=body)
        assert answer.status == 200
        return answer.headers["x-llm-tier"]


@asynccontextmanager
async def routed(percent: int) -> AsyncIterator[Router]:
    """A router of two tiers that diverts this share of the first."""
    async with Engine("s0") as small, Engine("l0") as large:
        first = policy(tier("small", small, diverted_percent=percent), tier("large", large))
        async with Envoy(first) as envoy, envoy.session() as client:
            yield Router(envoy, client, small, large)


@pytest.mark.parametrize(
    ("percent", "fewest", "most"), [(0, 0, 0), (10, 8, 35), (30, 40, 80), (80, 140, 180), (100, 200, 200)]
)
async def test_the_share_is_kept_and_conversations_stay_on_their_side(percent: int, fewest: int, most: int) -> None:
    async with routed(percent) as router:
        first = await router.tiers(200)
        assert fewest <= first.count("large") <= most
        assert await router.tiers(200, turn="again") == first


async def test_a_growing_share_only_moves_conversations_one_way() -> None:
    async with routed(10) as router:
        before = set[int]()
        for percent in (10, 30, 60, 100):
            await router.divert(percent)
            moved = {number for number, name in enumerate(await router.tiers(100)) if name == "large"}
            assert moved >= before
            before = moved


async def test_the_last_tier_and_requests_for_it_are_not_diverted() -> None:
    async with routed(100) as router:
        assert await router.tier("any", model="large") == "large"
        assert len(router.large.requests) == 1
        await router.divert(0)
        assert await router.tier("any") == "small"


async def test_the_last_tiers_requests_may_go_to_the_one_before_it() -> None:
    async with routed(0) as router:
        await router.divert(0, of_large=100)
        assert await router.tier("any", model="large") == "small"
        assert await router.tier("any") == "small"


async def test_diverted_requests_fall_back_to_their_own_tier() -> None:
    async with routed(100) as router:
        router.large.answer = error
        answer = await router.client.post("/v1/chat/completions", json=chat(model="small"))
        assert (answer.status, answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == (200, "small", "3")
        await router.large.kill()
        await router.envoy.healthy("large", 0)
        assert await router.tier("any") == "small"


async def test_a_share_of_the_last_tier_means_nothing() -> None:
    async with Engine("s0") as engine:
        alone = policy(tier("small", engine, diverted_percent=50))
        async with Envoy(alone) as envoy, envoy.session() as client:
            for number in range(20):
                assert (await client.post("/v1/chat/completions", json=chat(f"q {number}"))).status == 200
