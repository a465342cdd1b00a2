"""Fact 2: more requests than a router may send to a tier are refused at once, as overload."""

from __future__ import annotations

import asyncio

from tests.router.engine import slow
from tests.router.two_tiers import TwoTiers


async def test_overflow_is_answered_429_with_retry_after_and_does_not_spill() -> None:
    async with TwoTiers(slow, small_tier={"max_requests": 1}) as router:
        held = asyncio.create_task(router.post())
        await router.small.waiting.wait()

        refused = await router.post()
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.content_type == "application/json"
        assert (await refused.json())["error"] == {
            "message": "All engines that may answer are busy. Please retry later.",
            "type": "rate_limit_error",
            "param": None,
            "code": "overloaded",
        }
        assert not router.large.requests

        router.small.release.set()
        assert (await held).status == 200
        assert (await router.post()).status == 200
