"""A share of a tier's conversations is answered by the last tier: all of them while the tier is escalated."""

from __future__ import annotations

import pytest

from tests.router.engine import Engine, error
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.two_tiers import TwoTiers


class Router(TwoTiers):
    """A router of two tiers that diverts a share of the first."""

    def __init__(self, percent: int) -> None:
        super().__init__(small_tier={"diverted_percent": percent})

    async def divert(self, percent: int, of_large: int = 0) -> None:
        """Publish these shares."""
        shares = self.policy(small={"diverted_percent": percent}, large={"diverted_percent": of_large})
        await self.envoy.publish(shares)

    async def tiers(self, conversations: int, turn: str = "") -> list[str]:
        """Who answers each of so many conversations."""
        return [await self.tier(f"Conversation {number}. " + "context " * 80, turn) for number in range(conversations)]

    async def tier(self, context: str, turn: str = "", **more: str) -> str:
        """Who answers."""
        messages = [{"role": "system", "content": context}, {"role": "user", "content": "hello"}]
        if turn:
            messages += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": turn}]
        return await self.tier_of({"model": "small", "messages": messages, **more})


@pytest.mark.parametrize(
    ("percent", "fewest", "most"), [(0, 0, 0), (10, 8, 35), (30, 40, 80), (80, 140, 180), (100, 200, 200)]
)
async def test_the_share_is_kept_and_conversations_stay_on_their_side(percent: int, fewest: int, most: int) -> None:
    async with Router(percent) as router:
        first = await router.tiers(200)
        assert fewest <= first.count("large") <= most
        assert await router.tiers(200, turn="again") == first


async def test_a_growing_share_only_moves_conversations_one_way() -> None:
    async with Router(10) as router:
        before = set[int]()
        for percent in (10, 30, 60, 100):
            await router.divert(percent)
            moved = {number for number, name in enumerate(await router.tiers(100)) if name == "large"}
            assert moved >= before
            before = moved


async def test_the_last_tier_and_requests_for_it_are_not_diverted() -> None:
    async with Router(100) as router:
        assert await router.tier("any", model="large") == "large"
        assert len(router.large.requests) == 1
        await router.divert(0)
        assert await router.tier("any") == "small"


async def test_the_last_tiers_requests_may_go_to_the_one_before_it() -> None:
    async with Router(0) as router:
        await router.divert(0, of_large=100)
        assert await router.tier("any", model="large") == "small"
        assert await router.tier("any") == "small"


async def test_diverted_requests_fall_back_to_their_own_tier() -> None:
    async with Router(100) as router:
        router.large.answer = error
        answer = await router.post(chat(model="small"))
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
